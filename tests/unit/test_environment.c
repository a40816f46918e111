/* environment: what is taken, what is refused and in which words, and that no word is a key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/memory.h"
#include "common/text.h"
#include "worker/environment.h"

#define KEY "k3y-which-nobody-may-see"

static const struct environment_defaults defaults = {
    .base_url = "https://access.tryterra.co/api",
    .rate = {.calls = 10, .period_us = 1000000},
    .burst = 10,
};

/* Reads "secret/<text>" as the file's content. */
static char *read_file(const char *path, char *error, size_t error_size)
{
    if (text_starts_with(path, "secret/"))
        return memory_copy_text(path + strlen("secret/"));
    snprintf(error, error_size, "no such file");
    return NULL;
}

static void adds_the_default_environment(void **state)
{
    (void)state;
    struct environments environments;
    char error[ENVIRONMENT_ERROR_SIZE];
    environments_init(&environments);
    assert_null(environments_find(&environments, NULL, 0));
    assert_int_equal(
        environments_add(&environments, "default", "acme-prod-1", KEY, &defaults, error),
        RESULT_OK);
    const struct environment *environment = environments_find(&environments, NULL, 0);
    assert_non_null(environment);
    assert_int_equal(environment->index, 0);
    assert_string_equal(environment->name, "default");
    assert_string_equal(environment->dev_id, "acme-prod-1");
    assert_string_equal(environment->api_key, KEY);
    assert_null(environment->api_key_file);
    assert_int_equal(environment->rate.calls, 10);
    assert_int_equal(environment->burst, 10);
    assert_null(environment->request_defaults);
    assert_string_equal(
        environment->urls[TERRA_WIDGET_SESSION], "https://access.tryterra.co/api/widget/session");
    assert_string_equal(environment->urls[TERRA_LEGACY_WIDGET],
        "https://access.tryterra.co/api/v2/auth/generateWidgetSession");
    assert_string_equal(environment->urls[TERRA_AUTHENTICATE_USER],
        "https://access.tryterra.co/api/v2/auth/authenticateUser");
    assert_string_equal(environment->user_info_url, "https://access.tryterra.co/api/v2/userInfo");
    environments_release(&environments);
    assert_int_equal(environments.count, 0);
}

static void refuses_bad_settings(void **state)
{
    (void)state;
    static char long_key[600];
    memset(long_key, 'k', sizeof(long_key) - 1);
    static char long_name[66];
    memset(long_name, 'n', sizeof(long_name) - 1);
    static const struct {
        const char *name, *dev_id, *key, *expected;
    } rows[] = {
        {"", "d", "k", "the name of environment 1 must be"},
        {"a b", "d", "k", "the name of environment 1 must be"},
        {"a\"b", "d", "k", "the name of environment 1 must be"},
        {"\xc3\xbc", "d", "k", "the name of environment 1 must be"},
        {long_name, "d", "k", "the name of environment 1 must be"},
        {"e", NULL, KEY, "environment \"e\": dev_id is missing or empty"},
        {"e", "", KEY, "environment \"e\": dev_id is missing or empty"},
        {"e", "a b", KEY, "environment \"e\": dev_id holds a blank"},
        {"e", "a\n", KEY, "environment \"e\": dev_id holds a blank"},
        {"e", "\xc3\xbc", KEY, "environment \"e\": dev_id holds a blank"},
        {"e", "d", NULL, "environment \"e\": api_key is missing or empty"},
        {"e", "d", "", "environment \"e\": api_key is missing or empty"},
        {"e", "d", KEY "\n", "environment \"e\": api_key holds a blank"},
        {"e", "d", " " KEY, "environment \"e\": api_key holds a blank"},
        {"e", "d", KEY "\x7f", "environment \"e\": api_key holds a blank"},
        {"e", "d", KEY "\xff", "environment \"e\": api_key holds a blank"},
        {"e", "d", long_key, "environment \"e\": api_key is longer than 512 bytes"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct environments environments;
        char error[ENVIRONMENT_ERROR_SIZE] = "";
        environments_init(&environments);
        assert_int_equal(environments_add(&environments, rows[i].name, rows[i].dev_id, rows[i].key,
                             &defaults, error),
            RESULT_REJECT);
        if (!text_starts_with(error, rows[i].expected))
            fail_msg("row %zu: %s", i, error);
        assert_null(strstr(error, KEY));
        assert_null(strstr(error, "kkkk"));
        environments_release(&environments);
    }
}

static void judges_urls(void **state)
{
    (void)state;
    static const struct {
        const char *base, *widget;
        bool plain_http_allowed;
        const char *expected; /* the widget's URL, or NULL: refused */
        const char *error;
    } rows[] = {
        {"https://t.example/api/", NULL, false, "https://t.example/api/widget/session", ""},
        {"https://t.example//", "", false, "https://t.example/widget/session", ""},
        {"https://t.example", "https://w.example/x", false, "https://w.example/x", ""},
        {"http://127.0.0.1:8080", NULL, false, "http://127.0.0.1:8080/widget/session", ""},
        {"http://localhost:1", NULL, false, "http://localhost:1/widget/session", ""},
        {"http://[::1]:1", NULL, false, "http://[::1]:1/widget/session", ""},
        {"http://t.example", NULL, true, "http://t.example/widget/session", ""},
        {"http://t.example", NULL, false, NULL, "base_url must begin with https:// (http would"},
        {"http://localhost.evil.example", NULL, false, NULL, "base_url must begin with https://"},
        {"http://localhost@evil.example", NULL, true, NULL, "base_url must not hold a user name"},
        {"ftp://t.example", NULL, true, NULL, "base_url must begin with https://"},
        {"myapp:/x", NULL, true, NULL, "base_url must begin with https://"},
        {"t.example", NULL, false, NULL, "base_url is not an absolute URL"},
        {"", NULL, false, NULL, "base_url is not an absolute URL"},
        {"https://u:p@t.example", NULL, false, NULL, "base_url must not hold a user name"},
        {"https://t.example/?x", NULL, false, NULL, "base_url must not hold a user name"},
        {"https://t.example/#x", NULL, false, NULL, "base_url must not hold a user name"},
        {"https://t.example", "w.example", false, NULL, "widget_session_url is not an absolute"},
        {"https://t.example", "http://w.example", false, NULL, "widget_session_url must begin"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct environments environments;
        char error[ENVIRONMENT_ERROR_SIZE] = "", expected[128];
        struct environment_defaults own = defaults;
        own.base_url = rows[i].base;
        own.urls[TERRA_WIDGET_SESSION] = rows[i].widget;
        own.plain_http_allowed = rows[i].plain_http_allowed;
        environments_init(&environments);
        enum result result = environments_add(&environments, "e", "d", KEY, &own, error);
        if ((result == RESULT_OK) != (rows[i].expected != NULL))
            fail_msg("row %zu: %s", i, error);
        if (result == RESULT_OK)
            assert_string_equal(environments.items[0].urls[TERRA_WIDGET_SESSION], rows[i].expected);
        snprintf(expected, sizeof(expected), "environment \"e\": %s", rows[i].error);
        if (result != RESULT_OK && !text_starts_with(error, expected))
            fail_msg("row %zu: %s", i, error);
        environments_release(&environments);
    }
}

static enum result add_json(
    struct environments *environments, const char *json, char error[ENVIRONMENT_ERROR_SIZE])
{
    struct environment_defaults own = defaults;
    own.urls[TERRA_WIDGET_SESSION] = "https://w.example/widget";
    error[0] = '\0';
    return environments_add_json(environments, json, strlen(json), &own, read_file, error);
}

static void reads_the_file(void **state)
{
    (void)state;
    struct environments environments;
    char error[ENVIRONMENT_ERROR_SIZE], names[64];
    environments_init(&environments);
    assert_int_equal(
        environments_add(&environments, "default", "d", KEY, &defaults, error), RESULT_OK);
    const struct environment *first = environments_find(&environments, NULL, 0);
    enum result result = add_json(&environments,
        "{\"staging\": {\"dev_id\": \"acme-staging\", \"api_key\": \"" KEY "\"},"
        " \"back.office-1_A\": {\"dev_id\": \"bo\", \"api_key_file\": \"secret/from-file\","
        "   \"rate_limit\": \"5/m\", \"rate_burst\": 3, \"base_url\": \"https://b.example/api/\","
        "   \"request_defaults\": {\"language\": \"fr\", \"show_disconnect\": true, "
        "\"multi_auth\": null}}}",
        error);
    if (result != RESULT_OK)
        fail_msg("%s", error);
    assert_int_equal(environments.count, 3);
    assert_ptr_equal(first, environments_find(&environments, NULL, 0));

    const struct environment *staging = environments_find(&environments, "staging", 7);
    assert_int_equal(staging->index, 1);
    assert_string_equal(staging->api_key, KEY);
    assert_int_equal(staging->rate.calls, 10);
    assert_int_equal(staging->burst, 10);
    assert_string_equal(staging->urls[TERRA_WIDGET_SESSION], "https://w.example/widget");
    assert_string_equal(staging->urls[TERRA_LEGACY_WIDGET],
        "https://access.tryterra.co/api/v2/auth/generateWidgetSession");

    const struct environment *office = environments_find(&environments, "back.office-1_A", 15);
    assert_string_equal(office->api_key, "from-file");
    assert_string_equal(office->api_key_file, "secret/from-file");
    assert_int_equal(office->rate.calls, 5);
    assert_int_equal(office->rate.period_us, 60000000);
    assert_int_equal(office->burst, 3);
    assert_string_equal(office->urls[TERRA_WIDGET_SESSION], "https://b.example/api/widget/session");
    const char *language = NULL;
    assert_int_equal(json_get_text(office->request_defaults, "language", &language), JSON_FOUND);
    assert_string_equal(language, "fr");

    assert_null(environments_find(&environments, "stagin", 6));
    assert_null(environments_find(&environments, "staging2", 8));
    assert_null(environments_find(&environments, "Staging", 7));
    assert_ptr_equal(environments_find(&environments, "staging-and-more", 7), staging);
    assert_null(environments_find(&environments, "", 0));
    environments_list_names(&environments, names, sizeof(names));
    assert_string_equal(names, "default, staging, back.office-1_A");
    environments_list_names(&environments, names, 13);
    assert_string_equal(names, "default, sta");
    environments_list_names(&environments, names, 1);
    assert_string_equal(names, "");
    environments_release(&environments);
}

#define CREDENTIAL "\"dev_id\": \"d\", \"api_key\": \"" KEY "\""
#define WITH(fields) "{\"e\": {" CREDENTIAL ", " fields "}}"
#define WITH_DEFAULTS(fields) WITH("\"request_defaults\": {" fields "}")

static void refuses_bad_files(void **state)
{
    (void)state;
    static const struct {
        const char *json, *expected;
    } rows[] = {
        {"", "cannot be read"},
        {"{", "cannot be read"},
        {"{\"e\": {\"dev_id\": \"d\", \"api_key\": \"" KEY "\"", "cannot be read"},
        {"{\"e\": {" CREDENTIAL ", " CREDENTIAL "}}", "cannot be read"},
        {"[]", "must be a JSON object"},
        {"\"" KEY "\"", "must be a JSON object"},
        {"{\"\": {" CREDENTIAL "}}", "the name of environment 1"},
        {"{\"a b\": {" CREDENTIAL "}}", "the name of environment 1"},
        {"{\"e\": \"" KEY "\"}", "environment \"e\": must be an object"},
        {"{\"e\": null}", "environment \"e\": must be an object"},
        {"{\"e\": {}}", "environment \"e\": needs either api_key or api_key_file"},
        {"{\"e\": {\"dev_id\": \"d\"}}", "environment \"e\": needs either api_key or"},
        {WITH("\"api_key_file\": \"secret/k\""), "environment \"e\": needs either api_key or"},
        {"{\"e\": {\"api_key\": \"" KEY "\"}}", "environment \"e\": dev_id is missing"},
        {"{\"e\": {\"dev_id\": 1, \"api_key\": \"" KEY "\"}}", "environment \"e\": dev_id must be"},
        {"{\"e\": {\"dev_id\": \"\", \"api_key\": \"" KEY "\"}}", "environment \"e\": dev_id is e"},
        {"{\"e\": {\"dev_id\": \"d\", \"api_key\": [\"" KEY "\"]}}",
            "environment \"e\": api_key must be a text"},
        {"{\"e\": {\"dev_id\": \"d\", \"api_key\": \"" KEY " \"}}",
            "environment \"e\": api_key holds a blank"},
        {"{\"e\": {\"dev_id\": \"d\", \"api_key_file\": \"nowhere\"}}",
            "environment \"e\": api_key_file: no such file"},
        {"{\"e\": {\"dev_id\": \"d\", \"api_key_file\": \"secret/\"}}",
            "environment \"e\": the key in api_key_file is missing or empty"},
        {"{\"e\": {\"dev_id\": \"d\", \"api_key_file\": \"secret/a b\"}}",
            "environment \"e\": the key in api_key_file holds a blank"},
        {WITH("\"rate_limit\": 5"), "environment \"e\": rate_limit must be a text"},
        {WITH("\"rate_limit\": \"5\""), "environment \"e\": rate_limit must be a rate such as"},
        {WITH("\"rate_limit\": \"\""), "environment \"e\": rate_limit is empty"},
        {WITH("\"rate_burst\": 0"), "environment \"e\": rate_burst must be a whole number"},
        {WITH("\"rate_burst\": 1.5"), "environment \"e\": rate_burst must be a whole number"},
        {WITH("\"rate_burst\": -1"), "environment \"e\": rate_burst must be a whole number"},
        {WITH("\"rate_burst\": 1e300"), "environment \"e\": rate_burst must be a whole number"},
        {WITH("\"rate_burst\": \"5\""), "environment \"e\": rate_burst must be a whole number"},
        {WITH("\"base_url\": \"http://b.example\""), "environment \"e\": base_url must begin with"},
        {WITH("\"base_url\": \"\""), "environment \"e\": base_url is empty"},
        {WITH("\"rate_limt\": \"5/s\""),
            "environment \"e\": unknown field \"rate_limt\"; did you mean \"rate_limit\"?"},
        {WITH("\"colour\": 1"), "environment \"e\": unknown field \"colour\""},
        {WITH("\"request_defaults\": []"), "environment \"e\": request_defaults must be an object"},
        {WITH_DEFAULTS("\"language\": 5"),
            "environment \"e\": request_defaults: field \"language\" must be a language such as fr "
            "or zh_cn, but is a number"},
        {WITH_DEFAULTS("\"reference_id\": \"u\""), "environment \"e\": request_defaults: there is "
                                                   "no default for a field \"reference_id\""},
        {WITH_DEFAULTS("\"request_id\": \"u\""),
            "environment \"e\": request_defaults: there is no"},
        {WITH_DEFAULTS("\"environment\": \"e\""), "environment \"e\": request_defaults: there is"},
        {WITH_DEFAULTS("\"action\": \"connect\""), "environment \"e\": request_defaults: there is"},
        {WITH_DEFAULTS("\"colour\": 1"),
            "environment \"e\": request_defaults: there is no default"},
        {WITH_DEFAULTS("\"show_disconnect\": \"true\""),
            "environment \"e\": request_defaults: field"},
        {WITH_DEFAULTS("\"providers\": \"OURA\""), "environment \"e\": request_defaults: field"},
        {WITH_DEFAULTS("\"timeout_seconds\": 0"), "environment \"e\": request_defaults: field"},
        {WITH_DEFAULTS("\"apple_app_url\": \"javascript:x\""), "environment \"e\": request_defau"},
        {WITH_DEFAULTS("\"auth_success_redirect_url\": \"a.example\""),
            "environment \"e\": request_defaults: field \"auth_success_redirect_url\" must be"},
        {WITH_DEFAULTS("\"auth_failure_redirect_url\": \"javascript:x\""),
            "environment \"e\": request_defaults: field \"auth_failure_redirect_url\" must be"},
        {WITH_DEFAULTS("\"auth_failure_redirect_url\": \"multi-auth\""),
            "environment \"e\": request_defaults: field \"auth_failure_redirect_url\" must be"},
        {WITH_DEFAULTS("\"provider\": \"OURA\", \"providers\": [\"OURA\"]"),
            "environment \"e\": request_defaults: fields \"provider\" and \"providers\" exclude"},
        {"{\"default\": {" CREDENTIAL "}}", "environment \"default\": is configured twice"},
        {"{\"e\": {" CREDENTIAL "}, \"f\": 1}", "environment \"f\": must be an object"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct environments environments;
        char error[ENVIRONMENT_ERROR_SIZE];
        environments_init(&environments);
        if (strstr(rows[i].json, "default\": {" CREDENTIAL))
            assert_int_equal(
                environments_add(&environments, "default", "d", KEY, &defaults, error), RESULT_OK);
        if (add_json(&environments, rows[i].json, error) != RESULT_REJECT)
            fail_msg("taken: %s", rows[i].json);
        if (!text_starts_with(error, rows[i].expected))
            fail_msg("%s: %s", rows[i].json, error);
        assert_null(strstr(error, KEY));
        environments_release(&environments);
    }
}

static void takes_every_optional_field_as_a_default(void **state)
{
    (void)state;
    static const char *const rows[] = {"", "\"timeout_seconds\": 5", "\"provider\": \"oura\"",
        "\"providers\": [\"OURA\", \"garmin\"], \"provider\": null", "\"language\": \"zh-CN\"",
        "\"auth_success_redirect_url\": \"multi-auth\"",
        "\"auth_success_redirect_url\": \"https://a.example/ok\"",
        "\"auth_failure_redirect_url\": \"myapp://failed\"",
        "\"show_disconnect\": true, \"multi_auth\": false, \"bypass_feedback\": true",
        "\"use_terra_avengers_app\": true", "\"connected_uids\": [\"x\"]",
        "\"apple_app_url\": \"myapp://x\", \"samsung_app_url\": \"https://a.example\"",
        "\"sdk_app\": \"grip\""};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct environments environments;
        char error[ENVIRONMENT_ERROR_SIZE], json[512];
        environments_init(&environments);
        snprintf(json, sizeof(json), WITH_DEFAULTS("%s"), rows[i]);
        if (add_json(&environments, json, error) != RESULT_OK)
            fail_msg("%s: %s", json, error);
        environments_release(&environments);
    }
}

static void holds_its_ceiling(void **state)
{
    (void)state;
    struct environments environments;
    char error[ENVIRONMENT_ERROR_SIZE], name[16];
    environments_init(&environments);
    for (int i = 0; i < ENVIRONMENTS_MAX; i++) {
        snprintf(name, sizeof(name), "e%d", i);
        assert_int_equal(
            environments_add(&environments, name, "d", KEY, &defaults, error), RESULT_OK);
    }
    assert_int_equal(environments_find(&environments, "e63", 3)->index, 63);
    assert_int_equal(
        environments_add(&environments, "more", "d", KEY, &defaults, error), RESULT_REJECT);
    assert_string_equal(error, "environment \"more\": is one too many: there is room for 64");
    environments_release(&environments);
}

static void replaces_a_key(void **state)
{
    (void)state;
    struct environments environments;
    char error[ENVIRONMENT_ERROR_SIZE];
    environments_init(&environments);
    assert_int_equal(environments_add(&environments, "e", "d", KEY, &defaults, error), RESULT_OK);
    const struct environment *environment = environments_find(&environments, NULL, 0);
    assert_int_equal(environments_set_key(&environments, 0, "new-key", error), RESULT_OK);
    assert_string_equal(environment->api_key, "new-key");
    assert_int_equal(environments_set_key(&environments, 0, "", error), RESULT_REJECT);
    assert_int_equal(environments_set_key(&environments, 0, KEY "\n", error), RESULT_REJECT);
    assert_string_equal(error,
        "environment \"e\": the new api_key holds a blank, a control character or a character "
        "outside ASCII");
    assert_string_equal(environment->api_key, "new-key");
    assert_int_equal(environment->key_generation, 1);
    assert_null(environments_key_fault("new-key"));
    assert_non_null(environments_key_fault("new key"));
    environments_set_key_file(&environments, 0, "/a");
    environments_set_key_file(&environments, 0, "/run/secrets/key");
    assert_string_equal(environment->api_key_file, "/run/secrets/key");
    environments_release(&environments);
}

/* For a program that calls nobody a dev id is enough, and no key is read or kept. */
static void does_without_keys(void **state)
{
    (void)state;
    static const char file[] = "{\"bare\": {\"dev_id\": \"d1\", \"rate_limit\": \"5/s\"},"
                               "\"given\": {\"dev_id\": \"d2\", \"api_key\": \"" KEY "\"},"
                               "\"filed\": {\"dev_id\": \"d3\", \"api_key_file\": \"/nowhere\"}}";
    struct environment_defaults keyless = defaults;
    struct environments environments;
    char error[ENVIRONMENT_ERROR_SIZE] = "";
    keyless.keys_unused = true;
    environments_init(&environments);
    assert_int_equal(environments_add(&environments, "e", "d", "", &keyless, error), RESULT_OK);
    assert_int_equal(
        environments_add_json(&environments, file, strlen(file), &keyless, read_file, error),
        RESULT_OK);
    assert_int_equal(environments.count, 4);
    for (size_t i = 0; i < environments.count; i++)
        assert_null(environments.items[i].api_key);
    assert_int_equal(environments.items[1].rate.calls, 5);
    assert_int_equal(
        environments_add(&environments, "f", "", NULL, &keyless, error), RESULT_REJECT);
    assert_string_equal(error, "environment \"f\": dev_id is missing or empty");
    environments_release(&environments);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adds_the_default_environment),
        cmocka_unit_test(does_without_keys),
        cmocka_unit_test(refuses_bad_settings),
        cmocka_unit_test(judges_urls),
        cmocka_unit_test(reads_the_file),
        cmocka_unit_test(refuses_bad_files),
        cmocka_unit_test(takes_every_optional_field_as_a_default),
        cmocka_unit_test(holds_its_ceiling),
        cmocka_unit_test(replaces_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
