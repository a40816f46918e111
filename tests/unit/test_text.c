#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/text.h"

#define SIXTY_FOUR "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_questions(void **state)
{
    (void)state;
    assert_true(text_equal("a", "a"));
    assert_true(text_equal(NULL, NULL));
    assert_false(text_equal("a", "A"));
    assert_false(text_equal("", NULL));
    assert_false(text_equal(NULL, ""));
    assert_true(text_starts_with("KAFKA_X", "KAFKA_"));
    assert_true(text_starts_with("x", ""));
    assert_false(text_starts_with("KAF", "KAFKA_"));
    assert_true(text_empty(NULL));
    assert_true(text_empty(""));
    assert_false(text_empty(" "));
}

static void test_edit_distance(void **state)
{
    static const struct {
        const char *a, *b;
        unsigned most, expected;
    } rows[] = {
        {"", "", 2, 0}, {"abc", "abc", 2, 0}, {"abc", "", 5, 3}, {"abc", "abcd", 2, 1},
        {"abc", "bc", 2, 1}, {"abc", "axc", 2, 1}, {"abc", "acb", 2, 1}, /* a swap of neighbours */
        {"ab", "ba", 2, 1}, {"abcd", "badc", 2, 2},
        {"ca", "abc", 5, 3}, /* a swapped pair is not edited again: 2 in other measures */
        {"kitten", "sitting", 5, 3}, {"provider", "providres", 2, 2}, {"abc", "ABC", 5, 3},
        {"abc", "xyz", 2, 3}, /* most + 1 */
        {"abcdefgh", "", 2, 3}, {"abc", "abd", 0, 1}, {SIXTY_FOUR, SIXTY_FOUR, 2, 0},
        {SIXTY_FOUR, "", 64, 64}, {SIXTY_FOUR "x", SIXTY_FOUR "x", 2, 3}, /* too long to be near */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        unsigned forth = text_edit_distance(rows[i].a, rows[i].b, rows[i].most);
        unsigned back = text_edit_distance(rows[i].b, rows[i].a, rows[i].most);
        if (forth != rows[i].expected || back != rows[i].expected)
            fail_msg("%s, %s: %u and %u", rows[i].a, rows[i].b, forth, back);
    }
}

static void test_nearest(void **state)
{
    static const char *const names[] = {"provider", "providers", "language", "environment", NULL};
    static const char *const none[] = {NULL};

    (void)state;
    assert_string_equal(text_nearest("langauge", names, 2), "language");
    assert_string_equal(text_nearest("providerss", names, 2), "providers");
    assert_string_equal(text_nearest("provider", names, 2), "provider");
    assert_string_equal(text_nearest("provide", names, 2), "provider");
    assert_null(text_nearest("reference", names, 2));
    assert_null(text_nearest("", names, 2));
    assert_null(text_nearest("language", none, 2));
    assert_null(text_nearest("langauge", names, 0));
}

static void test_items(void **state)
{
    static const struct {
        const char *list, *items; /* each item in brackets */
    } rows[] = {
        {"", ""},
        {" \t", ""},
        {"a", "[a]"},
        {"a,b", "[a][b]"},
        {" a , b\n", "[a][b]"},
        {"a b,c", "[a b][c]"},
        {"a,,b", "[a][][b]"},
        {"a,", "[a][]"},
        {",", "[][]"},
        {" , a", "[][a]"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct text_items items;
        char found[64] = "";
        size_t size = 0;
        text_items_begin(&items, rows[i].list);
        while (text_items_next(&items))
            size += (size_t)snprintf(
                found + size, sizeof found - size, "[%.*s]", (int)items.size, items.item);
        assert_string_equal(found, rows[i].items);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_questions),
        cmocka_unit_test(test_edit_distance),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
