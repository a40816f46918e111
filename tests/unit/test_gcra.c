/* The arithmetic of a limit, by tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/gcra.h"

#define MS INT64_C(1000)
#define NOW INT64_C(1000000000)

static void test_interval_keeps_a_part_back(void **state)
{
    (void)state;
    static const struct {
        const char *rate;
        int64_t interval_us;
    } rows[] = {
        {"0", 0},
        {"1/s", 1015000},
        {"10/s", 101500},
        {"7/s", 145000},
        {"1000/s", 1015},
        {"10000/s", 101},
        {"20000/s", 50},
        {"1000000/s", 1},
        {"600/m", 101500},
        {"1/h", 3654000000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rate rate;
        assert_true(rate_parse(rows[i].rate, &rate));
        assert_int_equal(gcra_interval_us(&rate), rows[i].interval_us);
    }
}

/* Calls as early as they may be, each asked for at a time of its own. */
static void test_calls(void **state)
{
    (void)state;
    enum { CALLS = 6 };
    static const struct {
        const char *what;
        int64_t interval_us, burst;
        int64_t asked_us[CALLS], begins_us[CALLS]; /* from NOW */
    } rows[] = {
        {"no limit", 0, 1, {0, 0, 0, 1, 1, 2}, {0, 0, 0, 1, 1, 2}},
        {"a burst, then the pace", 100 * MS, 3, {0}, {0, 0, 0, 100 * MS, 200 * MS, 300 * MS}},
        {"no burst", 100 * MS, 1, {0}, {0, 100 * MS, 200 * MS, 300 * MS, 400 * MS, 500 * MS}},
        {"a rest gives the burst back, not more", 100 * MS, 2,
            {0, 0, 0, 5000 * MS, 5000 * MS, 5000 * MS},
            {0, 0, 100 * MS, 5000 * MS, 5000 * MS, 5100 * MS}},
        {"a little late does not move those behind, more does", 10 * MS, 1,
            {0, 11 * MS, 11 * MS, 33 * MS, 33 * MS, 33 * MS},
            {0, 11 * MS, 20 * MS, 33 * MS, 43 * MS, 53 * MS}},
        {"half a rest gives half of it", 100 * MS, 3, {0, 0, 0, 150 * MS, 150 * MS, 150 * MS},
            {0, 0, 0, 150 * MS, 200 * MS, 300 * MS}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct gcra gcra = {0};
        gcra_set(&gcra, rows[i].interval_us, rows[i].burst);
        int64_t now_us = NOW;
        for (int call = 0; call < CALLS; call++) {
            if (NOW + rows[i].asked_us[call] > now_us)
                now_us = NOW + rows[i].asked_us[call];
            now_us = gcra_slot_us(&gcra, now_us, 0);
            if (now_us != NOW + rows[i].begins_us[call])
                fail_msg("%s: call %d", rows[i].what, call);
            gcra_take(&gcra, now_us);
        }
    }
}

static void test_behind_others(void **state)
{
    (void)state;
    static const struct {
        unsigned ahead;
        int64_t begins_us;
    } rows[] = {{0, 0}, {1, 0}, {2, 0}, {3, 100 * MS}, {10, 800 * MS}};
    struct gcra gcra = {0};
    gcra_set(&gcra, 100 * MS, 3);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(gcra_slot_us(&gcra, NOW, rows[i].ahead), NOW + rows[i].begins_us);
}

static void test_start_anew(void **state)
{
    (void)state;
    struct gcra gcra = {0};
    gcra_set(&gcra, 100 * MS, 5);
    gcra_start_anew(&gcra, NOW + 700 * MS);
    for (int call = 0; call < 3; call++) {
        int64_t begins_us = gcra_slot_us(&gcra, NOW, 0);
        assert_int_equal(begins_us, NOW + (700 + 100 * call) * MS);
        gcra_take(&gcra, begins_us);
    }
    gcra_start_anew(&gcra, NOW); /* nothing is given back by it */
    assert_int_equal(gcra_slot_us(&gcra, NOW, 0), NOW + 1000 * MS);
}

static void test_another_limit_keeps_what_was_taken(void **state)
{
    (void)state;
    struct gcra gcra = {0};
    gcra_set(&gcra, 100 * MS, 1);
    gcra_take(&gcra, NOW);
    gcra_set(&gcra, 10 * MS, 1);
    assert_int_equal(gcra_slot_us(&gcra, NOW, 0), NOW + 100 * MS);
    gcra_set(&gcra, 0, 1);
    assert_int_equal(gcra_slot_us(&gcra, NOW, 9), NOW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_interval_keeps_a_part_back),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_behind_others),
        cmocka_unit_test(test_start_anew),
        cmocka_unit_test(test_another_limit_keeps_what_was_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
