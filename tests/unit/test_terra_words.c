/* What is left of Terra's words before others see them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/memory.h"
#include "worker/terra_words.h"

#define KEY "OtHJok60oQmT8zhnUWc4SWBJI7ztPTs88C0gOsJJ"

static void test_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text, *clean;
    } cases[] = {
        {"unknown provider ACMEWATCH", "unknown provider ACMEWATCH"},
        {"  many \n\t blanks  ", "many blanks"},
        {"", ""},
        {" ", ""},
        {"go to https://x.example/a?token=1 now", "go to [removed] now"},
        {"go to (http://x.example) now", "go to [removed] now"},
        {"<a href=\"//x.example\">x</a>", "<a [removed]"},
        {"widget.tryterra.co/session/1", "[removed]"},
        {"WWW.x.example", "[removed]"},
        {"https%3A%2F%2Fx.example", "[removed]"},
        {"https:\\/\\/x.example", "[removed]"},
        {"/api/v2/auth/authenticateUser?resource=ACMEWATCH failed", "[removed] failed"},
        {"x?dev-id=1", "[removed]"},
        {"key " KEY " is bad", "key [removed] is bad"},
        {"x-api-key=" KEY, "[removed]"},
        {"\"" KEY "\",", "[removed]"},
        {"acme-testing-Ab3dEf9hIj", "[removed]"},
        {"user 0f6c2a7b-5d1e-4f5a-8f11-6a7f6f2b9c30 unknown", "user [removed] unknown"},
        {"auth_failure_redirect_url is no and/or other URL",
            "auth_failure_redirect_url is no and/or other URL"},
        {"Really? yes = no", "Really? yes = no"},
        {"can\xe2\x80\x99t \xe2\x80\xae", "can???t ???"},
        {"broken \xff\xc3", "broken ??"},
        {"%s %n %d", "%s %n %d"},
        {"bell\a \x7f\x1b[31m", "bell [31m"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char clean[100];
        terra_words_clean(clean, sizeof clean, cases[i].text);
        assert_string_equal(clean, cases[i].clean);
    }
}

/* Never past the end, whatever the size, and a secret is not laid bare by the cut. */
static void test_every_size(void **state)
{
    (void)state;
    static const char whole[] = "one [removed] two three";
    for (size_t size = 1; size <= sizeof whole + 1; size++) {
        char *clean = malloc(size);
        terra_words_clean(clean, size, "one " KEY "  two\nthree");
        size_t length = size - 1 < sizeof whole - 1 ? size - 1 : sizeof whole - 1;
        assert_int_equal(strlen(clean), length);
        assert_memory_equal(clean, whole, length);
        free(clean);
    }
}

/* One endless word is taken for a key, however it would be cut. */
static void test_long_texts(void **state)
{
    (void)state;
    enum { SIZE = 60000 };
    char *text = memory_new(SIZE + 1);
    char clean[201];
    memset(text, 'w', SIZE);
    terra_words_clean(clean, sizeof clean, text);
    assert_string_equal(clean, "[removed]");
    for (size_t i = 9; i < SIZE; i += 10)
        text[i] = ' ';
    terra_words_clean(clean, sizeof clean, text);
    assert_int_equal(strlen(clean), sizeof clean - 1);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_every_size),
        cmocka_unit_test(test_long_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
