/* rate: which texts are rates, and how far apart their calls are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "worker/rate.h"

static void reads_rates(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t calls, period_us, interval_us;
    } rows[] = {
        {"10/s", 10, 1000000, 100000},
        {"7/s", 7, 1000000, 142858},
        {"1/s", 1, 1000000, 1000000},
        {"3/s", 3, 1000000, 333334},
        {"600/m", 600, 60000000, 100000},
        {"5000/h", 5000, INT64_C(3600000000), 720000},
        {"1/h", 1, INT64_C(3600000000), INT64_C(3600000000)},
        {"1000000/s", 1000000, 1000000, 1},
        {"999999/s", 999999, 1000000, 2},
        {"007/s", 7, 1000000, 142858},
        {"0", 0, 1000000, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rate rate;
        if (!rate_parse(rows[i].text, &rate))
            fail_msg("%s: refused", rows[i].text);
        assert_int_equal(rate.calls, rows[i].calls);
        assert_int_equal(rate.period_us, rows[i].period_us);
        assert_int_equal(rate_interval_us(&rate), rows[i].interval_us);
        /* The limit is never exceeded: that many intervals fill the period. */
        assert_true(rate.calls == 0 || rate.calls * rows[i].interval_us >= rate.period_us);
        char text[24];
        rate_print(&rate, text, sizeof text);
        assert_string_equal(text, rows[i].text + strspn(rows[i].text, rate.calls ? "0" : ""));
    }
}

static void refuses_the_rest(void **state)
{
    (void)state;
    static const char *const rows[] = {"", " ", "10", "10/", "/s", "s", "10s", "10/d", "10/ms",
        "10/S", "10 /s", "10/ s", " 10/s", "10/s ", "10/s/s", "-1/s", "+1/s", "1.5/s", "1e3/s",
        "0x1/s", "0/s", "00", "00/s", "1000001/s", "99999999999999999999999/s", "10//s", "ten/s",
        "10/\xc5\xbf"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rate rate;
        if (rate_parse(rows[i], &rate))
            fail_msg("\"%s\": taken", rows[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_rates),
        cmocka_unit_test(refuses_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
