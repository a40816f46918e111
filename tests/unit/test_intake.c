/* Which offsets an intake puts into a transaction, and that a revoke waits for it; against the mock
 * cluster. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/clock.h"
#include "support/kafka_fixture.h"
#include "worker/intake.h"

#define RECORDS_MAX 16

/* An intake that keeps what it takes. */
struct house {
    struct kafka_fixture *fixture;
    struct intake *intake;
    struct intake_place places[RECORDS_MAX];
    size_t place_count;
    struct intake_commit commit;
    unsigned leaving_times;
    bool closed;
};

static void on_record(void *context, struct kafka_record *record, struct intake_place place)
{
    struct house *house = context;
    assert_true(house->place_count < RECORDS_MAX);
    assert_int_equal(record->offset, house->place_count);
    house->places[house->place_count++] = place;
    kafka_record_free(record);
}

static void on_leaving(void *context)
{
    struct house *house = context;
    house->leaving_times++;
}

static void on_fatal(void *context, const char *reason)
{
    (void)context;
    fail_msg("%s", reason);
}

static void on_closed(void *context)
{
    struct house *house = context;
    house->closed = true;
}

static bool is_full(const void *context)
{
    const struct house *house = context;
    return house->place_count == 4;
}

/* With four records, at the offsets 0 to 3 of one partition, in it. */
static void start(struct house *house, struct kafka_fixture *fixture, const char *topic,
    bool offsets_by_transactions, int64_t revoke_timeout_us)
{
    kafka_fixture_create_topic(fixture, topic, 1);
    struct kafka_sender sender;
    kafka_sender_start(&sender, fixture, NULL, &topic, 1);
    kafka_sender_fill(&sender, topic, 0, 0, 4);
    kafka_sender_stop(&sender);

    *house = (struct house){.fixture = fixture};
    const struct kafka_property properties[] = {
        {"bootstrap.servers", fixture->brokers},
        {"group.id", topic},
        {"fetch.wait.max.ms", "5"},
        {"session.timeout.ms", "4000"},
        {"partition.assignment.strategy", "range"},
    };
    const struct intake_options options = {
        .properties = properties,
        .property_count = sizeof(properties) / sizeof(properties[0]),
        .topic = topic,
        .records_in_flight_max = RECORDS_MAX,
        .offsets_by_transactions = offsets_by_transactions,
        .revoke_timeout_us = revoke_timeout_us,
        .on_record = on_record,
        .on_leaving = on_leaving,
        .on_fatal = on_fatal,
        .on_closed = on_closed,
        .context = house,
    };
    char error[256] = "";
    if (intake_new(&fixture->loop, &options, &house->intake, error, sizeof(error)) != RESULT_OK ||
        intake_join(house->intake, error, sizeof(error)) != RESULT_OK)
        fail_msg("%s", error);
    kafka_fixture_wait(fixture, is_full, house);
}

static bool is_closed(const void *context)
{
    const struct house *house = context;
    return house->closed;
}

static void stop(struct house *house)
{
    intake_close(house->intake);
    kafka_fixture_wait(house->fixture, is_closed, house);
    intake_free(house->intake);
}

static void expect_commit(struct house *house, int64_t next_offset)
{
    assert_true(intake_commit_begin(house->intake, &house->commit));
    assert_non_null(house->commit.metadata);
    assert_int_equal(house->commit.offset_count, 1);
    assert_int_equal(house->commit.offsets[0].partition, 0);
    assert_int_equal(house->commit.offsets[0].next_offset, next_offset);
    assert_false(intake_commit_is_leaving(&house->commit));
}

static void expect_none(struct house *house)
{
    struct intake_commit commit;
    assert_false(intake_commit_begin(house->intake, &commit));
}

static void test_covers_what_is_contiguous(void **state)
{
    struct kafka_fixture *fixture = *state;
    struct house house;
    start(&house, fixture, "contiguous", true, CLOCK_US_PER_SECOND);
    struct intake_place *places = house.places;
    expect_none(&house);
    intake_ready(house.intake, &places[1]);
    expect_none(&house);

    /* The first makes nothing; the second was waiting for it. */
    intake_finish(house.intake, &places[0]);
    expect_commit(&house, 2);
    assert_true(intake_place_in_commit(&places[1]));
    intake_ready(house.intake, &places[2]); /* too late for this one */
    assert_false(intake_place_in_commit(&places[2]));
    assert_false(intake_place_in_commit(&places[3]));
    intake_commit_end(house.intake, &house.commit, false);
    assert_false(intake_place_in_commit(&places[1]));

    expect_commit(&house, 3);
    assert_true(intake_place_in_commit(&places[1]));
    assert_true(intake_place_in_commit(&places[2]));
    intake_commit_end(house.intake, &house.commit, true);
    intake_finish(house.intake, &places[1]);
    intake_finish(house.intake, &places[2]);
    assert_int_equal(intake_in_flight(house.intake), 1);
    expect_none(&house);

    intake_finish(house.intake, &places[3]); /* nothing comes of it, and yet it is passed */
    expect_commit(&house, 4);
    intake_commit_end(house.intake, &house.commit, true);
    stop(&house);
    /* It is the transaction that commits. */
    assert_int_equal(kafka_fixture_committed(fixture, "contiguous", "contiguous", 0), -1);
}

static void test_stores_without_transactions(void **state)
{
    struct kafka_fixture *fixture = *state;
    struct house house;
    start(&house, fixture, "stores", false, CLOCK_US_PER_SECOND);
    for (size_t i = 0; i < 3; i++)
        intake_finish(house.intake, &house.places[i]);
    intake_abandon(house.intake, &house.places[3]);
    stop(&house);
    assert_int_equal(kafka_fixture_committed(fixture, "stores", "stores", 0), 3);
}

static bool is_told_to_leave(const void *context)
{
    const struct house *house = context;
    return house->leaving_times > 0;
}

/* Also when its places are back already. */
static void test_a_revoke_waits_for_the_commit(void **state)
{
    struct kafka_fixture *fixture = *state;
    struct house house;
    start(&house, fixture, "waits", true, 60 * CLOCK_US_PER_SECOND);
    for (size_t i = 0; i < 4; i++)
        intake_finish(house.intake, &house.places[i]);
    expect_commit(&house, 4);

    intake_close(house.intake);
    kafka_fixture_wait(fixture, is_told_to_leave, &house);
    assert_true(intake_commit_is_leaving(&house.commit));
    kafka_fixture_run(fixture, 300);
    assert_false(house.closed);
    intake_commit_end(house.intake, &house.commit, false);
    expect_none(&house);
    kafka_fixture_wait(fixture, is_closed, &house);
    intake_free(house.intake);
}

/* But not for ever; what the commit points to stays. */
static void test_a_revoke_waits_so_long(void **state)
{
    struct kafka_fixture *fixture = *state;
    struct house house;
    kafka_log_catch();
    start(&house, fixture, "so-long", true, 1000);
    intake_finish(house.intake, &house.places[0]);
    expect_commit(&house, 1);
    for (size_t i = 1; i < 4; i++)
        intake_abandon(house.intake, &house.places[i]);

    int64_t begin_us = clock_monotonic_us();
    intake_close(house.intake);
    kafka_fixture_wait(fixture, is_closed, &house);
    assert_true(clock_monotonic_us() - begin_us >= INTAKE_COMMIT_TIMEOUT_MS * CLOCK_US_PER_MS);
    assert_int_equal(kafka_log_count("has not ended"), 1);
    assert_true(intake_commit_is_leaving(&house.commit));
    assert_string_equal(house.commit.offsets[0].topic, "so-long");
    intake_commit_end(house.intake, &house.commit, false);
    intake_free(house.intake);
    kafka_log_release();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_covers_what_is_contiguous),
        cmocka_unit_test(test_stores_without_transactions),
        cmocka_unit_test(test_a_revoke_waits_for_the_commit),
        cmocka_unit_test(test_a_revoke_waits_so_long),
    };
    return cmocka_run_group_tests_name("intake", tests, kafka_fixture_start, kafka_fixture_stop);
}
