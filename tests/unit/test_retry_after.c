/* Retry-After, as servers and proxies write it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"
#include "worker/retry_after.h"

/* 2026-11-21T07:04:34Z */
#define NOW (INT64_C(1795244674) * CLOCK_US_PER_SECOND)

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds; /* -1: not said */
    } cases[] = {
        {NULL, -1},
        {"", -1},
        {"0", 0},
        {"7", 7},
        {"  7 \t", 7},
        {"007", 7},
        {"1.5", 2},
        {"1.0", 1},
        {"1.", 1},
        {"86400", 86400},
        {"86401", 86400},
        {"99999999999999999999999999999999", 86400},
        {"-1", -1},
        {"+1", -1},
        {"1e9", -1},
        {"0x10", -1},
        {"1 2", -1},
        {"1s", -1},
        {"1.5.5", -1},
        {"soon", -1},
        {"nan", -1},
        {"inf", -1},
        {"Sat, 21 Nov 2026 07:04:44 GMT", 10},
        {" Sat, 21 Nov 2026 07:04:44 GMT", 10},
        {"Saturday, 21-Nov-26 07:04:44 GMT", 10},
        {"Sat Nov 21 07:04:44 2026", 10},
        {"Sat, 21 Nov 2026 07:04:34 GMT", 0},
        {"Sat, 21 Nov 2026 07:04:32 GMT", 0},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Tue, 24 Nov 2026 07:04:32 GMT", 86400},
        {"Fri, 31 Dec 9999 23:59:59 GMT", 86400},
        {"Sat, 21 Nov 2026", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t expected = cases[i].seconds < 0 ? -1 : cases[i].seconds * CLOCK_US_PER_SECOND;
        assert_int_equal(retry_after_us(cases[i].text, NOW), expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
