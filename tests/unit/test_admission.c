/* Turns under the limit: never early, in order of first arrival, never past the deadline. Times are
 * checked from below only (no turn came too early), so a slow machine cannot fail a test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"
#include "worker/admission.h"

enum { ASKERS_MAX = 64 };

struct asker {
    struct admission_ticket ticket;
    int turns, refusals;
    int64_t told_us, room_in_us;
    int order; /* 1: the first who got a turn */
};

static uv_loop_t loop;
static char names[2][8] = {"first", "second"};
static struct environment environment_items[2];
static struct environments environments = {.items = environment_items, .count = 2};
static struct admission *admission;
static struct asker askers[ASKERS_MAX];
static int turns_given, told;
static bool end_at_once; /* each call ends as soon as it begins */

static void on_turn(
    struct admission_ticket *ticket, enum admission_verdict verdict, int64_t room_in_us)
{
    struct asker *asker = ticket->context;
    asker->told_us = clock_monotonic_us();
    asker->room_in_us = room_in_us;
    told++;
    if (verdict == ADMISSION_NO_ROOM) {
        asker->refusals++;
        return;
    }
    asker->turns++;
    asker->order = ++turns_given;
    if (end_at_once)
        admission_done(admission, ticket);
}

static void begin(const char *rate, int64_t burst, unsigned calls_in_flight_max)
{
    uv_loop_init(&loop);
    for (unsigned i = 0; i < 2; i++) {
        environment_items[i].index = i;
        environment_items[i].name = names[i];
        environment_items[i].burst = burst;
        assert_true(rate_parse(rate, &environment_items[i].rate));
    }
    memset(askers, 0, sizeof askers);
    turns_given = told = 0;
    end_at_once = true;
    admission = admission_new(&loop, &(struct admission_options){
                                         .environments = &environments,
                                         .calls_in_flight_max = calls_in_flight_max,
                                         .share = 100,
                                         .cooldown_max_us = CLOCK_US_PER_SECOND,
                                     });
}

static void end(void)
{
    admission_close(admission);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    admission_free(admission);
}

static void ask(int i, unsigned environment, int64_t arrived_us, int64_t patience_us)
{
    askers[i].ticket = (struct admission_ticket){
        .environment = &environment_items[environment],
        .arrived_us = arrived_us,
        .deadline_us = clock_monotonic_us() + patience_us,
        .on_turn = on_turn,
        .context = &askers[i],
    };
    admission_ask(admission, &askers[i].ticket);
    assert_int_equal(askers[i].turns + askers[i].refusals, 0); /* never inside the ask */
}

static void run_until_told(int count)
{
    while (told < count)
        uv_run(&loop, UV_RUN_ONCE);
}

static void test_burst_then_pace(void **state)
{
    (void)state;
    begin("100/s", 3, 64);
    int64_t start_us = clock_monotonic_us();
    for (int i = 0; i < 8; i++)
        ask(i, 0, i, 10 * CLOCK_US_PER_SECOND);
    run_until_told(8);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(askers[i].turns, 1);
        assert_int_equal(askers[i].order, i + 1);
        if (i >= 3)
            assert_true(askers[i].told_us - start_us >= (i - 2) * 10 * CLOCK_US_PER_MS);
    }
    end();
}

static void test_no_limit(void **state)
{
    (void)state;
    begin("0", 1, 64);
    for (int i = 0; i < 50; i++)
        ask(i, 0, i, CLOCK_US_PER_SECOND);
    run_until_told(50);
    assert_int_equal(turns_given, 50);
    end();
}

static void test_no_room_is_told_at_once(void **state)
{
    (void)state;
    begin("1/s", 1, 64);
    ask(0, 0, 0, 1500 * CLOCK_US_PER_MS);
    ask(1, 0, 1, 1500 * CLOCK_US_PER_MS);
    ask(2, 0, 2, 1500 * CLOCK_US_PER_MS);
    run_until_told(2);
    assert_int_equal(askers[0].turns, 1);
    assert_int_equal(askers[1].turns, 0); /* waits for its second */
    assert_int_equal(askers[2].refusals, 1);
    assert_in_range(askers[2].room_in_us, 1900 * CLOCK_US_PER_MS, 2030 * CLOCK_US_PER_MS);
    admission_withdraw(admission, &askers[1].ticket);
    assert_int_equal(admission_waiting(admission), 0);
    end();
}

static void test_deadline_passes_while_waiting(void **state)
{
    (void)state;
    begin("0", 1, 1);
    end_at_once = false;
    ask(0, 0, 0, CLOCK_US_PER_SECOND);
    run_until_told(1);
    int64_t start_us = clock_monotonic_us();
    ask(1, 0, 1, 30 * CLOCK_US_PER_MS);
    run_until_told(2); /* the only permit is out all the time */
    assert_int_equal(askers[1].refusals, 1);
    assert_true(askers[1].told_us - start_us >= 30 * CLOCK_US_PER_MS);
    admission_done(admission, &askers[0].ticket);
    end();
}

static void test_permits(void **state)
{
    (void)state;
    begin("0", 1, 2);
    end_at_once = false;
    for (int i = 0; i < 4; i++)
        ask(i, 0, i, CLOCK_US_PER_SECOND);
    run_until_told(2);
    for (int i = 0; i < 10; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(turns_given, 2);
    admission_done(admission, &askers[1].ticket);
    run_until_told(3);
    assert_int_equal(askers[2].order, 3);
    admission_done(admission, &askers[0].ticket);
    run_until_told(4);
    admission_done(admission, &askers[2].ticket);
    admission_done(admission, &askers[3].ticket);
    end();
}

static void test_retry_keeps_its_place(void **state)
{
    (void)state;
    begin("0", 1, 1);
    end_at_once = false;
    ask(0, 0, 0, CLOCK_US_PER_SECOND);
    run_until_told(1);
    ask(1, 0, 10, CLOCK_US_PER_SECOND);
    ask(2, 0, 20, CLOCK_US_PER_SECOND);
    ask(3, 0, 15, CLOCK_US_PER_SECOND); /* arrived between the two */
    ask(4, 0, 5, CLOCK_US_PER_SECOND);  /* and before both */
    end_at_once = true;
    admission_done(admission, &askers[0].ticket);
    run_until_told(5);
    assert_int_equal(askers[4].order, 2);
    assert_int_equal(askers[1].order, 3);
    assert_int_equal(askers[3].order, 4);
    assert_int_equal(askers[2].order, 5);
    end();
}

static void test_environments_take_turns(void **state)
{
    (void)state;
    begin("0", 1, 1);
    end_at_once = false;
    ask(0, 0, 0, CLOCK_US_PER_SECOND);
    run_until_told(1);
    for (int i = 1; i <= 10; i++)
        ask(i, 0, i, CLOCK_US_PER_SECOND);
    ask(11, 1, 100, CLOCK_US_PER_SECOND);
    end_at_once = true;
    admission_done(admission, &askers[0].ticket);
    run_until_told(12);
    assert_in_range(askers[11].order, 2, 3); /* not behind the other environment's backlog */
    end();
}

static void test_withdrawn_refusal_is_not_told(void **state)
{
    (void)state;
    begin("1/h", 1, 64);
    ask(0, 0, 0, CLOCK_US_PER_SECOND);
    ask(1, 0, 1, CLOCK_US_PER_SECOND);
    admission_withdraw(admission, &askers[1].ticket);
    run_until_told(1);
    for (int i = 0; i < 10; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(askers[1].refusals, 0);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_burst_then_pace),
        cmocka_unit_test(test_no_limit),
        cmocka_unit_test(test_no_room_is_told_at_once),
        cmocka_unit_test(test_deadline_passes_while_waiting),
        cmocka_unit_test(test_permits),
        cmocka_unit_test(test_retry_keeps_its_place),
        cmocka_unit_test(test_environments_take_turns),
        cmocka_unit_test(test_withdrawn_refusal_is_not_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
