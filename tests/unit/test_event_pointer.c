/* event_pointer: what is a pointer, and where it may lead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>

#include "common/memory.h"
#include "support/mutation.h"
#include "worker/event_pointer.h"

#define SECRET "s3cr3t"
#define SECOND INT64_C(1000000)

static struct event_pointer_rules *make_rules(const char *hosts, bool allow_http)
{
    char error[256] = "";
    struct event_pointer_rules *rules =
        event_pointer_rules_new(hosts, allow_http, error, sizeof(error));
    if (!rules)
        fail_msg("%s: %s", hosts, error);
    return rules;
}

static enum event_pointer_verdict judge(
    const struct event_pointer_rules *rules, const char *url, char *error)
{
    char json[20000];
    struct event_pointer pointer;

    snprintf(json, sizeof(json), "{\"type\":\"s3_payload\",\"url\":\"%s\"}", url);
    enum event_pointer_verdict verdict =
        event_pointer_read(&pointer, json, strlen(json), rules, error);
    event_pointer_release(&pointer);
    return verdict;
}

/* ---- where it may lead ---- */

struct place {
    const char *hosts, *url;
    enum event_pointer_verdict verdict;
};

#define DEFAULT ".amazonaws.com,storage.googleapis.com"
#define FOLLOW EVENT_POINTER_FOLLOW
#define FORBIDDEN EVENT_POINTER_FORBIDDEN
#define BAD EVENT_POINTER_BAD

static const struct place places[] = {
    {DEFAULT, "https://b.s3.eu-west-1.amazonaws.com/8f1d?X-Amz-Signature=" SECRET, FOLLOW},
    {DEFAULT, "https://s3.amazonaws.com/b/8f1d", FOLLOW},
    {DEFAULT, "HTTPS://S3.AmazonAWS.com/b", FOLLOW},
    {DEFAULT, "https://storage.googleapis.com/b/o?x=y", FOLLOW},
    {DEFAULT, "https://storage.googleapis.com:443/b", FOLLOW},
    {DEFAULT, "https://s3.amazonaws.com/b/../c", FOLLOW}, /* no rule of a bucket is at stake */
    {" .Example.ORG , a.example ", "https://x.example.org/", FOLLOW},
    {" .Example.ORG , a.example ", "https://a.example", FOLLOW},
    /* not on a dot's boundary, not below, not at all */
    {DEFAULT, "https://amazonaws.com/b", FORBIDDEN},
    {DEFAULT, "https://evilamazonaws.com/b?" SECRET, FORBIDDEN},
    {DEFAULT, "https://s3.amazonaws.com.evil.example/b", FORBIDDEN},
    {DEFAULT, "https://x.storage.googleapis.com/b", FORBIDDEN},
    {DEFAULT, "https://evil.example/s3.amazonaws.com", FORBIDDEN},
    {DEFAULT, "https://evil.example?.amazonaws.com", FORBIDDEN},
    {DEFAULT, "https://evil.example#.amazonaws.com", FORBIDDEN},
    {"", "https://s3.amazonaws.com/b", FORBIDDEN},
    /* schemes */
    {DEFAULT, "http://s3.amazonaws.com/b?" SECRET, FORBIDDEN},
    {DEFAULT, "ftp://s3.amazonaws.com/b", FORBIDDEN},
    {DEFAULT, "file:///etc/passwd", FORBIDDEN},
    {DEFAULT, "javascript:alert(1)", FORBIDDEN},
    {DEFAULT, "data:application/json,{}", BAD},
    /* ports */
    {DEFAULT, "https://s3.amazonaws.com:8443/b", FORBIDDEN},
    {DEFAULT, "https://s3.amazonaws.com:80/b", FORBIDDEN},
    {"a.example:8443", "https://a.example:8443/b", FOLLOW},
    {"a.example:8443", "https://a.example/b", FORBIDDEN},
    {".a.example:8443", "https://b.a.example:8443/b", FOLLOW},
    {".a.example:8443", "https://b.a.example/b", FORBIDDEN},
    {"a.example:443", "https://a.example/b", FOLLOW},
    {"a.example:8443,a.example", "https://a.example/b", FOLLOW},
    {DEFAULT, "https://s3.amazonaws.com:0/b", BAD},
    {DEFAULT, "https://s3.amazonaws.com:99999/b", BAD},
    /* userinfo */
    {DEFAULT, "https://user:" SECRET "@s3.amazonaws.com/b", FORBIDDEN},
    {DEFAULT, "https://s3.amazonaws.com@evil.example/b", FORBIDDEN},
    {DEFAULT, "https://@s3.amazonaws.com/b", FORBIDDEN},
    /* buckets */
    {"a.example/logs", "https://a.example/logs/x?y", FOLLOW},
    {"a.example:8443/logs", "https://a.example:8443/logs/x/z", FOLLOW},
    {"a.example/logs", "https://a.example/logs", FORBIDDEN}, /* the bucket itself: a listing */
    {"a.example/logs", "https://a.example/logs2/x", FORBIDDEN},
    {"a.example/logs", "https://a.example/Logs/x", FORBIDDEN},
    {"a.example/logs", "https://a.example//logs/x", FORBIDDEN},
    {"a.example/logs", "https://a.example/x/logs/x", FORBIDDEN},
    {"a.example/logs", "https://a.example/logs/../other/x", FORBIDDEN},
    {"a.example/logs", "https://a.example/logs/%2e%2E/other/x", FORBIDDEN},
    {"a.example/logs", "https://a.example/logs/..%2fother/x", FORBIDDEN},
    {"a.example/logs", "https://a.example/logs%2f../x", FORBIDDEN},
    {"a.example/logs", "https://a.example/?/logs/x", FORBIDDEN},
    {"a.example/logs", "https://a.example", FORBIDDEN},
    /* addresses */
    {DEFAULT, "https://169.254.169.254/latest/meta-data", FORBIDDEN},
    {DEFAULT, "https://[::1]/", FORBIDDEN},
    {"192.0.2.7", "https://192.0.2.7/x", FOLLOW},
    {"192.0.2.7", "https://192.0.2.07/x", FORBIDDEN},
    {"192.0.2.7", "https://3221225991/x", FORBIDDEN},
    {"[2001:db8::7]", "https://[2001:DB8::7]/x", FOLLOW},
    {"[2001:db8::7]", "https://[2001:db8:0::7]/x", FORBIDDEN},
    {".2.7", "https://192.0.2.7/x", FORBIDDEN},
    {".1", "https://0x7f.1/x", FORBIDDEN},
    /* what is not plain */
    {DEFAULT, "https://s3.amazonaws.com./b", FORBIDDEN},
    {".amazonaws.com,evil.example", "https://evil.example./b", FORBIDDEN},
    {DEFAULT, "https://s3%2eamazonaws.com/b", BAD},
    {DEFAULT, "https://evil.example%2f.amazonaws.com/b", BAD},
    {DEFAULT, "https://evil.example\\\\.amazonaws.com/b", BAD},
    {DEFAULT, "https:\\\\\\\\s3.amazonaws.com/b", BAD},
    {DEFAULT, "https://s3.amazonaws.com/b c", BAD},
    {DEFAULT, "https://s3.amazonaws.com/b\\r\\nHost: x", BAD},
    {DEFAULT, " https://s3.amazonaws.com/b", BAD},
    {DEFAULT, "https://s3.amazonaws.com\\t/b", BAD},
    {DEFAULT, "https://s3.\u0430mazonaws.com/b", BAD}, /* a Cyrillic letter */
    {DEFAULT, "https://s3\u3002amazonaws.com/b", BAD}, /* a full stop of another script */
    {DEFAULT, "https://..amazonaws.com/b", BAD},
    {DEFAULT, "https://.amazonaws.com/b", BAD},
    {DEFAULT, "https:///b", BAD},
    {DEFAULT, "https:s3.amazonaws.com/b", BAD},
    {DEFAULT, "//s3.amazonaws.com/b", BAD},
    {DEFAULT, "s3.amazonaws.com/b", BAD},
    {DEFAULT, "", BAD},
};

static void test_places(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        struct event_pointer_rules *rules = make_rules(places[i].hosts, false);
        char error[EVENT_POINTER_ERROR_SIZE];
        enum event_pointer_verdict verdict = judge(rules, places[i].url, error);
        if (verdict != places[i].verdict)
            fail_msg("%s under %s: %d (%s)", places[i].url, places[i].hosts, verdict, error);
        assert_true((verdict == FOLLOW) == (error[0] == '\0'));
        assert_null(strstr(error, SECRET));
        assert_null(strstr(error, "://"));
        event_pointer_rules_free(rules);
    }
}

static void test_allow_http(void **state)
{
    struct event_pointer_rules *rules = make_rules("127.0.0.1:8080,a.example", true);
    char error[EVENT_POINTER_ERROR_SIZE];

    (void)state;
    assert_int_equal(judge(rules, "http://127.0.0.1:8080/x", error), FOLLOW);
    assert_int_equal(judge(rules, "http://a.example/x", error), FOLLOW);
    assert_int_equal(judge(rules, "http://a.example:80/x", error), FOLLOW);
    assert_int_equal(judge(rules, "https://a.example/x", error), FOLLOW);
    assert_int_equal(judge(rules, "http://a.example:443/x", error), FORBIDDEN);
    assert_int_equal(judge(rules, "http://127.0.0.1/x", error), FORBIDDEN);
    assert_int_equal(judge(rules, "ws://a.example/x", error), FORBIDDEN);
    event_pointer_rules_free(rules);
}

static void test_the_error_names_the_host(void **state)
{
    struct event_pointer_rules *rules = make_rules(DEFAULT, false);
    char error[EVENT_POINTER_ERROR_SIZE];

    (void)state;
    judge(rules, "https://Evil.example/path?" SECRET, error);
    assert_string_equal(error, "its url's host is not allowed (host evil.example)");
    judge(rules, "https://storage.googleapis.com:8443/" SECRET, error);
    assert_string_equal(
        error, "its url's port or bucket is not allowed (host storage.googleapis.com)");
    event_pointer_rules_free(rules);
}

/* ---- the rules themselves ---- */

static void test_bad_rules(void **state)
{
    static const char *const texts[] = {",", "a.example,", ",a.example", "a.example,,b.example",
        ".", "..example.org", "a.example.", ".example.org.", "https://a.example", "user@a.example",
        "a.example/", "a.example/b/", "a.example/b/c", "a.example/..", "a.example/b?x",
        "a.example/b#x", ".a.example/b", "a b.example", "a.example:0", "a.example:70000",
        "a.example:", ":443", "/bucket", "*.example.org", "\u00e4.example", "[::1", "10.0.0.0/8/x"};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char error[256] = "";
        struct event_pointer_rules *rules =
            event_pointer_rules_new(texts[i], false, error, sizeof(error));
        if (rules || !error[0])
            fail_msg("\"%s\": taken", texts[i]);
    }
}

static void test_number_of_rules(void **state)
{
    char text[65 * 10 + 1] = "";
    char error[256] = "";

    (void)state;
    for (int i = 0; i < 64; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%sa.example", i ? "," : "");
    event_pointer_rules_free(make_rules(text, false));
    char more[sizeof(text) + 16];
    snprintf(more, sizeof(more), "%s,b.example", text);
    assert_null(event_pointer_rules_new(more, false, error, sizeof(error)));
    assert_string_equal(error, "\"b.example\" is one more than there is room for");
}

/* ---- the record ---- */

static void test_records(void **state)
{
    static const struct {
        const char *json;
        enum event_pointer_verdict verdict;
        int64_t life_us;
        const char *user_id, *reference_id, *payload_reference;
    } rows[] = {
#define URL "\"url\":\"https://s3.amazonaws.com/b\""
#define START "{\"type\":\"s3_payload\"," URL
        {START "}", FOLLOW, 600 * SECOND, NULL, NULL, NULL},
        {START
            ",\"status\":\"success\",\"expires_in\":300,\"user_id\":\"u\",\"reference_id\":\"r\","
            "\"payload_reference\":\"p\",\"more\":{\"x\":[1]}}",
            FOLLOW, 300 * SECOND, "u", "r", "p"},
        {START ",\"expires_in\":0.5}", FOLLOW, SECOND / 2, NULL, NULL, NULL},
        {START ",\"expires_in\":604800}", FOLLOW, 604800 * SECOND, NULL, NULL, NULL},
        {START ",\"expires_in\":1e300}", FOLLOW, 604800 * SECOND, NULL, NULL, NULL},
        {START ",\"expires_in\":0}", FOLLOW, 600 * SECOND, NULL, NULL, NULL},
        {START ",\"expires_in\":-5}", FOLLOW, 600 * SECOND, NULL, NULL, NULL},
        {START ",\"expires_in\":null}", FOLLOW, 600 * SECOND, NULL, NULL, NULL},
        {START ",\"expires_in\":\"300\"}", FOLLOW, 600 * SECOND, NULL, NULL, NULL},
        {START ",\"user_id\":7,\"reference_id\":null,\"payload_reference\":\"\"}", FOLLOW,
            600 * SECOND, NULL, NULL, NULL},
        {"{\"type\":\"s3_payload\"}", BAD, 600 * SECOND, NULL, NULL, NULL},
        {"{\"type\":\"s3_payload\",\"url\":null}", BAD, 600 * SECOND, NULL, NULL, NULL},
        {"{\"type\":\"s3_payload\",\"url\":[\"https://s3.amazonaws.com/b\"]}", BAD, 600 * SECOND,
            NULL, NULL, NULL},
        {"{" URL "}", BAD, 600 * SECOND, NULL, NULL, NULL},
        {"{\"type\":\"auth\"," URL "}", BAD, 600 * SECOND, NULL, NULL, NULL},
        {"{\"type\":7," URL "}", BAD, 600 * SECOND, NULL, NULL, NULL},
        {START "," URL "}", BAD, 600 * SECOND, NULL, NULL, NULL},
        {"[" START "}]", BAD, 600 * SECOND, NULL, NULL, NULL},
        {START "} x", BAD, 600 * SECOND, NULL, NULL, NULL},
        {START, BAD, 600 * SECOND, NULL, NULL, NULL},
        {"{\"type\":\"s3_payload\",\"url\":\"https://s3.amazonaws.com/\\u0000\"}", BAD,
            600 * SECOND, NULL, NULL, NULL},
        {"", BAD, 600 * SECOND, NULL, NULL, NULL},
    };
    struct event_pointer_rules *rules = make_rules(DEFAULT, false);

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct event_pointer pointer;
        char error[EVENT_POINTER_ERROR_SIZE];
        enum event_pointer_verdict verdict =
            event_pointer_read(&pointer, rows[i].json, strlen(rows[i].json), rules, error);
        if (verdict != rows[i].verdict || pointer.life_us != rows[i].life_us)
            fail_msg(
                "%s: %d, %lld us (%s)", rows[i].json, verdict, (long long)pointer.life_us, error);
        assert_string_equal(
            pointer.user_id ? pointer.user_id : "-", rows[i].user_id ? rows[i].user_id : "-");
        assert_string_equal(pointer.reference_id ? pointer.reference_id : "-",
            rows[i].reference_id ? rows[i].reference_id : "-");
        assert_string_equal(pointer.payload_reference ? pointer.payload_reference : "-",
            rows[i].payload_reference ? rows[i].payload_reference : "-");
        event_pointer_release(&pointer);
    }
    event_pointer_rules_free(rules);
}

static void test_sizes(void **state)
{
    struct event_pointer_rules *rules = make_rules("a.example", false);
    char url[EVENT_POINTER_URL_BYTES_MAX + 2];
    char error[EVENT_POINTER_ERROR_SIZE];
    struct event_pointer pointer;
    struct buf json;

    (void)state;
    memset(url, 'a', sizeof(url));
    memcpy(url, "https://a.example/", 18);
    url[EVENT_POINTER_URL_BYTES_MAX] = '\0';
    assert_int_equal(judge(rules, url, error), FOLLOW);
    url[EVENT_POINTER_URL_BYTES_MAX] = 'a';
    url[EVENT_POINTER_URL_BYTES_MAX + 1] = '\0';
    assert_int_equal(judge(rules, url, error), BAD);

    for (size_t size = EVENT_POINTER_HINT_BYTES_MAX; size < EVENT_POINTER_HINT_BYTES_MAX + 2;
         size++) {
        buf_init(&json, 4096);
        buf_append_text(&json,
            "{\"type\":\"s3_payload\",\"url\":\"https://a.example/b\",\"payload_reference\":\"");
        for (size_t i = 0; i < size; i++)
            buf_append_char(&json, 'r');
        buf_append_text(&json, "\"}");
        assert_int_equal(event_pointer_read(&pointer, json.data, json.size, rules, error), FOLLOW);
        assert_int_equal(pointer.payload_reference != NULL, size <= EVENT_POINTER_HINT_BYTES_MAX);
        event_pointer_release(&pointer);
        buf_release(&json);
    }
    event_pointer_rules_free(rules);
}

static void test_spoilt_records(void **state)
{
    static const char json[] =
        "{\"type\":\"s3_payload\",\"status\":\"success\",\"url\":\"https://s3.amazonaws.com/"
        "payload-0123456789?X=" SECRET
        "\",\"expires_in\":600,\"user_id\":\"u\",\"payload_reference\":\"p\"}";
    struct event_pointer_rules *rules = make_rules(DEFAULT, false);
    struct mutation mutation;

    (void)state;
    mutation_init(&mutation, 7);
    for (int i = 0; i < 20000; i++) {
        char bytes[512];
        char error[EVENT_POINTER_ERROR_SIZE];
        struct event_pointer pointer;
        memcpy(bytes, json, sizeof(json) - 1);
        size_t size = mutation_apply(&mutation, bytes, sizeof(json) - 1, sizeof(bytes));
        char *exact = memory_copy(bytes, size);
        enum event_pointer_verdict verdict =
            event_pointer_read(&pointer, exact, size, rules, error);
        assert_true((verdict == FOLLOW) == (error[0] == '\0'));
        assert_null(strstr(error, SECRET));
        event_pointer_release(&pointer);
        free(exact);
    }
    event_pointer_rules_free(rules);
}

/* ---- addresses ---- */

static void test_addresses(void **state)
{
    static const struct {
        const char *address;
        bool always, with_http;
    } rows[] = {
        {"52.218.0.1", true, true},
        {"127.0.0.1", false, true},
        {"10.0.0.1", false, false},
        {"169.254.169.254", false, false},
        {"0.0.0.0", false, false},
    };
    struct event_pointer_rules *strict = make_rules(DEFAULT, false);
    struct event_pointer_rules *lax = make_rules(DEFAULT, true);

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sockaddr_in address = {.sin_family = AF_INET};
        assert_int_equal(inet_pton(AF_INET, rows[i].address, &address.sin_addr), 1);
        const struct sockaddr *any = (const struct sockaddr *)&address;
        assert_int_equal(event_pointer_address_allowed(strict, any), rows[i].always);
        assert_int_equal(event_pointer_address_allowed(lax, any), rows[i].with_http);
    }
    event_pointer_rules_free(strict);
    event_pointer_rules_free(lax);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_allow_http),
        cmocka_unit_test(test_the_error_names_the_host),
        cmocka_unit_test(test_bad_rules),
        cmocka_unit_test(test_number_of_rules),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_spoilt_records),
        cmocka_unit_test(test_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
