/* connect_request: the front door. What is read, what is refused and in which words, who is
 * answered even so, and that no bytes at all bring it down. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/memory.h"
#include "common/text.h"
#include "common/utf8.h"
#include "support/mutation.h"
#include "worker/connect_request.h"

static struct environments environments;
static struct redirect_rules *redirects;

static int set_up(void **state)
{
    (void)state;
    static const struct environment_defaults defaults = {.base_url = "https://terra.example/api"};
    static const char json[] =
        "{\"staging\": {\"dev_id\": \"d\", \"api_key\": \"k\"},"
        " \"french\": {\"dev_id\": \"d\", \"api_key\": \"k\", \"request_defaults\": {"
        "   \"timeout_seconds\": 7, \"providers\": [\"oura\", \"OURA\"], \"language\": \"fr-FR\","
        "   \"auth_success_redirect_url\": \"multi-auth\","
        "   \"auth_failure_redirect_url\": \"https://elsewhere.example/failed\","
        "   \"show_disconnect\": true, \"sdk_app\": \"grip\", \"connected_uids\": [\"x\"]}},"
        " \"apple\": {\"dev_id\": \"d\", \"api_key\": \"k\", \"request_defaults\": {"
        "   \"provider\": \"apple_health\", \"sdk_app\": \"grip\", \"language\": null}}}";
    char error[ENVIRONMENT_ERROR_SIZE];
    environments_init(&environments);
    redirects = redirect_rules_new("https://app.example/cb,myapp://done", error, sizeof(error));
    if (!redirects ||
        environments_add(&environments, "default", "d", "k", &defaults, error) != RESULT_OK ||
        environments_add_json(&environments, json, strlen(json), &defaults, NULL, error) !=
            RESULT_OK) {
        print_error("%s\n", error);
        return 1;
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    environments_release(&environments);
    redirect_rules_free(redirects);
    return 0;
}

/* The value goes in as a copy of just its size, so that reading past its end is noticed. */
static bool decode(struct connect_request *request, const void *value, size_t size,
    const void *correlation, size_t correlation_size, struct connect_error *error)
{
    const struct connect_request_rules rules = {
        .environments = &environments,
        .redirects = redirects,
        .default_timeout_us = 30000000,
    };
    char *copy = value && size ? malloc(size) : NULL;
    if (copy)
        memcpy(copy, value, size);
    const struct connect_request_source source = {
        .topic = "terra.connect.requests",
        .partition = 3,
        .offset = 42,
        .value = copy ? copy : value,
        .value_size = size,
        .correlation = correlation,
        .correlation_size = correlation_size,
    };
    memset(request, 0xa5, sizeof(*request));
    memset(error, 0xa5, sizeof(*error));
    bool decoded = connect_request_decode(request, &source, &rules, error);
    free(copy);
    return decoded;
}

static void describe_text(struct buf *text, const char *name, const char *value)
{
    if (value)
        buf_printf(text, " %s=%s", name, value);
}

static void describe_choice(struct buf *text, const char *name, enum connect_choice choice)
{
    if (choice != CONNECT_UNSET)
        buf_printf(text, " %s=%s", name, choice == CONNECT_YES ? "yes" : "no");
}

/* All but request_id, on one line: what is set, by name. */
static void describe(const struct connect_request *request, struct buf *text)
{
    buf_printf(text, "%s", request->reference_id ? request->reference_id : "-");
    if (request->environment->index)
        buf_printf(text, " env=%s", request->environment->name);
    describe_text(text, "provider", request->provider);
    describe_text(text, "providers", request->providers);
    describe_text(text, "language", request->language);
    describe_text(text, "success", request->auth_success_redirect_url);
    describe_text(text, "failure", request->auth_failure_redirect_url);
    describe_choice(text, "disconnect", request->show_disconnect);
    describe_choice(text, "multi", request->multi_auth);
    describe_choice(text, "bypass", request->bypass_feedback);
    describe_choice(text, "avengers", request->use_terra_avengers_app);
    for (const json_value *uid = request->connected_uids ? json_first(request->connected_uids)
                                                         : NULL;
         uid; uid = json_next(uid))
        describe_text(text, "uid", json_text(uid));
    describe_text(text, "apple", request->apple_app_url);
    describe_text(text, "samsung", request->samsung_app_url);
    describe_text(text, "sdk", request->sdk_app);
    if (request->timeout_us != 30000000)
        buf_printf(text, " timeout=%lld", (long long)request->timeout_us);
    for (size_t i = 0; i < request->warnings.count; i++)
        buf_printf(text, "\n%s", request->warnings.items[i]);
}

/* In the tables ' stands for ", which no row needs otherwise. */
static void quote(char *json)
{
    for (; *json; json++) {
        if (*json == '\'')
            *json = '"';
    }
}

struct decoded_row {
    const char *json, *expected; /* as describe() says it */
};

static void check_decoded(const struct decoded_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct connect_request request;
        struct connect_error error;
        struct buf text;
        char *json = memory_copy_text(rows[i].json);
        quote(json);
        buf_init(&text, 65536);
        if (!decode(&request, json, strlen(json), NULL, 0, &error))
            fail_msg("%s: %s", rows[i].json, error.message);
        describe(&request, &text);
        assert_string_equal(buf_text(&text), rows[i].expected);
        assert_string_equal(request.request_id, "terra.connect.requests-3-42");
        assert_true(request.identified);
        assert_string_equal(request.environment_name, request.environment->name);
        connect_request_release(&request);
        buf_release(&text);
        free(json);
    }
}
#define CHECK_DECODED(rows) check_decoded(rows, sizeof(rows) / sizeof(rows[0]))

static void reads_requests(void **state)
{
    (void)state;
    static const struct decoded_row rows[] = {
        {"{'reference_id':'u1'}", "u1"},
        {" {\n'reference_id' : 'u1'\t}\r\n", "u1"},
        {"{'reference_id':'\xc3\xbc \xf0\x9f\x98\x80 \\u00e9'}",
            "\xc3\xbc \xf0\x9f\x98\x80 \xc3\xa9"},
        {"{'reference_id':'u1','environment':'staging'}", "u1 env=staging"},
        {"{'reference_id':'u1','environment':'default','action':'connect'}", "u1"},
        {"{'reference_id':'u1','environment':null,'action':null,'providers':null,'provider':null,"
         "'language':null,'timeout_seconds':null,'show_disconnect':null,'connected_uids':null,"
         "'request_id':null,'sdk_app':null}",
            "u1"},
        {"{'reference_id':'u1','timeout_seconds':5}", "u1 timeout=5000000"},
        {"{'reference_id':'u1','timeout_seconds':0.25}", "u1 timeout=250000"},
        {"{'reference_id':'u1','timeout_seconds':3600}", "u1 timeout=3600000000"},
        {"{'reference_id':'u1','timeout_seconds':1e-9}", "u1 timeout=1"},
        {"{'reference_id':'u1','provider':'garmin'}", "u1 provider=GARMIN"},
        {"{'reference_id':'u1','provider':'Concept2'}", "u1 provider=CONCEPT2"},
        {"{'reference_id':'u1','provider':'aa'}", "u1 provider=AA"},
        {"{'reference_id':'u1','provider':'a123456789a123456789a123456789a123456789'}",
            "u1 provider=A123456789A123456789A123456789A123456789"},
        {"{'reference_id':'u1','providers':['GARMIN']}", "u1 providers=GARMIN"},
        {"{'reference_id':'u1','providers':['garmin','OURA','Dexcom_EU']}",
            "u1 providers=GARMIN,OURA,DEXCOM_EU"},
        {"{'reference_id':'u1','providers':['GARMIN','garmin','OURA','GARMIN','OURA']}",
            "u1 providers=GARMIN,OURA"},
        {"{'reference_id':'u1','providers':['GOOGLE','GOOGLEFIT','FIT','GOOGLE_HEALTH','GOOGLE']}",
            "u1 providers=GOOGLE,GOOGLEFIT,FIT,GOOGLE_HEALTH"},
        {"{'reference_id':'u1','language':'fr'}", "u1 language=fr"},
        {"{'reference_id':'u1','language':'zh-CN'}", "u1 language=zh_cn"},
        {"{'reference_id':'u1','language':'ZH_hans'}", "u1 language=zh_hans"},
        {"{'reference_id':'u1','language':'fil'}", "u1 language=fil"},
        {"{'reference_id':'u1','auth_success_redirect_url':'https://app.example/cb?rid=1',"
         "'auth_failure_redirect_url':'myapp://done'}",
            "u1 success=https://app.example/cb?rid=1 failure=myapp://done"},
        {"{'reference_id':'u1','auth_success_redirect_url':'multi-auth'}", "u1 success=multi-auth"},
        {"{'reference_id':'u1','show_disconnect':true,'multi_auth':false,'bypass_feedback':true,"
         "'use_terra_avengers_app':false}",
            "u1 disconnect=yes multi=no bypass=yes avengers=no"},
        {"{'reference_id':'u1','connected_uids':['a','b-\xc3\xbc']}", "u1 uid=a uid=b-\xc3\xbc"},
        {"{'reference_id':'u1','apple_app_url':'myapp://x','samsung_app_url':'https://s.example/"
         "a'}",
            "u1 apple=myapp://x samsung=https://s.example/a"},
        {"{'reference_id':'u1','provider':'apple_health','sdk_app':'grip'}",
            "u1 provider=APPLE_HEALTH sdk=grip"},
        {"{'provider':'OURA','language':'fr','reference_id':'u1',"
         "'auth_success_redirect_url':'myapp://done/x'}",
            "u1 provider=OURA language=fr success=myapp://done/x"},
    };
    CHECK_DECODED(rows);
}

static void warns(void **state)
{
    (void)state;
#define FITBIT "\nFITBIT: the Fitbit Web API is closed; its successor is the provider GOOGLE_HEALTH"
#define MORE "'x1x':1,'x2x':1,'x3x':1,'x4x':1,'x5x':1,'x6x':1,'x7x':1,"
#define MORE_WARNINGS                                                                              \
    "\nunknown field \"x1x\" is ignored\nunknown field \"x2x\" is ignored\nunknown field \"x3x\" " \
    "is "                                                                                          \
    "ignored\nunknown field \"x4x\" is ignored\nunknown field \"x5x\" is ignored\nunknown field "  \
    "\"x6x\" is ignored\nunknown field \"x7x\" is ignored"
    static const struct decoded_row rows[] = {
        {"{'reference_id':'u1','provider':'Fitbit'}", "u1 provider=FITBIT" FITBIT},
        {"{'reference_id':'u1','providers':['OURA','FITBIT']}", "u1 providers=OURA,FITBIT" FITBIT},
        {"{'reference_id':'u1','providers':['FITBITS']}", "u1 providers=FITBITS"},
        {"{'reference_id':'u1','referenceId':'u2'}",
            "u1\nunknown field \"referenceId\" is ignored; did you mean \"reference_id\"?"},
        {"{'reference_id':'u1','lang':'fr'}", "u1\nunknown field \"lang\" is ignored"},
        {"{'reference_id':'u1','langauge':null}",
            "u1\nunknown field \"langauge\" is ignored; did you mean \"language\"?"},
        {"{'reference_id':'u1','authSuccessRedirectUrl':'x'}",
            "u1\nunknown field \"authSuccessRedirectUrl\" is ignored; did you mean "
            "\"auth_success_redirect_url\"?"},
        {"{'reference_id':'u1','Provider':'OURA'}",
            "u1\nunknown field \"Provider\" is ignored; did you mean \"provider\"?"},
        {"{'reference_id':'u1','resource':{'deep':[[[]]]}}",
            "u1\nunknown field \"resource\" is ignored"},
        {"{'reference_id':'u1','':1}", "u1\nunknown field \"\" is ignored"},
        {"{'reference_id':'u1','gr\xc3\xb6\xc3\x9f"
         "e':1}",
            "u1\nunknown field text that cannot be shown is ignored"},
        {"{'reference_id':'u1','a\\u001b[31m':1}",
            "u1\nunknown field text that cannot be shown is ignored"},
        {"{'reference_id':'u1','a23456789b123456789c123456789d1234567890':1}",
            "u1\nunknown field \"a23456789b123456789c123456789d1234567890\" is ignored"},
        {"{'reference_id':'u1','a23456789b123456789c123456789d12345678901':1}",
            "u1\nunknown field \"a23456789b123456789c123456789d1234567890\xe2\x80\xa6\" is "
            "ignored"},
        {"{" MORE "'reference_id':'u1','provider':'FITBIT'}",
            "u1 provider=FITBIT" FITBIT MORE_WARNINGS},
        {"{" MORE "'x8x':1,'x9x':1,'reference_id':'u1','x10x':1}",
            "u1" MORE_WARNINGS
            "\nunknown field \"x8x\" is ignored\n2 more unknown fields are ignored"},
        {"{'reference_id':'u1','sdk_app':'grip'}",
            "u1\nfield \"sdk_app\" is not used for a widget session"},
        {"{'reference_id':'u1','provider':'OURA','sdk_app':'grip'}",
            "u1 provider=OURA\nfield \"sdk_app\" is only used with the provider APPLE_HEALTH"},
        {"{'reference_id':'u1','provider':'OURA','show_disconnect':true,'multi_auth':true,"
         "'bypass_feedback':false,'use_terra_avengers_app':true,'connected_uids':['a'],"
         "'apple_app_url':'a:b','samsung_app_url':'a:b'}",
            "u1 provider=OURA"
            "\nfield \"show_disconnect\" is not used for a link to one provider"
            "\nfield \"multi_auth\" is not used for a link to one provider"
            "\nfield \"bypass_feedback\" is not used for a link to one provider"
            "\nfield \"use_terra_avengers_app\" is not used for a link to one provider"
            "\nfield \"connected_uids\" is not used for a link to one provider"
            "\nfield \"apple_app_url\" is not used for a link to one provider"
            "\nfield \"samsung_app_url\" is not used for a link to one provider"},
        {"{'reference_id':'u1','provider':'OURA','auth_success_redirect_url':'multi-auth'}",
            "u1 provider=OURA\nfield \"auth_success_redirect_url\": \"multi-auth\" is not used for "
            "a "
            "link to one provider"},
    };
    CHECK_DECODED(rows);
}

static void fills_in_defaults(void **state)
{
    (void)state;
#define FRENCH_URLS " success=multi-auth failure=https://elsewhere.example/failed"
    static const struct decoded_row rows[] = {
        {"{'reference_id':'u1','environment':'french'}",
            "u1 env=french providers=OURA language=fr_fr" FRENCH_URLS
            " disconnect=yes uid=x timeout=7000000"},
        {"{'reference_id':'u1','environment':'french','providers':['GARMIN'],'language':'en',"
         "'auth_success_redirect_url':'myapp://done','auth_failure_redirect_url':'myapp://done',"
         "'show_disconnect':false,'connected_uids':['y'],'timeout_seconds':9}",
            "u1 env=french providers=GARMIN language=en success=myapp://done failure=myapp://done "
            "disconnect=no uid=y timeout=9000000"},
        {"{'reference_id':'u1','environment':'french','language':null}",
            "u1 env=french providers=OURA language=fr_fr" FRENCH_URLS
            " disconnect=yes uid=x timeout=7000000"},
        {"{'reference_id':'u1','environment':'french','provider':'GARMIN'}",
            "u1 env=french provider=GARMIN language=fr_fr failure=https://elsewhere.example/failed "
            "timeout=7000000"},
        {"{'reference_id':'u1','environment':'french','provider':'APPLE_HEALTH'}",
            "u1 env=french provider=APPLE_HEALTH language=fr_fr "
            "failure=https://elsewhere.example/failed sdk=grip timeout=7000000"},
        {"{'reference_id':'u1','environment':'apple'}",
            "u1 env=apple provider=APPLE_HEALTH sdk=grip"},
        {"{'reference_id':'u1','environment':'apple','sdk_app':'avengers'}",
            "u1 env=apple provider=APPLE_HEALTH sdk=avengers"},
        {"{'reference_id':'u1','environment':'apple','provider':'OURA'}",
            "u1 env=apple provider=OURA"},
        {"{'reference_id':'u1','environment':'apple','providers':['OURA']}",
            "u1 env=apple providers=OURA"},
    };
    CHECK_DECODED(rows);
}

#define INVALID CONNECT_INVALID_REQUEST

/* The fields' own faults are test_request_field's; here is what becomes of them. */
static void refuses_and_says_why(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        enum connect_code code;
        const char *message;
        const char *reference_id;
    } rows[] = {
        {"{}", INVALID, "field \"reference_id\" must be 1 to 256 bytes", NULL},
        {"{'reference_id':null}", INVALID, "field \"reference_id\" must be", NULL},
        {"{'reference_id':7}", INVALID, "field \"reference_id\" must be", NULL},
        {"{'reference_id':'u1','environment':'nowhere'}", CONNECT_UNKNOWN_ENVIRONMENT,
            "environment \"nowhere\" is not configured in this worker; there are: default, "
            "staging, "
            "french, apple",
            "u1"},
        {"{'reference_id':'u1','environment':'Staging'}", CONNECT_UNKNOWN_ENVIRONMENT,
            "environment \"Staging\"", "u1"},
        {"{'reference_id':'u1','provider':'OURA','providers':['OURA']}", INVALID,
            "fields \"provider\" and \"providers\" exclude each other", "u1"},
        {"{'reference_id':'u1','auth_success_redirect_url':'/cb'}", INVALID,
            "field \"auth_success_redirect_url\" must be an absolute URL", "u1"},
        {"{'reference_id':'u1','auth_success_redirect_url':'https://app.example\\\\@evil.example'}",
            INVALID, "field \"auth_success_redirect_url\" must be an absolute URL", "u1"},
        {"{'reference_id':'u1','auth_success_redirect_url':'https://evil.example'}",
            CONNECT_REDIRECT_NOT_ALLOWED,
            "field \"auth_success_redirect_url\" is not allowed: it must be an https URL or an app "
            "deep link that the operator's REDIRECT_URLS_ALLOWED permits",
            "u1"},
        {"{'reference_id':'u1','auth_failure_redirect_url':'multi-auth'}", INVALID,
            "field \"auth_failure_redirect_url\" must be an absolute URL", "u1"},
        {"{'reference_id':'u1','auth_failure_redirect_url':'JaVaScRiPt:alert(1)'}",
            CONNECT_REDIRECT_NOT_ALLOWED, "field \"auth_failure_redirect_url\" is not allowed",
            "u1"},
        {"{'reference_id':'u1','auth_failure_redirect_url':'https://app.example@evil.example'}",
            CONNECT_REDIRECT_NOT_ALLOWED, "field \"auth_failure_redirect_url\" is not allowed",
            "u1"},
        {"{'reference_id':'u1','auth_failure_redirect_url':'https://app.example/cb/../x'}",
            CONNECT_REDIRECT_NOT_ALLOWED, "field \"auth_failure_redirect_url\" is not allowed",
            "u1"},
        /* a field that this kind of link does not use must be right all the same */
        {"{'reference_id':'u1','provider':'OURA','multi_auth':'x'}", INVALID,
            "field \"multi_auth\" must be", "u1"},
        /* the first in the order of the table */
        {"{'sdk_app':5,'language':5,'environment':'nowhere'}", INVALID,
            "field \"reference_id\" must be", NULL},
        {"{'sdk_app':5,'language':5,'environment':'nowhere','reference_id':'u1','x':1}",
            CONNECT_UNKNOWN_ENVIRONMENT, "environment \"nowhere\"", "u1"},
        {"{'reference_id':'u1','sdk_app':5,'language':5}", INVALID, "field \"language\" must be",
            "u1"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct connect_request request;
        struct connect_error error;
        char *json = memory_copy_text(rows[i].json);
        quote(json);
        if (decode(&request, json, strlen(json), NULL, 0, &error))
            fail_msg("taken: %s", json);
        if (error.code != rows[i].code || !text_starts_with(error.message, rows[i].message))
            fail_msg("%s: %s: %s", json, connect_code_name(error.code), error.message);
        assert_false(error.retryable);
        assert_string_equal(request.request_id, "terra.connect.requests-3-42");
        assert_true(text_equal(request.reference_id, rows[i].reference_id));
        assert_int_equal(request.identified, rows[i].reference_id != NULL);
        assert_non_null(request.environment);
        connect_request_release(&request);
        free(json);
    }
}

#define BYTES(text) text, sizeof(text) - 1

static void refuses_what_is_no_request(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        size_t size;
        const char *message;
    } rows[] = {
        {NULL, 0, "the request has no value (null); it must be a JSON object"},
        {BYTES(""), "the request has an empty value; it must be a JSON object"},
        {BYTES("[]"), "the request must be a JSON object, but is of type array"},
        {BYTES("\"u1\""), "the request must be a JSON object, but is of type string"},
        {BYTES("7"), "the request must be a JSON object, but is of type number"},
        {BYTES("true"), "the request must be a JSON object, but is of type boolean"},
        {BYTES("null"), "the request must be a JSON object, but is of type null"},
        {BYTES("u1"), "the request cannot be read: "},
        {BYTES(" "), "the request cannot be read: "},
        {BYTES("{"), "the request cannot be read: "},
        {BYTES("{\"reference_id\":\"u1\""), "the request cannot be read: "},
        {BYTES("{\"reference_id\":\"u1\"}}"), "the request cannot be read: "},
        {BYTES("{\"reference_id\":\"u1\"}{}"), "the request cannot be read: "},
        {BYTES("{\"reference_id\":\"u1\"} x"), "the request cannot be read: "},
        {BYTES("{\"reference_id\":\"u1\"}\0"), "the request cannot be read: "},
        {BYTES("\0{\"reference_id\":\"u1\"}"), "the request cannot be read: "},
        {BYTES("{\"reference_id\":\"u1\0x\"}"), "the request cannot be read: "},
        {BYTES("{\"reference_id\":\"u1\\u0000evil\"}"), "the request cannot be read: "},
        {BYTES("{\"reference_id\\u0000\":\"u1\"}"), "the request cannot be read: "},
        {BYTES("{\"reference_id\":\"\xff\"}"), "the request cannot be read: "},
        {BYTES("{\"reference_id\":\"\xc0\xaf\"}"), "the request cannot be read: "},
        {BYTES("{\"reference_id\":\"\xed\xa0\x80\"}"), "the request cannot be read: "},
        {BYTES("{\"reference_id\":\"\xe2\x82\"}"), "the request cannot be read: "},
        {BYTES("{\"reference_id\":\"\\ud800\"}"), "the request cannot be read: "},
        {BYTES("{\"reference_id\":\"u1\",\"reference_id\":\"u2\"}"),
            "the request cannot be read: "},
        {BYTES("{\"reference_id\":\"u1\",\"reference\\u005fid\":\"u2\"}"),
            "the request cannot be read: "},
        {BYTES("\xef\xbb\xbf{\"reference_id\":\"u1\"}"), "the request cannot be read: "},
        {BYTES("{'reference_id':'u1'}"), "the request cannot be read: "},
        {BYTES("{\"reference_id\":\"u1\",}"), "the request cannot be read: "},
        {BYTES("{\"reference_id\":\"u1\"/**/}"), "the request cannot be read: "},
        {BYTES("{\"timeout_seconds\":NaN}"), "the request cannot be read: "},
        {BYTES("reference_id=u1"), "the request cannot be read: "},
        {BYTES("\0\0\0\0\1"), "the request cannot be read: "},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct connect_request request;
        struct connect_error error;
        if (decode(&request, rows[i].value, rows[i].size, NULL, 0, &error))
            fail_msg("taken: row %zu, %s", i, rows[i].value);
        if (error.code != INVALID || !text_starts_with(error.message, rows[i].message))
            fail_msg("row %zu: %s", i, error.message);
        assert_string_equal(request.request_id, "terra.connect.requests-3-42");
        assert_null(request.reference_id);
        assert_false(request.identified);
        assert_string_equal(request.environment_name, "default");
        connect_request_release(&request);
    }
}

/* before, middle repeated, after */
static void check_repeated(const char *before, const char *middle, size_t count, const char *after,
    bool decoded, const char *message)
{
    struct connect_request request;
    struct connect_error error;
    struct buf text;
    buf_init(&text, 4 * 1024 * 1024);
    buf_append_text(&text, before);
    for (size_t i = 0; i < count; i++)
        buf_append_text(&text, middle);
    buf_append_text(&text, after);
    if (decode(&request, text.data, text.size, NULL, 0, &error) != decoded)
        fail_msg("%s%s…: %s", before, middle, decoded ? error.message : "taken");
    if (!decoded && !strstr(error.message, message))
        fail_msg("%s%s…: %s", before, middle, error.message);
    connect_request_release(&request);
    buf_release(&text);
}

static void holds_its_limits(void **state)
{
    (void)state;
    check_repeated("{\"reference_id\":\"", "u", 256, "\"}", true, "");
    check_repeated("{\"reference_id\":\"", "u", 257, "\"}", false, "but is 257 bytes long");
    check_repeated("{\"reference_id\":\"", "\xc3\xbc", 128, "\"}", true, "");
    check_repeated("{\"reference_id\":\"", "\xc3\xbc", 129, "\"}", false, "but is 258 bytes long");
    check_repeated("{\"reference_id\":\"u1\"", " ", 65536 - 21, "}", true, "");
    check_repeated("{\"reference_id\":\"u1\"", " ", 65536 - 20, "}", false,
        "the request has 65537 bytes, more than the 65536 allowed");
    check_repeated(
        "{\"reference_id\":\"", "u", 3000000, "\"}", false, "more than the 65536 allowed");
    check_repeated("{\"reference_id\":\"u1\",\"providers\":[\"AA\"", ",\"AB\"", 99, "]}", true, "");
    check_repeated("{\"reference_id\":\"u1\",\"providers\":[\"AA\"", ",\"AB\"", 100, "]}", false,
        "but has 101 items, more than 100");
    check_repeated(
        "{\"reference_id\":\"u1\",\"connected_uids\":[\"AA\"", ",\"AB\"", 99, "]}", true, "");
    check_repeated("{\"reference_id\":\"u1\",\"connected_uids\":[\"AA\"", ",\"AB\"", 100, "]}",
        false, "but has 101 items, more than 100");
    check_repeated("{\"reference_id\":\"u1\",\"connected_uids\":[\"", "u", 257, "\"]}", false,
        "its item 1 is 257 bytes long");
    check_repeated("{\"reference_id\":\"u1\",\"apple_app_url\":\"a:", "u", 2046, "\"}", true, "");
    check_repeated("{\"reference_id\":\"u1\",\"apple_app_url\":\"a:", "u", 2047, "\"}", false,
        "but is 2049 bytes long");
    check_repeated(
        "{\"reference_id\":\"u1\",\"auth_success_redirect_url\":\"https://app.example/cb/", "u",
        2048 - 23, "\"}", true, "");
    check_repeated(
        "{\"reference_id\":\"u1\",\"auth_success_redirect_url\":\"https://app.example/cb/", "u",
        2048 - 22, "\"}", false, "but is 2049 bytes long");
    check_repeated("", "[", 60000, "", false, "the request cannot be read");
    check_repeated("", "{\"a\":", 12000, "", false, "the request cannot be read");
    check_repeated("{\"reference_id\":\"u1\",\"x\":", "[", 30000, "]", false, "cannot be read");
    check_repeated("{\"reference_id\":\"u1\",\"x\":[1", ",1", 30000, "]}", false, "cannot be read");
}

/* The largest that providers can become fits with all the other made texts. */
static void holds_the_largest_providers(void **state)
{
    (void)state;
    struct connect_request request;
    struct connect_error error;
    struct buf text, joined;
    buf_init(&text, CONNECT_REQUEST_BYTES_MAX);
    buf_init(&joined, CONNECT_REQUEST_BYTES_MAX);
    buf_append_text(&text, "{\"reference_id\":\"u1\",\"language\":\"zh-hans\",\"providers\":[");
    for (int i = 0; i < 100; i++) {
        buf_printf(&text, "%s\"provider_name_of_just_forty_bytes_____%02d\"", i ? "," : "", i);
        buf_printf(&joined, "%sPROVIDER_NAME_OF_JUST_FORTY_BYTES_____%02d", i ? "," : "", i);
    }
    buf_append_text(&text, "]}");
    char correlation[256];
    memset(correlation, 'c', sizeof(correlation));
    assert_true(decode(&request, text.data, text.size, correlation, sizeof(correlation), &error));
    assert_string_equal(request.providers, buf_text(&joined));
    assert_string_equal(request.language, "zh_hans");
    assert_int_equal(strlen(request.request_id), 256);
    connect_request_release(&request);
    buf_release(&text);
    buf_release(&joined);
}

static void names_the_request(void **state)
{
    (void)state;
    static char long_text[301], long_hex[257];
    memset(long_text, 'a', sizeof(long_text) - 1);
    for (int i = 0; i < 128; i++)
        memcpy(long_hex + 2 * i, "61", 3);
    static const struct {
        const char *json;
        const char *correlation;
        size_t correlation_size;
        const char *request_id;
        const char *reference_id;
        bool identified;
    } rows[] = {
        {"{\"reference_id\":\"u1\",\"request_id\":\"r1\"}", BYTES("c1"), "r1", "u1", true},
        {"{\"reference_id\":\"u1\"}", BYTES("c1"), "c1", "u1", true},
        {"{\"reference_id\":\"u1\"}", BYTES("c \xc3\xbc"), "c \xc3\xbc", "u1", true},
        {"{\"reference_id\":\"u1\"}", BYTES("\x01\x23\xab\xff"), "0123abff", "u1", true},
        {"{\"reference_id\":\"u1\"}", BYTES("ab\0cd"), "6162006364", "u1", true},
        {"{\"reference_id\":\"u1\"}", BYTES("ab\n"), "61620a", "u1", true},
        {"{\"reference_id\":\"u1\"}", BYTES("\xc3"), "c3", "u1", true},
        {"{\"reference_id\":\"u1\"}", "", 0, "terra.connect.requests-3-42", "u1", true},
        {"{\"reference_id\":\"u1\"}", long_text, 256, NULL, "u1", true},
        {"{\"reference_id\":\"u1\"}", long_text, 257, long_hex, "u1", true},
        {"{\"reference_id\":\"u1\"}", long_text, 300, long_hex, "u1", true},
        /* on an error just as well */
        {"{\"reference_id\":5,\"request_id\":\"r1\"}", NULL, 0, "r1", NULL, true},
        {"{\"reference_id\":\"u1\",\"request_id\":\"r1\",\"sdk_app\":5}", NULL, 0, "r1", "u1",
            true},
        {"{\"sdk_app\":5,\"request_id\":\"\"}", BYTES("c1"), "c1", NULL, false},
        {"{\"sdk_app\":5,\"request_id\":\"\",\"reference_id\":\"u1\"}", BYTES("c1"), "c1", "u1",
            true},
        {"not JSON", BYTES("c1"), "c1", NULL, false},
        {"not JSON", BYTES("\xff"), "ff", NULL, false},
        {"[\"request_id\"]", NULL, 0, "terra.connect.requests-3-42", NULL, false},
        {NULL, BYTES("c1"), "c1", NULL, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct connect_request request;
        struct connect_error error;
        decode(&request, rows[i].json, rows[i].json ? strlen(rows[i].json) : 0, rows[i].correlation,
            rows[i].correlation_size, &error);
        if (rows[i].request_id)
            assert_string_equal(request.request_id, rows[i].request_id);
        else
            assert_memory_equal(request.request_id, long_text, 256);
        assert_true(text_equal(request.reference_id, rows[i].reference_id));
        assert_int_equal(request.identified, rows[i].identified);
        connect_request_release(&request);
    }
}

static void names_the_environment_asked_for(void **state)
{
    (void)state;
    static const struct {
        const char *json, *asked, *taken;
    } rows[] = {
        {"{\"environment\":\"staging\"}", "staging", "staging"},
        {"{\"environment\":\"nowhere\"}", "nowhere", "default"},
        {"{\"environment\":\"no where\"}", "default", "default"},
        {"{\"environment\":5}", "default", "default"},
        {"not JSON", "default", "default"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct connect_request request;
        struct connect_error error;
        assert_false(decode(&request, rows[i].json, strlen(rows[i].json), NULL, 0, &error));
        assert_string_equal(request.environment_name, rows[i].asked);
        assert_string_equal(request.environment->name, rows[i].taken);
        connect_request_release(&request);
    }
}

/* Requests that must differ from each other, each with others that must be the same. */
static void digests_what_shapes_the_call(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"{'reference_id':'u1','request_id':'r'}",
            "{'request_id':'r','reference_id':'u1','timeout_seconds':5,'x':1,'sdk_app':'grip'}",
            "{'request_id':'r','reference_id':'u1','environment':'default','language':null}"},
        {"{'reference_id':'u2','request_id':'r'}"},
        {"{'reference_id':'u1','request_id':'r2'}"},
        {"{'reference_id':'u1','request_id':'r','environment':'staging'}"},
        {"{'reference_id':'u1','request_id':'r','environment':'french'}"},
        {"{'reference_id':'u1','request_id':'r','provider':'OURA'}",
            "{'reference_id':'u1','request_id':'r','provider':'oura','multi_auth':true}"},
        {"{'reference_id':'u1','request_id':'r','providers':['OURA']}",
            "{'reference_id':'u1','request_id':'r','providers':['OURA','oura']}"},
        {"{'reference_id':'u1','request_id':'r','providers':['OURA','GARMIN']}"},
        {"{'reference_id':'u1','request_id':'r','language':'zh-CN'}",
            "{'reference_id':'u1','request_id':'r','language':'zh_cn'}"},
        {"{'reference_id':'u1','request_id':'r','auth_success_redirect_url':'myapp://done'}"},
        {"{'reference_id':'u1','request_id':'r','auth_failure_redirect_url':'myapp://done'}"},
        {"{'reference_id':'u1','request_id':'r','show_disconnect':true}"},
        {"{'reference_id':'u1','request_id':'r','show_disconnect':false}"},
        {"{'reference_id':'u1','request_id':'r','multi_auth':true}"},
        {"{'reference_id':'u1','request_id':'r','bypass_feedback':true}"},
        {"{'reference_id':'u1','request_id':'r','use_terra_avengers_app':true}"},
        {"{'reference_id':'u1','request_id':'r','connected_uids':['ab']}"},
        {"{'reference_id':'u1','request_id':'r','connected_uids':['a','b']}"},
        {"{'reference_id':'u1','request_id':'r','apple_app_url':'a:b'}"},
        {"{'reference_id':'u1','request_id':'r','samsung_app_url':'a:b'}"},
        {"{'reference_id':'u1','request_id':'r','provider':'APPLE_HEALTH'}"},
        {"{'reference_id':'u1','request_id':'r','provider':'APPLE_HEALTH','sdk_app':'grip'}"},
    };
    enum { COUNT = sizeof(rows) / sizeof(rows[0]) };
    char digests[COUNT][DIGEST_HEX_SIZE];
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t j = 0; j < 3 && rows[i][j]; j++) {
            struct connect_request request;
            struct connect_error error;
            char digest[DIGEST_HEX_SIZE];
            char *json = memory_copy_text(rows[i][j]);
            quote(json);
            if (!decode(&request, json, strlen(json), NULL, 0, &error))
                fail_msg("%s: %s", json, error.message);
            connect_request_digest(&request, j == 0 ? digests[i] : digest);
            if (j > 0)
                assert_string_equal(digest, digests[i]);
            connect_request_release(&request);
            free(json);
        }
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(digests[k], digests[i]);
    }
}

static void survives_mutations(void **state)
{
    (void)state;
    static const char plain[] = "{'reference_id':'u1'}";
    static const char widget[] =
        "{'reference_id':'u1','request_id':'r1','providers':['garmin','OURA','FITBIT'],'language':"
        "'zh-CN','auth_success_redirect_url':'https://app.example/cb?x=1','show_disconnect':true,"
        "'connected_uids':['a','b'],'timeout_seconds':12.5,'environment':'french'}";
    static const char provider[] =
        "{'reference_id':'\\u00e9','provider':'apple_health','sdk_app':'grip','environment':"
        "'apple','auth_failure_redirect_url':'myapp://done','referenceId':[1,{'a':null}]}";
    static const char *const requests[] = {plain, widget, provider};
    struct mutation mutation;
    mutation_init(&mutation, UINT64_C(0x7e44ac0441ec7));
    unsigned decoded_count = 0, refused_count = 0;
    for (int round = 0; round < 20000; round++) {
        char bytes[1024], digest[DIGEST_HEX_SIZE];
        size_t size = strlen(requests[round % 3]);
        memcpy(bytes, requests[round % 3], size + 1);
        quote(bytes);
        for (size_t edits = 1 + mutation_random(&mutation, 4); edits > 0; edits--)
            size = mutation_apply(&mutation, bytes, size, sizeof(bytes));
        struct connect_request request;
        struct connect_error error;
        bool decoded = decode(&request, bytes, size, bytes, mutation_random(&mutation, 20), &error);
        assert_non_null(request.request_id);
        assert_int_not_equal(strlen(request.request_id), 0);
        assert_non_null(request.environment);
        assert_non_null(request.environment_name);
        if (decoded) {
            assert_non_null(request.reference_id);
            assert_true(request.timeout_us > 0);
            connect_request_digest(&request, digest);
            decoded_count++;
        } else {
            assert_in_range(error.code, 0, CONNECT_CODE_COUNT - 1);
            assert_int_not_equal(strlen(error.message), 0);
            assert_true(utf8_valid(error.message, strlen(error.message)));
            refused_count++;
        }
        for (size_t i = 0; i < request.warnings.count; i++)
            assert_true(utf8_valid(request.warnings.items[i], strlen(request.warnings.items[i])));
        connect_request_release(&request);
    }
    /* The mutations are of use only while both happen. */
    assert_true(decoded_count > 500);
    assert_true(refused_count > 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_requests),
        cmocka_unit_test(warns),
        cmocka_unit_test(fills_in_defaults),
        cmocka_unit_test(refuses_and_says_why),
        cmocka_unit_test(refuses_what_is_no_request),
        cmocka_unit_test(holds_its_limits),
        cmocka_unit_test(holds_the_largest_providers),
        cmocka_unit_test(names_the_request),
        cmocka_unit_test(names_the_environment_asked_for),
        cmocka_unit_test(digests_what_shapes_the_call),
        cmocka_unit_test(survives_mutations),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
