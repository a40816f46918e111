/* text_list: its ceilings, and how it looks as JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/text_list.h"

static void check_json(const struct text_list *list, const char *expected)
{
    struct buf buf;
    struct json_writer writer;
    buf_init(&buf, 65536);
    json_writer_init(&writer, &buf);
    json_open_object(&writer, NULL);
    text_list_put_json(list, &writer, "warnings");
    json_close_object(&writer);
    assert_string_equal(buf_text(&buf), expected);
    buf_release(&buf);
}

static void writes_json(void **state)
{
    (void)state;
    struct text_list list = {0};
    check_json(&list, "{\"warnings\":[]}");
    text_list_add(&list, "%s", "one");
    text_list_add(&list, "%d \"%s\"", 2, "two");
    assert_int_equal(list.count, 2);
    check_json(&list, "{\"warnings\":[\"one\",\"2 \\\"two\\\"\"]}");
    text_list_release(&list);
    check_json(&list, "{\"warnings\":[]}");
    text_list_release(&list);
}

static void stops_at_its_ceiling(void **state)
{
    (void)state;
    struct text_list list = {0};
    for (int i = 0; i < TEXT_LIST_MAX + 5; i++)
        text_list_add(&list, "%d", i);
    assert_int_equal(list.count, TEXT_LIST_MAX);
    assert_string_equal(list.items[TEXT_LIST_MAX - 1], "15");
    text_list_release(&list);
}

static void cuts_at_a_character(void **state)
{
    (void)state;
    static const struct {
        int ascii;
        const char *tail;
        size_t kept;
    } rows[] = {
        {TEXT_LIST_TEXT_BYTES_MAX, "", 256},
        {TEXT_LIST_TEXT_BYTES_MAX + 1, "", 256},
        {TEXT_LIST_TEXT_BYTES_MAX - 2, "\xc3\xbc", 256},
        {TEXT_LIST_TEXT_BYTES_MAX - 1, "\xc3\xbc", 255},
        {TEXT_LIST_TEXT_BYTES_MAX - 3, "\xf0\x9f\x98\x80", 253},
        {10, "\xf0\x9f\x98\x80", 14},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct text_list list = {0};
        text_list_add(&list, "%0*d%s", rows[i].ascii, 0, rows[i].tail);
        assert_int_equal(strlen(list.items[0]), rows[i].kept);
        text_list_release(&list);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_json),
        cmocka_unit_test(stops_at_its_ceiling),
        cmocka_unit_test(cuts_at_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
