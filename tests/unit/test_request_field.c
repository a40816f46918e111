/* request_field: every field's faults, in words that say what is expected and what was found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/memory.h"
#include "common/text.h"
#include "worker/request_field.h"

static const struct json_limits limits = {.bytes_max = 4096, .depth_max = 5, .values_max = 100};

/* In the tables ' stands for ". */
static json_value *parse_quoted(const char *text)
{
    struct json_error error;
    char *json = memory_copy_text(text);
    for (char *at = json; *at; at++) {
        if (*at == '\'')
            *at = '"';
    }
    json_value *tree = json_parse(json, strlen(json), &limits, &error);
    if (!tree)
        fail_msg("%s: %s", json, error.message);
    free(json);
    return tree;
}

/* The field's message for that value; "" when it is taken. */
static void judge(const char *name, const char *value, char message[REQUEST_FIELD_MESSAGE_SIZE])
{
    enum request_field_id id;
    struct request_field_value taken = {0};
    char text[1024];
    assert_true(request_field_find(name, &id));
    snprintf(text, sizeof(text), "{'%s':%s}", name, value);
    json_value *tree = parse_quoted(text);
    message[0] = '\0';
    bool fits = request_field_get(tree, id, &taken, message);
    assert_int_equal(fits, message[0] == '\0');
    json_free(tree);
}

static void says_what_it_expects(void **state)
{
    (void)state;
#define ID "1 to 256 bytes of text without control characters"
#define REDIRECT "an absolute URL of at most 2048 bytes, percent-encoded where need be"
#define APP_URL "an https URL or app deep link of at most 2048 bytes"
    static const struct {
        const char *name, *expected;
    } rows[] = {
        {"request_id", ID},
        {"reference_id", ID},
        {"environment", "a name of 1 to 64 letters, digits, dots, underscores and dashes"},
        {"action", "\"connect\""},
        {"timeout_seconds", "a number above 0 and at most 3600"},
        {"provider", "a provider name of 2 to 40 letters, digits and underscores"},
        {"providers", "an array of provider names"},
        {"language", "a language such as fr or zh_cn"},
        {"auth_success_redirect_url", REDIRECT},
        {"auth_failure_redirect_url", REDIRECT},
        {"show_disconnect", "true or false"},
        {"multi_auth", "true or false"},
        {"bypass_feedback", "true or false"},
        {"use_terra_avengers_app", "true or false"},
        {"connected_uids", "an array of 1 to 100 of Terra's user ids"},
        {"apple_app_url", APP_URL},
        {"samsung_app_url", APP_URL},
        {"sdk_app", "\"avengers\" or \"grip\""},
    };
    assert_int_equal(sizeof(rows) / sizeof(rows[0]), REQUEST_FIELD_COUNT);
    for (size_t i = 0; i < REQUEST_FIELD_COUNT; i++) {
        char message[REQUEST_FIELD_MESSAGE_SIZE], expected[REQUEST_FIELD_MESSAGE_SIZE];
        judge(rows[i].name, "{}", message);
        snprintf(expected, sizeof(expected), "field \"%s\" must be %s, but is an object",
            rows[i].name, rows[i].expected);
        assert_string_equal(message, expected);
        assert_string_equal(request_field_name((enum request_field_id)i), rows[i].name);
    }
}

static void says_what_it_found(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        const char *found; /* NULL: not looked at */
    } rows[] = {
        {"reference_id", "null", "is missing"},
        {"reference_id", "''", "is empty"},
        {"reference_id", "7", "is a number"},
        {"reference_id", "['u1']", "is an array"},
        {"reference_id", "{}", "is an object"},
        {"reference_id", "true", "is a boolean"},
        {"reference_id", "'a\\nb'", "holds a control character"},
        {"reference_id", "'a\\u007f'", "holds a control character"},
        {"request_id", "''", "is empty"},
        {"request_id", "1", "is a number"},
        {"request_id", "'\\t'", "holds a control character"},
        {"environment", "''", "is empty"},
        {"environment", "'a b'", "is \"a b\""},
        {"environment", "5", NULL},
        {"action", "'disconnect'", "is \"disconnect\""},
        {"action", "'a23456789b123456789c123456789d123456789e1'",
            "is \"a23456789b123456789c123456789d123456789e\xe2\x80\xa6\""},
        {"action", "'\xf0\x9f\x98\x80'", "is text that cannot be shown"},
        {"action", "''", "is empty"},
        {"timeout_seconds", "0", "is 0"},
        {"timeout_seconds", "-1", NULL},
        {"timeout_seconds", "3600.001", NULL},
        {"timeout_seconds", "1e300", NULL},
        {"timeout_seconds", "'30'", "is a string"},
        {"provider", "''", "is empty"},
        {"provider", "'a'", "is \"a\""},
        {"provider", "' OURA'", "is \" OURA\""},
        {"provider", "'OURA,GARMIN'", NULL},
        {"provider", "'OURA&x=1'", NULL},
        {"provider", "'\xc3\xbcra'", "is text that cannot be shown"},
        {"provider", "'a123456789a123456789a123456789a1234567891'", NULL},
        {"provider", "['OURA']", "is an array"},
        {"providers", "'GARMIN,OURA'", "is a string"},
        {"providers", "[]", "is empty (leave it out instead)"},
        {"providers", "['OURA',null]", "its item 2 is null"},
        {"providers", "['OURA',['x']]", "its item 2 is an array"},
        {"providers", "['OURA','x y']", "its item 2 is \"x y\""},
        {"providers", "['']", "its item 1 is \"\""},
        {"language", "'f'", "is \"f\""},
        {"language", "''", NULL},
        {"language", "'french'", NULL},
        {"language", "'fr_'", NULL},
        {"language", "'fr_F'", NULL},
        {"language", "'fr_France'", NULL},
        {"language", "'fr_FR_x'", NULL},
        {"language", "'fr FR'", NULL},
        {"language", "'es-419'", NULL},
        {"language", "false", NULL},
        {"auth_success_redirect_url", "''", "is empty"},
        {"auth_success_redirect_url", "5", "is a number"},
        {"show_disconnect", "'true'", "is a string"},
        {"multi_auth", "1", "is a number"},
        {"bypass_feedback", "[]", "is an array"},
        {"use_terra_avengers_app", "{}", "is an object"},
        {"connected_uids", "'x'", "is a string"},
        {"connected_uids", "[]", NULL},
        {"connected_uids", "['a','']", "its item 2 is empty"},
        {"connected_uids", "['a',1]", "its item 2 is a number"},
        {"connected_uids", "['\\u0001']", "its item 1 holds a control character"},
        {"apple_app_url", "'x'", "is none"},
        {"apple_app_url", "'javascript:x'", "is none"},
        {"samsung_app_url", "''", "is empty"},
        {"sdk_app", "'other'", "is \"other\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char message[REQUEST_FIELD_MESSAGE_SIZE];
        judge(rows[i].name, rows[i].value, message);
        if (!message[0])
            fail_msg("%s: %s is taken", rows[i].name, rows[i].value);
        const char *found = strstr(message, ", but ");
        assert_non_null(found);
        if (rows[i].found)
            assert_string_equal(found + strlen(", but "), rows[i].found);
    }
}

static void takes_what_fits(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
    } rows[] = {
        {"request_id", "'r'"},
        {"reference_id", "' \xc3\xbc \\u00a0'"},
        {"environment", "'a.B_c-1'"},
        {"action", "'connect'"},
        {"timeout_seconds", "3600"},
        {"timeout_seconds", "0.001"},
        {"provider", "'a_1'"},
        {"providers", "['aa','BB']"},
        {"language", "'en'"},
        {"auth_success_redirect_url", "'multi-auth'"},
        {"show_disconnect", "false"},
        {"connected_uids", "['x','x']"},
        {"apple_app_url", "'myapp://x'"},
        {"samsung_app_url", "'https://x.example'"},
        {"sdk_app", "'avengers'"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char message[REQUEST_FIELD_MESSAGE_SIZE];
        judge(rows[i].name, rows[i].value, message);
        assert_string_equal(message, "");
    }
}

static void guesses_what_was_meant(void **state)
{
    (void)state;
    static const struct {
        const char *name, *nearest;
    } rows[] = {
        {"providerss", "providers"},
        {"Provider", "provider"},
        {"referenceId", "reference_id"},
        {"reference-id", "reference_id"},
        {"langauge", "language"},
        {"authSuccessRedirectUrl", "auth_success_redirect_url"},
        {"autFailureRedirectUrl", "auth_failure_redirect_url"},
        {"timeout_second", "timeout_seconds"},
        {"", NULL},
        {"id", NULL},
        {"colour", NULL},
        {"user_id", NULL},
        {"x_auth_success_redirect_url_x_x_x_x_x_x_x", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *nearest = request_field_nearest(rows[i].name);
        if (!text_equal(nearest, rows[i].nearest))
            fail_msg("%s: %s", rows[i].name, nearest ? nearest : "none");
    }
}

static void knows_what_each_link_uses(void **state)
{
    (void)state;
    static const enum request_field_id provider_only[] = {FIELD_PROVIDER, FIELD_SDK_APP};
    static const enum request_field_id both[] = {FIELD_REQUEST_ID, FIELD_REFERENCE_ID,
        FIELD_ENVIRONMENT, FIELD_ACTION, FIELD_TIMEOUT_SECONDS, FIELD_LANGUAGE, FIELD_SUCCESS_URL,
        FIELD_FAILURE_URL};
    static const enum request_field_id widget_only[] = {FIELD_PROVIDERS, FIELD_SHOW_DISCONNECT,
        FIELD_MULTI_AUTH, FIELD_BYPASS_FEEDBACK, FIELD_USE_TERRA_AVENGERS_APP, FIELD_CONNECTED_UIDS,
        FIELD_APPLE_APP_URL, FIELD_SAMSUNG_APP_URL};
    for (size_t i = 0; i < sizeof(provider_only) / sizeof(provider_only[0]); i++) {
        assert_true(request_field_serves(provider_only[i], REQUEST_PROVIDER));
        assert_false(request_field_serves(provider_only[i], REQUEST_WIDGET));
    }
    for (size_t i = 0; i < sizeof(both) / sizeof(both[0]); i++) {
        assert_true(request_field_serves(both[i], REQUEST_PROVIDER));
        assert_true(request_field_serves(both[i], REQUEST_WIDGET));
    }
    for (size_t i = 0; i < sizeof(widget_only) / sizeof(widget_only[0]); i++) {
        assert_false(request_field_serves(widget_only[i], REQUEST_PROVIDER));
        assert_true(request_field_serves(widget_only[i], REQUEST_WIDGET));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_it_expects),
        cmocka_unit_test(says_what_it_found),
        cmocka_unit_test(takes_what_fits),
        cmocka_unit_test(guesses_what_was_meant),
        cmocka_unit_test(knows_what_each_link_uses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
