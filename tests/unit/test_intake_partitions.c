/* intake: how many partitions are ours, as it is told, against the mock cluster. What it does with
 * records and places is tried in the whole worker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"
#include "support/kafka_fixture.h"
#include "worker/intake.h"

#define TOPIC "shared-out"
#define PARTITIONS 5

/* A member of the group, and what it was told. */
struct member {
    struct intake *intake;
    unsigned partitions;
    bool closed;
};

static bool inside; /* a call of the intake: nothing may be told */

static void on_record(void *context, struct kafka_record *record, struct intake_place place)
{
    (void)context;
    (void)record;
    (void)place;
    fail_msg("there are no records");
}

static void on_leaving(void *context)
{
    (void)context;
}

static void on_partitions(void *context, unsigned partitions)
{
    struct member *member = context;
    assert_false(inside);
    member->partitions = partitions;
}

static void on_fatal(void *context, const char *reason)
{
    (void)context;
    fail_msg("%s", reason);
}

static void on_closed(void *context)
{
    ((struct member *)context)->closed = true;
}

static void join(struct kafka_fixture *fixture, struct member *member)
{
    const struct kafka_property properties[] = {{"bootstrap.servers", fixture->brokers},
        {"group.id", "takers"}, {"session.timeout.ms", "4000"}, {"fetch.wait.max.ms", "10"}};
    const struct intake_options options = {
        .properties = properties,
        .property_count = sizeof properties / sizeof properties[0],
        .topic = TOPIC,
        .records_in_flight_max = 8,
        .revoke_timeout_us = CLOCK_US_PER_SECOND,
        .on_record = on_record,
        .on_leaving = on_leaving,
        .on_partitions = on_partitions,
        .on_fatal = on_fatal,
        .on_closed = on_closed,
        .context = member,
    };
    char error[256] = "";
    *member = (struct member){0};
    inside = true;
    if (intake_new(&fixture->loop, &options, &member->intake, error, sizeof error) != RESULT_OK ||
        intake_join(member->intake, error, sizeof error) != RESULT_OK)
        fail_msg("%s", error);
    inside = false;
}

static bool is_closed(const void *context)
{
    return ((const struct member *)context)->closed;
}

static void leave(struct kafka_fixture *fixture, struct member *member)
{
    intake_stop(member->intake);
    intake_close(member->intake);
    kafka_fixture_wait(fixture, is_closed, member);
    intake_free(member->intake);
}

static bool are_shared_out(const void *context)
{
    const struct member *members = context;
    return members[0].partitions > 0 && members[1].partitions > 0 &&
           members[0].partitions + members[1].partitions == PARTITIONS;
}

static bool has_all(const void *context)
{
    return ((const struct member *)context)->partitions == PARTITIONS;
}

static void test_tells_its_partitions(void **state)
{
    struct kafka_fixture *fixture = *state;
    struct member members[2];
    kafka_fixture_create_topic(fixture, TOPIC, PARTITIONS);
    join(fixture, &members[0]);
    join(fixture, &members[1]);
    kafka_fixture_wait(fixture, are_shared_out, members);

    leave(fixture, &members[0]);
    assert_int_equal(members[0].partitions, 0);
    kafka_fixture_wait(fixture, has_all, &members[1]);
    leave(fixture, &members[1]);
    assert_int_equal(members[1].partitions, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tells_its_partitions)};
    return cmocka_run_group_tests_name("intake", tests, kafka_fixture_start, kafka_fixture_stop);
}
