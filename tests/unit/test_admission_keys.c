/* What a limit is called in Redis: the same for everybody who has the credential. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "worker/admission_keys.h"

static void test_names(void **state)
{
    (void)state;
    struct admission_keys keys;
    admission_keys_set(&keys, "terra-connect", "acme-prod", 20);
    /* printf acme-prod | sha256sum */
    assert_string_equal(keys.state, "terra-connect:{limit:d2836b7de9447c4a}:state");
    assert_string_equal(keys.override, "terra-connect:{limit:d2836b7de9447c4a}:override");
    assert_string_equal(keys.workers, "terra-connect:{limit:d2836b7de9447c4a}:workers");
    assert_string_equal(keys.waiting, "terra-connect:{limit:d2836b7de9447c4a}:waiting");
    assert_string_equal(keys.share_workers, "terra-connect:{limit:d2836b7de9447c4a}:workers:20");
    assert_string_equal(keys.channel, "terra-connect:{limit:d2836b7de9447c4a}:news");
}

static void test_each_credential_has_its_own(void **state)
{
    (void)state;
    struct admission_keys a, b;
    admission_keys_set(&a, "p", "acme", 100);
    admission_keys_set(&b, "p", "acme2", 100);
    assert_string_not_equal(a.state, b.state);
    admission_keys_set(&b, "q", "acme", 100);
    assert_string_not_equal(a.state, b.state);
}

static void test_a_long_prefix_fits(void **state)
{
    (void)state;
    char prefix[101];
    struct admission_keys keys;
    memset(prefix, 'p', sizeof prefix - 1);
    prefix[100] = '\0';
    admission_keys_set(&keys, prefix, "acme", 100);
    assert_non_null(strstr(keys.share_workers, "}:workers:100"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_each_credential_has_its_own),
        cmocka_unit_test(test_a_long_prefix_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
