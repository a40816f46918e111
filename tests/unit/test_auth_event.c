/*
 * Terra's events in all their shapes, and the normalised event there and back. Whole examples are
 * under schemas/examples, and replayed by test_schemas.py; here stand the rules.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/memory.h"
#include "worker/auth_event.h"
#include "worker/event_scan.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
#define PUBLISHED INT64_C(1795244672123000) /* 2026-11-21T07:04:32.123Z */

static char error[AUTH_EVENT_ERROR_SIZE];

/* From a block of exactly that size, so that a sanitizer sees each read past the end. */
static enum auth_event_verdict decode_bytes(
    struct auth_event *event, const char *bytes, size_t size)
{
    char *block = malloc(size > 0 ? size : 1);
    assert_non_null(block);
    memcpy(block, bytes, size);
    error[0] = '\0';
    enum auth_event_verdict verdict = auth_event_decode(event, block, size, error);
    free(block);
    assert_int_equal(verdict == AUTH_EVENT_BAD, error[0] != '\0');
    return verdict;
}

static void decode(struct auth_event *event, const char *json)
{
    if (decode_bytes(event, json, strlen(json)) != AUTH_EVENT_READ)
        fail_msg("%s: %s", json, error);
}

static void assert_text(const char *text, const char *expected)
{
    if (expected) {
        assert_non_null(text);
        assert_string_equal(text, expected);
    } else {
        assert_null(text);
    }
}

static void test_kinds(void **state)
{
    static const struct {
        const char *json;
        enum auth_event_kind kind;
    } rows[] = {
        {"{\"type\":\"auth\",\"status\":\"success\",\"user\":{\"user_id\":\"a\"}}",
            AUTH_EVENT_CONNECTED},
        {"{\"type\":\"auth\",\"status\":\"Success\",\"reason\":\"x\",\"reference_id\":\"r\"}",
            AUTH_EVENT_CONNECTED},
        {"{\"type\":\"auth\",\"status\":\"error\",\"user\":{\"user_id\":\"a\"}}",
            AUTH_EVENT_CONNECT_FAILED},
        {"{\"type\":\"auth\",\"status\":\"warning\",\"user\":{\"user_id\":\"a\"}}",
            AUTH_EVENT_CONNECT_FAILED},
        {"{\"type\":\"auth\",\"user\":{\"user_id\":\"a\"}}", AUTH_EVENT_CONNECTED},
        {"{\"type\":\"auth\",\"status\":null,\"user\":{\"user_id\":\"a\"}}", AUTH_EVENT_CONNECTED},
        {"{\"type\":\"auth\",\"status\":7,\"user\":{\"user_id\":\"a\"}}", AUTH_EVENT_CONNECTED},
        {"{\"type\":\"auth\",\"user\":{\"user_id\":\"a\"},\"reason\":\"x\"}",
            AUTH_EVENT_CONNECT_FAILED},
        {"{\"type\":\"auth\",\"user\":{\"user_id\":\"a\"},\"reason\":\"\"}", AUTH_EVENT_CONNECTED},
        {"{\"type\":\"auth\",\"user\":{\"reference_id\":\"r\"}}", AUTH_EVENT_CONNECT_FAILED},
        {"{\"type\":\"auth_cancelled\",\"status\":\"success\",\"reference_id\":\"r\"}",
            AUTH_EVENT_CONNECT_FAILED},
        {"{\"type\":\"deauth\",\"user\":{\"user_id\":\"a\"}}", AUTH_EVENT_DISCONNECTED},
        {"{\"type\":\"access_revoked\",\"user\":{\"user_id\":\"a\"}}", AUTH_EVENT_REVOKED},
        {"{\"type\":\"connection_error\",\"user\":{\"user_id\":\"a\"}}", AUTH_EVENT_DEGRADED},
        {"{\"type\":\"user_reauth\",\"new_user\":{\"user_id\":\"a\"}}", AUTH_EVENT_REAUTHENTICATED},
        {"{\"type\":\"permission_change\",\"user\":{\"user_id\":\"a\"}}",
            AUTH_EVENT_PERMISSIONS_CHANGED},
        {"{\"type\":\"google_no_datasource\",\"user\":{\"user_id\":\"a\"}}",
            AUTH_EVENT_NO_DATA_SOURCE},
    };
    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct auth_event event;
        struct event_scan scan;
        decode(&event, rows[i].json);
        if (event.kind != rows[i].kind)
            fail_msg("%s: %s", rows[i].json, auth_event_kind_name(event.kind));
        /* what is read here is what the scanner sends here */
        event_scan_init(&scan);
        assert_int_equal(event_scan_feed(&scan, rows[i].json, strlen(rows[i].json)), EVENT_AUTH);
        assert_string_equal(event.type, event_scan_type(&scan));
        auth_event_release(&event);
        assert_null(event.type);
        auth_event_release(&event);
    }
}

static void test_not_auth(void **state)
{
    static const char *const rows[] = {"{}", "{\"type\":\"daily\",\"user\":7}",
        "{\"type\":\"s3_payload\"}", "{\"type\":null}", "{\"type\":[\"auth\"]}",
        "{\"type\":\"AUTH\"}", "{\"type\":\"auth \"}", "{\"kind\":\"connected\"}"};
    struct auth_event event;
    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++)
        assert_int_equal(decode_bytes(&event, rows[i], strlen(rows[i])), AUTH_EVENT_NOT_AUTH);
}

/* Who an event is about, wherever it says so. */
static void test_ids(void **state)
{
    static const struct {
        const char *json, *user_id, *old_user_id, *reference_id;
    } rows[] = {
        {"{\"type\":\"auth\",\"user\":{\"user_id\":\"a\",\"reference_id\":\"r\"},"
         "\"reference_id\":\"top\"}",
            "a", NULL, "r"},
        {"{\"type\":\"auth\",\"user\":{\"user_id\":\"a\",\"reference_id\":\"\"},"
         "\"reference_id\":\"top\"}",
            "a", NULL, "top"},
        {"{\"type\":\"auth\",\"user\":[{\"user_id\":\"a\"}],\"reference_id\":null}", "a", NULL,
            NULL},
        {"{\"type\":\"auth\",\"user\":[],\"reference_id\":\"r\"}", NULL, NULL, "r"},
        {"{\"type\":\"auth\",\"user\":null,\"reference_id\":7}", NULL, NULL, "7"},
        {"{\"type\":\"deauth\",\"user\":{\"user_id\":null,\"reference_id\":\"r\"}}", NULL, NULL,
            "r"},
        {"{\"type\":\"auth_cancelled\",\"flow_id\":\"f\"}", NULL, NULL, NULL},
        {"{\"type\":\"auth_cancelled\",\"widget_session_id\":\"w\"}", NULL, NULL, NULL},
        {"{\"type\":\"user_reauth\",\"new_user\":{\"user_id\":\"b\"},"
         "\"old_user\":{\"user_id\":\"a\",\"reference_id\":\"old\"}}",
            "b", "a", "old"},
        {"{\"type\":\"user_reauth\",\"new_user\":[{\"user_id\":\"b\",\"reference_id\":\"r\"}],"
         "\"old_user\":[{\"user_id\":\"a\",\"reference_id\":\"old\"}],\"old_user_id\":\"x\"}",
            "b", "a", "r"},
        {"{\"type\":\"user_reauth\",\"user\":{\"user_id\":\"b\"},\"old_user_id\":\"a\"}", "b", "a",
            NULL},
        {"{\"type\":\"user_reauth\",\"new_user\":{\"user_id\":\"b\"},\"old_user\":null}", "b", NULL,
            NULL},
        {"{\"type\":\"user_reauth\",\"new_user\":{\"user_id\":\"b\"},\"old_user_id\":\"b\"}", "b",
            NULL, NULL},
        {"{\"type\":\"user_reauth\",\"old_user\":{\"user_id\":\"a\"}}", NULL, "a", NULL},
        /* of other types, an old user is an unknown field */
        {"{\"type\":\"auth\",\"user\":{\"user_id\":\"a\"},\"old_user\":7,\"old_user_id\":[]}", "a",
            NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct auth_event event;
        decode(&event, rows[i].json);
        assert_text(event.user_id, rows[i].user_id);
        assert_text(event.old_user_id, rows[i].old_user_id);
        assert_text(event.reference_id, rows[i].reference_id);
        auth_event_release(&event);
    }
}

static void test_words(void **state)
{
    struct auth_event event;
    (void)state;
    decode(&event,
        "{\"type\":\"auth\",\"status\":\"error\",\"provider\":\"garmin\",\"reason\":\"a\\nb\","
        "\"widget_session_id\":\"w\",\"flow_id\":\"f\",\"scopes_added\":\"\","
        "\"scopes_removed\":\"b,a\",\"user\":{\"user_id\":\"a\",\"scopes\":[\"x\"]}}");
    assert_text(event.provider, "GARMIN");
    assert_text(event.reason, "a b");
    assert_text(event.status, "error");
    assert_text(event.widget_session_id, "w");
    assert_text(event.flow_id, "f");
    assert_text(event.scopes, "x");
    assert_text(event.scopes_added, "");
    assert_text(event.scopes_removed, "a,b");
    auth_event_release(&event);
    /* no event is lost over them */
    decode(&event,
        "{\"type\":\"auth\",\"status\":{},\"provider\":7,\"reason\":[],\"widget_session_id\":{},"
        "\"flow_id\":\"a\\u0001\",\"scopes_added\":7,\"scopes_removed\":null,"
        "\"user\":{\"user_id\":\"a\",\"scopes\":{},\"active\":\"perhaps\",\"created_at\":1}}");
    assert_int_equal(event.kind, AUTH_EVENT_CONNECTED);
    assert_text(event.provider, NULL);
    assert_text(event.reason, NULL);
    assert_text(event.status, NULL);
    assert_text(event.widget_session_id, NULL);
    assert_text(event.flow_id, NULL);
    assert_text(event.scopes, NULL);
    assert_text(event.scopes_added, NULL);
    assert_text(event.scopes_removed, NULL);
    auth_event_release(&event);
    decode(&event, "{\"type\":\"user_reauth\",\"new_user\":{\"user_id\":\"b\"},"
                   "\"old_user\":{\"user_id\":\"a\",\"provider\":\"Oura\",\"scopes\":\"x\"}}");
    assert_text(event.provider, "OURA");
    assert_text(event.scopes, NULL);
    auth_event_release(&event);
}

static void test_byte_order_mark(void **state)
{
    struct auth_event event;
    (void)state;
    decode(&event, "\xef\xbb\xbf{\"type\":\"deauth\",\"user\":{\"user_id\":\"a\"}}");
    auth_event_release(&event);
    assert_int_equal(decode_bytes(&event, "\xef\xbb\xbf", 3), AUTH_EVENT_BAD);
    assert_int_equal(decode_bytes(&event, "\xef\xbb", 2), AUTH_EVENT_BAD);
    assert_int_equal(decode_bytes(&event, "", 0), AUTH_EVENT_BAD);
}

/* What is wrong is said without what was there. */
static void test_errors_hold_no_values(void **state)
{
    static const char *const rows[] = {
        "{\"type\":\"auth\",\"user\":{\"user_id\":\"secret\\u0001\"}}",
        "{\"type\":\"auth\",\"user\":\"secret\"}", "{\"type\":\"auth\",\"user\":[\"secret\"]}",
        "{\"type\":\"auth\",\"secret\":1,\"secret\":2}", "\"secret\"", "secret"};
    struct auth_event event;
    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        assert_int_equal(decode_bytes(&event, rows[i], strlen(rows[i])), AUTH_EVENT_BAD);
        assert_null(strstr(error, "secret"));
    }
}

/* Each pair of events is the same, or is not. */
static void test_identity(void **state)
{
#define USER "\"user\":{\"user_id\":\"a\",\"provider\":\"OURA\",\"scopes\":\"x,y\"}"
    static const struct {
        const char *left, *right;
        bool same;
    } rows[] = {
        {"{\"type\":\"auth\"," USER "}", "{" USER ",\"type\":\"auth\"}", true},
        {"{\"type\":\"auth\"," USER "}",
            "{\"type\":\"auth\",\"user\":[{\"user_id\":\"a\",\"provider\":\"oura\","
            "\"scopes\":\"y, x\",\"active\":\"true\",\"last_webhook_update\":\"z\"}],"
            "\"message\":\"m\",\"version\":\"v\",\"flow_id\":null,\"reason\":\"\",\"new\":1}",
            true},
        {"{\"type\":\"auth\"," USER "}", "{\"type\":\"deauth\"," USER "}", false},
        {"{\"type\":\"auth\"," USER "}", "{\"type\":\"auth\",\"status\":\"error\"," USER "}",
            false},
        {"{\"type\":\"auth\"," USER "}", "{\"type\":\"auth\",\"flow_id\":\"f\"," USER "}", false},
        {"{\"type\":\"auth\",\"flow_id\":\"f\"," USER "}",
            "{\"type\":\"auth\",\"widget_session_id\":\"f\"," USER "}", false},
        {"{\"type\":\"auth\"," USER "}", "{\"type\":\"auth\",\"reason\":\"f\"," USER "}", false},
        {"{\"type\":\"auth\"," USER "}", "{\"type\":\"auth\",\"reference_id\":\"r\"," USER "}",
            false},
        {"{\"type\":\"auth\"," USER "}",
            "{\"type\":\"auth\",\"user\":{\"user_id\":\"a\",\"provider\":\"OURA\"}}", false},
        {"{\"type\":\"auth\",\"user\":{\"user_id\":\"a\",\"created_at\":\"1\"}}",
            "{\"type\":\"auth\",\"user\":{\"user_id\":\"a\",\"created_at\":\"2\"}}", false},
        {"{\"type\":\"permission_change\",\"scopes_added\":\"x\"," USER "}",
            "{\"type\":\"permission_change\",\"scopes_removed\":\"x\"," USER "}", false},
        {"{\"type\":\"permission_change\",\"scopes_added\":\"\"," USER "}",
            "{\"type\":\"permission_change\"," USER "}", false},
        {"{\"type\":\"user_reauth\",\"new_user\":{\"user_id\":\"b\"},\"old_user_id\":\"a\"}",
            "{\"type\":\"user_reauth\",\"new_user\":{\"user_id\":\"a\"},\"old_user_id\":\"b\"}",
            false},
    };
#undef USER
    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct auth_event left, right;
        char one[DIGEST_HEX_SIZE], other[DIGEST_HEX_SIZE];
        decode(&left, rows[i].left);
        decode(&right, rows[i].right);
        auth_event_identity(&left, NULL, one);
        auth_event_identity(&right, "", other);
        if ((strcmp(one, other) == 0) != rows[i].same)
            fail_msg("%s and %s", rows[i].left, rows[i].right);
        /* a payload_reference has the last word */
        auth_event_identity(&left, "p", one);
        assert_string_not_equal(one, other);
        auth_event_identity(&right, "p", other);
        assert_string_equal(one, other);
        auth_event_identity(&right, "q", other);
        assert_string_not_equal(one, other);
        auth_event_release(&left);
        auth_event_release(&right);
    }
}

static void test_keys(void **state)
{
    static char user[] = "a", old[] = "b", reference[] = "r", flow[] = "f";
    const struct {
        struct auth_event event;
        const char *key;
    } rows[] = {
        {{.reference_id = reference, .user_id = user}, "r"},
        {{.user_id = user, .old_user_id = old}, "a"},
        {{.old_user_id = old}, "b"},
        {{.flow_id = flow}, NULL},
    };
    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++)
        assert_text(auth_event_key(&rows[i].event), rows[i].key);
}

static void test_encoding(void **state)
{
    struct auth_event event;
    struct buf json;
    (void)state;
    decode(&event, "{\"type\":\"auth\",\"status\":\"success\",\"user\":{\"user_id\":\"a\","
                   "\"provider\":\"OURA\",\"scopes\":\"y,x\"},\"widget_session_id\":\"w\"}");
    const struct auth_event_context context = {
        .environment = "default",
        .request_id = "r1",
        .offered_provider = "GARMIN",
        .seconds_since_link = 0.25,
        .matched_by = AUTH_EVENT_MATCH_SESSION,
        .published_wall_us = PUBLISHED,
    };
    buf_init(&json, AUTH_EVENT_JSON_BYTES_MAX);
    auth_event_encode(&event, &context, &json);
    assert_string_equal(buf_text(&json),
        "{\"kind\":\"connected\",\"user_id\":\"a\",\"old_user_id\":null,\"reference_id\":null,"
        "\"environment\":\"default\",\"provider\":\"OURA\",\"reason\":null,"
        "\"scopes\":[\"x\",\"y\"],\"scopes_added\":null,\"scopes_removed\":null,"
        "\"widget_session_id\":\"w\",\"flow_id\":null,\"occurred_at\":null,"
        "\"published_at\":\"2026-11-21T07:04:32.123Z\",\"request_id\":\"r1\","
        "\"seconds_since_link\":0.25,\"matched_by\":\"session\",\"terra_type\":\"auth\","
        "\"terra_status\":\"success\"}");
    buf_release(&json);
    auth_event_release(&event);
}

static void test_there_and_back(void **state)
{
    static const char json[] =
        "{\"kind\":\"reauthenticated\",\"user_id\":\"b\",\"old_user_id\":\"a\","
        "\"reference_id\":\"r\",\"environment\":\"default\",\"provider\":\"OURA\","
        "\"reason\":\"x\",\"scopes\":[],\"scopes_added\":[\"a\",\"b\"],\"scopes_removed\":null,"
        "\"widget_session_id\":\"w\",\"flow_id\":\"f\",\"occurred_at\":null,"
        "\"published_at\":\"2026-11-21T07:04:32.123Z\",\"request_id\":\"r1\","
        "\"seconds_since_link\":41.5,\"matched_by\":\"reference\",\"terra_type\":\"user_reauth\","
        "\"terra_status\":\"warning\"}";
    struct auth_event event;
    struct auth_event_context context;
    struct buf again;
    (void)state;
    assert_int_equal(auth_event_decode_normalised(&event, &context, json, sizeof json - 1, error),
        AUTH_EVENT_READ);
    assert_int_equal(context.published_wall_us, PUBLISHED);
    assert_int_equal(context.matched_by, AUTH_EVENT_MATCH_REFERENCE);
    assert_text(context.environment, "default");
    assert_text(context.request_id, "r1");
    buf_init(&again, AUTH_EVENT_JSON_BYTES_MAX);
    auth_event_encode(&event, &context, &again);
    assert_string_equal(buf_text(&again), json);
    buf_release(&again);
    auth_event_release(&event);
}

static void test_reading_normalised_events(void **state)
{
#define AT "\"published_at\":\"2026-11-21T07:04:32Z\""
    static const struct {
        const char *json;
        enum auth_event_verdict verdict;
    } rows[] = {
        {"{\"kind\":\"connected\"," AT "}", AUTH_EVENT_READ},
        {"{\"kind\":\"connected\",\"new\":[{}],\"matched_by\":\"new\"," AT "}", AUTH_EVENT_READ},
        {"{\"kind\":\"new_kind\"}", AUTH_EVENT_NOT_AUTH},
        {"{\"kind\":\"connected\"}", AUTH_EVENT_BAD},
        {"{\"kind\":\"connected\",\"published_at\":\"yesterday\"}", AUTH_EVENT_BAD},
        {"{\"kind\":\"connected\",\"published_at\":7}", AUTH_EVENT_BAD},
        {"{\"kind\":\"connected\",\"user_id\":\"u\",\"request_id\":\"r\",\"environment\":\"e\"}",
            AUTH_EVENT_BAD},
        {"{\"kind\":\"connected\",\"user_id\":{}," AT "}", AUTH_EVENT_BAD},
        {"{\"kind\":\"connected\",\"old_user_id\":true," AT "}", AUTH_EVENT_BAD},
        {"{\"kind\":\"connected\",\"reference_id\":[]," AT "}", AUTH_EVENT_BAD},
        {"{\"kind\":7," AT "}", AUTH_EVENT_BAD},
        {"{" AT "}", AUTH_EVENT_BAD},
        {"{}", AUTH_EVENT_BAD},
        {"[]", AUTH_EVENT_BAD},
        {"", AUTH_EVENT_BAD},
    };
#undef AT
    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct auth_event event;
        struct auth_event_context context;
        error[0] = '\0';
        enum auth_event_verdict verdict = auth_event_decode_normalised(
            &event, &context, rows[i].json, strlen(rows[i].json), error);
        if (verdict != rows[i].verdict)
            fail_msg("%s: %d %s", rows[i].json, (int)verdict, error);
        assert_int_equal(verdict == AUTH_EVENT_BAD, error[0] != '\0');
        assert_true(verdict != AUTH_EVENT_READ || context.seconds_since_link < 0);
        /* Nothing of what was refused is left to be pointed to. */
        assert_true(verdict == AUTH_EVENT_READ ||
                    (!context.request_id && !context.environment && !event.user_id));
        auth_event_release(&event);
    }
}

/* A text of that many bytes, each of which takes two in JSON. */
static char *quotes(size_t size)
{
    char *text = memory_new(size + 1);
    memset(text, '"', size);
    return text;
}

static char *most_scopes(void)
{
    struct buf json;
    struct json_error fault;
    const struct json_limits limits = {.bytes_max = 65536, .depth_max = 2, .values_max = 200};
    buf_init(&json, 65536);
    buf_append_text(&json, "{\"scopes\":\"");
    for (int i = 0; i < SCOPE_SET_MAX; i++) {
        buf_printf(&json, "%02d", i);
        for (int j = 2; j < SCOPE_SET_BYTES_MAX / SCOPE_SET_MAX - 1; j++)
            buf_append_text(&json, "\\\"");
        buf_append_char(&json, ',');
    }
    buf_append_text(&json, "\"}");
    json_value *tree = json_parse(json.data, json.size, &limits, &fault);
    char *scopes = scope_set_read(tree, "scopes");
    assert_int_equal(strlen(scopes), SCOPE_SET_BYTES_MAX - 1);
    json_free(tree);
    buf_release(&json);
    return scopes;
}

static void test_the_largest_event_has_room(void **state)
{
    struct auth_event event = {
        .kind = AUTH_EVENT_PERMISSIONS_CHANGED,
        .user_id = quotes(EVENT_ID_BYTES_MAX),
        .old_user_id = quotes(EVENT_ID_BYTES_MAX),
        .reference_id = quotes(EVENT_ID_BYTES_MAX),
        .provider = quotes(AUTH_EVENT_PROVIDER_BYTES_MAX),
        .reason = quotes(AUTH_EVENT_REASON_BYTES_MAX),
        .widget_session_id = quotes(EVENT_ID_BYTES_MAX),
        .flow_id = quotes(EVENT_ID_BYTES_MAX),
        .scopes = most_scopes(),
        .scopes_added = most_scopes(),
        .scopes_removed = most_scopes(),
        .type = quotes(AUTH_EVENT_STATUS_BYTES_MAX),
        .status = quotes(AUTH_EVENT_STATUS_BYTES_MAX),
        .environment = quotes(EVENT_ID_BYTES_MAX),
        .request_id = quotes(EVENT_ID_BYTES_MAX),
    };
    const struct auth_event_context context = {
        .environment = event.environment,
        .request_id = event.request_id,
        .seconds_since_link = 1.2345678901234567e+300,
        .matched_by = AUTH_EVENT_MATCH_REFERENCE,
        .published_wall_us = INT64_MAX,
    };
    struct buf json;
    (void)state;
    buf_init(&json, AUTH_EVENT_JSON_BYTES_MAX);
    auth_event_encode(&event, &context, &json);
    assert_true(buf_ok(&json));
    buf_release(&json);
    auth_event_release(&event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_not_auth),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_byte_order_mark),
        cmocka_unit_test(test_errors_hold_no_values),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_encoding),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_reading_normalised_events),
        cmocka_unit_test(test_the_largest_event_has_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
