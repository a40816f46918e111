/* Ids that have to be right, and words that are made to fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/event_text.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static const struct json_limits limits = {.bytes_max = 65536, .depth_max = 8, .values_max = 100};

static json_value *parse(const char *value)
{
    struct json_error error;
    struct buf object;
    buf_init(&object, 65536);
    buf_printf(&object, "{\"x\":%s}", value);
    json_value *tree = json_parse(object.data, object.size, &limits, &error);
    assert_non_null(tree);
    buf_release(&object);
    return tree;
}

static void test_ids(void **state)
{
    static const struct {
        const char *value;
        enum json_get found;
        const char *id;
    } rows[] = {
        {"null", JSON_ABSENT, NULL},
        {"\"\"", JSON_ABSENT, NULL},
        {"\"u1\"", JSON_FOUND, "u1"},
        {"\" u 1 \"", JSON_FOUND, " u 1 "},
        {"\"caf\xc3\xa9\"", JSON_FOUND, "caf\xc3\xa9"},
        {"0", JSON_FOUND, "0"},
        {"42", JSON_FOUND, "42"},
        {"4.2e1", JSON_FOUND, "42"},
        {"9007199254740991", JSON_FOUND, "9007199254740991"},
        {"9007199254740992", JSON_WRONG_TYPE, NULL},
        {"9007199254740993", JSON_WRONG_TYPE, NULL},
        {"1e300", JSON_WRONG_TYPE, NULL},
        {"-1", JSON_WRONG_TYPE, NULL},
        {"0.5", JSON_WRONG_TYPE, NULL},
        {"true", JSON_WRONG_TYPE, NULL},
        {"[]", JSON_WRONG_TYPE, NULL},
        {"{}", JSON_WRONG_TYPE, NULL},
        {"\"a\\u0001\"", JSON_WRONG_TYPE, NULL},
        {"\"a\\nb\"", JSON_WRONG_TYPE, NULL},
        {"\"\\u007f\"", JSON_WRONG_TYPE, NULL},
    };
    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        char *id = NULL;
        json_value *tree = parse(rows[i].value);
        assert_int_equal(event_text_id(tree, "x", &id), rows[i].found);
        assert_int_equal(event_text_id(tree, "y", &id), JSON_ABSENT);
        if (rows[i].id)
            assert_string_equal(id, rows[i].id);
        else
            assert_null(id);
        free(id);
        json_free(tree);
    }
}

static void test_long_ids(void **state)
{
    (void)state;
    for (size_t size = EVENT_ID_BYTES_MAX; size <= EVENT_ID_BYTES_MAX + 1; size++) {
        char value[EVENT_ID_BYTES_MAX + 4] = "\"", *id = NULL;
        memset(value + 1, 'i', size);
        value[size + 1] = '"';
        json_value *tree = parse(value);
        assert_int_equal(event_text_id(tree, "x", &id),
            size <= EVENT_ID_BYTES_MAX ? JSON_FOUND : JSON_WRONG_TYPE);
        free(id);
        json_free(tree);
    }
}

static void test_words(void **state)
{
    static const struct {
        const char *value, *words;
    } rows[] = {
        {"null", NULL},
        {"7", NULL},
        {"[\"a\"]", NULL},
        {"\"\"", NULL},
        {"\" \\n\"", NULL},
        {"\"denied\"", "denied"},
        {"\"a\\tb\\u001b\"", "a b "},
        {"\"12345678\"", "12345678"},
        {"\"123456789\"", "12345678"},
        {"\"1234567\xc3\xa9\"", "1234567"},
        {"\"123456\xc3\xa9\"", "123456\xc3\xa9"},
    };
    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        json_value *tree = parse(rows[i].value);
        char *words = event_text_words(tree, "x", 8);
        if (rows[i].words)
            assert_string_equal(words, rows[i].words);
        else
            assert_null(words);
        free(words);
        json_free(tree);
    }
}

static void test_of_no_object_nothing_is_said(void **state)
{
    char *id = NULL;
    (void)state;
    assert_int_equal(event_text_id(NULL, "x", &id), JSON_ABSENT);
    assert_null(id);
    assert_null(event_text_words(NULL, "x", 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_long_ids),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_of_no_object_nothing_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
