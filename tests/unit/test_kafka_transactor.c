/* What a transaction comes to, exactly once, whenever the transactor is closed. What it means to
 * readers only a real broker shows: integration/test_kafka_exactly_once.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/kafka_common.h"
#include "common/kafka_transactor.h"
#include "support/kafka_fixture.h"

#define API_PRODUCE 0
#define API_INIT_PRODUCER_ID 22
#define API_ADD_PARTITIONS 24
#define API_END 26
#define API_COMMIT_OFFSETS 28

#define GROUP "group"
#define RECORDS_MAX 500

/* A transactor, one transaction at a time, and what came of it. */
struct carrier {
    struct kafka_fixture *fixture;
    struct kafka_transactor *transactor;
    struct kafka_group_metadata metadata;
    struct kafka_transaction_record records[RECORDS_MAX];
    struct kafka_offset offset;
    struct kafka_transaction transaction;
    unsigned inside; /* in a call of the transactor: nothing may be told */
    unsigned times;
    enum kafka_transaction_outcome outcome;
    char reason[256];
    unsigned fatal_count;
    bool closed;
};

static void on_fatal(void *context, const char *reason)
{
    struct carrier *carrier = context;
    assert_int_equal(carrier->inside, 0);
    assert_true(reason[0] != '\0');
    carrier->fatal_count++;
}

static void on_closed(void *context)
{
    struct carrier *carrier = context;
    assert_int_equal(carrier->inside, 0);
    carrier->closed = true;
}

static void on_ended(struct kafka_transaction *transaction, enum kafka_transaction_outcome outcome,
    const char *reason)
{
    struct carrier *carrier = transaction->context;
    assert_int_equal(carrier->inside, 0);
    assert_false(carrier->closed);
    carrier->times++;
    carrier->outcome = outcome;
    snprintf(carrier->reason, sizeof(carrier->reason), "%s", reason);
}

#define PROPERTIES_MAX 4

static void start(struct carrier *carrier, struct kafka_fixture *fixture, const char *topic,
    const char *const *properties)
{
    static unsigned number;
    char id[16];
    snprintf(id, sizeof(id), "id-%u", number++);
    *carrier = (struct carrier){.fixture = fixture};
    carrier->metadata.metadata = rd_kafka_consumer_group_metadata_new(GROUP);
    struct kafka_property all[PROPERTIES_MAX] = {{"bootstrap.servers", fixture->brokers}};
    size_t count = 1;
    for (; properties && properties[0]; properties += 2)
        all[count++] = (struct kafka_property){properties[0], properties[1]};
    const struct kafka_transactor_options options = {
        .properties = all,
        .property_count = count,
        .transactional_id = id,
        .topics = &topic,
        .topic_count = 1,
        .on_fatal = on_fatal,
        .on_closed = on_closed,
        .context = carrier,
    };
    char error[256] = "";
    if (kafka_transactor_new(
            &fixture->loop, &options, &carrier->transactor, error, sizeof(error)) != RESULT_OK)
        fail_msg("%s", error);
}

/* So many records for the topic, and an offset of it; the caller may change them before run. */
static void prepare(struct carrier *carrier, const char *topic, size_t count)
{
    assert_true(count <= RECORDS_MAX);
    for (size_t i = 0; i < count; i++)
        carrier->records[i] =
            (struct kafka_transaction_record){.topic = topic, .value = "text", .value_size = 4};
    carrier->offset = (struct kafka_offset){topic, 0, 7};
    carrier->transaction = (struct kafka_transaction){
        .records = carrier->records,
        .record_count = count,
        .offsets = &carrier->offset,
        .offset_count = 1,
        .metadata = &carrier->metadata,
        .on_ended = on_ended,
        .context = carrier,
    };
    carrier->times = 0;
}

static void run(struct carrier *carrier)
{
    carrier->inside++;
    kafka_transactor_run(carrier->transactor, &carrier->transaction);
    carrier->inside--;
}

static bool has_ended(const void *context)
{
    const struct carrier *carrier = context;
    return carrier->times > 0;
}

static void expect(struct carrier *carrier, enum kafka_transaction_outcome outcome, size_t culprit)
{
    kafka_fixture_wait(carrier->fixture, has_ended, carrier);
    assert_int_equal(carrier->times, 1);
    if (carrier->outcome != outcome)
        fail_msg("%s, not %s: %s", kafka_transaction_outcome_name(carrier->outcome),
            kafka_transaction_outcome_name(outcome), carrier->reason);
    assert_int_equal(carrier->transaction.culprit, culprit);
    assert_true((carrier->reason[0] == '\0') == (outcome == KAFKA_COMMITTED));
}

static void cancel(struct carrier *carrier)
{
    carrier->inside++;
    kafka_transactor_cancel(carrier->transactor);
    carrier->inside--;
}

static bool is_closed(const void *context)
{
    const struct carrier *carrier = context;
    return carrier->closed;
}

static void close_transactor(struct carrier *carrier)
{
    carrier->inside++;
    kafka_transactor_close(carrier->transactor);
    carrier->inside--;
}

static void wait_closed(struct carrier *carrier)
{
    kafka_fixture_wait(carrier->fixture, is_closed, carrier);
    rd_kafka_consumer_group_metadata_destroy(carrier->metadata.metadata);
}

static void stop(struct carrier *carrier)
{
    close_transactor(carrier);
    wait_closed(carrier);
}

static void test_commits_one_after_another(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "commits", 2);
    struct carrier carrier;
    start(&carrier, fixture, "commits", NULL);
    for (size_t count = 0; count < 3; count++) {
        prepare(&carrier, "commits", count);
        run(&carrier);
        expect(&carrier, KAFKA_COMMITTED, count);
    }
    prepare(&carrier, "commits", 1);
    carrier.transaction.offset_count = 0;
    carrier.transaction.metadata = NULL;
    run(&carrier);
    expect(&carrier, KAFKA_COMMITTED, 1);
    stop(&carrier);
}

/* What the broker answers to a step, and what comes of the transaction. */
static void test_outcomes(void **state)
{
    static const struct {
        int16_t api;
        rd_kafka_resp_err_t injected;
        enum kafka_transaction_outcome outcome;
        size_t culprit; /* of two records */
    } cases[] = {
        {API_PRODUCE, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, KAFKA_TRANSACTION_TOO_LARGE_RECORD, 1},
        {API_PRODUCE, RD_KAFKA_RESP_ERR_INVALID_RECORD, KAFKA_TRANSACTION_REFUSED_RECORD, 0},
        {API_PRODUCE, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
            KAFKA_TRANSACTION_NOT_AUTHORIZED, 0},
        {API_PRODUCE, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, KAFKA_COMMITTED, 2},
        {API_ADD_PARTITIONS, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
            KAFKA_TRANSACTION_NOT_AUTHORIZED, 2},
        {API_ADD_PARTITIONS, RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, KAFKA_COMMITTED, 2},
        {API_COMMIT_OFFSETS, RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, KAFKA_ABORTED, 2},
        {API_COMMIT_OFFSETS, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, KAFKA_ABORTED, 2},
        {API_COMMIT_OFFSETS, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
            KAFKA_TRANSACTION_NOT_AUTHORIZED, 2},
        {API_COMMIT_OFFSETS, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, KAFKA_COMMITTED, 2},
        {API_END, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, KAFKA_COMMITTED, 2},
        {API_END, RD_KAFKA_RESP_ERR_PRODUCER_FENCED, KAFKA_TRANSACTION_FATAL, 2},
    };
    struct kafka_fixture *fixture = *state;
    kafka_log_catch();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char topic[32];
        snprintf(topic, sizeof(topic), "outcome-%zu", i);
        kafka_fixture_create_topic(fixture, topic, 1);
        rd_kafka_mock_push_request_errors(fixture->cluster, cases[i].api, 1, cases[i].injected);
        struct carrier carrier;
        start(&carrier, fixture, topic, NULL);
        prepare(&carrier, topic, 2);
        carrier.records[1].value = "larger";
        carrier.records[1].value_size = 6;
        run(&carrier);
        expect(&carrier, cases[i].outcome, cases[i].culprit);
        assert_int_equal(carrier.fatal_count, cases[i].outcome == KAFKA_TRANSACTION_FATAL);
        rd_kafka_mock_clear_request_errors(fixture->cluster, cases[i].api);
        if (cases[i].outcome == KAFKA_TRANSACTION_FATAL) {
            prepare(&carrier, topic, 2);
            run(&carrier);
            expect(&carrier, KAFKA_TRANSACTION_FATAL, 2);
            assert_int_equal(carrier.fatal_count, 1);
        }
        stop(&carrier);
    }
    kafka_log_release();
}

static void test_a_record_that_we_refuse(void **state)
{
    static const char large[6000];
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "refuse", 1);
    const char *properties[] = {"message.max.bytes", "5000", NULL};
    struct carrier carrier;
    start(&carrier, fixture, "refuse", properties);

    prepare(&carrier, "refuse", 3);
    carrier.records[2].value = large;
    carrier.records[2].value_size = sizeof(large);
    run(&carrier);
    expect(&carrier, KAFKA_TRANSACTION_TOO_LARGE_RECORD, 2);

    prepare(&carrier, "refuse", 3);
    run(&carrier);
    expect(&carrier, KAFKA_COMMITTED, 3);
    stop(&carrier);
}

static void test_a_topic_that_appears_later(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "there", 1);
    const char *properties[] = {"topic.metadata.propagation.max.ms", "300", NULL};
    struct carrier carrier;
    kafka_log_catch();
    start(&carrier, fixture, "there", properties);
    for (int i = 0; i < 2; i++) {
        prepare(&carrier, "there", 3);
        carrier.records[1].topic = "appears";
        run(&carrier);
        expect(&carrier, KAFKA_TRANSACTION_NO_SUCH_TOPIC, 1);
    }
    assert_false(kafka_fixture_has_topic(fixture, "appears"));

    kafka_fixture_create_topic(fixture, "appears", 1);
    prepare(&carrier, "there", 3);
    carrier.records[1].topic = "appears";
    run(&carrier);
    expect(&carrier, KAFKA_COMMITTED, 3);
    stop(&carrier);
    kafka_log_release();
}

/* A record for a topic that is not there keeps the transaction open. */
static const char *const hold_open[] = {"topic.metadata.propagation.max.ms", "60000", NULL};

static void test_cancels(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "cancels", 1);
    struct carrier carrier;
    start(&carrier, fixture, "cancels", hold_open);
    cancel(&carrier); /* nothing runs: it does not stick */
    prepare(&carrier, "cancels", 2);
    run(&carrier);
    expect(&carrier, KAFKA_COMMITTED, 2);

    prepare(&carrier, "cancels", 2);
    carrier.records[1].topic = "nowhere";
    run(&carrier);
    kafka_fixture_run(fixture, 200);
    assert_int_equal(carrier.times, 0);
    int64_t begin_us = clock_monotonic_us();
    cancel(&carrier);
    expect(&carrier, KAFKA_ABORTED, 2);
    assert_true(clock_monotonic_us() - begin_us < 5 * CLOCK_US_PER_SECOND);
    stop(&carrier);
}

static bool has_said_so(const void *context)
{
    (void)context;
    return kafka_log_has("no Kafka broker can be reached");
}

static void test_nobody_there(void **state)
{
    struct kafka_fixture *fixture = *state;
    const char *properties[] = {"bootstrap.servers", fixture->nowhere, NULL};
    struct carrier carrier;
    kafka_log_catch();
    start(&carrier, fixture, "any", properties);
    prepare(&carrier, "any", 1);
    run(&carrier);
    kafka_fixture_wait(fixture, has_said_so, NULL);
    assert_int_equal(carrier.times, 0);
    cancel(&carrier);
    expect(&carrier, KAFKA_ABORTED, 1);

    prepare(&carrier, "any", 1);
    run(&carrier);
    kafka_fixture_run(fixture, 500);
    assert_int_equal(carrier.times, 0);
    int64_t begin_us = clock_monotonic_us();
    stop(&carrier);
    assert_true(clock_monotonic_us() - begin_us < 5 * CLOCK_US_PER_SECOND);
    expect(&carrier, KAFKA_TRANSACTION_CLOSED, 1);
    assert_int_equal(kafka_log_count("no Kafka broker can be reached"), 1);
    kafka_log_release();
}

static void test_waits_for_a_broker(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "waits", 1);
    struct carrier carrier;
    kafka_log_catch();
    rd_kafka_mock_broker_set_down(fixture->cluster, 1);
    start(&carrier, fixture, "waits", NULL);
    prepare(&carrier, "waits", 1);
    run(&carrier);
    kafka_fixture_run(fixture, 500);
    assert_int_equal(carrier.times, 0);
    rd_kafka_mock_broker_set_up(fixture->cluster, 1);
    expect(&carrier, KAFKA_COMMITTED, 1);
    stop(&carrier);
    kafka_log_release();
}

/* More than the library's queue takes. */
static void test_full_queue(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "full", 2);
    const char *properties[] = {"queue.buffering.max.messages", "50", NULL};
    struct carrier carrier;
    start(&carrier, fixture, "full", properties);
    prepare(&carrier, "full", RECORDS_MAX);
    run(&carrier);
    expect(&carrier, KAFKA_COMMITTED, RECORDS_MAX);
    stop(&carrier);
}

static void test_closes_at_any_time(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "closes", 1);
    kafka_log_catch();
    for (unsigned i = 0; i < 16; i++) {
        struct carrier carrier;
        start(&carrier, fixture, "closes", NULL);
        prepare(&carrier, "closes", 5);
        run(&carrier);
        kafka_fixture_run(fixture, i * 12);
        stop(&carrier);
        assert_int_equal(carrier.times, 1);
        if (carrier.outcome != KAFKA_COMMITTED)
            expect(&carrier, KAFKA_TRANSACTION_CLOSED, 5);
    }
    kafka_log_release();
}

static void test_closed_in_the_midst(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "midst", 1);
    struct carrier carrier;
    start(&carrier, fixture, "midst", hold_open);
    prepare(&carrier, "midst", 2);
    carrier.records[1].topic = "nowhere";
    run(&carrier);
    kafka_fixture_run(fixture, 300);
    assert_int_equal(carrier.times, 0);
    stop(&carrier);
    expect(&carrier, KAFKA_TRANSACTION_CLOSED, 2);
}

/* The broker is away, so that nothing can be taken back from it; the records are given back. */
static void test_closed_without_a_broker(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "without", 1);
    struct carrier carrier;
    kafka_log_catch();
    start(&carrier, fixture, "without", NULL);
    prepare(&carrier, "without", 1);
    run(&carrier);
    expect(&carrier, KAFKA_COMMITTED, 1);

    rd_kafka_mock_broker_set_down(fixture->cluster, 1);
    prepare(&carrier, "without", RECORDS_MAX);
    run(&carrier);
    kafka_fixture_run(fixture, 300);
    assert_int_equal(carrier.times, 0);
    int64_t begin_us = clock_monotonic_us();
    close_transactor(&carrier);
    expect(&carrier, KAFKA_TRANSACTION_CLOSED, RECORDS_MAX);
    memset(carrier.records, 0, sizeof(carrier.records));
    wait_closed(&carrier);
    assert_true(clock_monotonic_us() - begin_us < 5 * CLOCK_US_PER_SECOND);
    rd_kafka_mock_broker_set_up(fixture->cluster, 1);
    kafka_log_release();
}

static void test_run_after_close(void **state)
{
    struct carrier carrier;
    start(&carrier, *state, "late", NULL);
    prepare(&carrier, "late", 1);
    close_transactor(&carrier);
    run(&carrier);
    expect(&carrier, KAFKA_TRANSACTION_CLOSED, 1);
    wait_closed(&carrier);
}

static void test_refused_properties(void **state)
{
    static const struct {
        const char *name, *value, *expected;
    } cases[] = {
        {"transactional.id", "mine", "\"transactional.id\" cannot be set"},
        {"enable.idempotence", "false", "idempotence"},
        {"acks", "1", "acks"},
        {"message.timeout.ms", "60000", "message.timeout.ms"},
    };
    struct kafka_fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct kafka_property property = {cases[i].name, cases[i].value};
        const struct kafka_transactor_options options = {
            .properties = &property, .property_count = 1, .transactional_id = "refused"};
        struct kafka_transactor *transactor;
        char error[256] = "";
        assert_int_equal(
            kafka_transactor_new(&fixture->loop, &options, &transactor, error, sizeof(error)),
            RESULT_REJECT);
        assert_null(transactor);
        if (!strstr(error, cases[i].expected))
            fail_msg("%s: %s", cases[i].name, error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_properties),
        cmocka_unit_test(test_commits_one_after_another),
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_a_record_that_we_refuse),
        cmocka_unit_test(test_a_topic_that_appears_later),
        cmocka_unit_test(test_cancels),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_waits_for_a_broker),
        cmocka_unit_test(test_full_queue),
        cmocka_unit_test(test_closes_at_any_time),
        cmocka_unit_test(test_closed_in_the_midst),
        cmocka_unit_test(test_closed_without_a_broker),
        cmocka_unit_test(test_run_after_close),
    };
    return cmocka_run_group_tests_name(
        "kafka_transactor", tests, kafka_fixture_start, kafka_fixture_stop);
}
