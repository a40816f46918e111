/* Replies and outcomes, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/memory.h"
#include "worker/connect_reply.h"

#define LINK "https://widget.tryterra.co/session/344d475f"
/* 2026-11-21T07:04:32.123Z */
#define REQUESTED INT64_C(1795244672123000)

static const struct environment environment = {.name = (char[]){"default"}};

static const struct connect_request plain_request = {
    .request_id = "r1",
    .reference_id = "u1",
    .environment = &environment,
    .environment_name = "default",
};

static const struct terra_link widget_link = {
    .widget = true,
    .link = (char[]){LINK},
    .id = (char[]){"s-1"},
    .expires_wall_us = REQUESTED + INT64_C(86400) * CLOCK_US_PER_SECOND,
};

static const struct connect_error unavailable = {
    .code = CONNECT_TERRA_UNAVAILABLE,
    .retryable = true,
    .retry_after_us = 30 * CLOCK_US_PER_SECOND,
    .http_status = 503,
    .message = "Terra: it is not available (HTTP 503)",
};

static void assert_json(void (*encode)(const struct connect_result *, struct buf *),
    const struct connect_result *result, const char *expected)
{
    struct buf json;
    buf_init(&json, CONNECT_REPLY_BYTES_MAX);
    encode(result, &json);
    assert_true(buf_ok(&json));
    assert_string_equal(buf_text(&json), expected);
    buf_release(&json);
}

static void test_the_reply_with_a_widget_link(void **state)
{
    (void)state;
    const struct connect_result result = {
        .request = &plain_request, .link = &widget_link, .attempts = 1};
    assert_json(connect_reply_encode, &result,
        "{\"status\":\"success\",\"request_id\":\"r1\",\"reference_id\":\"u1\","
        "\"environment\":\"default\",\"attempts\":1,\"link\":\"" LINK "\",\"url\":\"" LINK "\","
        "\"session_id\":\"s-1\",\"link_expires_at\":\"2026-11-22T07:04:32.123Z\",\"warnings\":[]}");
}

static void test_the_reply_with_a_direct_link(void **state)
{
    (void)state;
    struct connect_request request = plain_request;
    const struct terra_link link = {.link = (char[]){LINK}};
    request.provider = "GARMIN";
    request.environment_name = "staging";
    const struct connect_result result = {
        .request = &request, .link = &link, .attempts = 0, .cached = true};
    assert_json(connect_reply_encode, &result,
        "{\"status\":\"success\",\"request_id\":\"r1\",\"reference_id\":\"u1\","
        "\"environment\":\"staging\",\"attempts\":0,\"link\":\"" LINK "\",\"auth_url\":\"" LINK
        "\",\"user_id\":null,\"link_expires_at\":null,\"warnings\":[]}");
}

static void test_the_reply_with_an_error(void **state)
{
    (void)state;
    const struct connect_result result = {
        .request = &plain_request, .error = &unavailable, .attempts = 5};
    assert_json(connect_reply_encode, &result,
        "{\"status\":\"error\",\"request_id\":\"r1\",\"reference_id\":\"u1\","
        "\"environment\":\"default\",\"attempts\":5,\"error\":{\"code\":\"terra_unavailable\","
        "\"message\":\"Terra: it is not available (HTTP 503)\",\"retryable\":true,"
        "\"retry_after_seconds\":30,\"http_status\":503},\"warnings\":[]}");
}

/* A request of which nothing could be read. */
static void test_the_reply_to_nobody_in_particular(void **state)
{
    (void)state;
    struct connect_request request = plain_request;
    struct connect_error error;
    request.request_id = "terra.connect.requests-3-42";
    request.reference_id = NULL;
    connect_error_set(&error, CONNECT_INVALID_REQUEST, "the request is not valid JSON");
    const struct connect_result result = {.request = &request, .error = &error};
    assert_json(connect_reply_encode, &result,
        "{\"status\":\"error\",\"request_id\":\"terra.connect.requests-3-42\","
        "\"reference_id\":null,\"environment\":\"default\",\"attempts\":0,"
        "\"error\":{\"code\":\"invalid_request\",\"message\":\"the request is not valid JSON\","
        "\"retryable\":false,\"retry_after_seconds\":null,\"http_status\":null},\"warnings\":[]}");
}

static void test_the_warnings_of_both(void **state)
{
    (void)state;
    struct connect_request request = plain_request;
    struct terra_link link = widget_link;
    request.warnings =
        (struct text_list){.items = {(char[]){"ours \"1\""}, (char[]){"ours 2"}}, .count = 2};
    link.warnings = (struct text_list){.items = {(char[]){"Terra's"}}, .count = 1};
    link.expires_wall_us = 0;
    struct connect_result result = {.request = &request, .link = &link, .attempts = 1};
    assert_json(connect_reply_encode, &result,
        "{\"status\":\"success\",\"request_id\":\"r1\",\"reference_id\":\"u1\","
        "\"environment\":\"default\",\"attempts\":1,\"link\":\"" LINK "\",\"url\":\"" LINK "\","
        "\"session_id\":\"s-1\",\"link_expires_at\":null,"
        "\"warnings\":[\"ours \\\"1\\\"\",\"ours 2\",\"Terra's\"]}");

    result.link = NULL;
    result.error = &unavailable;
    assert_json(connect_reply_encode, &result,
        "{\"status\":\"error\",\"request_id\":\"r1\",\"reference_id\":\"u1\","
        "\"environment\":\"default\",\"attempts\":1,\"error\":{\"code\":\"terra_unavailable\","
        "\"message\":\"Terra: it is not available (HTTP 503)\",\"retryable\":true,"
        "\"retry_after_seconds\":30,\"http_status\":503},"
        "\"warnings\":[\"ours \\\"1\\\"\",\"ours 2\"]}");
}

static void test_texts_that_need_care(void **state)
{
    (void)state;
    struct connect_request request = plain_request;
    struct connect_error error = unavailable;
    request.request_id = "a\"b\\c\n\x01";
    request.reference_id = "caf\xc3\xa9 \xff";
    error.retry_after_us = 0;
    const struct connect_result result = {.request = &request, .error = &error};
    assert_json(connect_reply_encode, &result,
        "{\"status\":\"error\",\"request_id\":\"a\\\"b\\\\c\\n\\u0001\","
        "\"reference_id\":\"caf\xc3\xa9 \xef\xbf\xbd\",\"environment\":\"default\",\"attempts\":0,"
        "\"error\":{\"code\":\"terra_unavailable\",\"message\":\"Terra: it is not available (HTTP "
        "503)\",\"retryable\":true,\"retry_after_seconds\":0,\"http_status\":503},"
        "\"warnings\":[]}");
}

static void test_seconds(void **state)
{
    (void)state;
    static const struct {
        int64_t us;
        const char *json;
    } cases[] = {
        {0, "0,"},
        {1, "0.000001,"},
        {999999, "0.999999,"},
        {1000000, "1,"},
        {1500000, "1.5,"},
        {10000010, "10.00001,"},
        {INT64_C(86400000000), "86400,"},
        {INT64_MAX, "9223372036854.775807,"},
        {-1, "null,"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct connect_error error = unavailable;
        struct buf json;
        char expected[64];
        error.retry_after_us = cases[i].us;
        const struct connect_result result = {.request = &plain_request, .error = &error};
        buf_init(&json, CONNECT_REPLY_BYTES_MAX);
        connect_reply_encode(&result, &json);
        snprintf(expected, sizeof expected, "\"retry_after_seconds\":%s", cases[i].json);
        assert_non_null(strstr(buf_text(&json), expected));
        buf_release(&json);
    }
}

static void test_the_outcome_of_a_widget_link(void **state)
{
    (void)state;
    struct connect_request request = plain_request;
    request.providers = "GARMIN,OURA";
    const struct connect_result result = {
        .request = &request,
        .link = &widget_link,
        .attempts = 2,
        .requested_wall_us = REQUESTED,
        .answered_wall_us = REQUESTED + 1250000,
        .waiting_us = 1000001,
        .calling_us = 200000,
    };
    assert_json(connect_outcome_encode, &result,
        "{\"status\":\"success\",\"request_id\":\"r1\",\"reference_id\":\"u1\","
        "\"environment\":\"default\",\"attempts\":2,\"cached\":false,\"kind\":\"widget\","
        "\"provider\":null,\"providers\":[\"GARMIN\",\"OURA\"],\"session_id\":\"s-1\","
        "\"user_id\":null,\"link_expires_at\":\"2026-11-22T07:04:32.123Z\","
        "\"requested_at\":\"2026-11-21T07:04:32.123Z\",\"answered_at\":\"2026-11-21T07:04:33."
        "373Z\","
        "\"seconds_total\":1.25,\"seconds_waiting\":1.000001,\"seconds_calling\":0.2,"
        "\"error\":null,\"warnings\":[]}");
}

static void test_the_outcome_of_a_direct_link(void **state)
{
    (void)state;
    struct connect_request request = plain_request;
    const struct terra_link link = {.link = (char[]){LINK}, .id = (char[]){"u-7"}};
    request.provider = "GARMIN";
    const struct connect_result result = {
        .request = &request,
        .link = &link,
        .cached = true,
        .requested_wall_us = REQUESTED,
        .answered_wall_us = REQUESTED - 5, /* clocks differ */
    };
    assert_json(connect_outcome_encode, &result,
        "{\"status\":\"success\",\"request_id\":\"r1\",\"reference_id\":\"u1\","
        "\"environment\":\"default\",\"attempts\":0,\"cached\":true,\"kind\":\"provider\","
        "\"provider\":\"GARMIN\",\"providers\":null,\"session_id\":null,\"user_id\":\"u-7\","
        "\"link_expires_at\":null,\"requested_at\":\"2026-11-21T07:04:32.123Z\","
        "\"answered_at\":\"2026-11-21T07:04:32.122Z\",\"seconds_total\":0,\"seconds_waiting\":0,"
        "\"seconds_calling\":0,\"error\":null,\"warnings\":[]}");
}

static void test_the_outcome_of_an_error(void **state)
{
    (void)state;
    struct connect_request request = plain_request;
    request.provider = "GARMIN";
    request.providers = "OURA";
    const struct connect_result result = {
        .request = &request,
        .error = &unavailable,
        .attempts = 5,
        .requested_wall_us = REQUESTED,
        .answered_wall_us = REQUESTED + 30 * CLOCK_US_PER_SECOND,
    };
    assert_json(connect_outcome_encode, &result,
        "{\"status\":\"error\",\"request_id\":\"r1\",\"reference_id\":\"u1\","
        "\"environment\":\"default\",\"attempts\":5,\"cached\":false,\"kind\":\"provider\","
        "\"provider\":\"GARMIN\",\"providers\":[\"OURA\"],\"session_id\":null,\"user_id\":null,"
        "\"link_expires_at\":null,\"requested_at\":\"2026-11-21T07:04:32.123Z\","
        "\"answered_at\":\"2026-11-21T07:05:02.123Z\",\"seconds_total\":30,\"seconds_waiting\":0,"
        "\"seconds_calling\":0,\"error\":{\"code\":\"terra_unavailable\","
        "\"message\":\"Terra: it is not available (HTTP 503)\",\"retryable\":true,"
        "\"retry_after_seconds\":30,\"http_status\":503},\"warnings\":[]}");
}

/* Quotation marks all over, in the longest texts there can be. */
static void fill(struct text_list *list, char *text)
{
    list->count = TEXT_LIST_MAX;
    for (size_t i = 0; i < TEXT_LIST_MAX; i++)
        list->items[i] = text;
}

static char *repeat(char character, size_t size)
{
    char *text = memory_new(size + 1);
    memset(text, character, size);
    return text;
}

static void test_the_largest_fit(void **state)
{
    (void)state;
    struct connect_request request = plain_request;
    char *id = repeat('"', CONNECT_ID_BYTES_MAX),
         *warning = repeat('\x01', TEXT_LIST_TEXT_BYTES_MAX);
    char *providers = repeat('P', 100 * 41), *text = repeat('x', TERRA_LINK_BYTES_MAX);
    for (size_t i = 40; i < 100 * 41; i += 41)
        providers[i] = ',';
    struct terra_link link = {.widget = true, .link = text, .id = id};
    struct connect_error error = unavailable;
    memset(error.message, '"', sizeof error.message - 1);
    fill(&request.warnings, warning);
    fill(&link.warnings, warning);
    request.request_id = id;
    request.reference_id = id;
    request.provider = "P";
    request.providers = providers;
    struct connect_result result = {.request = &request, .link = &link, .attempts = UINT32_MAX};
    void (*const encoders[])(const struct connect_result *, struct buf *) = {
        connect_reply_encode, connect_outcome_encode};
    for (size_t i = 0; i < 4; i++) {
        struct buf json;
        result.link = i < 2 ? &link : NULL;
        result.error = i < 2 ? NULL : &error;
        buf_init(&json, CONNECT_REPLY_BYTES_MAX);
        encoders[i % 2](&result, &json);
        assert_true(buf_ok(&json));
        buf_release(&json);
    }
    free(id);
    free(warning);
    free(providers);
    free(text);
}

/* Whatever the texts, the outcome holds no link. */
static void test_the_outcome_holds_no_link(void **state)
{
    (void)state;
    struct buf json;
    const struct connect_result result = {
        .request = &plain_request, .link = &widget_link, .attempts = 1};
    buf_init(&json, CONNECT_REPLY_BYTES_MAX);
    connect_outcome_encode(&result, &json);
    assert_null(strstr(buf_text(&json), "https:"));
    assert_null(strstr(buf_text(&json), "344d475f"));
    buf_release(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_reply_with_a_widget_link),
        cmocka_unit_test(test_the_reply_with_a_direct_link),
        cmocka_unit_test(test_the_reply_with_an_error),
        cmocka_unit_test(test_the_reply_to_nobody_in_particular),
        cmocka_unit_test(test_the_warnings_of_both),
        cmocka_unit_test(test_texts_that_need_care),
        cmocka_unit_test(test_seconds),
        cmocka_unit_test(test_the_outcome_of_a_widget_link),
        cmocka_unit_test(test_the_outcome_of_a_direct_link),
        cmocka_unit_test(test_the_outcome_of_an_error),
        cmocka_unit_test(test_the_largest_fit),
        cmocka_unit_test(test_the_outcome_holds_no_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
