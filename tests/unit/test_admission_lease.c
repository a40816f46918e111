/* Slots in hand, by a clock of the test's own: when each is good, and what makes them void. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/admission_lease.h"

#define MS INT64_C(1000)
#define NOW INT64_C(1000000000)
#define GRACE (5 * MS)

static struct admission_lease lease;

static void begin(void)
{
    admission_lease_init(&lease, 100 * MS, 3, true);
}

static void end(void)
{
    admission_lease_release(&lease);
}

/* 10/s, burst 3. */
static struct admission_grant grant_of(int64_t slots, int64_t begins_in_us)
{
    return (struct admission_grant){
        .slots = slots,
        .begins_in_us = begins_in_us,
        .epoch = 7,
        .interval_us = 100 * MS,
        .burst = 3,
        .workers = 2,
        .lease = 4,
        .next_in_us = begins_in_us + slots * 100 * MS,
    };
}

static void test_when_slots_are_good(void **state)
{
    (void)state;
    static const struct {
        int64_t begins_in_us;
        int64_t begin_us[4], end_us[4]; /* from NOW, which is when the answer came */
    } rows[] = {
        /* At rest: three at once, of which each is good as long as its theoretical arrival. */
        {-200 * MS, {0, 0, 0, 100 * MS}, {100 * MS, 200 * MS, 300 * MS, 400 * MS}},
        {0, {0, 100 * MS, 200 * MS, 300 * MS}, {300 * MS, 400 * MS, 500 * MS, 600 * MS}},
        {50 * MS, {50 * MS, 150 * MS, 250 * MS, 350 * MS},
            {350 * MS, 450 * MS, 550 * MS, 650 * MS}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin();
        struct admission_grant grant = grant_of(4, rows[i].begins_in_us);
        assert_int_equal(admission_lease_add(&lease, &grant, NOW - MS, NOW), 0);
        assert_int_equal(lease.count, 4);
        for (unsigned slot = 0; slot < 4; slot++)
            assert_int_equal(admission_lease_begins_us(&lease, slot), NOW + rows[i].begin_us[slot]);
        for (unsigned slot = 0; slot < 4; slot++) {
            int64_t end_us = NOW + rows[i].end_us[slot] + GRACE;
            assert_int_equal(admission_lease_drop_late(&lease, end_us), 0);
            assert_int_equal(admission_lease_drop_late(&lease, end_us + 1), 1);
        }
        end();
    }
}

static void test_share_holds_back(void **state)
{
    (void)state;
    begin();
    struct admission_grant grant = grant_of(3, -200 * MS);
    grant.share_begins_in_us = -100 * MS;
    grant.share_interval_us = 150 * MS;
    grant.share_burst = 1;
    admission_lease_add(&lease, &grant, NOW, NOW);
    static const int64_t begins_us[] = {0, 50 * MS, 200 * MS};
    for (unsigned slot = 0; slot < 3; slot++)
        assert_int_equal(admission_lease_begins_us(&lease, slot), NOW + begins_us[slot]);
    /* The share, without a burst, lets none be late by more than the grace. */
    assert_int_equal(admission_lease_drop_late(&lease, NOW + GRACE + 1), 1);
    assert_int_equal(admission_lease_drop_late(&lease, NOW + 150 * MS + GRACE), 0);
    assert_int_equal(admission_lease_drop_late(&lease, NOW + 150 * MS + GRACE + 1), 1);
    end();
}

/* Of slots that begin at Redis' "now", answer by answer. What its clock shows is of no interest,
 * but how much later. */
static void test_when_slots_begin(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        int64_t asked_us, answered_us; /* from NOW */
        int64_t redis_us;
        int64_t begins_us; /* give or take what clocks may drift */
    } rows[] = {
        {"nothing is known yet", 0, 9 * MS, 5 * MS, 9 * MS},
        {"one that was faster", 10 * MS, 13 * MS, 12 * MS, 13 * MS},
        {"one that we were late to read", 20 * MS, 70 * MS, 22 * MS, 23 * MS},
        {"one that was late to get there", 80 * MS, 130 * MS, 129 * MS, 130 * MS},
        {"both", 140 * MS, 340 * MS, 240 * MS, 241 * MS},
        {"we stood still", 400 * MS, 10400 * MS, 401 * MS, 402 * MS},
        {"its clock was set back", 10500 * MS, 10502 * MS, 9000 * MS, 10502 * MS},
        {"and one that we were late to read", 10600 * MS, 10700 * MS, 9101 * MS, 10603 * MS},
        {"its clock was set forward", 10800 * MS, 10803 * MS, 99000 * MS, 10803 * MS},
        {"and one that we were late to read", 10900 * MS, 11000 * MS, 99098 * MS, 10901 * MS},
        {"long after, when clocks may have drifted", 2011000 * MS, 2011060 * MS, 2099198 * MS,
            2011060 * MS},
    };
    begin();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct admission_grant grant = grant_of(4, 0);
        grant.redis_us = 1700000000 * INT64_C(1000000) + rows[i].redis_us;
        admission_lease_add(&lease, &grant, NOW + rows[i].asked_us, NOW + rows[i].answered_us);
        int64_t late_us = admission_lease_begins_us(&lease, 0) - (NOW + rows[i].begins_us);
        if (late_us < 0 || late_us > rows[i].answered_us / 20000)
            fail_msg("%s: %d us late", rows[i].what, (int)late_us);
        admission_lease_void(&lease);
    }
    end();
}

static void test_late_slots_are_dropped(void **state)
{
    (void)state;
    begin();
    struct admission_grant grant = grant_of(4, 0);
    admission_lease_add(&lease, &grant, NOW - 2 * MS, NOW);
    admission_lease_void(&lease);
    /* The answer lay in the socket for ten seconds. */
    admission_lease_add(&lease, &grant, NOW - 2 * MS, NOW + 10000 * MS);
    assert_int_equal(admission_lease_drop_late(&lease, NOW + 10000 * MS), 4);
    end();
}

static void test_another_epoch_is_void(void **state)
{
    (void)state;
    begin();
    struct admission_grant grant = grant_of(4, 0);
    admission_lease_add(&lease, &grant, NOW, NOW);
    assert_int_equal(admission_lease_add(&lease, &grant, NOW, NOW), 0);
    assert_int_equal(lease.count, 8);
    grant.epoch = 9;
    assert_int_equal(admission_lease_add(&lease, &grant, NOW, NOW), 8);
    assert_int_equal(lease.count, 4);
    /* News came while the question was out: its answer may be from before. */
    lease.epoch_awaited = 10;
    assert_int_equal(admission_lease_add(&lease, &grant, NOW, NOW), 4);
    assert_int_equal(lease.count, 4);
    /* And only that one. */
    assert_int_equal(admission_lease_add(&lease, &grant, NOW, NOW), 0);
    assert_int_equal(lease.count, 8);
    end();
}

static void test_guess(void **state)
{
    (void)state;
    begin();
    assert_int_equal(admission_lease_guess_us(&lease, NOW, 0), NOW - 200 * MS);
    assert_int_equal(admission_lease_guess_us(&lease, NOW, 5), NOW + 300 * MS);
    struct admission_grant grant = grant_of(4, 50 * MS);
    admission_lease_add(&lease, &grant, NOW, NOW);
    /* Two workers: every second slot is ours. */
    assert_int_equal(admission_lease_guess_us(&lease, NOW, 0), NOW + 450 * MS);
    assert_int_equal(admission_lease_guess_us(&lease, NOW, 3), NOW + 1050 * MS);
    /* Long ago. */
    assert_int_equal(admission_lease_guess_us(&lease, NOW + 9000 * MS, 0), NOW + 8800 * MS);
    end();
}

static void test_ring_goes_round(void **state)
{
    (void)state;
    begin();
    for (int64_t i = 0; i < 5000; i++) {
        struct admission_grant grant = grant_of(3, i * MS);
        admission_lease_add(&lease, &grant, NOW, NOW);
        for (int slot = 0; slot < 3; slot++) {
            assert_int_equal(admission_lease_begins_us(&lease, 0), NOW + i * MS + slot * 100 * MS);
            admission_lease_take(&lease);
        }
    }
    assert_int_equal(admission_lease_end_us(&lease), 0);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_when_slots_are_good),
        cmocka_unit_test(test_share_holds_back),
        cmocka_unit_test(test_when_slots_begin),
        cmocka_unit_test(test_late_slots_are_dropped),
        cmocka_unit_test(test_another_epoch_is_void),
        cmocka_unit_test(test_guess),
        cmocka_unit_test(test_ring_goes_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
