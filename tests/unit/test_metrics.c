#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "common/metrics.h"

static int reset(void **state)
{
    (void)state;
    metrics_reset();
    return 0;
}

static void assert_printed(const char *expected)
{
    struct buf buf;

    buf_init(&buf, 65536);
    metrics_print(&buf);
    assert_true(buf_ok(&buf));
    assert_string_equal(buf_text(&buf), expected);
    buf_release(&buf);
}

static void test_nothing(void **state)
{
    (void)state;
    assert_printed("");
}

static void test_counters_and_gauges(void **state)
{
    (void)state;
    struct metric *done = metrics_counter("a_total", "code=\"ok\"", "What \\ was\ndone.");
    struct metric *busy = metrics_gauge("b", NULL, "Busy.");
    struct metric *failed = metrics_counter("a_total", "code=\"no\"", "What \\ was\ndone.");

    assert_ptr_equal(metrics_counter("a_total", "code=\"ok\"", "again"), done);
    assert_ptr_equal(metrics_gauge("b", NULL, "again"), busy);
    assert_ptr_not_equal(done, failed);
    metric_add(done, 1);
    metric_add(done, 2);
    metric_add(failed, 0.5);
    metric_set(busy, 10);
    metric_add(busy, -12.25);
    assert_true(metric_value(done) == 3);
    assert_true(metric_value(busy) == -2.25);
    assert_printed("# HELP a_total What \\\\ was\\ndone.\n"
                   "# TYPE a_total counter\n"
                   "a_total{code=\"ok\"} 3\n"
                   "a_total{code=\"no\"} 0.5\n"
                   "# HELP b Busy.\n"
                   "# TYPE b gauge\n"
                   "b -2.25\n");
}

static void test_values(void **state)
{
    static const struct {
        double value;
        const char *expected;
    } rows[] = {
        {0, "# HELP g G.\n# TYPE g gauge\ng 0\n"},
        {4000000000.0, "# HELP g G.\n# TYPE g gauge\ng 4000000000\n"},
        {1795244672.123, "# HELP g G.\n# TYPE g gauge\ng 1795244672.123\n"},
        {NAN, "# HELP g G.\n# TYPE g gauge\ng NaN\n"},
        {INFINITY, "# HELP g G.\n# TYPE g gauge\ng +Inf\n"},
        {-INFINITY, "# HELP g G.\n# TYPE g gauge\ng -Inf\n"},
    };
    struct metric *gauge = metrics_gauge("g", NULL, "G.");

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        metric_set(gauge, rows[i].value);
        assert_printed(rows[i].expected);
    }
}

static void test_histogram(void **state)
{
    static const double bounds[] = {0.1, 1, 2.5};
    struct metric *seconds = metrics_histogram("s_seconds", NULL, "S.", bounds, 3);
    struct metric *labelled = metrics_histogram("s_seconds", "flow=\"x\"", "S.", bounds, 3);
    static const double observed[] = {0.05, 0.1, 0.5, 1, 1.5, 2.5, 2.6, 100};

    (void)state;
    assert_ptr_equal(metrics_histogram("s_seconds", NULL, "S.", bounds, 3), seconds);
    for (size_t i = 0; i < sizeof(observed) / sizeof(observed[0]); i++)
        metric_observe(seconds, observed[i]);
    metric_observe(seconds, NAN);
    metric_observe(labelled, -1);
    assert_true(metric_value(seconds) == 8);
    assert_printed("# HELP s_seconds S.\n"
                   "# TYPE s_seconds histogram\n"
                   "s_seconds_bucket{le=\"0.1\"} 2\n"
                   "s_seconds_bucket{le=\"1\"} 4\n"
                   "s_seconds_bucket{le=\"2.5\"} 6\n"
                   "s_seconds_bucket{le=\"+Inf\"} 8\n"
                   "s_seconds_sum 108.25\n"
                   "s_seconds_count 8\n"
                   "s_seconds_bucket{flow=\"x\",le=\"0.1\"} 1\n"
                   "s_seconds_bucket{flow=\"x\",le=\"1\"} 1\n"
                   "s_seconds_bucket{flow=\"x\",le=\"2.5\"} 1\n"
                   "s_seconds_bucket{flow=\"x\",le=\"+Inf\"} 1\n"
                   "s_seconds_sum{flow=\"x\"} -1\n"
                   "s_seconds_count{flow=\"x\"} 1\n");
}

static void test_seconds_bounds(void **state)
{
    (void)state;
    assert_true(metrics_seconds_bounds[0] == 0.001);
    assert_true(metrics_seconds_bounds[metrics_seconds_bound_count - 1] == 600);
    for (size_t i = 1; i < metrics_seconds_bound_count; i++)
        assert_true(metrics_seconds_bounds[i - 1] < metrics_seconds_bounds[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_nothing, reset),
        cmocka_unit_test_teardown(test_counters_and_gauges, reset),
        cmocka_unit_test_teardown(test_values, reset),
        cmocka_unit_test_teardown(test_histogram, reset),
        cmocka_unit_test(test_seconds_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
