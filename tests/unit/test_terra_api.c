/* What is sent to Terra, and what each of its answers means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/memory.h"
#include "worker/terra_api.h"

#define SECOND CLOCK_US_PER_SECOND
/* 2026-11-21T07:04:32Z, when the call began; it is judged two seconds later. */
#define CALLED (INT64_C(1795244672) * SECOND)
#define NOW (CALLED + 2 * SECOND)

#define LINK "https://widget.tryterra.co/session/344d475f-296a-489a-a88c-54183671dafd"
#define KEY "OtHJok60oQmT8zhnUWc4SWBJI7ztPTs88C0gOsJJ"

static struct terra_answer judge_bytes(enum terra_endpoint endpoint, int status, const char *body,
    size_t size, const struct terra_response_headers *headers)
{
    struct terra_answer answer;
    char *copy = memory_copy(body, size); /* exactly as large, so that a read past it is seen */
    const struct http_response response = {
        .outcome = HTTP_ANSWERED,
        .status = status,
        .body = copy,
        .body_size = size,
        .error = "",
    };
    terra_api_judge(endpoint, &response, headers, CALLED, NOW, &answer);
    free(copy);
    return answer;
}

static struct terra_answer judge(enum terra_endpoint endpoint, int status, const char *body)
{
    const struct terra_response_headers headers = {.retry_after = NULL};
    return judge_bytes(endpoint, status, body, strlen(body), &headers);
}

static void assert_error(const struct terra_answer *answer, enum terra_verdict verdict,
    enum connect_code code, int status)
{
    assert_int_equal(answer->verdict, verdict);
    assert_string_equal(connect_code_name(answer->error.code), connect_code_name(code));
    assert_int_equal(answer->error.http_status, status);
    assert_true(strlen(answer->error.message) > 20);
    assert_null(answer->link.link);
}

/* Links. */

static void test_a_widget_session(void **state)
{
    (void)state;
    struct terra_answer answer = judge(TERRA_WIDGET_SESSION, 201,
        "{\"status\":\"success\",\"session_id\":\"s-1\",\"url\":\"" LINK "\",\"expires_in\":86400,"
        "\"warnings\":[\"provider ACMEWATCH is not enabled\"],\"new_field\":{\"a\":[1]}}");
    assert_int_equal(answer.verdict, TERRA_LINK);
    assert_true(answer.link.widget);
    assert_string_equal(answer.link.link, LINK);
    assert_string_equal(answer.link.id, "s-1");
    assert_int_equal(answer.link.expires_wall_us, CALLED + 86400 * SECOND);
    assert_int_equal(answer.link.warnings.count, 1);
    assert_string_equal(answer.link.warnings.items[0], "provider ACMEWATCH is not enabled");
    assert_int_equal(answer.retry_after_us, -1);
    assert_string_equal(answer.trace_id, "");
    terra_answer_release(&answer);
    assert_null(answer.link.link);
    terra_answer_release(&answer);
}

static void test_a_direct_link(void **state)
{
    (void)state;
    struct terra_answer answer = judge(TERRA_AUTHENTICATE_USER, 200,
        "{\"status\":\"success\",\"user_id\":\"0f6c2a7b-5d1e-4f5a-8f11-6a7f6f2b9c30\",\"auth_url\":"
        "\"https://provider.example/oauth2/authorize?response_type=code&scope=a+b&state=x%2Fy\"}");
    assert_int_equal(answer.verdict, TERRA_LINK);
    assert_false(answer.link.widget);
    assert_string_equal(answer.link.link,
        "https://provider.example/oauth2/authorize?response_type=code&scope=a+b&state=x%2Fy");
    assert_string_equal(answer.link.id, "0f6c2a7b-5d1e-4f5a-8f11-6a7f6f2b9c30");
    assert_int_equal(answer.link.expires_wall_us, 0);
    assert_int_equal(answer.link.warnings.count, 0);
    terra_answer_release(&answer);
}

/* A link is a link, whatever else the answer says short of an error. */
static void test_odd_answers_with_a_link(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *rest;
    } cases[] = {
        {200, ""},
        {202, ""},
        {201, ",\"status\":null,\"session_id\":null,\"expires_in\":null,\"warnings\":null"},
        {201, ",\"status\":7,\"session_id\":7,\"expires_in\":\"900\",\"warnings\":\"w\""},
        {201, ",\"status\":\"SUCCESS\""},
        {201, ",\"message\":null"},
        {201, ",\"detail\":\"user limit\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[512];
        snprintf(body, sizeof body, "{\"url\":\"" LINK "\"%s}", cases[i].rest);
        struct terra_answer answer = judge(TERRA_LEGACY_WIDGET, cases[i].status, body);
        assert_int_equal(answer.verdict, TERRA_LINK);
        assert_string_equal(answer.link.link, LINK);
        assert_null(answer.link.id);
        assert_int_equal(answer.link.expires_wall_us, 0);
        assert_int_equal(answer.link.warnings.count, 0);
        terra_answer_release(&answer);
    }
}

/* The outcome table. */

#define REJECTED TERRA_REJECT, CONNECT_REJECTED_BY_TERRA
#define RETIRED TERRA_REJECT, CONNECT_ENDPOINT_RETIRED
#define USER_LIMIT TERRA_REJECT, CONNECT_USER_LIMIT_REACHED
#define OTHER TERRA_OTHER_ENDPOINT, CONNECT_ENDPOINT_RETIRED
#define CREDENTIALS TERRA_CREDENTIALS, CONNECT_CREDENTIALS_REJECTED
#define RETRY TERRA_RETRY, CONNECT_TERRA_UNAVAILABLE
#define LIMITED TERRA_RETRY, CONNECT_RATE_LIMITED
#define RETRY_FEW TERRA_RETRY_FEW, CONNECT_TERRA_UNAVAILABLE

static void test_the_outcome_table(void **state)
{
    (void)state;
    enum {
        WIDGET = TERRA_WIDGET_SESSION,
        LEGACY = TERRA_LEGACY_WIDGET,
        DIRECT = TERRA_AUTHENTICATE_USER
    };
    static const struct {
        int endpoint, status;
        const char *body;
        enum terra_verdict verdict;
        enum connect_code code;
        const char *part; /* of the message */
    } cases[] = {
        /* no link in a success */
        {WIDGET, 200, "{\"status\":\"error\",\"message\":\"bad language\"}", REJECTED,
            ": \"bad language\""},
        {WIDGET, 201, "{\"status\":\"error\",\"url\":\"" LINK "\"}", REJECTED, "caller: "},
        {WIDGET, 201, "{\"status\":\"Error\",\"url\":\"" LINK "\",\"message\":null}", CREDENTIALS,
            ""},
        {WIDGET, 201, "{\"status\":\"success\"}", REJECTED, "holds no link"},
        {WIDGET, 201, "{\"auth_url\":\"" LINK "\"}", REJECTED, ""},
        {DIRECT, 200, "{\"url\":\"" LINK "\"}", REJECTED, ""},
        {DIRECT, 200, "{\"auth_url\":7}", REJECTED, ""},
        {DIRECT, 200, "{\"auth_url\":null}", REJECTED, ""},
        {WIDGET, 200, "", REJECTED, "holds no link"},
        {WIDGET, 204, "", REJECTED, ""},
        {WIDGET, 200, "<html><body>ok</body></html>", REJECTED, ""},
        {WIDGET, 200, "{\"url\":\"" LINK "\"", REJECTED, ""},
        {WIDGET, 200, "[{\"url\":\"" LINK "\"}]", REJECTED, ""},
        {WIDGET, 200, "\"" LINK "\"", REJECTED, ""},
        {WIDGET, 200, "{\"url\":\"" LINK "\\u0000\"}", REJECTED, ""},
        {WIDGET, 200, "{\"url\":\"" LINK "\xff\"}", REJECTED, ""},

        /* a null message is a fault of the credential under any status */
        {WIDGET, 200, "{\"message\":null}", CREDENTIALS, ""},
        {WIDGET, 302, "{\"message\":null}", CREDENTIALS, ""},
        {WIDGET, 400, "{\"message\":null}", CREDENTIALS, ""},
        {WIDGET, 404, "{\"message\":null}", CREDENTIALS, ""},
        {WIDGET, 429, "{\"message\":null}", CREDENTIALS, ""},
        {LEGACY, 500, "{\"message\": null, \"status\":\"error\"}", CREDENTIALS, "swapped"},
        {DIRECT, 503, "{\"message\":null}", CREDENTIALS, ""},
        {DIRECT, 500, "{\"detail\":null}", RETRY_FEW, ""},

        /* redirects are not followed */
        {WIDGET, 301, "", RETIRED, "operator: "},
        {WIDGET, 307, "", RETIRED, "redirects"},
        {DIRECT, 302, "<html>Found</html>", RETIRED, ""},
        {DIRECT, 304, "", RETIRED, ""},

        /* credentials and entitlements */
        {WIDGET, 401, "", CREDENTIALS, "operator: "},
        {WIDGET, 403, "{\"message\":\"Forbidden\"}", CREDENTIALS, "\"Forbidden\""},
        {DIRECT, 403, "<html>", CREDENTIALS, ""},
        {DIRECT, 403, "{\"title\":\"forbidden\",\"code\":\"something_new\"}", CREDENTIALS,
            "\"forbidden\""},
        {DIRECT, 403,
            "{\"title\":\"forbidden\",\"code\":\"entitlement_required\",\"product\":\"widget\"}",
            REJECTED, "code entitlement_required, product widget"},
        {WIDGET, 403, "{\"code\":\"environment_disabled\"}", REJECTED,
            "code environment_disabled, product none"},
        {WIDGET, 403, "{\"product\":\"teams\"}", REJECTED, "product teams"},
        {WIDGET, 403, "{\"message\":\"No entitlement for this\"}", REJECTED, ""},
        {WIDGET, 401, "{\"code\":\"entitlement_required\"}", CREDENTIALS, ""},

        /* the cap of connected users */
        {WIDGET, 403, "{\"message\":\"User Limit Reached\"}", USER_LIMIT, "operator: "},
        {WIDGET, 400, "{\"message\":\"user limit reached\",\"status\":\"error\"}", USER_LIMIT, ""},
        {DIRECT, 403, "{\"detail\":\"quota exceeded\"}", USER_LIMIT, ""},
        {DIRECT, 402, "{\"code\":\"user_limit_reached\"}", USER_LIMIT, ""},
        {DIRECT, 429, "{\"message\":\"User Limit Reached\"}", USER_LIMIT, ""},
        {DIRECT, 404, "{\"detail\":\"Users limit hit\"}", USER_LIMIT, ""},

        /* endpoints that are not served */
        {WIDGET, 404, "", OTHER, "widget_session"},
        {WIDGET, 405, "", OTHER, ""},
        {LEGACY, 410, "{\"type\":\"about:blank\",\"title\":\"gone\",\"instance\":\"/x?y=z\"}",
            OTHER, "TERRA_WIDGET_ENDPOINT"},
        {DIRECT, 405, "", RETIRED, "authenticate_user"},
        {DIRECT, 410, "", RETIRED, ""},
        {DIRECT, 404, "{\"title\":\"not found\",\"detail\":\"unknown resource\"}", REJECTED,
            ": \"unknown resource\""},

        /* refusals */
        {WIDGET, 400, "{\"message\":\"bad\",\"invalid_user_ids\":[\"a\",\"b\"]}", REJECTED,
            "does not know 2 of the connected_uids"},
        {WIDGET, 400, "", REJECTED, "caller: "},
        {WIDGET, 402, "{\"message\":\"pay\"}", REJECTED, ""},
        {WIDGET, 409, "{}", REJECTED, ""},
        {WIDGET, 413, "<html>", REJECTED, ""},
        {WIDGET, 415, "{}", REJECTED, ""},
        {WIDGET, 422, "{\"detail\":[{\"msg\":\"no\"}]}", REJECTED, ""},
        {WIDGET, 451, "", REJECTED, ""},

        /* may pass later */
        {WIDGET, 408, "", RETRY, ""},
        {WIDGET, 424, "{\"detail\":\"provider limit\"}", RETRY, ""},
        {WIDGET, 425, "", RETRY, ""},
        {WIDGET, 429, "{\"message\":\"Too Many Requests\"}", LIMITED, ""},
        {WIDGET, 429, "{\"message\":\"quota\"}", LIMITED, ""},
        {WIDGET, 429, "{\"message\":\"user rate limit\"}", LIMITED, ""},
        {WIDGET, 502, "<html>", RETRY, ""},
        {DIRECT, 503, "{\"code\":\"authorization_unavailable\"}", RETRY, ""},
        {DIRECT, 504, "{\"message\":\"Endpoint request timed out\"}", RETRY,
            "\"Endpoint request timed out\""},

        /* seldom passes */
        {LEGACY, 500, "<html>Server Error</html>", RETRY_FEW, "data source"},
        {LEGACY, 500, "", RETRY_FEW, ""},
        {LEGACY, 500, "{\"message\":\"\"}", RETRY_FEW, ""},
        {DIRECT, 501, "", RETRY_FEW, ""},
        {DIRECT, 520, "", RETRY_FEW, ""},
        {DIRECT, 599, "{\"message\":\"User Limit Reached\"}", RETRY_FEW, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct terra_answer answer =
            judge((enum terra_endpoint)cases[i].endpoint, cases[i].status, cases[i].body);
        if (answer.verdict != cases[i].verdict || answer.error.code != cases[i].code)
            print_error("case %zu: HTTP %d %s\n", i, cases[i].status, cases[i].body);
        assert_error(&answer, cases[i].verdict, cases[i].code, cases[i].status);
        if (!strstr(answer.error.message, cases[i].part))
            fail_msg("case %zu: %s", i, answer.error.message);
        assert_int_equal(answer.error.retry_after_us, -1);
        terra_answer_release(&answer);
    }
}

static void test_no_answer_at_all(void **state)
{
    (void)state;
    static const struct {
        enum http_outcome outcome;
        enum terra_verdict verdict;
    } cases[] = {
        {HTTP_TIMEOUT, TERRA_RETRY},
        {HTTP_CONNECT_FAILED, TERRA_RETRY},
        {HTTP_TLS_UNTRUSTED, TERRA_RETRY},
        {HTTP_BROKEN, TERRA_RETRY},
        {HTTP_RESPONSE_TOO_LARGE, TERRA_RETRY_FEW},
        {HTTP_UNDECODABLE, TERRA_RETRY},
        {HTTP_CANCELLED, TERRA_RETRY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct http_response response = {
            .outcome = cases[i].outcome, .body = "", .error = "libcurl's words"};
        const struct terra_response_headers headers = {.retry_after = NULL};
        struct terra_answer answer;
        terra_api_judge(TERRA_WIDGET_SESSION, &response, &headers, CALLED, NOW, &answer);
        assert_error(&answer, cases[i].verdict, CONNECT_TERRA_UNAVAILABLE, 0);
        assert_true(answer.error.retryable);
        /* Of libcurl's words only those about a certificate help. */
        assert_int_equal(strstr(answer.error.message, "libcurl's words") != NULL,
            cases[i].outcome == HTTP_TLS_UNTRUSTED);
        terra_answer_release(&answer);
    }
}

/* Messages. */

static void test_messages_hold_no_links(void **state)
{
    (void)state;
    struct terra_answer answer =
        judge(TERRA_WIDGET_SESSION, 400, "{\"message\":\"no " LINK " for " KEY "\"}");
    assert_string_equal(answer.error.message,
        "caller: Terra refused the request (HTTP 400): \"no [removed] for [removed]\"");
    terra_answer_release(&answer);
}

/* The longest message there can be still fits, with its end. */
static void test_the_longest_message_fits(void **state)
{
    (void)state;
    char body[1024];
    char words[201];
    for (size_t i = 0; i < sizeof words - 1; i++)
        words[i] = i % 10 == 9 ? ' ' : 'w';
    words[sizeof words - 1] = '\0';
    snprintf(body, sizeof body,
        "{\"code\":\"entitlement_required %s\",\"product\":\"%s\",\"message\":\"%s\"}", words,
        words, words);
    struct terra_answer answer = judge(TERRA_WIDGET_SESSION, 403, body);
    assert_error(&answer, TERRA_REJECT, CONNECT_REJECTED_BY_TERRA, 403);
    assert_non_null(strstr(answer.error.message, "have it enabled by Terra"));
    terra_answer_release(&answer);
    snprintf(body, sizeof body, "{\"message\":\"%s\"}", words);
    answer = judge(TERRA_WIDGET_SESSION, 500, body);
    assert_non_null(strstr(answer.error.message, "API key are right"));
    terra_answer_release(&answer);
}

/* Headers. */

static void test_retry_after(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *text;
        int64_t seconds;
    } cases[] = {
        {429, "7", 7},
        {503, "7", 7},
        {500, "1.5", 2},
        {429, "Sat, 21 Nov 2026 07:04:44 GMT", 10}, /* two seconds of the call have gone */
        {503, "99999999999", 86400},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct terra_response_headers headers = {.retry_after = cases[i].text};
        struct terra_answer answer =
            judge_bytes(TERRA_WIDGET_SESSION, cases[i].status, "{}", 2, &headers);
        assert_int_equal(answer.retry_after_us, cases[i].seconds * SECOND);
        assert_int_equal(answer.error.retry_after_us, cases[i].seconds * SECOND);
        terra_answer_release(&answer);
    }
}

/* A time to come back is no use to a request that will never pass. */
static void test_retry_after_of_a_refusal(void **state)
{
    (void)state;
    const struct terra_response_headers headers = {.retry_after = "7"};
    struct terra_answer answer = judge_bytes(TERRA_WIDGET_SESSION, 400, "{}", 2, &headers);
    assert_int_equal(answer.error.retry_after_us, -1);
    terra_answer_release(&answer);
}

static void test_trace_id_and_deprecation(void **state)
{
    (void)state;
    static const struct {
        const char *given, *kept;
    } cases[] = {
        {NULL, ""},
        {"", ""},
        {"1-5f84c7a1_x", "1-5f84c7a1_x"},
        {"abc def", "abc"},
        {"abc\x1b[31m", "abc"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct terra_response_headers headers = {
            .trace_id = cases[i].given, .deprecation = "@1793664000"};
        struct terra_answer answer = judge_bytes(TERRA_LEGACY_WIDGET, 410, "", 0, &headers);
        assert_string_equal(answer.trace_id, cases[i].kept);
        assert_non_null(strstr(answer.error.message, "marked as deprecated"));
        terra_answer_release(&answer);
    }
    char longer[200];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    const struct terra_response_headers headers = {.trace_id = longer};
    struct terra_answer answer = judge_bytes(TERRA_LEGACY_WIDGET, 500, "", 0, &headers);
    assert_int_equal(strlen(answer.trace_id), TERRA_TRACE_ID_SIZE - 1);
    terra_answer_release(&answer);
}

/* Hostile bodies. */

static void test_bodies_of_any_kind_and_size(void **state)
{
    (void)state;
    static const int statuses[] = {200, 201, 302, 400, 403, 404, 429, 500, 503};
    static const char *const units[] = {"[", "{\"a\":", "\"", "{\"message\":", "\xff", "\\u0000",
        "<p>", "0", "{\"url\":\"" LINK "\",", "null,", "\xef\xbb\xbf{}", "\xf0\x9f\x98\x80", " "};
    char *body = memory_new(TERRA_ANSWER_BYTES_MAX);
    for (size_t unit = 0; unit < sizeof units / sizeof units[0]; unit++) {
        size_t size = 0;
        while (size + strlen(units[unit]) <= TERRA_ANSWER_BYTES_MAX) {
            memcpy(body + size, units[unit], strlen(units[unit]));
            size += strlen(units[unit]);
        }
        for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
            const struct terra_response_headers headers = {.retry_after = NULL};
            struct terra_answer answer =
                judge_bytes(TERRA_WIDGET_SESSION, statuses[i], body, size, &headers);
            assert_int_not_equal(answer.verdict, TERRA_LINK);
            terra_answer_release(&answer);
        }
    }
    free(body);
}

/* A good answer cut anywhere, or with any one byte changed, is a link or
 * an error, never a crash. */
static void test_damaged_answers(void **state)
{
    (void)state;
    static const char good[] =
        "{\"status\":\"success\",\"session_id\":\"s-1\",\"url\":\"" LINK "\",\"expires_in\":86400,"
        "\"warnings\":[\"w\"]}";
    static const char bytes[] = {'\0', '"', '\\', '{', ']', '0', '\x80', '\xff', '/', '@'};
    const struct terra_response_headers headers = {.retry_after = NULL};
    for (size_t size = 0; size < sizeof good - 1; size++) {
        struct terra_answer answer = judge_bytes(TERRA_WIDGET_SESSION, 201, good, size, &headers);
        assert_error(&answer, TERRA_REJECT, CONNECT_REJECTED_BY_TERRA, 201);
        terra_answer_release(&answer);
        for (size_t i = 0; i < sizeof bytes; i++) {
            char damaged[sizeof good];
            memcpy(damaged, good, sizeof good);
            damaged[size] = bytes[i];
            answer = judge_bytes(TERRA_WIDGET_SESSION, 201, damaged, sizeof good - 1, &headers);
            assert_true(answer.verdict == TERRA_LINK || answer.verdict == TERRA_REJECT);
            terra_answer_release(&answer);
        }
    }
}

/* The call. */

static const struct environment environment = {
    .name = (char[]){"default"},
    .urls =
        {
            [TERRA_WIDGET_SESSION] = (char[]){"https://terra.example/api/widget/session"},
            [TERRA_LEGACY_WIDGET] = (char[]){"https://terra.example/legacy"},
            [TERRA_AUTHENTICATE_USER] = (char[]){"https://terra.example/authenticateUser"},
        },
};

static void assert_encoded(enum terra_endpoint endpoint, const struct connect_request *request,
    const char *expected_url, const char *expected_body)
{
    struct buf url;
    struct buf body;
    buf_init(&url, 4096);
    buf_init(&body, TERRA_ANSWER_BYTES_MAX);
    terra_api_encode(endpoint, request, &url, &body);
    assert_true(buf_ok(&url) && buf_ok(&body));
    assert_string_equal(buf_text(&url), expected_url);
    assert_string_equal(buf_text(&body), expected_body);
    buf_release(&url);
    buf_release(&body);
}

static void test_the_smallest_call(void **state)
{
    (void)state;
    const struct connect_request request = {.environment = &environment, .reference_id = "u1"};
    assert_encoded(TERRA_WIDGET_SESSION, &request, "https://terra.example/api/widget/session",
        "{\"reference_id\":\"u1\"}");
    assert_encoded(
        TERRA_LEGACY_WIDGET, &request, "https://terra.example/legacy", "{\"reference_id\":\"u1\"}");
}

static void test_a_widget_call_with_all_fields(void **state)
{
    (void)state;
    static const struct json_limits limits = {.bytes_max = 100, .depth_max = 2, .values_max = 10};
    static const char uids[] = "[\"a\",\"b\\\"\"]";
    static const char body[] =
        "{\"reference_id\":\"u \\\"1\\\"\",\"language\":\"fr\","
        "\"auth_success_redirect_url\":\"https://a.example/ok?x=1\","
        "\"auth_failure_redirect_url\":\"https://a.example/no\",\"providers\":\"GARMIN,OURA\","
        "\"show_disconnect\":true,\"connected_uids\":[\"a\",\"b\\\"\"],\"multi_auth\":false,"
        "\"bypass_feedback\":true,\"use_terra_avengers_app\":false,"
        "\"apple_app_url\":\"myapp://apple\",\"samsung_app_url\":\"myapp://samsung\"}";
    struct json_error error;
    json_value *connected_uids = json_parse(uids, sizeof uids - 1, &limits, &error);
    assert_non_null(connected_uids);
    const struct connect_request request = {
        .environment = &environment,
        .reference_id = "u \"1\"",
        .providers = "GARMIN,OURA",
        .language = "fr",
        .auth_success_redirect_url = "https://a.example/ok?x=1",
        .auth_failure_redirect_url = "https://a.example/no",
        .show_disconnect = CONNECT_YES,
        .multi_auth = CONNECT_NO,
        .bypass_feedback = CONNECT_YES,
        .use_terra_avengers_app = CONNECT_NO,
        .connected_uids = connected_uids,
        .apple_app_url = "myapp://apple",
        .samsung_app_url = "myapp://samsung",
        .sdk_app = "grip",
    };
    assert_encoded(
        TERRA_WIDGET_SESSION, &request, "https://terra.example/api/widget/session", body);
    assert_encoded(TERRA_LEGACY_WIDGET, &request, "https://terra.example/legacy", body);
    json_free(connected_uids);
}

static void test_a_direct_call(void **state)
{
    (void)state;
    struct environment elsewhere = environment;
    struct connect_request request = {
        .environment = &environment,
        .reference_id = "u1",
        .provider = "APPLE_HEALTH",
        .language = "zh_cn",
        .auth_success_redirect_url = "myapp://done",
        .auth_failure_redirect_url = "",
        .show_disconnect = CONNECT_YES,
        .apple_app_url = "myapp://apple",
        .sdk_app = "grip",
    };
    static const char body[] =
        "{\"reference_id\":\"u1\",\"language\":\"zh_cn\",\"auth_success_redirect_url\":"
        "\"myapp://done\",\"sdk_app\":\"grip\"}";
    assert_encoded(TERRA_AUTHENTICATE_USER, &request,
        "https://terra.example/authenticateUser?resource=APPLE_HEALTH", body);

    request.environment = &elsewhere;
    request.provider = "A&B C";
    elsewhere.urls[TERRA_AUTHENTICATE_USER] = (char[]){"https://terra.example/x?y=z"};
    assert_encoded(
        TERRA_AUTHENTICATE_USER, &request, "https://terra.example/x?y=z&resource=A%26B%20C", body);
}

/* The neutral GET. */

static void test_probe_verdicts(void **state)
{
    (void)state;
    static const struct {
        enum http_outcome outcome;
        int status;
        const char *body;
        enum terra_probe_verdict verdict;
    } rows[] = {
        {HTTP_ANSWERED, 200, "[]", TERRA_PROBE_ACCEPTED},
        {HTTP_ANSWERED, 200, "{\"users\":[]}", TERRA_PROBE_ACCEPTED},
        {HTTP_ANSWERED, 200, "{\"status\":\"error\"}", TERRA_PROBE_ACCEPTED},
        {HTTP_ANSWERED, 404, "{\"title\":\"not found\"}", TERRA_PROBE_ACCEPTED},
        {HTTP_ANSWERED, 400, "", TERRA_PROBE_ACCEPTED},
        {HTTP_ANSWERED, 403, "{\"code\":\"entitlement_required\"}", TERRA_PROBE_ACCEPTED},
        {HTTP_ANSWERED, 401, "", TERRA_PROBE_REFUSED},
        {HTTP_ANSWERED, 403, "{\"detail\":\"invalid\"}", TERRA_PROBE_REFUSED},
        {HTTP_ANSWERED, 200, "{\"message\":null}", TERRA_PROBE_REFUSED},
        {HTTP_ANSWERED, 500, "{\"message\":null}", TERRA_PROBE_REFUSED},
        {HTTP_ANSWERED, 429, "", TERRA_PROBE_UNCLEAR},
        {HTTP_ANSWERED, 302, "", TERRA_PROBE_UNCLEAR},
        {HTTP_ANSWERED, 405, "", TERRA_PROBE_UNCLEAR},
        {HTTP_ANSWERED, 410, "", TERRA_PROBE_UNCLEAR},
        {HTTP_ANSWERED, 500, "<html>", TERRA_PROBE_FAILED},
        {HTTP_ANSWERED, 503, "{\"code\":\"authorization_unavailable\"}", TERRA_PROBE_FAILED},
        {HTTP_TIMEOUT, 0, "", TERRA_PROBE_FAILED},
        {HTTP_CONNECT_FAILED, 0, "", TERRA_PROBE_FAILED},
        {HTTP_TLS_UNTRUSTED, 0, "", TERRA_PROBE_FAILED},
        {HTTP_BROKEN, 0, "", TERRA_PROBE_FAILED},
        {HTTP_RESPONSE_TOO_LARGE, 0, "", TERRA_PROBE_FAILED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct connect_error error;
        const struct http_response response = {
            .outcome = rows[i].outcome,
            .status = rows[i].status,
            .body = rows[i].body,
            .body_size = strlen(rows[i].body),
            .error = "",
        };
        if (terra_api_judge_probe(&response, &error) != rows[i].verdict)
            fail_msg("row %zu: HTTP %d %s", i, rows[i].status, rows[i].body);
        assert_true(strlen(error.message) > 20);
    }
}

static void test_the_probe_asks_for_nobody(void **state)
{
    (void)state;
    char user_info_url[] = "https://a.example/api/v2/userInfo";
    const struct environment asked = {.user_info_url = user_info_url};
    struct buf url;
    buf_init(&url, 1000);
    terra_api_encode_probe(&asked, 0xabc, &url);
    assert_string_equal(buf_text(&url),
        "https://a.example/api/v2/userInfo?reference_id=terra-connect-probe-0000000000000abc");
    buf_release(&url);
}

static void test_endpoint_names(void **state)
{
    (void)state;
    assert_string_equal(terra_endpoint_name(TERRA_WIDGET_SESSION), "widget_session");
    assert_string_equal(terra_endpoint_name(TERRA_LEGACY_WIDGET), "legacy_widget");
    assert_string_equal(terra_endpoint_name(TERRA_AUTHENTICATE_USER), "authenticate_user");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_widget_session),
        cmocka_unit_test(test_a_direct_link),
        cmocka_unit_test(test_odd_answers_with_a_link),
        cmocka_unit_test(test_the_outcome_table),
        cmocka_unit_test(test_no_answer_at_all),
        cmocka_unit_test(test_messages_hold_no_links),
        cmocka_unit_test(test_the_longest_message_fits),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_retry_after_of_a_refusal),
        cmocka_unit_test(test_trace_id_and_deprecation),
        cmocka_unit_test(test_bodies_of_any_kind_and_size),
        cmocka_unit_test(test_damaged_answers),
        cmocka_unit_test(test_the_smallest_call),
        cmocka_unit_test(test_a_widget_call_with_all_fields),
        cmocka_unit_test(test_a_direct_call),
        cmocka_unit_test(test_probe_verdicts),
        cmocka_unit_test(test_the_probe_asks_for_nobody),
        cmocka_unit_test(test_endpoint_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
