/* The two orders of the events flow: nobody overtakes in a partition, one at a time per key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "worker/event_order.h"

enum { JOBS = 6 };

struct intake_partition;

/* Addresses are all that counts of a partition. */
static char places[2];

struct fixture {
    struct event_order order;
    struct event_job jobs[JOBS];
};

static void enter(struct fixture *fixture, size_t number, unsigned partition)
{
    struct event_job *job = &fixture->jobs[number];
    job->place.partition = (struct intake_partition *)&places[partition];
    event_order_enter(&fixture->order, job);
}

/* Which jobs of the partition go on now, in order, as digits. */
static const char *released(struct fixture *fixture, const struct event_job *of)
{
    static char text[JOBS + 1];
    size_t count = 0;
    struct event_job *job;
    while ((job = event_order_release(of->lane)))
        text[count++] = (char)('0' + (job - fixture->jobs));
    text[count] = '\0';
    return text;
}

static void test_nobody_overtakes(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    for (size_t i = 0; i < 4; i++)
        enter(&fixture, i, 0);
    enter(&fixture, 4, 1);
    struct event_job *jobs = fixture.jobs;

    jobs[1].state = jobs[2].state = jobs[4].state = EVENT_JOB_ORDERED;
    assert_string_equal(released(&fixture, &jobs[1]), ""); /* 0 is still being fetched */
    assert_string_equal(released(&fixture, &jobs[4]), "4");
    jobs[0].state = EVENT_JOB_ORDERED;
    assert_string_equal(released(&fixture, &jobs[0]), "012");
    jobs[3].state = EVENT_JOB_ORDERED;
    assert_string_equal(released(&fixture, &jobs[3]), "3");
    assert_true(jobs[3].released);

    /* Whatever the order in which they end. */
    const size_t ends[] = {2, 0, 3, 1, 4};
    for (size_t i = 0; i < 5; i++)
        assert_null(event_order_leave(&fixture.order, &jobs[ends[i]]));
    assert_null(fixture.order.lanes);
}

static void test_one_that_gives_up_holds_nobody(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    for (size_t i = 0; i < 3; i++)
        enter(&fixture, i, 0);
    struct event_job *jobs = fixture.jobs;
    jobs[1].state = jobs[2].state = EVENT_JOB_ORDERED;
    assert_string_equal(released(&fixture, &jobs[1]), "");
    assert_null(event_order_leave(&fixture.order, &jobs[0]));
    assert_string_equal(released(&fixture, &jobs[1]), "12");
    event_order_leave(&fixture.order, &jobs[1]);
    event_order_leave(&fixture.order, &jobs[2]);
    assert_null(fixture.order.lanes);
}

static void test_one_at_a_time_per_key(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    for (size_t i = 0; i < 5; i++)
        enter(&fixture, i, i % 2);
    struct event_job *jobs = fixture.jobs;
    assert_true(event_order_queue(&fixture.order, &jobs[0], "u1"));
    assert_false(event_order_queue(&fixture.order, &jobs[1], "u1"));
    assert_true(event_order_queue(&fixture.order, &jobs[2], "u2"));
    assert_true(event_order_queue(&fixture.order, &jobs[3], NULL)); /* without a key: at once */
    assert_true(event_order_queue(&fixture.order, &jobs[4], NULL));
    assert_ptr_equal(event_order_leave(&fixture.order, &jobs[0]), &jobs[1]);
    for (size_t i = 1; i < 5; i++)
        assert_null(event_order_leave(&fixture.order, &jobs[i]));
    assert_null(fixture.order.subjects.entries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_overtakes),
        cmocka_unit_test(test_one_that_gives_up_holds_nobody),
        cmocka_unit_test(test_one_at_a_time_per_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
