/*
 * replay_schema: what the worker makes of one connect request, for test_schemas.py, which holds it
 * against the schemas.
 *
 * Reads the bytes of a request's value from stdin (with the argument "null": a null value) and
 * writes one JSON object:
 *
 *   accepted   whether the request can be served
 *   error      {code, message} when not, else null
 *   terra      {url, body}: what would be sent to Terra, when accepted
 *   warnings   about the request
 *   records    all that could be published about it: [{kind, key, value, headers}], the value as
 * text, null for a dead letter: with a link each from Terra's plain and fullest answer, with every
 * error code there is
 */
#include <assert.h>

#include "common/clock.h"
#include "common/memory.h"
#include "worker/cloud_event.h"
#include "worker/connect_reply.h"
#include "worker/dead_letter.h"

#define INPUT_BYTES_MAX (1024 * 1024)
#define SOURCE "/terra-connect/terra-connect"
/* 2026-11-21T07:04:32.123Z */
#define CALLED INT64_C(1795244672123000)

static const struct kafka_record record = {
    .topic = "terra.connect.requests", .partition = 3, .offset = 42};

static bool header_at(const struct kafka_record *from, size_t index, struct kafka_header *header)
{
    (void)from;
    *header = (struct kafka_header){.name = "reply-to", .value = "r", .value_size = 1};
    return index < 20; /* some are left out */
}

static void put_headers(struct json_writer *writer, struct cloud_event_headers *headers)
{
    json_open_object(writer, "headers");
    for (size_t i = 0; i < headers->count; i++)
        json_put_bytes(writer, headers->headers[i].name, headers->headers[i].value,
            headers->headers[i].value_size);
    json_close_object(writer);
    cloud_event_headers_release(headers);
}

static void put_record(
    struct json_writer *writer, const char *kind, const struct connect_result *result)
{
    struct cloud_event_headers headers;
    struct buf value;
    const struct cloud_event event = {
        .kind = kind,
        .source = SOURCE,
        .subject = result->request->reference_id,
        .time_wall_us = CALLED,
        .topic = record.topic,
        .partition = record.partition,
        .offset = record.offset,
    };
    buf_init(&value, CONNECT_REPLY_BYTES_MAX);
    if (strcmp(kind, "connect-reply") == 0)
        connect_reply_encode(result, &value);
    else
        connect_outcome_encode(result, &value);
    assert(buf_ok(&value));
    cloud_event_headers_init(&headers, &event);
    if (result->error)
        cloud_event_headers_add_text(
            &headers, "error-code", connect_code_name(result->error->code));
    json_open_object(writer, NULL);
    json_put_text(writer, "kind", kind);
    json_put_text(writer, "key", result->request->reference_id);
    json_put_text(writer, "value", buf_text(&value));
    put_headers(writer, &headers);
    json_close_object(writer);
    buf_release(&value);
}

static void put_records(struct json_writer *writer, const struct connect_request *request,
    const struct terra_link *link, const struct connect_error *error)
{
    const struct connect_result result = {
        .request = request,
        .link = link,
        .error = error,
        .attempts = 2,
        .requested_wall_us = CALLED,
        .answered_wall_us = CALLED + 1234567,
        .waiting_us = 1000001,
        .calling_us = 200000,
    };
    put_record(writer, "connect-reply", &result);
    put_record(writer, "connect-outcome", &result);
}

static void put_dead_letter(struct json_writer *writer, const struct connect_error *error,
    void (*make)(struct cloud_event_headers *, const struct dead_letter *))
{
    struct cloud_event_headers headers;
    const struct dead_letter letter = {
        .code = connect_code_name(error->code),
        .message = error->message,
        .group = "terra-connect",
        .source = SOURCE,
        .record = &record,
        .header_at = header_at,
        .fetched = "{}",
        .fetched_size = 2,
        .time_wall_us = CALLED,
    };
    make(&headers, &letter);
    json_open_object(writer, NULL);
    json_put_text(writer, "kind", "dead-letter");
    json_put_null(writer, "value");
    put_headers(writer, &headers);
    json_close_object(writer);
}

/* Through the judge, so that the links are those that Terra's answers give. */
static void put_links(struct json_writer *writer, const struct connect_request *request)
{
    static const char *const answers[] = {
        "{\"url\":\"https://widget.tryterra.co/session/1\","
        "\"auth_url\":\"https://provider.example/oauth2?state=x\"}",
        "{\"url\":\"https://widget.tryterra.co/session/1\",\"session_id\":\"s-1\","
        "\"auth_url\":\"https://provider.example/oauth2?state=x\",\"user_id\":\"u-1\","
        "\"expires_in\":900.5,\"status\":\"success\",\"warnings\":[\"provider X is not enabled\"]}",
    };
    const struct terra_response_headers headers = {.retry_after = NULL};
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        const struct http_response response = {
            .outcome = HTTP_ANSWERED,
            .status = 200,
            .body = answers[i],
            .body_size = strlen(answers[i]),
            .error = "",
        };
        struct terra_answer answer;
        terra_api_judge(request->provider ? TERRA_AUTHENTICATE_USER : TERRA_WIDGET_SESSION,
            &response, &headers, CALLED, CALLED, &answer);
        assert(answer.verdict == TERRA_LINK);
        put_records(writer, request, &answer.link, NULL);
        terra_answer_release(&answer);
    }
}

static void put_errors(struct json_writer *writer, const struct connect_request *request)
{
    for (int code = 0; code < CONNECT_CODE_COUNT; code++) {
        struct connect_error error;
        connect_error_set(&error, (enum connect_code)code, "caller: an error of code %d", code);
        put_records(writer, request, NULL, &error);
        error.retry_after_us = 1500000;
        error.http_status = 503;
        put_records(writer, request, NULL, &error);
        put_dead_letter(writer, &error, dead_letter_headers);
        put_dead_letter(writer, &error, dead_letter_headers_without_value);
    }
}

static void put_call(struct json_writer *writer, const struct connect_request *request)
{
    struct buf url;
    struct buf body;
    buf_init(&url, 4096);
    buf_init(&body, CONNECT_REQUEST_BYTES_MAX);
    terra_api_encode(
        request->provider ? TERRA_AUTHENTICATE_USER : TERRA_WIDGET_SESSION, request, &url, &body);
    assert(buf_ok(&url) && buf_ok(&body));
    json_open_object(writer, "terra");
    json_put_text(writer, "url", buf_text(&url));
    json_put_text(writer, "body", buf_text(&body));
    json_close_object(writer);
    buf_release(&url);
    buf_release(&body);
}

static void put_all(struct json_writer *writer, const struct connect_request *request,
    const struct connect_error *error)
{
    json_open_object(writer, NULL);
    json_put_boolean(writer, "accepted", !error);
    if (error) {
        json_open_object(writer, "error");
        json_put_text(writer, "code", connect_code_name(error->code));
        json_put_text(writer, "message", error->message);
        json_close_object(writer);
    } else {
        json_put_null(writer, "error");
        put_call(writer, request);
    }
    text_list_put_json(&request->warnings, writer, "warnings");
    json_open_array(writer, "records");
    if (error) {
        put_records(writer, request, NULL, error);
        put_dead_letter(writer, error, dead_letter_headers);
    } else {
        put_links(writer, request);
        put_errors(writer, request);
    }
    json_close_array(writer);
    json_close_object(writer);
}

static void add_environments(struct environments *environments)
{
    const struct environment_defaults defaults = {.base_url = "https://access.tryterra.co/api"};
    char error[ENVIRONMENT_ERROR_SIZE];
    static const char *const names[] = {"default", "staging"};
    environments_init(environments);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (environments_add(environments, names[i], "dev-id", "key", &defaults, error) !=
            RESULT_OK) {
            fprintf(stderr, "%s\n", error);
            exit(1);
        }
}

int main(int argc, char **argv)
{
    struct environments environments;
    struct connect_request request;
    struct connect_error error;
    struct buf output;
    struct json_writer writer;
    char *input = memory_new(INPUT_BYTES_MAX);
    char rules_error[256] = "";
    const bool null = argc > 1 && strcmp(argv[1], "null") == 0;
    const struct connect_request_source source = {
        .topic = record.topic,
        .partition = record.partition,
        .offset = record.offset,
        .value_size = null ? 0 : fread(input, 1, INPUT_BYTES_MAX, stdin),
        .value = null ? NULL : input,
    };
    struct redirect_rules *redirects = redirect_rules_new("", rules_error, sizeof rules_error);
    const struct connect_request_rules rules = {
        .environments = &environments,
        .redirects = redirects,
        .default_timeout_us = 30 * CLOCK_US_PER_SECOND,
    };

    add_environments(&environments);
    buf_init(&output, 16 * INPUT_BYTES_MAX);
    json_writer_init(&writer, &output);
    bool accepted = connect_request_decode(&request, &source, &rules, &error);
    put_all(&writer, &request, accepted ? NULL : &error);
    fwrite(buf_text(&output), 1, output.size, stdout);

    connect_request_release(&request);
    redirect_rules_free(redirects);
    environments_release(&environments);
    bool written = buf_ok(&output) && fflush(stdout) == 0;
    buf_release(&output);
    free(input);
    return written ? 0 : 1;
}
