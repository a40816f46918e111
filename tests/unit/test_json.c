#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/json.h"
#include "common/utf8.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static const struct json_limits usual = {.bytes_max = 4096, .depth_max = 8, .values_max = 50};

static void test_getters(void **state)
{
    static const char text[] = "{\"text\":\"x\",\"number\":2.5,\"yes\":true,\"no\":false,"
                               "\"null\":null,\"object\":{\"a\":1},\"array\":[1,2,3],\"Text\":1}";
    static const struct {
        const char *name;
        enum json_get as_text, as_number, as_boolean, as_object, as_array;
    } rows[] = {
#define F JSON_FOUND
#define W JSON_WRONG_TYPE
#define A JSON_ABSENT
        {"text", F, W, W, W, W},
        {"number", W, F, W, W, W},
        {"yes", W, W, F, W, W},
        {"no", W, W, F, W, W},
        {"null", A, A, A, A, A},
        {"object", W, W, W, F, W},
        {"array", W, W, W, W, F},
        {"missing", A, A, A, A, A},
        {"TEXT", A, A, A, A, A}, /* case matters */
        {"", A, A, A, A, A},
#undef F
#undef W
#undef A
    };
    struct json_error error;
    json_value *root = json_parse(text, strlen(text), &usual, &error);
    const char *string = NULL;
    double number = 0;
    bool boolean = false;
    const json_value *child = NULL;

    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        assert_int_equal(json_get_text(root, rows[i].name, &string), rows[i].as_text);
        assert_int_equal(json_get_number(root, rows[i].name, &number), rows[i].as_number);
        assert_int_equal(json_get_boolean(root, rows[i].name, &boolean), rows[i].as_boolean);
        assert_int_equal(json_get_object(root, rows[i].name, &child), rows[i].as_object);
        assert_int_equal(json_get_array(root, rows[i].name, &child), rows[i].as_array);
    }
    assert_string_equal(string, "x");
    assert_true(number == 2.5);
    assert_false(boolean);
    assert_int_equal(json_get_boolean(root, "yes", &boolean), JSON_FOUND);
    assert_true(boolean);
    assert_int_equal(
        json_get_text(child, "text", &string), JSON_ABSENT); /* an array has no fields */
    assert_int_equal(json_get_text(NULL, "text", &string), JSON_ABSENT);
    json_free(root);
}

static void test_kinds_and_children(void **state)
{
    static const char text[] = "{\"a\":{},\"b\":[],\"c\":\"s\",\"d\":1,\"e\":true,\"f\":null}";
    static const char *const types[] = {"object", "array", "string", "number", "boolean", "null"};
    struct json_error error;
    json_value *root = json_parse(text, strlen(text), &usual, &error);
    size_t i = 0;

    (void)state;
    assert_true(json_is_object(root));
    assert_int_equal(json_count(root), 6);
    for (const json_value *child = json_first(root); child != NULL; child = json_next(child), i++) {
        assert_int_equal(json_name(child)[0], 'a' + i);
        assert_ptr_equal(json_field(root, json_name(child)), child);
        assert_string_equal(json_type_name(child), types[i]);
        assert_int_equal(json_is_object(child), i == 0);
        assert_int_equal(json_is_array(child), i == 1);
        assert_int_equal(json_is_string(child), i == 2);
        assert_int_equal(json_text(child) != NULL, i == 2);
    }
    assert_int_equal(i, 6);
    assert_null(json_first(json_field(root, "a")));
    assert_null(json_first(NULL));
    assert_int_equal(json_count(NULL), 0);
    assert_string_equal(json_type_name(NULL), "nothing");
    json_free(root);
    json_free(NULL);
}

static void test_writing(void **state)
{
    struct json_writer writer;
    struct buf buf;

    (void)state;
    buf_init(&buf, 1000);
    json_writer_init(&writer, &buf);
    json_open_object(&writer, NULL);
    json_put_text(&writer, "text", "x");
    json_put_text(&writer, "none", NULL);
    json_put_bytes(&writer, "bytes", "a\0b", 3);
    json_put_integer(&writer, "least", INT64_MIN);
    json_put_integer(&writer, "most", INT64_MAX);
    json_put_number(&writer, "number", 1.5);
    json_put_boolean(&writer, "yes", true);
    json_put_boolean(&writer, "no", false);
    json_put_null(&writer, "null");
    json_open_array(&writer, "array");
    json_put_text(&writer, NULL, "a");
    json_open_object(&writer, NULL);
    json_close_object(&writer);
    json_open_array(&writer, NULL);
    json_close_array(&writer);
    json_put_integer(&writer, NULL, 0);
    json_close_array(&writer);
    json_put_items(&writer, "items", "a, b\"");
    json_put_items(&writer, "no items", "");
    json_put_items(&writer, "no list", NULL);
    json_put_text(&writer, "last", "");
    json_close_object(&writer);
    assert_string_equal(buf_text(&buf),
        "{\"text\":\"x\",\"none\":null,\"bytes\":\"a\\u0000b\",\"least\":-9223372036854775808,"
        "\"most\":9223372036854775807,\"number\":1.5,\"yes\":true,\"no\":false,\"null\":null,"
        "\"array\":[\"a\",{},[],0],\"items\":[\"a\",\"b\\\"\"],\"no items\":[],\"no list\":null,"
        "\"last\":\"\"}");
    buf_release(&buf);
}

static void test_written_strings(void **state)
{
    static const struct {
        const char *text, *expected;
    } rows[] = {
        {"", "\"\""},
        {"plain", "\"plain\""},
        {"\"\\/", "\"\\\"\\\\/\""},
        {"\n\r\t\b\f\x1f", "\"\\n\\r\\t\\u0008\\u000c\\u001f\""},
        {"\x7f", "\"\x7f\""},
        {"h\xc3\xa9 \xf0\x9f\x98\x80", "\"h\xc3\xa9 \xf0\x9f\x98\x80\""},
        {"a\xff", "\"a\xef\xbf\xbd\""},
        {"\xc3", "\"\xef\xbf\xbd\""},
        {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xc0\x80\"", "\"\xef\xbf\xbd\xef\xbf\xbd\\\"\""},
    };
    struct json_writer writer;
    struct buf buf;

    (void)state;
    buf_init(&buf, 1000);
    for (size_t i = 0; i < ROWS(rows); i++) {
        buf_reset(&buf);
        json_writer_init(&writer, &buf);
        json_put_text(&writer, NULL, rows[i].text);
        assert_string_equal(buf_text(&buf), rows[i].expected);
    }
    buf_release(&buf);
}

/* SplitMix64 with a fixed seed: the same bytes in every run. */
static uint64_t next_random(uint64_t *seed)
{
    uint64_t mixed = *seed += UINT64_C(0x9e3779b97f4a7c15);

    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

/* Any bytes at all come back as the text that they are, or with U+FFFD in place of what is none. */
static void test_any_bytes_are_written_as_json(void **state)
{
    static const struct json_limits limits = {4096, 1, 1};
    struct json_writer writer;
    struct json_error error;
    struct buf buf;
    uint64_t seed = 7;

    (void)state;
    buf_init(&buf, 4096);
    for (int i = 0; i < 20000; i++) {
        unsigned char bytes[24];
        size_t size = next_random(&seed) % sizeof(bytes);
        for (size_t j = 0; j < size; j++)
            bytes[j] = (unsigned char)(1 + next_random(&seed) % 255);
        buf_reset(&buf);
        json_writer_init(&writer, &buf);
        json_put_bytes(&writer, NULL, bytes, size);
        json_value *value = json_parse(buf.data, buf.size, &limits, &error);
        if (value == NULL)
            fail_msg("%s", error.message);
        if (utf8_valid(bytes, size)) {
            assert_int_equal(strlen(json_text(value)), size);
            assert_memory_equal(json_text(value), bytes, size);
        }
        json_free(value);
    }
    buf_release(&buf);
}

static void test_writing_past_the_ceiling(void **state)
{
    struct json_writer writer;
    struct buf buf;

    (void)state;
    for (size_t ceiling = 0; ceiling < 20; ceiling++) {
        buf_init(&buf, ceiling);
        json_writer_init(&writer, &buf);
        json_open_object(&writer, NULL);
        json_put_text(&writer, "status", "ok");
        json_put_integer(&writer, "n", 1);
        json_close_object(&writer); /* {"status":"ok","n":1}: 21 bytes */
        assert_false(buf_ok(&buf));
        assert_true(buf.size <= ceiling);
        buf_release(&buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_getters),
        cmocka_unit_test(test_kinds_and_children),
        cmocka_unit_test(test_writing),
        cmocka_unit_test(test_written_strings),
        cmocka_unit_test(test_any_bytes_are_written_as_json),
        cmocka_unit_test(test_writing_past_the_ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
