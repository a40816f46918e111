/* What people and programs see of a record, and what they never see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/memory.h"
#include "worker/watch_line.h"

#define HEADERS_MAX 8

/* A record with its headers. */
struct given {
    struct kafka_record record;
    struct kafka_header headers[HEADERS_MAX];
};

static bool header_at(const struct kafka_record *record, size_t index, struct kafka_header *header)
{
    const struct given *given = (const struct given *)record;
    if (index >= HEADERS_MAX || !given->headers[index].name)
        return false;
    *header = given->headers[index];
    return true;
}

static bool endless_headers(
    const struct kafka_record *record, size_t index, struct kafka_header *header)
{
    (void)record;
    (void)index;
    *header = (struct kafka_header){.name = "", .value = "", .value_size = 0};
    return true;
}

#define VALUE(text) .value = (text), .value_size = sizeof(text) - 1
#define KEY(text) .key = (text), .key_size = sizeof(text) - 1
#define HEADER(name_, text)                                                                        \
    {                                                                                              \
        .name = (name_), .value = (text), .value_size = sizeof(text) - 1                           \
    }

#define AT .topic = "t.x", .partition = 3, .offset = 42, .timestamp_ms = INT64_C(1795244672123)
#define SEEN "2026-11-21T07:04:32.123Z x 3/42 "
#define SEEN_JSON                                                                                  \
    "{\"topic\":\"t.x\",\"name\":\"x\",\"partition\":3,\"offset\":42,"                             \
    "\"timestamp\":\"2026-11-21T07:04:32.123Z\","

static const struct row {
    struct given given;
    const char *text, *json;
} rows[] = {
    {
        {{AT, KEY("u1"),
             VALUE("{\"status\":\"success\",\"request_id\":\"r 1\",\"reference_id\":\"u1\","
                   "\"link\":\"https://w.example/s/1\",\"url\":\"https://w.example/s/1\","
                   "\"attempts\":1,\"warnings\":[],\"x\":null}")},
            {HEADER("ce_id", "a/1/2/b"), HEADER("n", "1"), HEADER("n", "2")}},
        SEEN "u1 status=success request_id=\"r 1\" link=https://w.example/*** attempts=1",
        SEEN_JSON
        "\"key\":\"u1\",\"headers\":{\"ce_id\":\"a/1/2/b\",\"n\":\"2\"},\"value\":{"
        "\"status\":\"success\",\"request_id\":\"r 1\",\"reference_id\":\"u1\","
        "\"link\":\"https://w.example/***\",\"url\":\"https://w.example/***\",\"attempts\":1,"
        "\"warnings\":[],\"x\":null},\"value_size\":156}",
    },
    {
        {{AT, VALUE("{\"status\":\"error\",\"reference_id\":\"u1\",\"error\":{"
                    "\"code\":\"rate_limited\",\"retryable\":true,\"http_status\":429}}")},
            {HEADER("error-code", "rate_limited")}},
        SEEN "- status=error error.code=rate_limited error.http_status=429 reference_id=u1",
        SEEN_JSON "\"key\":null,\"headers\":{\"error-code\":\"rate_limited\"},\"value\":{"
                  "\"status\":\"error\",\"reference_id\":\"u1\",\"error\":{\"code\":"
                  "\"rate_limited\",\"retryable\":true,\"http_status\":429}},\"value_size\":105}",
    },
    {
        /* no text can look like a field of its own */
        {{AT, VALUE("{\"request_id\":\"r\\\" status=\\\"\\\\\"}")}, {{0}}},
        SEEN "- request_id=\"r\\\" status=\\\"\\\\\"",
        SEEN_JSON
        "\"key\":null,\"headers\":{},\"value\":{\"request_id\":\"r\\\" status=\\\"\\\\\"},"
        "\"value_size\":32}",
    },
    {
        /* a pointer, and an event in an array */
        {{AT, VALUE("{\"type\":\"s3_payload\",\"url\":\"https://s3.example/p/1?sig=x\","
                    "\"expires_in\":600}")},
            {{0}}},
        SEEN "- type=s3_payload url=https://s3.example/*** expires_in=600",
        SEEN_JSON "\"key\":null,\"headers\":{},\"value\":{\"type\":\"s3_payload\",\"url\":"
                  "\"https://s3.example/***\",\"expires_in\":600},\"value_size\":75}",
    },
    {
        {{AT, VALUE("[{\"type\":\"auth\",\"user\":{\"user_id\":\"i\",\"provider\":\"OURA\"}}]")},
            {{0}}},
        SEEN "- type=auth user.user_id=i user.provider=OURA",
        SEEN_JSON "\"key\":null,\"headers\":{},\"value\":[{\"type\":\"auth\",\"user\":{"
                  "\"user_id\":\"i\",\"provider\":\"OURA\"}}],\"value_size\":58}",
    },
    {
        /* a dead letter */
        {{AT, KEY("k"), VALUE("{\"url\":\"https://s3.example/p/1")},
            {HEADER("error-code", "invalid_event"),
                HEADER("__dlq.errors.topic", "terra.events.raw"),
                HEADER("__dlq.errors.partition", "1"), HEADER("__dlq.errors.offset", "7"),
                HEADER("__dlq.errors.message", "no JSON"), HEADER("__dlq.header.x-token", "t"),
                HEADER("kafka_replyPartition", "\0\0\0\3")}},
        SEEN
        "k error-code=invalid_event __dlq.errors.message=\"no JSON\" from=terra.events.raw/1/7 "
        "(30 bytes, no JSON)",
        SEEN_JSON "\"key\":\"k\",\"headers\":{\"error-code\":\"invalid_event\","
                  "\"__dlq.errors.topic\":\"terra.events.raw\",\"__dlq.errors.partition\":\"1\","
                  "\"__dlq.errors.offset\":\"7\",\"__dlq.errors.message\":\"no JSON\","
                  "\"__dlq.header.x-token\":\"***\",\"kafka_replyPartition\":\"0x00000003\"},"
                  "\"value\":null,\"value_size\":30,"
                  "\"value_text\":\"{\\\"url\\\":\\\"https://s3.example/***\"}",
    },
    {
        /* a tombstone */
        {{AT, KEY("i")}, {HEADER("kind", "disconnected"), HEADER("provider", "OURA")}},
        SEEN "i tombstone kind=disconnected provider=OURA",
        SEEN_JSON "\"key\":\"i\",\"headers\":{\"kind\":\"disconnected\",\"provider\":\"OURA\"},"
                  "\"value\":null,\"value_size\":null}",
    },
    {
        /* what would steer a terminal, or is no text */
        {{AT, KEY("\x1b[2Ja\xc2\x9bz\xff"), VALUE("\xff\0z")}, {{.name = "null"}}},
        SEEN "?[2Ja?z? (3 bytes, no JSON)",
        SEEN_JSON "\"key\":\"\\u001b[2Ja\xc2\x9bz\xef\xbf\xbd\",\"headers\":{\"null\":null},"
                  "\"value\":null,\"value_size\":3,\"value_base64\":\"/wB6\"}",
    },
    {
        {{AT, KEY("https://u:p@h/x?y"), VALUE("")}, {{0}}},
        SEEN "https://h/*** (0 bytes, no JSON)",
        SEEN_JSON "\"key\":\"https://h/***\",\"headers\":{},\"value\":null,\"value_size\":0,"
                  "\"value_text\":\"\"}",
    },
};

static void test_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct watch_line line;
        struct buf text;
        buf_init(&text, WATCH_LINE_BYTES_MAX);
        watch_line_init(&line, &rows[i].given.record, "x", header_at);
        watch_line_write_text(&line, &text);
        assert_string_equal(buf_text(&text), rows[i].text);
        buf_reset(&text);
        watch_line_write_json(&line, &text);
        assert_string_equal(buf_text(&text), rows[i].json);
        watch_line_release(&line);
        buf_release(&text);
    }
}

static void test_no_time(void **state)
{
    (void)state;
    struct kafka_record record = {.topic = "t", .timestamp_ms = -1};
    struct given given = {.record = record};
    struct watch_line line;
    struct buf text;
    buf_init(&text, WATCH_LINE_BYTES_MAX);
    watch_line_init(&line, &given.record, "x", header_at);
    watch_line_write_text(&line, &text);
    assert_string_equal(buf_text(&text), "- x 0/0 - tombstone");
    buf_reset(&text);
    watch_line_write_json(&line, &text);
    assert_non_null(strstr(buf_text(&text), "\"timestamp\":null"));
    watch_line_release(&line);
    buf_release(&text);
}

static void test_mentions(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value;
        bool mentions;
    } cases[] = {
        {"u1", NULL, true},
        {"u1", "no JSON", true},
        {"u11", NULL, false},
        {NULL, "{\"reference_id\":\"u1\"}", true},
        {"i", "{\"user\":{\"reference_id\":\"u1\"}}", true},
        {"i", "[{\"old_user\":{\"reference_id\":\"u1\"}}]", true},
        {"i", "{\"request_id\":\"u1\",\"reference_id\":\"u2\"}", false},
        {"i", "{\"reference_id\":1}", false},
        {NULL, "u1", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kafka_record record = {
            .key = cases[i].key,
            .key_size = cases[i].key ? strlen(cases[i].key) : 0,
            .value = cases[i].value,
            .value_size = cases[i].value ? strlen(cases[i].value) : 0,
        };
        struct watch_line line;
        watch_line_init(&line, &record, "x", endless_headers);
        if (watch_line_mentions(&line, "u1") != cases[i].mentions)
            fail_msg("%s %s", cases[i].key, cases[i].value);
        watch_line_release(&line);
    }
}

/* However much there is of it, a line has an end. */
static void test_large_records(void **state)
{
    (void)state;
    static const size_t sizes[] = {WATCH_VALUE_BYTES_MAX, WATCH_VALUE_BYTES_MAX + 1};
    for (size_t i = 0; i < 2; i++) {
        char *value = memory_new(sizes[i]);
        memset(value, '\x01', sizes[i]);
        struct kafka_record record = {.topic = "t",
            .key = value,
            .key_size = sizes[i],
            .value = value,
            .value_size = sizes[i]};
        struct watch_line line;
        struct buf text;
        buf_init(&text, WATCH_LINE_BYTES_MAX);
        watch_line_init(&line, &record, "x", endless_headers);
        watch_line_write_text(&line, &text);
        assert_in_range(text.size, 200, 1000);
        buf_reset(&text);
        watch_line_write_json(&line, &text);
        assert_true(buf_ok(&text));
        assert_int_equal(text.data[text.size - 1], '}');
        assert_int_equal(strstr(text.data, "value_text") != NULL, i == 0);
        watch_line_release(&line);
        buf_release(&text);
        free(value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_no_time),
        cmocka_unit_test(test_mentions),
        cmocka_unit_test(test_large_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
