#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/memory.h"
#include "common/utf8.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static const struct json_limits usual = {.bytes_max = 4096, .depth_max = 8, .values_max = 50};

/* From a heap block of exactly the right size, so that a sanitizer sees each read past the end. */
static json_value *parse_bytes(
    const void *data, size_t size, const struct json_limits *limits, struct json_error *error)
{
    char *exact = malloc(size > 0 ? size : 1);

    assert_non_null(exact);
    if (size > 0)
        memcpy(exact, data, size);
    *error = (struct json_error){.offset = SIZE_MAX};
    json_value *value = json_parse(exact, size, limits, error);
    free(exact);
    return value;
}

/* Parses and writes again; "" when refused. */
static void rewrite(const char *text, size_t size, struct buf *out)
{
    struct json_writer writer;
    struct json_error error;
    json_value *value = parse_bytes(text, size, &usual, &error);

    buf_reset(out);
    if (value == NULL)
        return;
    json_writer_init(&writer, out);
    json_put_value(&writer, NULL, value);
    json_free(value);
}

static void test_accepted(void **state)
{
    static const struct {
        const char *text, *rewritten;
    } rows[] = {
        {"{}", "{}"}, {"[]", "[]"}, {"null", "null"}, {"true", "true"}, {"false", "false"},
        {"0", "0"}, {"-0", "-0"}, {"-1.5", "-1.5"}, {"1e3", "1000"}, {"1E+3", "1000"},
        {"25e-1", "2.5"}, {"1e308", "1e+308"}, {"1e-400", "0"}, {"0.1", "0.1"},
        {"123456789012345678901234567890123456789012345678901234567890123",
            "1.2345678901234569e+62"},
        {"\"\"", "\"\""}, {" \t\r\n{ \"a\" : [ 1 , 2 ] } \n", "{\"a\":[1,2]}"},
        {"[[],{},[{}]]", "[[],{},[{}]]"},
        {"[1,\"x\",null,true,false,{\"a\":{}}]", "[1,\"x\",null,true,false,{\"a\":{}}]"},
        {"{\"a\":1,\"A\":2,\"\":3}", "{\"a\":1,\"A\":2,\"\":3}"},
        {"[{\"a\":1},{\"a\":2}]", "[{\"a\":1},{\"a\":2}]"},
        {"{\"a\":{\"a\":{\"a\":1}}}", "{\"a\":{\"a\":{\"a\":1}}}"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\u0008\\u000c\\n\\r\\t\""},
        {"\"\\u0041\\u00e9\\u20AC\"", "\"A\xc3\xa9\xe2\x82\xac\""},
        {"\"\\ud83d\\uDE00\"", "\"\xf0\x9f\x98\x80\""},
        {"\"\\uDBFF\\uDFFF\"", "\"\xf4\x8f\xbf\xbf\""},
        {"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
        {"\"\x7f\"", "\"\x7f\""},
        {"\"\\\\u0000\"", "\"\\\\u0000\""}, /* an escaped backslash, then plain text */
        {"\"\\u0001\"", "\"\\u0001\""}, {"{\"k\\u00e9\\n\":1}", "{\"k\xc3\xa9\\n\":1}"},
        {"[[[[[[[[1]]]]]]]]", "[[[[[[[[1]]]]]]]]"}, /* as deep as the limit */
    };
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    for (size_t i = 0; i < ROWS(rows); i++) {
        rewrite(rows[i].text, strlen(rows[i].text), &out);
        assert_string_equal(buf_text(&out), rows[i].rewritten);
    }
    buf_release(&out);
}

static void test_refused(void **state)
{
#define ROW(text, offset, message)                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1, offset, message                                                    \
    }
    static const struct {
        const char *text;
        size_t size, offset;
        const char *message; /* a part of it */
    } rows[] = {
        /* nothing */
        ROW("", 0, "empty"),
        ROW(" \n\t\r ", 0, "empty"),
        /* bytes that are no text */
        ROW("\xef\xbb\xbf{}", 0, "byte order mark"),
        ROW("\xef\xbb\xbf", 0, "byte order mark"),
        ROW("\0", 0, "NUL"),
        ROW("{}\0", 2, "NUL"),
        ROW("{\"a\":\0}", 5, "NUL"),
        ROW("\"abc\0evil\"", 4, "NUL"),
        ROW("\"abc\\u0000evil\"", 4, "NUL"),
        ROW("{\"a\\u0000\":1}", 3, "NUL"),
        ROW("\"\x80\"", 1, "UTF-8"),
        ROW("\"a\xc0\x80\"", 2, "UTF-8"),        /* overlong */
        ROW("\"\xe0\x80\x80\"", 1, "UTF-8"),     /* overlong */
        ROW("\"\xf0\x80\x80\x80\"", 1, "UTF-8"), /* overlong */
        ROW("\"\xed\xa0\x80\"", 1, "UTF-8"),     /* a surrogate */
        ROW("\"\xf4\x90\x80\x80\"", 1, "UTF-8"), /* past U+10FFFF */
        ROW("\"\xc3", 1, "UTF-8"),
        ROW("\"\xc3\"", 1, "UTF-8"),
        ROW("{\"\xff\":1}", 2, "UTF-8"),
        ROW("\xff", 0, "UTF-8"),
        ROW("[1,\xe2\x82]", 3, "UTF-8"),
        /* surrogate escapes without their other half */
        ROW("\"\\ud800\"", 1, "surrogate"),
        ROW("\"a\\udc00\"", 2, "surrogate"),
        ROW("\"\\ud800\\ud800\"", 1, "surrogate"),
        ROW("\"\\ud800x\"", 1, "surrogate"),
        ROW("\"\\ud800\\n\"", 1, "surrogate"),
        ROW("\"\\ud83d\\u0041\"", 1, "surrogate"),
        ROW("\"\\udc00\\ud800\"", 1, "surrogate"),
        ROW("\"\\ud800", 1, "surrogate"),
        /* escapes */
        ROW("\"\\x41\"", 1, "escape"),
        ROW("\"\\'\"", 1, "escape"),
        ROW("\"\\\0\"", 1, "escape"),
        ROW("\"\\", 1, "escape"),
        ROW("\"\\u12", 1, "four hex digits"),
        ROW("\"\\u12g4\"", 1, "four hex digits"),
        ROW("\"\\u 123\"", 1, "four hex digits"),
        ROW("\"\\U0041\"", 1, "escape"),
        /* raw control characters */
        ROW("\"a\nb\"", 2, "control character"),
        ROW("\"\t\"", 1, "control character"),
        ROW("\"\x1f\"", 1, "control character"),
        /* numbers */
        ROW("01", 0, "leading zero"),
        ROW("-01", 0, "leading zero"),
        ROW("00", 0, "leading zero"),
        ROW("+1", 0, "value is expected"),
        ROW(".5", 0, "value is expected"),
        ROW("1.", 2, "digit is expected"),
        ROW("1.e5", 2, "digit is expected"),
        ROW("-", 1, "digit is expected"),
        ROW("-a", 1, "digit is expected"),
        ROW("--1", 1, "digit is expected"),
        ROW("1e", 2, "digit is expected"),
        ROW("1e+", 3, "digit is expected"),
        ROW("[1e-]", 4, "digit is expected"),
        ROW("1.2.3", 3, "behind the value"),
        ROW("0x10", 1, "behind the value"),
        ROW("1e5e5", 3, "behind the value"),
        ROW("1e999", 0, "too large"),
        ROW("[-1e999]", 1, "too large"),
        ROW("1.8e308", 0, "too large"),
        ROW("1e99999999999999999999", 0, "too large"),
        ROW("1234567890123456789012345678901234567890123456789012345678901234", 0,
            "more than 63 characters"),
        ROW("0.00000000000000000000000000000000000000000000000000000000000000e1", 0,
            "more than 63 characters"),
        ROW("NaN", 0, "value is expected"),
        ROW("Infinity", 0, "value is expected"),
        ROW("-Infinity", 1, "digit is expected"),
        /* words */
        ROW("nul", 0, "value is expected"),
        ROW("tru", 0, "value is expected"),
        ROW("True", 0, "value is expected"),
        ROW("truex", 4, "behind the value"),
        ROW("undefined", 0, "value is expected"),
        /* structure */
        ROW("{", 1, "too early"),
        ROW("[", 1, "too early"),
        ROW("[1", 2, "too early"),
        ROW("[1,", 3, "too early"),
        ROW("{\"a\"", 4, "too early"),
        ROW("{\"a\":", 5, "too early"),
        ROW("{\"a\":1", 6, "too early"),
        ROW("{\"a\":1,", 7, "too early"),
        ROW("\"abc", 0, "not closed"),
        ROW("{\"abc", 1, "not closed"),
        ROW("[1,]", 3, "value is expected"),
        ROW("[,1]", 1, "value is expected"),
        ROW("[1 2]", 3, "comma or ]"),
        ROW("[1}", 2, "comma or ]"),
        ROW("{\"a\":1]", 6, "comma or }"),
        ROW("{\"a\":1,}", 7, "key in double quotes"),
        ROW("{,}", 1, "key in double quotes"),
        ROW("{a:1}", 1, "key in double quotes"),
        ROW("{'a':1}", 1, "key in double quotes"),
        ROW("{1:1}", 1, "key in double quotes"),
        ROW("{\"a\" 1}", 5, "colon"),
        ROW("{\"a\",1}", 4, "colon"),
        ROW("{\"a\":}", 5, "value is expected"),
        ROW("{\"a\":1 \"b\":2}", 7, "comma or }"),
        ROW("]", 0, "value is expected"),
        ROW("}", 0, "value is expected"),
        ROW("// x\n{}", 0, "value is expected"),
        ROW("[1]/**/", 3, "behind the value"),
        ROW("[1\v]", 2, "comma or ]"),
        ROW("[1\xc2\xa0]", 2, "comma or ]"),
        /* anything behind the end */
        ROW("{} {}", 3, "behind the value"),
        ROW("{}x", 2, "behind the value"),
        ROW("{},", 2, "behind the value"),
        ROW("[]]", 2, "behind the value"),
        ROW("1 2", 2, "behind the value"),
        ROW("\"a\"\"b\"", 3, "behind the value"),
        /* duplicate keys */
        ROW("{\"a\":1,\"a\":2}", 7, "twice"),
        ROW("{\"a\":1,\"\\u0061\":2}", 7, "twice"),
        ROW("{\"\":1,\"\":1}", 6, "twice"),
        ROW("[1,{\"x\":{\"b\":1,\"c\":[{\"d\":0}],\"b\":2}}]", 29, "twice"),
        ROW("{\"a\":1, \"b\":{\"a\":2}, \"a\":3}", 21, "twice"),
        /* the limits */
        ROW("[[[[[[[[[1]]]]]]]]]", 8, "more than 8 deep"),
        ROW("{\"a\":[{\"a\":[{\"a\":[{\"a\":[{}]}]}]}]}", 24, "more than 8 deep"),
    };
#undef ROW
    struct json_error error;

    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        json_value *value = parse_bytes(rows[i].text, rows[i].size, &usual, &error);
        if (value != NULL)
            fail_msg("accepted: %s", rows[i].text);
        if (error.offset != rows[i].offset || strstr(error.message, rows[i].message) == NULL)
            fail_msg("%s: at %zu: %s", rows[i].text, error.offset, error.message);
    }
}

static void test_limits(void **state)
{
    static const struct {
        const char *text;
        struct json_limits limits;
        bool accepted;
    } rows[] = {
        {"[1,2]", {5, 1, 3}, true},
        {"[1,2]", {4, 1, 3}, false},
        {"[1,2]", {5, 1, 2}, false},
        {"[1,2]", {0, 1, 3}, false},
        {"[[]]", {5, 1, 3}, false},
        {"[[]]", {5, 2, 2}, true},
        {"{\"a\":1}", {7, 1, 2}, true}, /* a key is no value */
        {"{\"a\":1}", {7, 1, 1}, false},
        {"1", {1, 1, 1}, true},
        {"1", {1, 1, 0}, false},
        {"[[[[]]]]", {100, 100, 100}, true},
    };
    struct json_error error;

    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        json_value *value =
            parse_bytes(rows[i].text, strlen(rows[i].text), &rows[i].limits, &error);
        if ((value != NULL) != rows[i].accepted)
            fail_msg("row %zu: %s", i, error.message);
        json_free(value);
    }
}

/* Whatever the sender wrote, the message is made of our words alone. */
static void test_messages_hold_no_input(void **state)
{
    static const char *const rows[] = {"{\"secret\":1,\"secret\":2}", "secret", "[secret]",
        "{\"secret\" 1}", "{secret:1}", "\"secret\\x\"", "{} secret", "\"secret"};
    struct json_error error;

    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        assert_null(parse_bytes(rows[i], strlen(rows[i]), &usual, &error));
        assert_true(error.message[0] != '\0');
        assert_null(strstr(error.message, "secret"));
    }
}

/* A megabyte of one byte or pair of bytes; each must be answered at once and
 * without deep recursion. */
static void test_bombs(void **state)
{
    static const char *const units[] = {
        "[", "{", "{\"a\":", "[[],", "[1,", "\"", "\\", "{\"a\":[", "-", "9", "[{", "\xff", "\xc3"};
    static const struct json_limits limits = {1 << 20, 100, 1 << 20};
    struct json_error error;
    char *bomb = memory_new(1 << 20);

    (void)state;
    for (size_t i = 0; i < ROWS(units); i++) {
        size_t size = 0, unit = strlen(units[i]);
        for (; size + unit <= 1 << 20; size += unit)
            memcpy(bomb + size, units[i], unit);
        int64_t started_us = clock_monotonic_us();
        assert_null(parse_bytes(bomb, size, &limits, &error));
        assert_true(clock_monotonic_us() - started_us < CLOCK_US_PER_SECOND);
    }
    free(bomb);
}

static void test_deepest(void **state)
{
    static const struct json_limits limits = {1000, 100, 1000};
    struct json_error error;
    char nested[203];

    (void)state;
    for (size_t depth = 99; depth <= 101; depth++) {
        memset(nested, '[', depth);
        memset(nested + depth, ']', depth);
        json_value *value = parse_bytes(nested, 2 * depth, &limits, &error);
        assert_int_equal(value != NULL, depth <= 100);
        json_free(value);
    }
}

/* {"k0":0,"k1":1,…}, then `last`; keys made long and alike, which is the worst for comparing. */
static void make_many_keys(struct buf *text, unsigned count, const char *last)
{
    buf_reset(text);
    buf_append_char(text, '{');
    for (unsigned i = 0; i < count; i++)
        buf_printf(text, "\"the same beginning %u\":%u,", i, i);
    buf_append_text(text, last);
    buf_append_char(text, '}');
}

static void test_many_keys(void **state)
{
    static const unsigned counts[] = {1, 2, 15, 16, 17, 18, 1000, 100000};
    static const struct json_limits limits = {8 << 20, 2, 200000};
    struct json_error error;
    struct buf text;

    (void)state;
    buf_init(&text, limits.bytes_max);
    for (size_t i = 0; i < ROWS(counts); i++) {
        make_many_keys(&text, counts[i], "\"z\":0");
        int64_t started_us = clock_monotonic_us();
        json_value *value = parse_bytes(text.data, text.size, &limits, &error);
        assert_non_null(value);
        assert_int_equal(json_count(value), counts[i] + 1);
        json_free(value);

        make_many_keys(&text, counts[i], "\"the same beginning 0\":0");
        assert_null(parse_bytes(text.data, text.size, &limits, &error));
        assert_non_null(strstr(error.message, "twice"));
        assert_int_equal(error.offset, text.size - strlen("\"the same beginning 0\":0}"));
        /* Comparing each with each would take minutes for the largest. */
        assert_true(clock_monotonic_us() - started_us < 5 * CLOCK_US_PER_SECOND);
    }
    buf_release(&text);
}

/* SplitMix64 with a fixed seed: the same mutations in every run. */
static uint64_t next_random(uint64_t *seed)
{
    uint64_t mixed = *seed += UINT64_C(0x9e3779b97f4a7c15);

    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

static size_t mutate(char *text, size_t size, uint64_t *seed)
{
    static const char alphabet[] = "{}[]\",:\\u0eE+-.19tfn \n\0\xc3\xa9\xed\xff";

    for (uint64_t left = 1 + next_random(seed) % 4; left > 0 && size > 0; left--) {
        size_t at = next_random(seed) % size;
        uint64_t random = next_random(seed);
        switch (random % 4) {
        case 0:
            text[at] = alphabet[(random >> 8) % (sizeof(alphabet) - 1)];
            break;
        case 1:
            text[at] = (char)(text[at] ^ (1 << ((random >> 8) % 8)));
            break;
        case 2: /* take a byte out */
            memmove(text + at, text + at + 1, --size - at);
            break;
        default: /* cut the end off */
            if ((random >> 8) % 8 == 0)
                size = at;
            break;
        }
    }
    return size;
}

/* What passes is written again, and what was written passes and comes out the same. */
static void check_mutation(const char *text, size_t size, struct buf *first, struct buf *second)
{
    rewrite(text, size, first);
    if (first->size == 0)
        return;
    assert_true(utf8_valid(text, size));
    assert_null(memchr(text, '\0', size));
    rewrite(first->data, first->size, second);
    assert_string_equal(buf_text(first), buf_text(second));
}

static void test_mutations(void **state)
{
    static const char *const documents[] = {
        "{\"reference_id\":\"u1\"}",
        ("{\"reference_id\":\"u\\u00e9\\ud83d\\ude00\",\"providers\":[\"GARMIN\",\"OURA\"],"
         "\"timeout_seconds\":12.5e-1,\"show_disconnect\":true,\"language\":null}"),
        "[[1,-2,3.25],{\"a\":{\"b\":[{},[]]}},\"\xc3\xa9\\n\\\\\",false,0]",
        " { \"a\" : 1 , \"b\" : 2 , \"c\" : [ \"d\" , \"e\" ] } ",
    };
    struct buf first, second;
    uint64_t seed = 20261121;
    unsigned accepted = 0;
    char text[512];

    (void)state;
    buf_init(&first, 8192);
    buf_init(&second, 8192);
    for (int i = 0; i < 100000; i++) {
        const char *document = documents[i % ROWS(documents)];
        size_t size = strlen(document);
        memcpy(text, document, size);
        check_mutation(text, mutate(text, size, &seed), &first, &second);
        accepted += first.size > 0;
    }
    assert_in_range(accepted, 5000, 60000); /* else the mutations prove little */
    buf_release(&first);
    buf_release(&second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_messages_hold_no_input),
        cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_deepest),
        cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
