#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/backoff.h"

static void test_bounds(void **state)
{
    static const struct {
        int64_t base_us, maximum_us;
        unsigned attempt;
        uint64_t random;
        int64_t expected_us;
    } rows[] = {
        {500000, 8000000, 1, 0, 0},
        {500000, 8000000, 1, UINT64_MAX, 500000},
        {500000, 8000000, 1, UINT64_C(1) << 63, 250000},
        {500000, 8000000, 2, UINT64_MAX, 1000000},
        {500000, 8000000, 3, UINT64_MAX, 2000000},
        {500000, 8000000, 4, UINT64_MAX, 4000000},
        {500000, 8000000, 5, UINT64_MAX, 8000000},
        {500000, 8000000, 6, UINT64_MAX, 8000000},
        {500000, 8000000, 6, 0, 0},
        {500000, 8000000, 64, UINT64_MAX, 8000000},
        {500000, 8000000, UINT32_MAX, UINT64_MAX, 8000000},
        {500000, 7000000, 5, UINT64_MAX, 7000000}, /* the maximum is no power of two */
        {500000, 200000, 1, UINT64_MAX, 200000},   /* a base above the maximum */
        {0, 8000000, 9, UINT64_MAX, 0},
        {1, INT64_MAX, 63, UINT64_MAX, INT64_C(1) << 62},
        {1, INT64_MAX, 64, UINT64_MAX, INT64_MAX},
        {INT64_MAX, INT64_MAX, 2, UINT64_MAX, INT64_MAX},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct backoff backoff = {rows[i].base_us, rows[i].maximum_us};
        int64_t delay_us = backoff_delay_us(&backoff, rows[i].attempt, rows[i].random);
        if (delay_us != rows[i].expected_us)
            fail_msg("row %zu: %jd", i, (intmax_t)delay_us);
    }
}

/* Each tenth of the range gets about a tenth of the delays. */
static void test_spread(void **state)
{
    static const struct backoff backoff = {1000, 1000};
    unsigned tenths[10] = {0};

    (void)state;
    for (int i = 0; i < 10000; i++) {
        int64_t delay_us = backoff_delay_us(&backoff, 1, backoff_random());
        assert_in_range(delay_us, 0, 1000);
        tenths[delay_us == 1000 ? 9 : delay_us / 100]++;
    }
    for (int i = 0; i < 10; i++)
        assert_in_range(tenths[i], 800, 1200); /* six standard deviations and more */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
