/* Which part of what came lately was of one kind: by number, by time, and when nothing comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/recent_share.h"

#define NOW INT64_C(50000000000)
#define MINUTE INT64_C(60000000)

static void test_shares(void **state)
{
    enum { STEPS = 4 };
    static const struct {
        const char *what;
        struct {
            int64_t minutes; /* after NOW */
            unsigned of_it, others;
        } steps[STEPS];
        int64_t asked_minutes;
        double ratio;
    } rows[] = {
        {"nothing", {{0}}, 0, 0},
        {"few are enough", {{0, 1, 3}}, 0, 0.25},
        {"all", {{0, 1, 0}}, 5, 1},
        {"the full window still counts", {{0, 1000, 0}}, 0, 1},
        {"with the one that fills", {{0, 1000, 0}, {1, 0, 600}}, 1, 0.625},
        {"not the one before that", {{0, 1000, 0}, {1, 0, 1000}, {2, 250, 0}}, 2, 0.2},
        {"not what is old", {{0, 30, 0}, {11, 0, 30}, {22, 10, 10}}, 22, 0.2},
        {"still known", {{0, 30, 10}}, 11, 0.75},
        {"forgotten in a silence", {{0, 30, 10}}, 21, 0},
        {"forgotten between two looks", {{0, 30, 10}, {30, 0, 5}}, 30, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct recent_share share = {0};
        for (int step = 0; step < STEPS; step++) {
            int64_t now_us = NOW + rows[i].steps[step].minutes * MINUTE;
            for (unsigned n = 0; n < rows[i].steps[step].of_it; n++)
                recent_share_add(&share, true, now_us);
            for (unsigned n = 0; n < rows[i].steps[step].others; n++)
                recent_share_add(&share, false, now_us);
        }
        double ratio = recent_share_ratio(&share, NOW + rows[i].asked_minutes * MINUTE);
        if (ratio < rows[i].ratio - 1e-9 || ratio > rows[i].ratio + 1e-9)
            fail_msg("%s: %f", rows[i].what, ratio);
    }
}

static void test_full_windows(void **state)
{
    struct recent_share share = {0};
    unsigned full = 0;
    (void)state;
    for (unsigned n = 1; n <= 3 * RECENT_SHARE_COUNT; n++) {
        bool filled = recent_share_add(&share, true, NOW);
        assert_int_equal(filled, n % RECENT_SHARE_COUNT == 0);
        full += filled;
    }
    assert_int_equal(full, 3);
    /* Time ends a window, too, which is then not full. */
    for (unsigned n = 0; n < RECENT_SHARE_COUNT - 1; n++)
        assert_false(recent_share_add(&share, true, NOW));
    assert_false(recent_share_add(&share, true, NOW + RECENT_SHARE_WINDOW_US));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_full_windows),
    };
    return cmocka_run_group_tests_name("recent_share", tests, NULL, NULL);
}
