#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/utf8.h"

static void test_valid_prefix(void **state)
{
    static const struct {
        const char *bytes;
        size_t valid;
    } rows[] = {
        {"", 0},
        {"plain", 5},
        {"exactly8", 8},
        {"more than eight bytes", 21},
        {"\x7f", 1},
        {"\xc2\x80", 2},         /* U+0080 */
        {"\xdf\xbf", 2},         /* U+07FF */
        {"\xe0\xa0\x80", 3},     /* U+0800 */
        {"\xed\x9f\xbf", 3},     /* U+D7FF */
        {"\xee\x80\x80", 3},     /* U+E000 */
        {"\xef\xbf\xbf", 3},     /* U+FFFF */
        {"\xf0\x90\x80\x80", 4}, /* U+10000 */
        {"\xf4\x8f\xbf\xbf", 4}, /* U+10FFFF */
        {"12345678\xc3\xa9", 10},
        {"1234567\xc3\xa9xyz", 12},
        {"\x80", 0}, /* a continuation alone */
        {"ab\xbf", 2},
        {"\xc0\x80", 0},         /* overlong NUL */
        {"\xc1\xbf", 0},         /* overlong */
        {"\xe0\x9f\xbf", 0},     /* overlong */
        {"\xf0\x8f\xbf\xbf", 0}, /* overlong */
        {"\xed\xa0\x80", 0},     /* U+D800 */
        {"\xed\xbf\xbf", 0},     /* U+DFFF */
        {"\xf4\x90\x80\x80", 0}, /* U+110000 */
        {"\xf5\x80\x80\x80", 0},
        {"\xf8\x88\x80\x80\x80", 0},
        {"\xfe", 0},
        {"\xff", 0},
        {"a\xc3", 1}, /* cut off */
        {"a\xe2\x82", 1},
        {"a\xf0\x9f\x98", 1},
        {"\xc3(", 0}, /* no continuation */
        {"\xe2\x82(", 0},
        {"\xe2(\xa1", 0},
        {"\xf0\x9f(\x80", 0},
        {"\xf0\x9f\x98(", 0},
        {"12345678\xff", 8},
        {"123456\xff"
         "8",
            6},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t size = strlen(rows[i].bytes);
        char *exact = malloc(size + 1); /* so that a sanitizer sees a read past the end */
        memcpy(exact + 1, rows[i].bytes, size);
        if (utf8_valid_prefix(exact + 1, size) != rows[i].valid)
            fail_msg("row %zu: %zu", i, utf8_valid_prefix(exact + 1, size));
        assert_int_equal(utf8_valid(exact + 1, size), rows[i].valid == size);
        free(exact);
    }
    assert_true(utf8_valid("a\0b", 3));
    assert_true(utf8_valid(NULL, 0));
}

/* Every code point, written as RFC 3629 says, is one character; the surrogates are none. */
static void test_all_code_points(void **state)
{
    (void)state;
    for (uint32_t point = 0x80; point < 0x120000; point++) {
        unsigned char bytes[4];
        size_t length = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
        for (size_t i = length - 1; i > 0; i--)
            bytes[i] = (unsigned char)(0x80 | ((point >> (6 * (length - 1 - i))) & 0x3f));
        bytes[0] = (unsigned char)((0xf0 << (4 - length)) | (point >> (6 * (length - 1))));
        size_t expected = (point >= 0xd800 && point <= 0xdfff) || point > 0x10ffff ? 0 : length;
        if (utf8_character(bytes, length) != expected)
            fail_msg("U+%04X", point);
        assert_int_equal(utf8_character(bytes, length - 1), 0);
    }
}

static void test_control(void **state)
{
    (void)state;
    assert_false(utf8_has_control("plain \xc3\xa9 text", 13));
    assert_false(utf8_has_control("", 0));
    assert_true(utf8_has_control("a\0b", 3));
    assert_true(utf8_has_control("a\n", 2));
    assert_true(utf8_has_control("\x1f", 1));
    assert_true(utf8_has_control("\x7f", 1));
    assert_false(utf8_has_control(" ", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid_prefix),
        cmocka_unit_test(test_all_code_points),
        cmocka_unit_test(test_control),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
