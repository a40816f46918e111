#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/digest.h"

/* NIST's examples: the same as sha256sum prints. */
static void test_plain(void **state)
{
    static const struct {
        const char *text;
        const char *expected;
    } rows[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    char hex[DIGEST_HEX_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        digest_bytes(rows[i].text, strlen(rows[i].text), hex);
        assert_string_equal(hex, rows[i].expected);
    }
}

#define PARTS_MAX 3

/* Every row is another digest, and the same one each time. */
static void test_parts_differ(void **state)
{
    static const struct {
        size_t count;
        const char *parts[PARTS_MAX];
    } rows[] = {
        {0, {NULL}},
        {1, {NULL}},
        {1, {""}},
        {1, {"abc"}},
        {2, {"ab", "c"}},
        {2, {"a", "bc"}},
        {2, {"abc", ""}},
        {2, {"", "abc"}},
        {2, {"abc", NULL}},
        {2, {NULL, "abc"}},
        {2, {NULL, NULL}},
        {2, {"", ""}},
        {3, {"a", "b", "c"}},
        {3, {"a", "c", "b"}},
    };
    enum { ROWS = sizeof(rows) / sizeof(rows[0]) };
    char hex[2][ROWS][DIGEST_HEX_SIZE];

    (void)state;
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < ROWS; i++) {
            struct digest *digest = digest_begin();
            for (size_t j = 0; j < rows[i].count; j++)
                digest_part_text(digest, rows[i].parts[j]);
            digest_end(digest, hex[round][i]);
        }
    }
    for (size_t i = 0; i < ROWS; i++) {
        assert_string_equal(hex[0][i], hex[1][i]);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(hex[0][i], hex[0][j]);
    }
}

/* Names in Redis outlive the worker that wrote them, so the layout must not change. */
static void test_layout(void **state)
{
    static const char layout[] =
        "\0\0\0\0\0\0\0\3abc\377\377\377\377\377\377\377\377\0\0\0\0\0\0\0\0";
    char plain[DIGEST_HEX_SIZE], parts[DIGEST_HEX_SIZE];

    (void)state;
    digest_bytes(layout, sizeof(layout) - 1, plain);
    struct digest *digest = digest_begin();
    digest_part(digest, "abc", 3);
    digest_part(digest, NULL, 0);
    digest_part_text(digest, "");
    digest_end(digest, parts);
    assert_string_equal(plain, parts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_parts_differ),
        cmocka_unit_test(test_layout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
