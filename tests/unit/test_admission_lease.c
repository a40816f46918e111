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

/* This process stood still while the answer lay in the socket. */
static void test_late_answer(void **state)
{
    (void)state;
    begin();
    struct admission_grant grant = grant_of(4, 0);
    admission_lease_add(&lease, &grant, NOW - 2 * MS, NOW);
    admission_lease_void(&lease);
    admission_lease_add(&lease, &grant, NOW, NOW + 10000 * MS);
    assert_int_equal(admission_lease_drop_late(&lease, NOW + 10000 * MS), 4);
    /* But a Redis that has become slow is used to before long. */
    int answers = 0;
    do {
        admission_lease_void(&lease);
        admission_lease_add(&lease, &grant, NOW, NOW + 400 * MS);
        answers++;
    } while (admission_lease_drop_late(&lease, NOW + 400 * MS) > 0);
    assert_in_range(answers, 1, 8);
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
        cmocka_unit_test(test_late_answer),
        cmocka_unit_test(test_another_epoch_is_void),
        cmocka_unit_test(test_guess),
        cmocka_unit_test(test_ring_goes_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
