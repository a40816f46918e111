/* record: every call the simulated Terra got; see record.h. */
#include "record.h"

#include "common/clock.h"
#include "common/memory.h"
#include "common/text.h"

/* One block: the struct, and behind it all texts. */
struct record {
    uint64_t sequence;
    int64_t wall_us;
    int64_t monotonic_us;
    int64_t finished_us; /* monotonic; 0: the answer is still on its way */
    int64_t fault_id;
    uint64_t connection;
    uint64_t connection_request;
    size_t size;           /* of the block */
    size_t body_size;      /* as received */
    size_t body_kept_size; /* of that, kept */
    enum endpoint endpoint;
    enum web_outcome outcome;
    unsigned status; /* what the answer says, or would have said */
    unsigned header_count;
    bool no_status; /* nothing that has a status is sent */
    bool magic;
    const char *method;
    const char *target;
    const char *reference_id;
    const char *environment; /* NULL: none */
    const char *body;
    const char *headers; /* name, value, name, value, …, each with its NUL */
    char texts[];
};

struct recorder {
    struct record **ring;
    size_t records_max;
    uint64_t first; /* sequence number of the oldest one kept */
    uint64_t next;  /* of the one to come; first == next: none is kept */
    uint64_t dropped;
    size_t bytes;
};

struct recorder *recorder_new(size_t records_max)
{
    struct recorder *recorder = memory_new(sizeof(*recorder));
    recorder->records_max = records_max;
    if (records_max > 0)
        recorder->ring = memory_new(records_max * sizeof(*recorder->ring));
    recorder->first = recorder->next = 1;
    return recorder;
}

static struct record **slot_of(const struct recorder *recorder, uint64_t sequence)
{
    return &recorder->ring[sequence % recorder->records_max];
}

static void drop_oldest(struct recorder *recorder)
{
    struct record **slot = slot_of(recorder, recorder->first++);
    recorder->bytes -= (*slot)->size;
    free(*slot);
    *slot = NULL;
}

void recorder_clear(struct recorder *recorder)
{
    while (recorder->records_max > 0 && recorder->first < recorder->next)
        drop_oldest(recorder);
    recorder->first = recorder->next;
    recorder->dropped = 0;
}

void recorder_free(struct recorder *recorder)
{
    recorder_clear(recorder);
    free(recorder->ring);
    free(recorder);
}

/* --- recording --- */

static size_t text_bytes(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 0;
}

static const char *put_text(char **place, const char *text)
{
    if (text == NULL)
        return NULL;
    size_t size = strlen(text) + 1;
    char *start = memcpy(*place, text, size);
    *place += size;
    return start;
}

/* How many headers fit under the ceiling, and their bytes. */
static unsigned fitting_headers(const struct request *request, size_t *bytes)
{
    *bytes = 0;
    for (size_t i = 0; i < request->header_count; i++) {
        size_t size = text_bytes(request->headers[i].name) + text_bytes(request->headers[i].value);
        if (*bytes + size > RECORD_HEADER_BYTES_MAX)
            return (unsigned)i;
        *bytes += size;
    }
    return (unsigned)request->header_count;
}

static struct record *record_new(const struct request *request, const struct terra_call *call)
{
    size_t header_bytes;
    unsigned header_count = fitting_headers(request, &header_bytes);
    size_t body_size =
        request->body_size < RECORD_BODY_BYTES_MAX ? request->body_size : RECORD_BODY_BYTES_MAX;
    size_t size = sizeof(struct record) + text_bytes(request->method) +
                  text_bytes(request->target) + text_bytes(call->reference_id) +
                  text_bytes(call->environment) + header_bytes + body_size;
    struct record *record = memory_new(size);
    record->size = size;
    record->header_count = header_count;
    char *place = record->texts;
    record->method = put_text(&place, request->method);
    record->target = put_text(&place, request->target);
    record->reference_id = put_text(&place, call->reference_id);
    record->environment = put_text(&place, call->environment);
    record->headers = place;
    for (unsigned i = 0; i < header_count; i++) {
        put_text(&place, request->headers[i].name);
        put_text(&place, request->headers[i].value);
    }
    record->body = memcpy(place, request->body, body_size);
    record->body_size = request->body_size;
    record->body_kept_size = body_size;
    return record;
}

static bool has_status(const struct answer *answer)
{
    return answer->manner != ANSWER_STALL && answer->manner != ANSWER_DROP &&
           answer->manner != ANSWER_RESET && answer->manner != ANSWER_RAW;
}

uint64_t recorder_add(struct recorder *recorder, const struct request *request,
    const struct terra_call *call, const struct answer *answer, int64_t fault_id)
{
    uint64_t sequence = recorder->next++;
    if (recorder->records_max == 0) {
        recorder->first = recorder->next;
        recorder->dropped++;
        return sequence;
    }
    struct record *record = record_new(request, call);
    record->sequence = sequence;
    record->wall_us = clock_wall_us();
    record->monotonic_us = clock_monotonic_us();
    record->connection = request->connection;
    record->connection_request = request->connection_request;
    record->endpoint = call->endpoint;
    record->magic = call->magic;
    record->fault_id = fault_id;
    record->status = answer->status;
    record->no_status = !has_status(answer);
    while (recorder->first < sequence && (sequence - recorder->first >= recorder->records_max ||
                                             recorder->bytes + record->size > RECORD_BYTES_MAX)) {
        drop_oldest(recorder);
        recorder->dropped++;
    }
    recorder->bytes += record->size;
    *slot_of(recorder, sequence) = record;
    return sequence;
}

void recorder_finish(struct recorder *recorder, uint64_t sequence, enum web_outcome outcome)
{
    if (sequence < recorder->first || sequence >= recorder->next)
        return;
    struct record *record = *slot_of(recorder, sequence);
    record->finished_us = clock_monotonic_us();
    record->outcome = outcome;
}

/* --- asking --- */

static bool matches(const struct record *record, const struct record_filter *filter)
{
    if (record->sequence <= filter->since)
        return false;
    if (filter->endpoint != ENDPOINT_COUNT && record->endpoint != filter->endpoint)
        return false;
    if (filter->reference_id != NULL && !text_equal(record->reference_id, filter->reference_id))
        return false;
    if (filter->reference_id_prefix != NULL &&
        !text_starts_with(record->reference_id, filter->reference_id_prefix))
        return false;
    if (filter->environment != NULL && !text_equal(record->environment, filter->environment))
        return false;
    return filter->status == 0 || (!record->no_status && record->status == filter->status);
}

static void write_headers(const struct record *record, struct json_writer *writer)
{
    const char *text = record->headers;
    json_open_array(writer, "headers");
    for (unsigned i = 0; i < record->header_count; i++) {
        json_open_array(writer, NULL);
        json_put_text(writer, NULL, text);
        text += strlen(text) + 1;
        json_put_text(writer, NULL, text);
        text += strlen(text) + 1;
        json_close_array(writer);
    }
    json_close_array(writer);
}

static void write_finish(const struct record *record, struct json_writer *writer)
{
    if (record->no_status)
        json_put_null(writer, "status");
    else
        json_put_integer(writer, "status", record->status);
    if (record->finished_us == 0) {
        json_put_text(writer, "outcome", "waiting");
        json_put_null(writer, "finished_us");
    } else {
        json_put_text(writer, "outcome", web_outcome_name(record->outcome));
        json_put_integer(writer, "finished_us", record->finished_us);
    }
}

static void write_record(const struct record *record, struct json_writer *writer)
{
    json_open_object(writer, NULL);
    json_put_integer(writer, "sequence", (int64_t)record->sequence);
    json_put_integer(writer, "wall_us", record->wall_us);
    json_put_integer(writer, "monotonic_us", record->monotonic_us);
    json_put_text(writer, "endpoint", endpoint_name(record->endpoint));
    json_put_text(writer, "method", record->method);
    json_put_text(writer, "target", record->target);
    json_put_text(writer, "environment", record->environment);
    json_put_text(
        writer, "reference_id", *record->reference_id != '\0' ? record->reference_id : NULL);
    json_put_integer(writer, "connection", (int64_t)record->connection);
    json_put_integer(writer, "connection_request", (int64_t)record->connection_request);
    write_finish(record, writer);
    json_put_boolean(writer, "magic", record->magic);
    if (record->fault_id != 0)
        json_put_integer(writer, "fault", record->fault_id);
    else
        json_put_null(writer, "fault");
    write_headers(record, writer);
    json_put_bytes(writer, "body", record->body, record->body_kept_size);
    json_put_integer(writer, "body_size", (int64_t)record->body_size);
    json_close_object(writer);
}

void recorder_write_calls(const struct recorder *recorder, const struct record_filter *filter,
    size_t limit, struct json_writer *writer)
{
    uint64_t sequence = filter->since + 1 > recorder->first ? filter->since + 1 : recorder->first;
    uint64_t last = filter->since;
    json_open_array(writer, "calls");
    for (; sequence < recorder->next && limit > 0; sequence++) {
        const struct record *record = *slot_of(recorder, sequence);
        last = sequence;
        if (!matches(record, filter))
            continue;
        write_record(record, writer);
        limit--;
    }
    json_close_array(writer);
    json_put_integer(writer, "last", (int64_t)last);
    json_put_boolean(writer, "more", sequence < recorder->next);
    json_put_integer(writer, "recorded", (int64_t)(recorder->next - 1));
    json_put_integer(writer, "dropped", (int64_t)recorder->dropped);
}

#define STATUS_COUNT 600
#define OUTCOME_COUNT (WEB_CLIENT_GONE + 1)

struct tally {
    int64_t count, waiting, new_connections;
    int64_t first_us, last_us;
    int64_t busiest_second;
    int64_t by_endpoint[ENDPOINT_COUNT];
    int64_t by_status[STATUS_COUNT]; /* [0]: none was sent */
    int64_t by_outcome[OUTCOME_COUNT];
};

static void tally_add(struct tally *tally, const struct record *record)
{
    if (tally->count++ == 0)
        tally->first_us = record->monotonic_us;
    tally->last_us = record->monotonic_us;
    tally->by_endpoint[record->endpoint]++;
    tally->by_status[!record->no_status && record->status < STATUS_COUNT ? record->status : 0]++;
    if (record->finished_us == 0)
        tally->waiting++;
    else
        tally->by_outcome[record->outcome]++;
    if (record->connection_request == 1)
        tally->new_connections++;
}

/* Two marks walk the ring: `sequence`, and `tail` one second behind it. */
static void tally_all(
    const struct recorder *recorder, const struct record_filter *filter, struct tally *tally)
{
    uint64_t tail = recorder->first;
    int64_t within_second = 0;
    for (uint64_t sequence = recorder->first; sequence < recorder->next; sequence++) {
        const struct record *record = *slot_of(recorder, sequence);
        if (!matches(record, filter))
            continue;
        tally_add(tally, record);
        within_second++;
        int64_t from_us = record->monotonic_us - CLOCK_US_PER_SECOND;
        while ((*slot_of(recorder, tail))->monotonic_us <= from_us) {
            if (matches(*slot_of(recorder, tail), filter))
                within_second--;
            tail++;
        }
        if (within_second > tally->busiest_second)
            tally->busiest_second = within_second;
    }
}

static void write_breakdowns(const struct tally *tally, struct json_writer *writer)
{
    json_open_object(writer, "by_endpoint");
    for (int i = 0; i < ENDPOINT_COUNT; i++)
        if (tally->by_endpoint[i] > 0)
            json_put_integer(writer, endpoint_name((enum endpoint)i), tally->by_endpoint[i]);
    json_close_object(writer);
    json_open_object(writer, "by_status");
    for (int i = 0; i < STATUS_COUNT; i++) {
        char name[16];
        snprintf(name, sizeof(name), "%d", i);
        if (tally->by_status[i] > 0)
            json_put_integer(writer, i > 0 ? name : "none", tally->by_status[i]);
    }
    json_close_object(writer);
    json_open_object(writer, "by_outcome");
    for (int i = 0; i < OUTCOME_COUNT; i++)
        if (tally->by_outcome[i] > 0)
            json_put_integer(writer, web_outcome_name((enum web_outcome)i), tally->by_outcome[i]);
    if (tally->waiting > 0)
        json_put_integer(writer, "waiting", tally->waiting);
    json_close_object(writer);
}

void recorder_write_count(
    const struct recorder *recorder, const struct record_filter *filter, struct json_writer *writer)
{
    struct tally tally = {0};
    tally_all(recorder, filter, &tally);
    json_put_integer(writer, "count", tally.count);
    json_put_integer(writer, "busiest_second", tally.busiest_second);
    json_put_integer(writer, "new_connections", tally.new_connections);
    if (tally.count > 0) {
        json_put_integer(writer, "first_us", tally.first_us);
        json_put_integer(writer, "last_us", tally.last_us);
    } else {
        json_put_null(writer, "first_us");
        json_put_null(writer, "last_us");
    }
    write_breakdowns(&tally, writer);
    json_put_integer(writer, "recorded", (int64_t)(recorder->next - 1));
    json_put_integer(writer, "dropped", (int64_t)recorder->dropped);
}
