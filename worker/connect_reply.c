/* connect_reply: see connect_reply.h. */
#include "worker/connect_reply.h"

#include <assert.h>
#include <inttypes.h>

#include "common/clock.h"
#include "common/json.h"

/* Seconds with as many of six decimals as it takes. */
static void put_seconds(struct json_writer *writer, const char *name, int64_t us)
{
    char decimals[7] = ".000000";
    size_t size = sizeof decimals;
    int64_t rest = us > 0 ? us % CLOCK_US_PER_SECOND : 0;
    json_put_integer(writer, name, us > 0 ? us / CLOCK_US_PER_SECOND : 0);
    for (size_t i = size - 1; i > 0; i--, rest /= 10)
        decimals[i] = (char)('0' + rest % 10);
    while (decimals[size - 1] == '0')
        size--;
    if (size > 1) /* the integer is the last thing in the buf */
        buf_append(writer->buf, decimals, size);
}

static void put_time(struct json_writer *writer, const char *name, int64_t wall_us)
{
    char text[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(wall_us, text);
    json_put_text(writer, name, text);
}

static void put_expiry(struct json_writer *writer, const struct terra_link *link)
{
    if (link && link->expires_wall_us > 0)
        put_time(writer, "link_expires_at", link->expires_wall_us);
    else
        json_put_null(writer, "link_expires_at");
}

static void put_texts(struct json_writer *writer, const struct text_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        json_put_text(writer, NULL, list->items[i]);
}

static void put_warnings(struct json_writer *writer, const struct connect_result *result)
{
    json_open_array(writer, "warnings");
    put_texts(writer, &result->request->warnings);
    if (result->link)
        put_texts(writer, &result->link->warnings);
    json_close_array(writer);
}

static void put_identity(struct json_writer *writer, const struct connect_result *result)
{
    const struct connect_request *request = result->request;
    json_put_text(writer, "status", result->link ? "success" : "error");
    json_put_text(writer, "request_id", request->request_id);
    json_put_text(writer, "reference_id", request->reference_id);
    json_put_text(writer, "environment", request->environment_name);
    json_put_integer(writer, "attempts", result->attempts);
}

static void put_error(struct json_writer *writer, const struct connect_error *error)
{
    json_open_object(writer, "error");
    json_put_text(writer, "code", connect_code_name(error->code));
    json_put_text(writer, "message", error->message);
    json_put_boolean(writer, "retryable", error->retryable);
    if (error->retry_after_us >= 0)
        put_seconds(writer, "retry_after_seconds", error->retry_after_us);
    else
        json_put_null(writer, "retry_after_seconds");
    if (error->http_status > 0)
        json_put_integer(writer, "http_status", error->http_status);
    else
        json_put_null(writer, "http_status");
    json_close_object(writer);
}

static void put_link(struct json_writer *writer, const struct terra_link *link)
{
    json_put_text(writer, "link", link->link);
    json_put_text(writer, link->widget ? "url" : "auth_url", link->link);
    json_put_text(writer, link->widget ? "session_id" : "user_id", link->id);
    put_expiry(writer, link);
}

void connect_reply_encode(const struct connect_result *result, struct buf *json)
{
    struct json_writer writer;
    assert(!result->link != !result->error);
    json_writer_init(&writer, json);
    json_open_object(&writer, NULL);
    put_identity(&writer, result);
    if (result->link)
        put_link(&writer, result->link);
    else
        put_error(&writer, result->error);
    put_warnings(&writer, result);
    json_close_object(&writer);
}

static void put_asked_for(struct json_writer *writer, const struct connect_result *result)
{
    const struct terra_link *link = result->link;
    bool widget = link ? link->widget : !result->request->provider;
    json_put_text(writer, "kind", widget ? "widget" : "provider");
    json_put_text(writer, "provider", result->request->provider);
    json_put_items(writer, "providers", result->request->providers);
    json_put_text(writer, "session_id", link && link->widget ? link->id : NULL);
    json_put_text(writer, "user_id", link && !link->widget ? link->id : NULL);
    put_expiry(writer, link);
}

static void put_times(struct json_writer *writer, const struct connect_result *result)
{
    put_time(writer, "requested_at", result->requested_wall_us);
    put_time(writer, "answered_at", result->answered_wall_us);
    put_seconds(writer, "seconds_total", result->answered_wall_us - result->requested_wall_us);
    put_seconds(writer, "seconds_waiting", result->waiting_us);
    put_seconds(writer, "seconds_calling", result->calling_us);
}

void connect_outcome_encode(const struct connect_result *result, struct buf *json)
{
    struct json_writer writer;
    assert(!result->link != !result->error);
    json_writer_init(&writer, json);
    json_open_object(&writer, NULL);
    put_identity(&writer, result);
    json_put_boolean(&writer, "cached", result->cached);
    put_asked_for(&writer, result);
    put_times(&writer, result);
    if (result->error)
        put_error(&writer, result->error);
    else
        json_put_null(&writer, "error");
    put_warnings(&writer, result);
    json_close_object(&writer);
}
