#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/buf.h"

static void test_starts_empty(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 10);
    assert_null(buf.data);
    assert_string_equal(buf_text(&buf), "");
    assert_true(buf_ok(&buf));
    buf_release(&buf);
}

static void test_appends(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 100);
    assert_true(buf_append(&buf, "ab\0c", 4));
    assert_true(buf_append(&buf, NULL, 0));
    assert_true(buf_append_text(&buf, "de"));
    assert_true(buf_append_char(&buf, 'f'));
    assert_true(buf_printf(&buf, "%d-%s", 42, "g"));
    assert_true(buf_printf(&buf, "%s", ""));
    assert_int_equal(buf.size, 11);
    assert_memory_equal(buf.data, "ab\0cdef42-g", 12);
    buf_release(&buf);
    assert_null(buf.data);
}

/* The byte that would pass the ceiling adds nothing, nor does anything later, until a reset. */
static void test_ceiling(void **state)
{
    static const size_t ceilings[] = {0, 1, 5, 63, 64, 65, 127, 128, 1000};

    (void)state;
    for (size_t i = 0; i < sizeof(ceilings) / sizeof(ceilings[0]); i++) {
        struct buf buf;
        buf_init(&buf, ceilings[i]);
        for (size_t j = 0; j < ceilings[i]; j++)
            assert_true(buf_append_char(&buf, 'x'));
        assert_true(buf_ok(&buf));
        assert_true(buf.capacity <= ceilings[i] + 1);
        assert_false(buf_append_char(&buf, 'y'));
        assert_false(buf_ok(&buf));
        assert_false(buf_append(&buf, "", 0));
        assert_false(buf_printf(&buf, "%s", ""));
        assert_int_equal(buf.size, ceilings[i]);
        assert_int_equal(strlen(buf_text(&buf)), ceilings[i]);

        buf_reset(&buf);
        assert_true(buf_ok(&buf));
        assert_string_equal(buf_text(&buf), "");
        assert_int_equal(buf_append_char(&buf, 'z'), ceilings[i] > 0);
        buf_release(&buf);
    }
}

static void test_too_large_append_adds_nothing(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 8);
    assert_true(buf_append_text(&buf, "12345"));
    assert_false(buf_printf(&buf, "%s", "6789"));
    assert_string_equal(buf_text(&buf), "12345");
    assert_false(buf_append(&buf, "6", SIZE_MAX)); /* refused before it is read */
    buf_release(&buf);
}

static void test_growth_doubles(void **state)
{
    struct buf buf;
    size_t growths = 0, capacity = 0;

    (void)state;
    buf_init(&buf, 1 << 20);
    for (int i = 0; i < 1 << 20; i++) {
        assert_true(buf_append_char(&buf, (char)('a' + i % 26)));
        growths += buf.capacity != capacity;
        capacity = buf.capacity;
    }
    assert_in_range(growths, 1, 16);
    assert_int_equal(buf.capacity, (1 << 20) + 1);
    assert_int_equal(buf.data[1000], 'a' + 1000 % 26);
    buf_release(&buf);
}

static void test_reset_keeps_memory(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 1000);
    buf_printf(&buf, "%500d", 1);
    size_t capacity = buf.capacity;
    buf_reset(&buf);
    assert_int_equal(buf.size, 0);
    assert_int_equal(buf.capacity, capacity);
    buf_release(&buf);
}

static void test_take(void **state)
{
    struct buf buf;
    size_t size = 99;

    (void)state;
    buf_init(&buf, 3);
    char *empty = buf_take(&buf, &size);
    assert_string_equal(empty, "");
    assert_int_equal(size, 0);
    free(empty);

    buf_append_text(&buf, "abc");
    buf_append_text(&buf, "d");
    char *text = buf_take(&buf, &size);
    assert_string_equal(text, "abc");
    assert_int_equal(size, 3);
    assert_true(buf_ok(&buf));
    assert_null(buf.data);
    assert_true(buf_append_text(&buf, "xyz")); /* as after buf_init, with the same ceiling */
    assert_false(buf_append_text(&buf, "!"));
    buf_release(&buf);
    free(text);
}

static void test_numbers(void **state)
{
    static const struct {
        double number;
        const char *expected;
    } rows[] = {
        {0, "0"},
        {1, "1"},
        {-17, "-17"},
        {0.5, "0.5"},
        {0.1, "0.1"},
        {0.0025, "0.0025"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1e15, "1000000000000000"},
        {9007199254740992.0, "9007199254740992"},
        {1e300, "1e+300"},
        {5e-324, "4.94065645841247e-324"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
    };
    struct buf buf;

    (void)state;
    buf_init(&buf, 64);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        buf_reset(&buf);
        assert_true(buf_append_number(&buf, rows[i].number));
        assert_string_equal(buf_text(&buf), rows[i].expected);
    }
    buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_starts_empty),
        cmocka_unit_test(test_appends),
        cmocka_unit_test(test_ceiling),
        cmocka_unit_test(test_too_large_append_adds_nothing),
        cmocka_unit_test(test_growth_doubles),
        cmocka_unit_test(test_reset_keeps_memory),
        cmocka_unit_test(test_take),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
