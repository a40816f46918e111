/* Links as Terra gives them, and what only looks like one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/memory.h"
#include "worker/terra_link.h"

#define LINK "https://widget.tryterra.co/session/344d475f-296a-489a-a88c-54183671dafd"
#define KEY "OtHJok60oQmT8zhnUWc4SWBJI7ztPTs88C0gOsJJ"
#define CALLED (INT64_C(1795244672) * CLOCK_US_PER_SECOND)
#define LONGEST (INT64_C(366) * 86400 * CLOCK_US_PER_SECOND)

static bool read_link(struct terra_link *link, const char *body, bool widget)
{
    static const struct json_limits limits = {
        .bytes_max = 16384, .depth_max = 8, .values_max = 100};
    struct json_error error;
    json_value *answer = json_parse(body, strlen(body), &limits, &error);
    assert_non_null(answer);
    bool found = terra_link_read(link, answer, widget, CALLED);
    json_free(answer);
    return found;
}

static void test_a_whole_widget_session(void **state)
{
    (void)state;
    struct terra_link link;
    assert_true(read_link(&link,
        "{\"session_id\":\"s-1\",\"url\":\"" LINK "\",\"expires_in\":86400,\"warnings\":[\"w\"]}",
        true));
    assert_true(link.widget);
    assert_string_equal(link.link, LINK);
    assert_string_equal(link.id, "s-1");
    assert_int_equal(link.expires_wall_us, CALLED + 86400 * CLOCK_US_PER_SECOND);
    assert_int_equal(link.warnings.count, 1);
    terra_link_release(&link);
    assert_null(link.link);
    terra_link_release(&link);
}

static void test_each_kind_has_its_own_names(void **state)
{
    (void)state;
    static const char widget[] = "{\"url\":\"" LINK "\",\"session_id\":\"s\",\"user_id\":\"u\"}";
    static const char direct[] =
        "{\"auth_url\":\"" LINK "\",\"session_id\":\"s\",\"user_id\":\"u\"}";
    struct terra_link link;
    assert_false(read_link(&link, widget, false));
    assert_false(read_link(&link, direct, true));
    assert_true(read_link(&link, direct, false));
    assert_false(link.widget);
    assert_string_equal(link.id, "u");
    terra_link_release(&link);
}

static void test_no_object(void **state)
{
    (void)state;
    struct terra_link link;
    assert_false(terra_link_read(&link, NULL, true, CALLED));
    assert_false(read_link(&link, "[{\"url\":\"" LINK "\"}]", true));
    assert_false(read_link(&link, "\"" LINK "\"", true));
    assert_false(read_link(&link, "{}", true));
    assert_false(read_link(&link, "{\"url\":null}", true));
    assert_false(read_link(&link, "{\"url\":[\"" LINK "\"]}", true));
}

static void test_ids(void **state)
{
    (void)state;
    static const struct {
        const char *json, *id;
    } cases[] = {
        {"\"s-1\"", "s-1"},
        {"\"a:b.c_d~e\"", "a:b.c_d~e"},
        {"null", NULL},
        {"7", NULL},
        {"\"\"", NULL},
        {"\"a b\"", NULL},
        {"\"a\\nb\"", NULL},
        {"\"" LINK "\"", NULL},
        {"\"caf\xc3\xa9\"", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[256];
        struct terra_link link;
        snprintf(body, sizeof body, "{\"url\":\"" LINK "\",\"session_id\":%s}", cases[i].json);
        assert_true(read_link(&link, body, true));
        if (cases[i].id)
            assert_string_equal(link.id, cases[i].id);
        else
            assert_null(link.id);
        terra_link_release(&link);
    }
}

static void test_long_ids(void **state)
{
    (void)state;
    for (size_t size = TERRA_ID_BYTES_MAX; size <= TERRA_ID_BYTES_MAX + 1; size++) {
        char body[512];
        char id[TERRA_ID_BYTES_MAX + 2];
        struct terra_link link;
        memset(id, 'i', size);
        id[size] = '\0';
        snprintf(body, sizeof body, "{\"url\":\"" LINK "\",\"session_id\":\"%s\"}", id);
        assert_true(read_link(&link, body, true));
        assert_int_equal(link.id == NULL, size > TERRA_ID_BYTES_MAX);
        terra_link_release(&link);
    }
}

static void test_expiries(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        int64_t expires_us;
    } cases[] = {
        {"900", CALLED + 900 * CLOCK_US_PER_SECOND},
        {"900.25", CALLED + 900250 * CLOCK_US_PER_MS},
        {"1e-9", CALLED},
        {"1e300", CALLED + LONGEST},
        {"9223372036854775807", CALLED + LONGEST},
        {"31622400", CALLED + LONGEST},
        {"0", 0},
        {"-0.0", 0},
        {"-5", 0},
        {"-1e300", 0},
        {"null", 0},
        {"\"900\"", 0},
        {"[900]", 0},
        {"true", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[256];
        struct terra_link link;
        snprintf(body, sizeof body, "{\"url\":\"" LINK "\",\"expires_in\":%s}", cases[i].json);
        assert_true(read_link(&link, body, true));
        assert_int_equal(link.expires_wall_us, cases[i].expires_us);
        terra_link_release(&link);
    }
}

static void test_warnings(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        size_t count;
        const char *first;
    } cases[] = {
        {"null", 0, NULL},
        {"\"w\"", 0, NULL},
        {"{\"w\":\"w\"}", 0, NULL},
        {"[]", 0, NULL},
        {"[1,null,{},[\"x\"],true,\"\",\" \",\"real\"]", 1, "real"},
        {"[\"see " LINK " \\u0007now\",\"key " KEY "\"]", 2, "see [removed] now"},
        {"[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,\"late\"]", 1, "late"},
        {"[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\",\"11\",\"12\",\"13\","
         "\"14\",\"15\",\"16\",\"17\",\"18\"]",
            TEXT_LIST_MAX, "1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[512];
        struct terra_link link;
        snprintf(body, sizeof body, "{\"url\":\"" LINK "\",\"warnings\":%s}", cases[i].json);
        assert_true(read_link(&link, body, true));
        assert_int_equal(link.warnings.count, cases[i].count);
        if (cases[i].first)
            assert_string_equal(link.warnings.items[0], cases[i].first);
        terra_link_release(&link);
    }
}

static void test_a_long_warning_is_cut(void **state)
{
    (void)state;
    char body[4096];
    char words[2001];
    struct terra_link link;
    for (size_t i = 0; i < sizeof words - 1; i++)
        words[i] = i % 8 == 7 ? ' ' : 'w';
    words[sizeof words - 1] = '\0';
    snprintf(body, sizeof body, "{\"url\":\"" LINK "\",\"warnings\":[\"%s\"]}", words);
    assert_true(read_link(&link, body, true));
    assert_int_equal(strlen(link.warnings.items[0]), TEXT_LIST_TEXT_BYTES_MAX);
    terra_link_release(&link);
}

static void test_what_is_a_link(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        bool good;
    } cases[] = {
        {"https://a.example", true},
        {"HTTPS://a.example/", true},
        {"https://a.example:8443/x?y=z#f", true},
        {"https://a.example?x", true},
        {"https://[2001:db8::1]/x", true},
        {"https://a.example/x|y{z}^`'", true}, /* a provider's page, as browsers take it */
        {"http://a.example/", false},
        {"ftp://a.example/", false},
        {"javascript:alert(1)", false},
        {"data:text/html,x", false},
        {"myapp://open", false},
        {"//a.example/x", false},
        {"a.example/x", false},
        {"https:/a.example", false},
        {"https://", false},
        {"https:///x", false},
        {"https://?x", false},
        {"https://user@a.example/", false},
        {"https://good.example@evil.example/", false},
        {"https://good.example\\\\@evil.example/", false},
        {"https://a.example:99999/", false},
        {"https://a.example:x/", false},
        {"https://a b.example/", false},
        {"https://a.example/a b", false},
        {" https://a.example/", false},
        {"https://a.example/\\n", false},
        {"https://a.example/\\u007f", false},
        {"https://a.example/caf\xc3\xa9", false},
        {"https://\xd0\xb0.example/", false},
        {"https://a.example/\\\"", false},
        {"https://a.example/<b>", false},
        {"", false},
        {"null", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[512];
        struct terra_link link;
        snprintf(body, sizeof body, "{\"url\":\"%s\"}", cases[i].url);
        if (read_link(&link, body, true) != cases[i].good)
            fail_msg("%s", cases[i].url);
        if (cases[i].good)
            terra_link_release(&link);
    }
}

static void test_long_links(void **state)
{
    (void)state;
    for (size_t size = TERRA_LINK_BYTES_MAX; size <= TERRA_LINK_BYTES_MAX + 1; size++) {
        char body[TERRA_LINK_BYTES_MAX + 64];
        char text[TERRA_LINK_BYTES_MAX + 2];
        struct terra_link link;
        memset(text, 'x', size);
        memcpy(text, "https://a.example/", 18);
        text[size] = '\0';
        snprintf(body, sizeof body, "{\"auth_url\":\"%s\"}", text);
        assert_int_equal(read_link(&link, body, false), size <= TERRA_LINK_BYTES_MAX);
        if (size <= TERRA_LINK_BYTES_MAX)
            terra_link_release(&link);
    }
}

static void test_long_hosts(void **state)
{
    (void)state;
    for (size_t size = 200; size <= 400; size += 100) {
        char body[512];
        char host[401];
        struct terra_link link;
        memset(host, 'h', size);
        host[size] = '\0';
        snprintf(body, sizeof body, "{\"url\":\"https://%s/\"}", host);
        assert_int_equal(read_link(&link, body, true), size == 200);
        if (size == 200)
            terra_link_release(&link);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_whole_widget_session),
        cmocka_unit_test(test_each_kind_has_its_own_names),
        cmocka_unit_test(test_no_object),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_long_ids),
        cmocka_unit_test(test_expiries),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_a_long_warning_is_cut),
        cmocka_unit_test(test_what_is_a_link),
        cmocka_unit_test(test_long_links),
        cmocka_unit_test(test_long_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
