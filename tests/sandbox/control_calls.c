/* control_calls: recorded calls over the control endpoint; see control.h. */
#include <errno.h>

#include "control_parts.h"

#define LIMIT_DEFAULT 1000
#define LIMIT_MAX 10000

/* A whole number in the query; false when it is there and is none. */
static bool query_number(const struct request *request, const char *name, uint64_t *number)
{
    const char *text = request_query(request, name);
    if (text == NULL)
        return true;
    char *end;
    errno = 0;
    if (*text < '0' || *text > '9')
        return false;
    *number = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && *number <= INT64_MAX;
}

bool control_read_page(struct control_turn *turn, uint64_t *since, uint64_t *limit)
{
    *limit = LIMIT_DEFAULT;
    if (!query_number(turn->request, "since", since) ||
        !query_number(turn->request, "limit", limit)) {
        control_fail(turn, 400, "since and limit must be whole numbers");
        return false;
    }
    if (*limit > LIMIT_MAX)
        *limit = LIMIT_MAX;
    return true;
}

/* False: something cannot be read, and the answer says so. */
static bool read_filter(struct control_turn *turn, struct record_filter *filter, uint64_t *limit)
{
    const struct request *request = turn->request;
    *filter = (struct record_filter){
        .endpoint = ENDPOINT_COUNT,
        .reference_id = request_query(request, "reference_id"),
        .reference_id_prefix = request_query(request, "reference_id_prefix"),
        .environment = request_query(request, "environment"),
    };
    const char *endpoint = request_query(request, "endpoint");
    if (endpoint != NULL && !endpoint_find(endpoint, &filter->endpoint)) {
        control_fail(turn, 400, "endpoint must be the name of an endpoint");
        return false;
    }
    uint64_t status = 0;
    if (!query_number(request, "status", &status)) {
        control_fail(turn, 400, "status must be a whole number");
        return false;
    }
    filter->status = status < UINT32_MAX ? (unsigned)status : UINT32_MAX;
    return control_read_page(turn, &filter->since, limit);
}

void control_get_calls(struct control_turn *turn)
{
    struct record_filter filter;
    uint64_t limit;
    if (read_filter(turn, &filter, &limit))
        recorder_write_calls(turn->sandbox->recorder, &filter, (size_t)limit, &turn->writer);
}

void control_count_calls(struct control_turn *turn)
{
    struct record_filter filter;
    uint64_t limit;
    if (read_filter(turn, &filter, &limit))
        recorder_write_count(turn->sandbox->recorder, &filter, &turn->writer);
}

void control_delete_calls(struct control_turn *turn)
{
    recorder_clear(turn->sandbox->recorder);
}
