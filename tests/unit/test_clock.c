#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"

#define SECOND CLOCK_US_PER_SECOND

static int64_t now_wall_us;

static int64_t fake_wall_us(void)
{
    return now_wall_us;
}

static int64_t fake_monotonic_us(void)
{
    return 42;
}

static int restore_clock(void **state)
{
    (void)state;
    clock_set_source(NULL, NULL);
    return 0;
}

static void test_real_clocks(void **state)
{
    (void)state;
    int64_t before_us = clock_monotonic_us();
    assert_true(before_us > 0);
    assert_true(clock_monotonic_us() >= before_us);
    assert_true(clock_wall_us() > INT64_C(1700000000) * SECOND);
}

static void test_source(void **state)
{
    (void)state;
    now_wall_us = 7;
    clock_set_source(fake_monotonic_us, fake_wall_us);
    assert_int_equal(clock_monotonic_us(), 42);
    assert_int_equal(clock_wall_us(), 7);
    clock_set_source(NULL, NULL);
    assert_true(clock_wall_us() > 7);
}

static void test_rfc3339(void **state)
{
    static const struct {
        int64_t wall_us;
        const char *expected;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {999, "1970-01-01T00:00:00.000Z"},
        {1000, "1970-01-01T00:00:00.001Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {-1000000, "1969-12-31T23:59:59.000Z"},
        {INT64_C(1795244672123456), "2026-11-21T07:04:32.123Z"},
        {INT64_C(951782400000000), "2000-02-29T00:00:00.000Z"},
        {INT64_C(253402300799999999), "9999-12-31T23:59:59.999Z"},
        {INT64_C(253402300800000000), "9999-12-31T23:59:59.999Z"},
        {INT64_C(-62167219200000000), "0000-01-01T00:00:00.000Z"},
        {INT64_C(-62167219200000001), "0000-01-01T00:00:00.000Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999Z"},
        {INT64_MIN, "0000-01-01T00:00:00.000Z"},
    };
    char text[CLOCK_RFC3339_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        clock_format_rfc3339(rows[i].wall_us, text);
        assert_string_equal(text, rows[i].expected);
    }
}

/* 784111777: the example of RFC 9110. Two-digit years as seen on 2026-11-21. */
static void test_http_dates(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds;
    } rows[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
        {"Sun Nov  6 08:49:37 1994", 784111777},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Wed, 31 Dec 1969 23:59:59 GMT", -1},
        {"Tue, 29 Feb 2000 12:00:00 GMT", 951825600},
        {"Sat, 21 Nov 2026 07:04:32 GMT", 1795244672},
        {"Sat Nov 21 07:04:32 2026", 1795244672},
        {"Saturday, 21-Nov-26 07:04:32 GMT", 1795244672},
        {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800},    /* a leap second */
        {"Saturday, 21-Nov-76 07:04:31 GMT", 3373167871}, /* just within 50 years: 2076 */
        {"Sunday, 21-Nov-76 07:04:33 GMT", 217407873},    /* just past: 1976 */
        {"Thursday, 21-Nov-75 00:00:00 GMT", 3341520000},
        {"Friday, 31-Dec-99 23:59:59 GMT", 946684799},
    };
    int64_t wall_us;

    (void)state;
    now_wall_us = INT64_C(1795244672) * SECOND;
    clock_set_source(NULL, fake_wall_us);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (!clock_parse_http_date(rows[i].text, &wall_us))
            fail_msg("refused: %s", rows[i].text);
        if (wall_us != rows[i].seconds * SECOND)
            fail_msg("%s: %jd", rows[i].text, (intmax_t)(wall_us / SECOND));
    }
}

/* Near the end of a century "01" is in the next one. */
static void test_http_date_over_a_century(void **state)
{
    int64_t wall_us;
    char text[CLOCK_RFC3339_SIZE];

    (void)state;
    now_wall_us = INT64_C(4085337600) * SECOND; /* 2099-06-17 */
    clock_set_source(NULL, fake_wall_us);
    assert_true(clock_parse_http_date("Saturday, 01-Jan-01 00:00:00 GMT", &wall_us));
    clock_format_rfc3339(wall_us, text);
    assert_string_equal(text, "2101-01-01T00:00:00.000Z");
}

static void test_not_http_dates(void **state)
{
    static const char *const rows[] = {
        "",
        "120",
        "-1",
        "Sun",
        "Sun, ",
        "Sun, 06 Nov 1994",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 ",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 gmt",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT+1",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06  Nov 1994 08:49:37 GMT",
        "Sun,06 Nov 1994 08:49:37 GMT",
        "Sun 06 Nov 1994 08:49:37 GMT",
        "Sun, 06-Nov-1994 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sun, 06 Now 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06 Nov 19994 08:49:37 GMT",
        "Sun, +6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, 06 Nov 1994 08:49 GMT",
        "Mon, 06 Nov 1994 08:49:37 GMT", /* was a Sunday */
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Thu, 31 Nov 1994 08:49:37 GMT",
        "Wed, 30 Feb 2000 08:49:37 GMT",
        "Thu, 29 Feb 2001 08:49:37 GMT",
        "Monday, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov 06 08:49:37 94",
        "Sun Nov  6 08:49:37 1994 GMT",
        "Sun Nov   6 08:49:37 1994",
        "1994-11-06T08:49:37Z",
    };
    int64_t wall_us = 5;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (clock_parse_http_date(rows[i], &wall_us))
            fail_msg("accepted: %s", rows[i]);
        assert_int_equal(wall_us, 5);
    }
}

static void test_rfc3339_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t wall_us; /* -1: refused */
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01t00:00:01z", SECOND},
        {"1970-01-02 00:00:00Z", 86400 * SECOND},
        {"2026-11-21T07:04:32.123Z", INT64_C(1795244672123000)},
        {"2026-11-21T07:04:32.123456789Z", INT64_C(1795244672123456)},
        {"2026-11-21T08:04:32.1+01:00", INT64_C(1795244672100000)},
        {"2026-11-21T01:34:32-05:30", INT64_C(1795244672000000)},
        {"2024-02-29T00:00:00Z", INT64_C(1709164800000000)},
        {"2023-02-29T00:00:00Z", -1},
        {"2026-13-01T00:00:00Z", -1},
        {"2026-00-01T00:00:00Z", -1},
        {"2026-01-01T24:00:00Z", -1},
        {"2026-01-01T00:00:00", -1},
        {"2026-01-01T00:00:00.Z", -1},
        {"2026-01-01T00:00:00+0100", -1},
        {"2026-01-01T00:00:00+24:00", -1},
        {"2026-01-01T00:00:00Z ", -1},
        {"2026-01-01", -1},
        {"", -1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t wall_us = -1;
        int read = clock_parse_rfc3339(rows[i].text, &wall_us);
        if (read != (rows[i].wall_us >= 0) || wall_us != rows[i].wall_us)
            fail_msg("%s: %d, %lld", rows[i].text, read, (long long)wall_us);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_real_clocks),
        cmocka_unit_test_teardown(test_source, restore_clock),
        cmocka_unit_test(test_rfc3339),
        cmocka_unit_test_teardown(test_http_dates, restore_clock),
        cmocka_unit_test_teardown(test_http_date_over_a_century, restore_clock),
        cmocka_unit_test(test_not_http_dates),
        cmocka_unit_test(test_rfc3339_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
