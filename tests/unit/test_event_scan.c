/* What a record is, told from its first bytes; whole, in pieces, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/buf.h"
#include "worker/event_scan.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
#define BOM "\xef\xbb\xbf"
#define FORTY "abcdefghijabcdefghijabcdefghijabcdefghij"

/* In pieces of that many bytes, each from a block of its own of exactly that size, so that a
 * sanitizer sees each read past the end. */
static enum event_class scan_in_pieces(
    struct event_scan *scan, const char *text, size_t size, size_t piece)
{
    event_scan_init(scan);
    for (size_t at = 0; at < size; at += piece) {
        size_t rest = size - at < piece ? size - at : piece;
        char *block = malloc(rest);
        assert_non_null(block);
        memcpy(block, text + at, rest);
        event_scan_feed(scan, block, rest);
        free(block);
    }
    return event_scan_end(scan);
}

static void assert_scanned(const char *text, size_t size, enum event_class class, const char *type)
{
    struct event_scan scan;
    for (size_t piece = 1; piece <= size + 1 && piece < 20; piece++) {
        enum event_class found = scan_in_pieces(&scan, text, size, piece);
        if (found != class || strcmp(event_scan_type(&scan), type) != 0)
            fail_msg("pieces of %zu: class %d, type \"%s\": %.*s", piece, (int)found,
                event_scan_type(&scan), (int)size, text);
    }
    assert_int_equal(scan_in_pieces(&scan, text, size, size + 1), class);
    assert_string_equal(event_scan_type(&scan), type);
}

static void test_classes(void **state)
{
    static const struct {
        const char *text;
        enum event_class class;
        const char *type;
    } rows[] = {
        {"{\"type\":\"auth\"}", EVENT_AUTH, "auth"},
        {"{\"type\":\"auth_cancelled\",", EVENT_AUTH, "auth_cancelled"},
        {"{\"type\":\"deauth\"", EVENT_AUTH, "deauth"},
        {"{\"type\":\"user_reauth\"", EVENT_AUTH, "user_reauth"},
        {"{\"type\":\"access_revoked\"", EVENT_AUTH, "access_revoked"},
        {"{\"type\":\"connection_error\"", EVENT_AUTH, "connection_error"},
        {"{\"type\":\"permission_change\"", EVENT_AUTH, "permission_change"},
        {"{\"type\":\"google_no_datasource\"", EVENT_AUTH, "google_no_datasource"},
        {"{\"type\":\"s3_payload\"", EVENT_POINTER, "s3_payload"},
        {"{\"type\":\"activity\"", EVENT_DATA, "activity"},
        {"{\"type\":\"athlete\"", EVENT_DATA, "athlete"},
        {"{\"type\":\"body\"", EVENT_DATA, "body"},
        {"{\"type\":\"daily\"", EVENT_DATA, "daily"},
        {"{\"type\":\"health_observation\"", EVENT_DATA, "health_observation"},
        {"{\"type\":\"hormone\"", EVENT_DATA, "hormone"},
        {"{\"type\":\"menstruation\"", EVENT_DATA, "menstruation"},
        {"{\"type\":\"nutrition\"", EVENT_DATA, "nutrition"},
        {"{\"type\":\"planned_workout\"", EVENT_DATA, "planned_workout"},
        {"{\"type\":\"route\"", EVENT_DATA, "route"},
        {"{\"type\":\"sleep\"", EVENT_DATA, "sleep"},
        {"{\"type\":\"lab_report\"", EVENT_DATA, "lab_report"},
        {"{\"type\":\"lab_report.completed\"", EVENT_DATA, "lab_report.completed"},
        {"{\"type\":\"lab_reports\"", EVENT_OTHER, "lab_reports"},
        {"{\"type\":\"healthcheck\"", EVENT_OTHER, "healthcheck"},
        {"{\"type\":\"large_request_processing\"", EVENT_OTHER, "large_request_processing"},
        {"{\"type\":\"rate_limit_hit\"", EVENT_OTHER, "rate_limit_hit"},
        {"{\"type\":\"never_seen\"", EVENT_OTHER, "never_seen"},
        {"{\"type\":\"Auth\"", EVENT_OTHER, "Auth"},
        {"{\"type\":\"auth \"", EVENT_OTHER, "auth "},
        {"{\"type\":\"aut\"", EVENT_OTHER, "aut"},
        {"{\"type\":\"\"", EVENT_OTHER, ""},
    };
    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++)
        assert_scanned(rows[i].text, strlen(rows[i].text), rows[i].class, rows[i].type);
}

static void test_what_decides(void **state)
{
    static const struct {
        const char *text;
        enum event_class class;
        const char *type;
    } rows[] = {
        /* data decides alone, but only as a container, and only at the top */
        {"{\"data\":[", EVENT_DATA, ""},
        {"{\"data\":{", EVENT_DATA, ""},
        {"{\"data\":[],\"type\":\"auth\"}", EVENT_DATA, ""},
        {"{\"data\":null,\"type\":\"auth\"}", EVENT_AUTH, "auth"},
        {"{\"data\":\"[\",\"type\":\"auth\"}", EVENT_AUTH, "auth"},
        {"{\"user\":{\"data\":[1]},\"type\":\"auth\"}", EVENT_AUTH, "auth"},
        {"{\"user\":[{\"type\":\"sleep\"}],\"type\":\"auth\"}", EVENT_AUTH, "auth"},
        {"{\"datas\":[],\"dat\":[],\"type\":\"auth\"}", EVENT_AUTH, "auth"},
        {"{\"type\":\"auth\",\"data\":[]}", EVENT_AUTH, "auth"},
        /* the first type decides, whatever it is */
        {"{\"type\":\"auth\",\"type\":\"sleep\"}", EVENT_AUTH, "auth"},
        {"{\"type\":7,\"type\":\"auth\"}", EVENT_OTHER, ""},
        {"{\"type\":null,\"type\":\"auth\"}", EVENT_OTHER, ""},
        {"{\"type\":[\"auth\"]}", EVENT_OTHER, ""},
        {"{\"type\":{}}", EVENT_OTHER, ""},
        {"{\"types\":1,\"TYPE\":2,\"\":3,\"type\":\"auth\"}", EVENT_AUTH, "auth"},
        /* whatever stands in front of it */
        {" \t\r\n{ \"a\" : 1 , \"type\" : \"auth\" }", EVENT_AUTH, "auth"},
        {BOM "{\"type\":\"auth\"}", EVENT_AUTH, "auth"},
        {BOM " {\"type\":\"auth\"}", EVENT_AUTH, "auth"},
        {"{\"a\":-1.5e+3,\"b\":true,\"c\":null,\"d\":\"x\",\"type\":\"auth\"}", EVENT_AUTH, "auth"},
        {"{\"a\":1\n,\"b\":false\t,\"type\":\"auth\"}", EVENT_AUTH, "auth"},
        {"{\"a\":[[],{},[{\"b\":[1,{}]}]],\"type\":\"auth\"}", EVENT_AUTH, "auth"},
        {"{\"a\":\"}]{[,:\",\"type\":\"auth\"}", EVENT_AUTH, "auth"},
        {"{\"a\":{\"b\":\"}]\\\"}\"},\"type\":\"auth\"}", EVENT_AUTH, "auth"},
        {"{\"a\":\"12345678\\\\\",\"type\":\"auth\"}", EVENT_AUTH, "auth"},
        {"{\"a\":[\"\\\\\\\"]\"],\"type\":\"auth\"}", EVENT_AUTH, "auth"},
        /* an object without any */
        {"{}", EVENT_OTHER, ""},
        {" { } ", EVENT_OTHER, ""},
        {"{\"a\":1}", EVENT_OTHER, ""},
        {"{\"a\":{}} and more", EVENT_OTHER, ""},
    };
    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++)
        assert_scanned(rows[i].text, strlen(rows[i].text), rows[i].class, rows[i].type);
}

static void test_escapes(void **state)
{
    static const struct {
        const char *text;
        enum event_class class;
        const char *type;
    } rows[] = {
        {"{\"\\u0074ype\":\"\\u0061uth\"}", EVENT_AUTH, "auth"},
        {"{\"ty\\u0070\\u0065\":\"s3_payloa\\u0064\"}", EVENT_POINTER, "s3_payload"},
        {"{\"d\\u0061t\\u0061\":[", EVENT_DATA, ""},
        {"{\"\\u004A\\u004a\":1,\"type\":\"\\u004A\\u004a\"}", EVENT_OTHER, "JJ"},
        {"{\"type\":\"a\\\\b\\/c\\\"d\"}", EVENT_OTHER, "a\\b/c\"d"},
        {"{\"type\":\"a\\n\\t\\b\\f\\rb\"}", EVENT_OTHER, "a?????b"},
        {"{\"type\":\"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"}", EVENT_OTHER, "caf? ? ?"},
        {"{\"type\":\"auth\\u0000\"}", EVENT_OTHER, "auth?"},
        {"{\"typ\\u0165\":\"sleep\",\"type\":\"auth\"}", EVENT_AUTH, "auth"},
        {"{\"type\":\"auth\x7f\"}", EVENT_OTHER, "auth?"},
        {"{\"type\":\"\\x\"}", EVENT_UNREADABLE, ""},
        {"{\"type\":\"\\u00g0\"}", EVENT_UNREADABLE, ""},
        {"{\"type\":\"\\u00\"}", EVENT_UNREADABLE, ""},
        {"{\"ty\npe\":\"auth\"}", EVENT_UNREADABLE, ""},
        /* what is of no interest is not looked into */
        {"{\"a\":\"\\u\\x\",\"type\":\"auth\"}", EVENT_AUTH, "auth"},
    };
    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++)
        assert_scanned(rows[i].text, strlen(rows[i].text), rows[i].class, rows[i].type);
}

static void test_unreadable(void **state)
{
    static const char *const rows[] = {"", " ", BOM, "\xef\xbb{}", "\xef{}", "null", "[]",
        "[{\"type\":\"auth\"}]", "\"type\"", "x", "{", "{\"", "{\"type", "{\"type\"",
        "{\"type\":", "{\"type\":\"", "{\"type\":\"aut", "{\"type\":\"auth", "{\"type\":\"auth\\",
        "{type:1}", "{,}", "{\"a\"}", "{\"a\",", "{\"a\":}", "{\"a\":,", "{\"a\":1", "{\"a\":1,",
        "{\"a\":1,}", "{\"a\":1]", "{\"a\":[}", "{\"a\":{]", "{\"a\":[1}", "{\"a\":{\"b\":1",
        "{\"a\":\"b", "{\"a\":\"b\" \"c\"", "{\"a\":1 2}", "{\"a\":'b'}", "{\"type\":}",
        "{\"type\":,", "{\"a\":[\"", "{\"a\":[\"\\", "}", "{\"data\":", "\xff\xfe{"};
    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++)
        assert_scanned(rows[i], strlen(rows[i]), EVENT_UNREADABLE, "");
    assert_scanned("{\0}", 3, EVENT_UNREADABLE, "");
}

static void test_no_bytes_at_all(void **state)
{
    struct event_scan scan;
    (void)state;
    event_scan_init(&scan);
    assert_int_equal(event_scan_feed(&scan, NULL, 0), EVENT_UNDECIDED);
    assert_int_equal(event_scan_end(&scan), EVENT_UNREADABLE);
}

static void test_it_decides_as_early_as_it_can(void **state)
{
    static const struct {
        const char *text;
        size_t bytes;
    } rows[] = {
        {"{\"type\":\"sleep\",\"user\":{}}", 15},
        {"{\"data\":[{}],\"type\":\"sleep\"}", 9},
        {"{\"type\":\"auth\",\"user\":{}}", 14},
        {"[1,2,3]", 1},
        {"{\"type\":7}", 9},
    };
    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct event_scan scan;
        event_scan_init(&scan);
        for (size_t at = 0; at < rows[i].bytes; at++) {
            assert_int_equal(scan.class, EVENT_UNDECIDED);
            assert_string_equal(event_scan_type(&scan), "");
            event_scan_feed(&scan, rows[i].text + at, 1);
        }
        assert_int_not_equal(scan.class, EVENT_UNDECIDED);
    }
}

static void test_what_comes_later_changes_nothing(void **state)
{
    struct event_scan scan;
    (void)state;
    event_scan_init(&scan);
    assert_int_equal(event_scan_feed(&scan, "{\"type\":\"auth\"", 14), EVENT_AUTH);
    assert_int_equal(event_scan_feed(&scan, "]]]", 3), EVENT_AUTH);
    assert_int_equal(event_scan_end(&scan), EVENT_AUTH);
    assert_string_equal(event_scan_type(&scan), "auth");
}

static void test_depth(void **state)
{
    (void)state;
    for (size_t depth = EVENT_SCAN_DEPTH_MAX; depth <= EVENT_SCAN_DEPTH_MAX + 1; depth++) {
        bool fits = depth == EVENT_SCAN_DEPTH_MAX;
        struct buf text;
        buf_init(&text, 4096);
        buf_append_text(&text, "{\"a\":");
        for (size_t i = 0; i < depth; i++)
            buf_append_text(&text, i % 2 ? "[" : "{\"x\":");
        for (size_t i = depth; i > 0; i--)
            buf_append_char(&text, (i - 1) % 2 ? ']' : '}');
        buf_append_text(&text, ",\"type\":\"auth\"}");
        assert_scanned(
            text.data, text.size, fits ? EVENT_AUTH : EVENT_UNREADABLE, fits ? "auth" : "");
        buf_release(&text);
    }
}

static void test_long_types_and_keys(void **state)
{
    static const char whole[] = "{\"type\":\"" FORTY "\"}", longer[] = "{\"type\":\"" FORTY "k\"}",
                      lab[] = "{\"type\":\"lab_report." FORTY "\"}",
                      key[] = "{\"" FORTY FORTY "\":[1],\"type\":\"auth\"}";
    (void)state;
    assert_scanned(whole, strlen(whole), EVENT_OTHER, FORTY);
    assert_scanned(longer, strlen(longer), EVENT_OTHER, FORTY);
    assert_scanned(lab, strlen(lab), EVENT_DATA, "lab_report.abcdefghijabcdefghijabcdefghi");
    assert_scanned(key, strlen(key), EVENT_AUTH, "auth");
}

/* Ten megabytes of other fields, then the type. */
static void test_type_behind_much_else(void **state)
{
    static const char unit[] = "{\"at\":\"2026-11-18T08:14:09+00:00\",\"bpm\":63,\"in\":[1]},";
    static const char head[] = "{\"samples\":[", tail[] = "0],\"type\":\"auth\"}";
    struct buf text;
    struct event_scan scan;
    (void)state;
    buf_init(&text, 11 * 1024 * 1024);
    buf_append_text(&text, head);
    while (text.size < 10 * 1024 * 1024)
        buf_append_text(&text, unit);
    buf_append_text(&text, tail);
    assert_int_equal(scan_in_pieces(&scan, text.data, text.size, text.size), EVENT_AUTH);
    assert_int_equal(scan_in_pieces(&scan, text.data, text.size, 16384), EVENT_AUTH);
    assert_int_equal(scan_in_pieces(&scan, text.data, text.size - 2, 4093), EVENT_UNREADABLE);
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_what_decides),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_no_bytes_at_all),
        cmocka_unit_test(test_it_decides_as_early_as_it_can),
        cmocka_unit_test(test_what_comes_later_changes_nothing),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_long_types_and_keys),
        cmocka_unit_test(test_type_behind_much_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
