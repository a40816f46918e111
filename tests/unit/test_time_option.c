/* Points in time from a command line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"
#include "worker/time_option.h"

#define NOW INT64_C(1795244672123456)

static void test_times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t wall_us; /* -1: refused */
    } rows[] = {
        {"90s", NOW - 90 * CLOCK_US_PER_SECOND},
        {"10m", NOW - 600 * CLOCK_US_PER_SECOND},
        {"2h", NOW - 7200 * CLOCK_US_PER_SECOND},
        {"7d", NOW - 7 * 86400 * CLOCK_US_PER_SECOND},
        {"0s", NOW},
        {"2026-11-21T07:04:32Z", INT64_C(1795244672000000)},
        {"1969-12-31T23:59:59Z", -1},
        {"1000000d", -1},
        {"99999999999999999999s", -1},
        {"10", -1},
        {"m", -1},
        {"-1m", -1},
        {"1.5h", -1},
        {"10 m", -1},
        {"10min", -1},
        {"", -1},
        {"beginning", -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t wall_us = -1;
        bool read = time_option_parse(rows[i].text, NOW, &wall_us);
        if (read != (rows[i].wall_us >= 0) || (read && wall_us != rows[i].wall_us))
            fail_msg("%s: %d, %lld", rows[i].text, read, (long long)wall_us);
    }
}

static void test_spans(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t span_us; /* -1: refused */
    } rows[] = {
        {"90s", 90 * CLOCK_US_PER_SECOND},
        {"2h", 7200 * CLOCK_US_PER_SECOND},
        {"0s", 0},
        {"1000000d", INT64_C(86400000000) * 1000000},
        {"1000001d", -1},
        {"2026-11-21T07:04:32Z", -1},
        {"2", -1},
        {"h", -1},
        {"", -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t span_us = -1;
        bool read = time_option_parse_span(rows[i].text, &span_us);
        if (read != (rows[i].span_us >= 0) || (read && span_us != rows[i].span_us))
            fail_msg("%s: %d, %lld", rows[i].text, read, (long long)span_us);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_spans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
