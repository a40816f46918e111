/* Scopes as Terra writes them and as we do, into one canonical text and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/scope_set.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static const struct json_limits limits = {.bytes_max = 65536, .depth_max = 8, .values_max = 1000};

static char *read_scopes(const char *object)
{
    struct json_error error;
    json_value *tree = json_parse(object, strlen(object), &limits, &error);
    assert_non_null(tree);
    char *scopes = scope_set_read(tree, "scopes");
    json_free(tree);
    return scopes;
}

static void test_read(void **state)
{
    static const struct {
        const char *value, *scopes;
    } rows[] = {
        {"null", NULL},
        {"7", NULL},
        {"true", NULL},
        {"{\"a\":1}", NULL},
        {"\"\"", ""},
        {"\" , ,,\"", ""},
        {"[]", ""},
        {"\"sleep\"", "sleep"},
        {"\"sleep,daily\"", "daily,sleep"},
        {"\" sleep ,\\tdaily\\n\"", "daily,sleep"},
        {"\"a,b,a,b,a\"", "a,b"},
        {"\"b,B,ab,a,a b\"", "B,a,a b,ab,b"},
        {"\"a,b\\u0007c,\\u007f\"", "a"},
        {"\"caf\xc3\xa9,a\"", "a,caf\xc3\xa9"},
        {"[\"sleep\",\"daily\",\"sleep\"]", "daily,sleep"},
        {"[\"b,a\",7,null,[\"x\"],\"\"]", "a,b"},
    };
    (void)state;
    assert_null(read_scopes("{}"));
    for (size_t i = 0; i < ROWS(rows); i++) {
        char object[256];
        snprintf(object, sizeof object, "{\"scopes\":%s}", rows[i].value);
        char *scopes = read_scopes(object);
        if (rows[i].scopes)
            assert_string_equal(scopes, rows[i].scopes);
        else
            assert_null(scopes);
        free(scopes);
    }
    assert_null(scope_set_read(NULL, "scopes"));
}

static void test_ceilings(void **state)
{
    struct buf object;
    (void)state;
    buf_init(&object, 65536);
    /* one too long, one as long as can be */
    buf_printf(&object, "{\"scopes\":\"%0*d,%0*d\"}", SCOPE_BYTES_MAX + 1, 1, SCOPE_BYTES_MAX, 2);
    char *scopes = read_scopes(object.data);
    assert_int_equal(strlen(scopes), SCOPE_BYTES_MAX);
    free(scopes);
    /* more than there is room for by number */
    buf_reset(&object);
    buf_append_text(&object, "{\"scopes\":\"");
    for (int i = 0; i < 2 * SCOPE_SET_MAX; i++)
        buf_printf(&object, "%03d,", i);
    buf_append_text(&object, "\"}");
    scopes = read_scopes(object.data);
    assert_int_equal(strlen(scopes), 4 * SCOPE_SET_MAX - 1);
    free(scopes);
    /* and by size */
    buf_reset(&object);
    buf_append_text(&object, "{\"scopes\":\"");
    for (int i = 0; i < SCOPE_SET_MAX; i++)
        buf_printf(&object, "%0*d,", SCOPE_BYTES_MAX, i);
    buf_append_text(&object, "\"}");
    scopes = read_scopes(object.data);
    assert_in_range(strlen(scopes), SCOPE_SET_BYTES_MAX - SCOPE_BYTES_MAX - 1, SCOPE_SET_BYTES_MAX);
    free(scopes);
    buf_release(&object);
}

static void test_write(void **state)
{
    static const struct {
        const char *scopes, *json;
    } rows[] = {
        {NULL, "null"},
        {"", "[]"},
        {"sleep", "[\"sleep\"]"},
        {"a \"b\",c\\d", "[\"a \\\"b\\\"\",\"c\\\\d\"]"},
    };
    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct buf json;
        struct json_writer writer;
        buf_init(&json, 256);
        json_writer_init(&writer, &json);
        scope_set_put_json(rows[i].scopes, &writer, NULL);
        assert_string_equal(buf_text(&json), rows[i].json);
        buf_release(&json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_ceilings),
        cmocka_unit_test(test_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
