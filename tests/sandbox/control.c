/* control: what a test asks of the sandbox itself; see control.h. */
#include "control.h"

#include <stdarg.h>

#include "common/text.h"
#include "control_parts.h"

const char control_help[] =
    "Control endpoint, JSON:\n"
    "  GET    /sandbox/calls           recorded calls; filters: endpoint, reference_id,\n"
    "                                  reference_id_prefix, environment, status, since, limit\n"
    "  GET    /sandbox/calls/count     how many, by what, and the busiest second; same filters\n"
    "  DELETE /sandbox/calls           forgets them\n"
    "  POST   /sandbox/faults          what the next calls get, one script or an array:\n"
    "                                  which: endpoint, reference_id_prefix, environment,\n"
    "                                    kept_connection, skip, count (default 1; 0: for good)\n"
    "                                  what: kind, status, body, headers, retry_after,\n"
    "                                    retry_after_date (seconds from now), delay_ms, bytes,\n"
    "                                    chunked\n"
    "                                  kinds: answer, html, empty, null_message, truncated,\n"
    "                                    huge, gzip_bomb, wrong_length, stall, stall_mid_body,\n"
    "                                    drop, reset, reset_mid_body, close, raw\n"
    "  GET    /sandbox/faults          the scripts, and what is left of each\n"
    "  DELETE /sandbox/faults[?id=N]   one, or all\n"
    "  POST   /sandbox/latency         {\"milliseconds\": N, \"jitter_milliseconds\": N}\n"
    "  POST   /sandbox/credentials     {\"environment\", \"dev_id\", \"api_key\", \"flags\"}: "
    "replaces\n"
    "                                  (a rotated key) or adds\n"
    "  GET    /sandbox/credentials\n"
    "  POST   /sandbox/users           {\"user_id\", \"provider\", \"reference_id\", "
    "\"scopes\",\n"
    "                                  \"environment\"}: a connected user\n"
    "  DELETE /sandbox/users\n"
    "  POST   /sandbox/sessions/complete, /sandbox/sessions/cancel\n"
    "                                  a link that was handed out, by session_id, user_id or\n"
    "                                  reference_id; provider, scopes, reason\n"
    "  POST   /sandbox/users/reconnect a connected user, by user_id or reference_id (and\n"
    "                                  provider); order: reauth_first, auth_first, auth_only\n"
    "  POST   /sandbox/users/disconnect, …/revoke, …/degrade, …/no_datasource,\n"
    "         …/permissions            scopes_added, scopes_removed\n"
    "  POST   /sandbox/events          any events onto the raw topic, one or an array, or\n"
    "                                  {\"events\", \"shuffle\": SEED, \"per_second\": N}:\n"
    "                                  content: type, shape (new, old, oldest), status, message,\n"
    "                                    user_id, old_user_id, reference_id, provider, scopes,\n"
    "                                    scopes_added, scopes_removed, reason, active,\n"
    "                                    widget_session_id, flow_id, bytes, type_last, fields,\n"
    "                                    without, body ({n} in a text: the event's number)\n"
    "                                  delivery (pointer, inline), pointer (full, plain),\n"
    "                                    payload_reference, url, expires_in, ttl_ms,\n"
    "                                    encoding (identity, gzip), partition\n"
    "                                  count, repeat, repeat_as (record, payload, event)\n"
    "                                  The calls above take content and delivery, too\n"
    "  GET    /sandbox/events          what became of each, and how often its object was\n"
    "                                  fetched; filters: type, reference_id, user_id, since, "
    "limit\n"
    "  DELETE /sandbox/events          forgets them and their objects\n"
    "  POST   /sandbox/kafka/errors    {\"request\": \"Produce\", \"error\": \"_TRANSPORT\", "
    "\"count\": N}\n"
    "  DELETE /sandbox/kafka/errors\n"
    "  POST   /sandbox/kafka/broker    {\"up\": false}, {\"rtt_ms\": N}\n"
    "  POST   /sandbox/kafka/topics    {\"name\", \"partitions\"}\n"
    "  POST   /sandbox/reset           all but credentials as at the start\n"
    "Endpoints, as filters and scripts name them: widget_session, legacy_widget,\n"
    "authenticate_user, user_info, subscriptions, integrations, integrations_detailed, page,\n"
    "payload (an event's object), unknown.\n";

static const struct json_limits body_limits = {
    .bytes_max = REQUEST_BODY_BYTES_MAX, .depth_max = 32, .values_max = 100000};

void control_fail(struct control_turn *turn, unsigned status, const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    answer_begin(turn->answer, status, "application/json");
    json_writer_init(&turn->writer, &turn->answer->body);
    json_open_object(&turn->writer, NULL);
    json_put_text(&turn->writer, "error", message);
}

static void reset(struct control_turn *turn)
{
    struct sandbox *sandbox = turn->sandbox;
    faults_clear(&sandbox->faults);
    recorder_clear(sandbox->recorder);
    users_clear(&sandbox->terra.users);
    flaky_clear(sandbox->terra.flaky);
    if (sandbox->terra.destination != NULL)
        destination_clear(sandbox->terra.destination);
    sandbox->latency_us = sandbox->jitter_us = 0;
    char error[KAFKA_ERROR_SIZE];
    if (sandbox->kafka == NULL)
        return;
    /* Where Kafka is a real one there is nothing to take back. */
    if (kafka_clear_failures(sandbox->kafka, error) == RESULT_OK &&
        (kafka_set_up(sandbox->kafka, true, error) != RESULT_OK ||
            kafka_set_rtt(sandbox->kafka, 0, error) != RESULT_OK))
        control_fail(turn, 500, "%s", error);
}

static const struct {
    const char *method;
    const char *path;
    void (*answer)(struct control_turn *turn);
} doors[] = {
    {"GET", "/sandbox/calls", control_get_calls},
    {"GET", "/sandbox/calls/count", control_count_calls},
    {"DELETE", "/sandbox/calls", control_delete_calls},
    {"POST", "/sandbox/faults", control_add_faults},
    {"GET", "/sandbox/faults", control_get_faults},
    {"DELETE", "/sandbox/faults", control_delete_faults},
    {"POST", "/sandbox/latency", control_set_latency},
    {"POST", "/sandbox/credentials", control_put_credential},
    {"GET", "/sandbox/credentials", control_get_credentials},
    {"POST", "/sandbox/users", control_put_user},
    {"DELETE", "/sandbox/users", control_delete_users},
    {"POST", "/sandbox/sessions/complete", control_complete_session},
    {"POST", "/sandbox/sessions/cancel", control_cancel_session},
    {"POST", "/sandbox/users/reconnect", control_reconnect_user},
    {"POST", "/sandbox/users/disconnect", control_disconnect_user},
    {"POST", "/sandbox/users/revoke", control_revoke_user},
    {"POST", "/sandbox/users/degrade", control_degrade_user},
    {"POST", "/sandbox/users/permissions", control_permit_user},
    {"POST", "/sandbox/users/no_datasource", control_empty_user},
    {"POST", "/sandbox/events", control_add_events},
    {"GET", "/sandbox/events", control_get_events},
    {"DELETE", "/sandbox/events", control_delete_events},
    {"POST", "/sandbox/kafka/errors", control_fail_kafka},
    {"DELETE", "/sandbox/kafka/errors", control_clear_kafka},
    {"POST", "/sandbox/kafka/broker", control_set_broker},
    {"POST", "/sandbox/kafka/topics", control_create_topic},
    {"POST", "/sandbox/reset", reset},
};

static void find_door(struct control_turn *turn)
{
    bool path_known = false;
    for (size_t i = 0; i < sizeof(doors) / sizeof(doors[0]); i++) {
        if (!text_equal(turn->request->path, doors[i].path))
            continue;
        path_known = true;
        if (text_equal(turn->request->method, doors[i].method)) {
            doors[i].answer(turn);
            return;
        }
    }
    control_fail(turn, path_known ? 405 : 404, "GET /sandbox says what there is");
}

void control_answer(struct sandbox *sandbox, const struct request *request, struct answer *answer)
{
    if (text_equal(request->path, "/sandbox") || text_equal(request->path, "/sandbox/")) {
        answer_begin(answer, 200, "text/plain; charset=utf-8");
        buf_append_text(&answer->body, control_help);
        return;
    }
    struct control_turn turn = {.sandbox = sandbox, .request = request, .answer = answer};
    answer_begin(answer, 200, "application/json");
    json_writer_init(&turn.writer, &answer->body);
    json_open_object(&turn.writer, NULL);
    json_value *body = NULL;
    struct json_error error;
    if (request->body_size > 0)
        body = json_parse(request->body, request->body_size, &body_limits, &error);
    if (request->body_size > 0 && body == NULL) {
        control_fail(&turn, 400, "the body at byte %zu: %s", error.offset, error.message);
    } else {
        turn.body = body;
        find_door(&turn);
    }
    json_close_object(&turn.writer);
    buf_append_char(&answer->body, '\n');
    json_free(body);
    if (!buf_ok(&answer->body)) {
        answer_begin(answer, 413, "text/plain");
        buf_append_text(&answer->body, "the answer is too large; ask for less with limit\n");
    }
}
