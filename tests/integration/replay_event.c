/*
 * replay_event: what the worker makes of one event of Terra's, for test_schemas.py, which holds it
 * against the schemas.
 *
 * Reads the event's bytes from stdin and writes one JSON object:
 *
 *   class     what event_scan says: auth, pointer, data, other, unreadable
 *   verdict   what auth_event says: read, not_auth, bad
 *   error     why it is bad, else null
 *   identity  of what was read, else null
 *   records   all that could be published about it: [{kind, key, value, headers}], the value as
 *             text: the event as it stands, and of a link that we know; the connections after it
 *             (null: a tombstone)
 */
#include <assert.h>

#include "common/clock.h"
#include "common/memory.h"
#include "worker/auth_event.h"
#include "worker/cloud_event.h"
#include "worker/connection_state.h"
#include "worker/event_scan.h"

#define INPUT_BYTES_MAX (2 * 1024 * 1024)
/* 2026-11-21T07:04:32.123Z */
#define PUBLISHED INT64_C(1795244672123000)

static const struct auth_event_context plain = {
    .seconds_since_link = -1, .published_wall_us = PUBLISHED};
static const struct auth_event_context matched = {
    .environment = "default",
    .request_id = "r1",
    .offered_provider = "OURA",
    .seconds_since_link = 41.5,
    .matched_by = AUTH_EVENT_MATCH_SESSION,
    .published_wall_us = PUBLISHED,
};

static void put_record(struct json_writer *writer, const char *kind, const char *key,
    const char *subject, const struct buf *value)
{
    struct cloud_event_headers headers;
    const struct cloud_event event = {
        .kind = kind,
        .source = "/terra-connect/terra-connect",
        .subject = subject,
        .time_wall_us = PUBLISHED,
        .topic = "terra.events.raw",
        .partition = 3,
        .offset = 42,
    };
    cloud_event_headers_init(&headers, &event);
    json_open_object(writer, NULL);
    json_put_text(writer, "kind", kind);
    json_put_text(writer, "key", key);
    json_put_text(writer, "value", value ? buf_text(value) : NULL);
    json_open_object(writer, "headers");
    for (size_t i = 0; i < headers.count; i++)
        json_put_bytes(writer, headers.headers[i].name, headers.headers[i].value,
            headers.headers[i].value_size);
    json_close_object(writer);
    json_close_object(writer);
    cloud_event_headers_release(&headers);
}

/* Through a state that was kept, as the flow has it. */
static void put_connection(struct json_writer *writer, const struct auth_event *event,
    const struct auth_event_context *context, enum connection_role role)
{
    struct connection_state state = {.status = CONNECTION_ABSENT}, kept;
    struct buf saved, value;
    enum connection_change change = connection_state_apply(&state, event, context, role);
    if (change == CONNECTION_UNCHANGED)
        return;
    buf_init(&saved, CONNECTION_STATE_JSON_BYTES_MAX);
    buf_init(&value, CONNECTION_STATE_JSON_BYTES_MAX);
    connection_state_save(&state, &saved);
    bool read = connection_state_decode(&kept, saved.data, saved.size);
    assert(read && buf_ok(&saved));
    (void)read;
    if (change == CONNECTION_CHANGED)
        connection_state_encode(&kept, &value);
    put_record(writer, "connection-state", kept.user_id, kept.reference_id.text,
        change == CONNECTION_CHANGED ? &value : NULL);
    connection_state_release(&state);
    connection_state_release(&kept);
    buf_release(&saved);
    buf_release(&value);
}

/* The connections flow reads what the events flow wrote. */
static void put_records(struct json_writer *writer, const struct auth_event *event,
    const struct auth_event_context *context)
{
    struct buf value;
    struct auth_event again;
    struct auth_event_context context_again;
    char error[AUTH_EVENT_ERROR_SIZE];
    const char *key = auth_event_key(event);
    buf_init(&value, AUTH_EVENT_JSON_BYTES_MAX);
    auth_event_encode(event, context, &value);
    put_record(writer, "auth-event", key, key, &value);
    enum auth_event_verdict verdict =
        auth_event_decode_normalised(&again, &context_again, value.data, value.size, error);
    assert(verdict == AUTH_EVENT_READ && buf_ok(&value));
    (void)verdict;
    put_connection(writer, &again, &context_again, CONNECTION_OF_USER);
    put_connection(writer, &again, &context_again, CONNECTION_OF_OLD_USER);
    auth_event_release(&again);
    buf_release(&value);
}

static void put_class(struct json_writer *writer, const void *bytes, size_t size)
{
    static const char *const names[] = {
        [EVENT_AUTH] = "auth",
        [EVENT_POINTER] = "pointer",
        [EVENT_DATA] = "data",
        [EVENT_OTHER] = "other",
        [EVENT_UNREADABLE] = "unreadable",
    };
    struct event_scan scan;
    event_scan_init(&scan);
    event_scan_feed(&scan, bytes, size);
    json_put_text(writer, "class", names[event_scan_end(&scan)]);
}

static void put_all(struct json_writer *writer, const void *bytes, size_t size)
{
    static const char *const verdicts[] = {
        [AUTH_EVENT_READ] = "read", [AUTH_EVENT_NOT_AUTH] = "not_auth", [AUTH_EVENT_BAD] = "bad"};
    struct auth_event event;
    char error[AUTH_EVENT_ERROR_SIZE], identity[DIGEST_HEX_SIZE] = "";
    json_open_object(writer, NULL);
    put_class(writer, bytes, size);
    enum auth_event_verdict verdict = auth_event_decode(&event, bytes, size, error);
    json_put_text(writer, "verdict", verdicts[verdict]);
    json_put_text(writer, "error", verdict == AUTH_EVENT_BAD ? error : NULL);
    if (verdict == AUTH_EVENT_READ)
        auth_event_identity(&event, NULL, identity);
    json_put_text(writer, "identity", verdict == AUTH_EVENT_READ ? identity : NULL);
    json_open_array(writer, "records");
    if (verdict == AUTH_EVENT_READ) {
        put_records(writer, &event, &plain);
        put_records(writer, &event, &matched);
    }
    json_close_array(writer);
    json_close_object(writer);
    auth_event_release(&event);
}

int main(void)
{
    struct buf output;
    struct json_writer writer;
    char *input = memory_new(INPUT_BYTES_MAX);
    size_t size = fread(input, 1, INPUT_BYTES_MAX, stdin);
    buf_init(&output, 16 * INPUT_BYTES_MAX);
    json_writer_init(&writer, &output);
    put_all(&writer, input, size);
    fwrite(buf_text(&output), 1, output.size, stdout);
    bool written = buf_ok(&output) && fflush(stdout) == 0;
    buf_release(&output);
    free(input);
    return written ? 0 : 1;
}
