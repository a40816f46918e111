#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "worker/request_line.h"

static const struct request_choice full = {
    .reference_id = "u1",
    .request_id = "r1",
    .environment = "staging",
    .provider = "GARMIN",
    .language = "fr",
    .success_url = "https://a.example/ok?x=\"1\"",
    .failure_url = "https://a.example/no",
    .timeout_seconds = 7,
};
static const struct request_choice listed = {.providers = "GARMIN,OURA,"};
static const struct request_choice nothing = {0};

static const struct {
    const char *line;
    const struct request_choice *choice;
    const char *value, *reference_id, *request_id;
    int64_t timeout_us;
} requests[] = {
    {"{}", &nothing, "{}", NULL, NULL, 0},
    {" { } ", &listed, " { \"providers\":[\"GARMIN\",\"OURA\",\"\"]}", NULL, NULL, 0},
    {"{}", &full,
        "{\"request_id\":\"r1\",\"reference_id\":\"u1\",\"environment\":\"staging\","
        "\"timeout_seconds\":7,\"provider\":\"GARMIN\",\"language\":\"fr\","
        "\"auth_success_redirect_url\":\"https://a.example/ok?x=\\\"1\\\"\","
        "\"auth_failure_redirect_url\":\"https://a.example/no\"}",
        "u1", "r1", 7000000},
    /* The line goes first, also with null, and stays as it is. */
    {"{\"reference_id\":\"other\", \"request_id\":null, \"provider\":null,\"language\":\"}\","
     "\"environment\":5,\"timeout_seconds\":2.5,\"more\":[1e2]} \t",
        &full,
        "{\"reference_id\":\"other\", \"request_id\":null, \"provider\":null,\"language\":\"}\","
        "\"environment\":5,\"timeout_seconds\":2.5,\"more\":[1e2],"
        "\"auth_success_redirect_url\":\"https://a.example/ok?x=\\\"1\\\"\","
        "\"auth_failure_redirect_url\":\"https://a.example/no\"}",
        "other", NULL, 2500000},
    /* provider and providers are one choice. */
    {"{\"provider\":\"OURA\"}", &listed, "{\"provider\":\"OURA\"}", NULL, NULL, 0},
    {"{\"providers\":[\"OURA\"]}", &listed, "{\"providers\":[\"OURA\"]}", NULL, NULL, 0},
    /* A time that makes no sense is the worker's to refuse, and ours to wait for. */
    {"{\"timeout_seconds\":-1}", &nothing, "{\"timeout_seconds\":-1}", NULL, NULL, 0},
    {"{\"timeout_seconds\":\"x\",\"reference_id\":3}",
        &(const struct request_choice){.timeout_seconds = 9, .reference_id = "u1"},
        "{\"timeout_seconds\":\"x\",\"reference_id\":3}", NULL, NULL, 9000000},
};

static void assert_text(const char *actual, const char *expected)
{
    if (expected)
        assert_string_equal(actual, expected);
    else
        assert_null(actual);
}

static void test_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        const char *line = requests[i].line;
        struct request_line request;
        char message[256];
        struct buf value;
        buf_init(&value, REQUEST_VALUE_BYTES_MAX);
        assert_true(request_line_read(
            &request, line, strlen(line), requests[i].choice, message, sizeof message));
        assert_text(request.reference_id, requests[i].reference_id);
        assert_text(request.request_id, requests[i].request_id);
        assert_int_equal(request.timeout_us, requests[i].timeout_us);
        request_line_write(&request, line, strlen(line), requests[i].choice, &value);
        assert_string_equal(buf_text(&value), requests[i].value);
        buf_release(&value);
        request_line_release(&request);
    }
}

static void test_no_requests(void **state)
{
    static const struct {
        const char *line, *expected;
    } cases[] = {
        {"", "cannot be read"},
        {"hello", "cannot be read"},
        {"{\"a\":1,\"a\":2}", "cannot be read"},
        {"{} {}", "cannot be read"},
        {"[1]", "array"},
        {"null", "null"},
        {"\"{}\"", "string"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct request_line request;
        char message[256] = "";
        assert_false(request_line_read(
            &request, cases[i].line, strlen(cases[i].line), &nothing, message, sizeof message));
        if (!strstr(message, cases[i].expected))
            fail_msg("%s: %s", cases[i].line, message);
    }
}

static void test_replies(void **state)
{
    static const struct {
        const char *value;
        bool read;
        const char *link, *code;
        bool retryable;
        int retry_after_ms;
    } cases[] = {
        {"{\"status\":\"success\",\"link\":\"https://t.example/s\"}", true, "https://t.example/s",
            NULL, false, 0},
        {"{\"status\":\"success\",\"link\":\"http://127.0.0.1:1/s\"}", true, "http://127.0.0.1:1/s",
            NULL, false, 0},
        {"{\"status\":\"error\",\"error\":{\"code\":\"rate_limited\",\"message\":\"m\","
         "\"retryable\":true,\"retry_after_seconds\":1.5}}",
            true, NULL, "rate_limited", true, 1500},
        {"{\"status\":\"error\",\"error\":{\"code\":\"new_code\",\"message\":\"m\","
         "\"retryable\":false,\"retry_after_seconds\":null,\"more\":{}}}",
            true, NULL, "new_code", false, -1000},
        {"", false, NULL, NULL, false, 0},
        {"[]", false, NULL, NULL, false, 0},
        {"{}", false, NULL, NULL, false, 0},
        {"{\"status\":\"perhaps\",\"link\":\"https://t.example/s\"}", false, NULL, NULL, false, 0},
        {"{\"status\":\"success\"}", false, NULL, NULL, false, 0},
        {"{\"status\":\"success\",\"link\":5}", false, NULL, NULL, false, 0},
        {"{\"status\":\"success\",\"link\":\"file:///etc/passwd\"}", false, NULL, NULL, false, 0},
        {"{\"status\":\"success\",\"link\":\"--option\"}", false, NULL, NULL, false, 0},
        {"{\"status\":\"success\",\"link\":\"https://a b\"}", false, NULL, NULL, false, 0},
        {"{\"status\":\"success\",\"link\":\"https://a\\u001b[2J\"}", false, NULL, NULL, false, 0},
        {"{\"status\":\"error\"}", false, NULL, NULL, false, 0},
        {"{\"status\":\"error\",\"error\":{\"code\":\"x\"}}", false, NULL, NULL, false, 0},
        {"{\"status\":\"error\",\"error\":{\"message\":\"x\"}}", false, NULL, NULL, false, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct request_reply reply;
        bool read = request_reply_read(&reply, cases[i].value, strlen(cases[i].value));
        if (read != cases[i].read)
            fail_msg("%s", cases[i].value);
        if (!read)
            continue;
        assert_text(reply.link, cases[i].link);
        assert_text(reply.code, cases[i].code);
        assert_int_equal(reply.retryable, cases[i].retryable);
        if (cases[i].code)
            assert_int_equal((int)(reply.retry_after_seconds * 1000), cases[i].retry_after_ms);
        request_reply_release(&reply);
    }
}

static void test_copy_is_one_line(void **state)
{
    static const struct {
        const char *value, *line;
    } cases[] = {
        {"", ""},
        {"{\"a\":1}", "{\"a\":1}"},
        {"{\r\n  \"a\": \"\\n\"\n}\n", "{    \"a\": \"\\n\" } "},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf line;
        buf_init(&line, REQUEST_REPLY_BYTES_MAX);
        request_reply_copy(&line, cases[i].value, strlen(cases[i].value));
        assert_string_equal(buf_text(&line), cases[i].line);
        buf_release(&line);
    }
}

static void test_faults(void **state)
{
    (void)state;
    struct buf json;
    buf_init(&json, 4096);
    request_fault_write(
        &(const struct request_fault){
            .code = REQUEST_NO_REPLY, .message = "m", .retryable = true, .reference_id = "u1"},
        &json);
    assert_string_equal(buf_text(&json),
        "{\"status\":\"error\",\"request_id\":null,\"reference_id\":\"u1\",\"error\":{\"code\":"
        "\"no_reply\",\"message\":\"m\",\"retryable\":true,\"retry_after_seconds\":null,"
        "\"http_status\":null},\"warnings\":[]}");
    /* A fault reads as a reply. */
    struct request_reply reply;
    assert_true(request_reply_read(&reply, json.data, json.size));
    assert_string_equal(reply.code, "no_reply");
    request_reply_release(&reply);

    buf_reset(&json);
    request_fault_write(
        &(const struct request_fault){.code = "c", .message = "m", .line = 3}, &json);
    assert_non_null(strstr(buf_text(&json), "\"line\":3,"));
    buf_release(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_no_requests),
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_copy_is_one_line),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests_name("request_line", tests, NULL, NULL);
}
