#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/kafka_reader.h"
#include "support/kafka_fixture.h"

#define API_LIST_OFFSETS 2
#define FOLLOWER_RECORDS_MAX 256

/* A reader and what it told. */
struct follower {
    struct kafka_fixture *fixture;
    struct kafka_reader *reader; /* NULL: closed */
    unsigned inside;             /* in a call of the reader: nothing may be told */
    unsigned ready_times, caught_up_times, closed_times, trouble_times;
    enum kafka_trouble trouble;
    char reason[256];
    bool until_end, let_absent_be; /* as the options, before the start */
    unsigned absent_times;
    char absent[64];
    size_t hold_at; /* hold it when so many records have come; 0: never */
    size_t count_when_caught_up;
    bool keep;                               /* the last record, in `kept` */
    size_t close_at;                         /* close it when so many records have come; 0: never */
    void (*then)(struct follower *follower); /* in on_ready */
    struct kafka_sender *sender;

    struct kafka_record *kept;
    size_t record_count;
    struct {
        char topic[32];
        int32_t partition;
        int64_t offset;
        char value[32];
    } records[FOLLOWER_RECORDS_MAX];
};

static void on_ready(void *context)
{
    struct follower *follower = context;
    assert_int_equal(follower->inside, 0);
    assert_int_equal(follower->trouble_times, 0);
    follower->ready_times++;
    if (follower->then)
        follower->then(follower);
}

static void close_follower(struct follower *follower)
{
    follower->inside++;
    kafka_reader_close(follower->reader);
    follower->inside--;
}

static void on_record(void *context, struct kafka_record *record)
{
    struct follower *follower = context;
    assert_int_equal(follower->inside, 0);
    assert_int_equal(follower->ready_times, 1);
    assert_true(follower->record_count < FOLLOWER_RECORDS_MAX);
    size_t i = follower->record_count++;
    assert_true(follower->close_at == 0 || i < follower->close_at);
    snprintf(follower->records[i].topic, sizeof(follower->records[i].topic), "%s", record->topic);
    follower->records[i].partition = record->partition;
    follower->records[i].offset = record->offset;
    snprintf(follower->records[i].value, sizeof(follower->records[i].value), "%.*s",
        (int)record->value_size, record->value ? (const char *)record->value : "");
    if (follower->keep && !follower->kept)
        follower->kept = record;
    else
        kafka_record_free(record);
    if (follower->record_count == follower->hold_at)
        kafka_reader_hold(follower->reader);
    if (follower->record_count == follower->close_at)
        close_follower(follower);
}

static void on_absent(void *context, const char *topic, const char *reason)
{
    struct follower *follower = context;
    assert_int_equal(follower->inside, 0);
    assert_int_equal(follower->ready_times, 0);
    assert_non_null(strstr(reason, topic));
    follower->absent_times++;
    snprintf(follower->absent, sizeof(follower->absent), "%s", topic);
}

static void on_caught_up(void *context)
{
    struct follower *follower = context;
    assert_int_equal(follower->inside, 0);
    assert_int_equal(follower->ready_times, 1);
    follower->caught_up_times++;
    follower->count_when_caught_up = follower->record_count;
}

static void on_trouble(void *context, enum kafka_trouble trouble, const char *reason)
{
    struct follower *follower = context;
    assert_int_equal(follower->inside, 0);
    follower->trouble_times++;
    follower->trouble = trouble;
    snprintf(follower->reason, sizeof(follower->reason), "%s", reason);
}

static void on_closed(void *context)
{
    struct follower *follower = context;
    assert_int_equal(follower->inside, 0);
    assert_null(follower->kept);
    follower->closed_times++;
    follower->reader = NULL;
}

/* `brokers` NULL: the fixture's. `topics` ends with NULL. */
static void start(struct follower *follower, struct kafka_fixture *fixture, const char *brokers,
    const char *const *topics, int64_t from)
{
    follower->fixture = fixture;
    const struct kafka_property properties[] = {
        {"bootstrap.servers", brokers ? brokers : fixture->brokers},
        /* The mock cluster holds an empty fetch for all of its time. */
        {"fetch.wait.max.ms", "5"},
    };
    size_t topic_count = 0;
    while (topics[topic_count])
        topic_count++;
    struct kafka_reader_options options = {
        .properties = properties,
        .property_count = sizeof(properties) / sizeof(properties[0]),
        .topics = topics,
        .topic_count = topic_count,
        .from = from,
        .on_ready = on_ready,
        .on_record = on_record,
        .on_caught_up = on_caught_up,
        .on_absent = follower->let_absent_be ? on_absent : NULL,
        .until_end = follower->until_end,
        .on_trouble = on_trouble,
        .on_closed = on_closed,
        .context = follower,
        .start_timeout_us = (brokers ? 2 : 30) * CLOCK_US_PER_SECOND,
    };
    char error[256] = "";
    follower->inside++;
    if (kafka_reader_new(&fixture->loop, &options, &follower->reader, error, sizeof(error)) !=
        RESULT_OK)
        fail_msg("%s", error);
    follower->inside--;
}

static bool is_ready(const void *context)
{
    const struct follower *follower = context;
    return follower->ready_times > 0 || follower->trouble_times > 0;
}

static bool is_caught_up(const void *context)
{
    const struct follower *follower = context;
    return follower->caught_up_times > 0;
}

static bool is_in_trouble(const void *context)
{
    const struct follower *follower = context;
    return follower->trouble_times > 0;
}

static bool is_closed(const void *context)
{
    const struct follower *follower = context;
    return follower->closed_times > 0;
}

struct expectation {
    const struct follower *follower;
    size_t count;
};

static bool has_so_many(const void *context)
{
    const struct expectation *expected = context;
    return expected->follower->record_count >= expected->count;
}

static void wait_records(struct follower *follower, size_t count)
{
    struct expectation expected = {follower, count};
    kafka_fixture_wait(follower->fixture, has_so_many, &expected);
    assert_int_equal(follower->record_count, count);
}

static void wait_ready(struct follower *follower)
{
    kafka_fixture_wait(follower->fixture, is_ready, follower);
    if (follower->trouble_times > 0)
        fail_msg("%s", follower->reason);
}

static void stop(struct follower *follower)
{
    close_follower(follower);
    kafka_fixture_wait(follower->fixture, is_closed, follower);
    assert_int_equal(follower->closed_times, 1);
}

static void assert_record(const struct follower *follower, size_t i, const char *topic,
    int32_t partition, int64_t offset, const char *value)
{
    assert_string_equal(follower->records[i].topic, topic);
    assert_int_equal(follower->records[i].partition, partition);
    assert_int_equal(follower->records[i].offset, offset);
    assert_string_equal(follower->records[i].value, value);
}

/* Tests. */

static void send_at_once(struct follower *follower)
{
    static struct kafka_sent sent;
    sent = (struct kafka_sent){
        .delivery = {.topic = "from-end", .partition = 2, .value = "new", .value_size = 3}};
    kafka_sent_start(&sent, follower->sender);
}

/* What is there before is not seen; what is sent from within on_ready is. */
static void test_from_end(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "from-end", 3);
    const char *topics[] = {"from-end", NULL};
    struct kafka_sender sender;
    kafka_sender_start(&sender, fixture, NULL, topics, 1);
    kafka_sender_fill(&sender, "from-end", 0, 0, 5);
    kafka_sender_fill(&sender, "from-end", 2, 0, 2);

    struct follower follower = {.sender = &sender, .then = send_at_once};
    start(&follower, fixture, NULL, topics, KAFKA_READER_FROM_END);
    wait_records(&follower, 1);
    assert_record(&follower, 0, "from-end", 2, 2, "new");
    assert_int_equal(follower.caught_up_times, 1);
    assert_int_equal(follower.count_when_caught_up, 0);

    kafka_sender_fill(&sender, "from-end", 1, 7, 1);
    wait_records(&follower, 2);
    assert_record(&follower, 1, "from-end", 1, 0, "7");
    assert_int_equal(follower.caught_up_times, 1);
    assert_int_equal(follower.trouble_times, 0);
    stop(&follower);
    kafka_sender_stop(&sender);
}

static void test_from_beginning(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "first", 2);
    kafka_fixture_create_topic(fixture, "second", 1);
    const char *topics[] = {"first", "second", NULL};
    struct kafka_sender sender;
    kafka_sender_start(&sender, fixture, NULL, topics, 2);
    kafka_sender_fill(&sender, "first", 1, 0, 40);
    kafka_sender_fill(&sender, "second", 0, 100, 3);

    struct follower follower = {0};
    start(&follower, fixture, NULL, topics, KAFKA_READER_FROM_BEGINNING);
    kafka_fixture_wait(fixture, is_caught_up, &follower);
    assert_int_equal(follower.count_when_caught_up, 43);
    wait_records(&follower, 43);
    int64_t next[2] = {0, 0};
    for (size_t i = 0; i < 43; i++) {
        bool second = strcmp(follower.records[i].topic, "second") == 0;
        char value[16];
        snprintf(value, sizeof(value), "%d", (int)next[second] + (second ? 100 : 0));
        assert_record(
            &follower, i, second ? "second" : "first", second ? 0 : 1, next[second], value);
        next[second]++;
    }

    kafka_sender_fill(&sender, "first", 0, 0, 1);
    wait_records(&follower, 44);
    assert_int_equal(follower.caught_up_times, 1);
    stop(&follower);
    kafka_sender_stop(&sender);
}

static void test_from_the_last_few(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "last", 2);
    const char *topics[] = {"last", NULL};
    struct kafka_sender sender;
    kafka_sender_start(&sender, fixture, NULL, topics, 1);
    kafka_sender_fill(&sender, "last", 0, 0, 10);
    kafka_sender_fill(&sender, "last", 1, 100, 2);

    struct follower follower = {0};
    start(&follower, fixture, NULL, topics, KAFKA_READER_FROM_LAST(3));
    kafka_fixture_wait(fixture, is_caught_up, &follower);
    assert_int_equal(follower.count_when_caught_up, 5);
    for (size_t i = 0; i < 5; i++)
        assert_true(follower.records[i].partition == 1 || follower.records[i].offset >= 7);
    stop(&follower);
    kafka_sender_stop(&sender);
}

static void test_nothing_there_yet(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "empty", 4);
    const char *topics[] = {"empty", NULL};
    struct follower follower = {0};
    start(&follower, fixture, NULL, topics, KAFKA_READER_FROM_BEGINNING);
    kafka_fixture_wait(fixture, is_caught_up, &follower);
    assert_int_equal(follower.ready_times, 1);
    assert_int_equal(follower.record_count, 0);
    stop(&follower);
}

/* The mock cluster finds no record for any time: reading begins at the end. */
static void test_from_a_time_to_come(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "time", 1);
    const char *topics[] = {"time", NULL};
    struct kafka_sender sender;
    kafka_sender_start(&sender, fixture, NULL, topics, 1);
    kafka_sender_fill(&sender, "time", 0, 0, 3);
    struct follower follower = {0};
    start(&follower, fixture, NULL, topics, clock_wall_us() / CLOCK_US_PER_MS + 3600000);
    wait_ready(&follower);
    kafka_sender_fill(&sender, "time", 0, 3, 1);
    wait_records(&follower, 1);
    assert_record(&follower, 0, "time", 0, 3, "3");
    stop(&follower);
    kafka_sender_stop(&sender);
}

static void test_topic_missing(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "there", 1);
    const char *topics[] = {"there", "not-there", NULL};
    struct follower follower = {0};
    start(&follower, fixture, NULL, topics, KAFKA_READER_FROM_END);
    kafka_fixture_wait(fixture, is_in_trouble, &follower);
    assert_int_equal(follower.trouble, KAFKA_TROUBLE_TOPIC_MISSING);
    assert_non_null(strstr(follower.reason, "not-there"));
    assert_int_equal(follower.ready_times, 0);
    stop(&follower);
    assert_int_equal(follower.trouble_times, 1);
    assert_false(kafka_fixture_has_topic(fixture, "not-there"));
}

/* A topic that is made later is read from its beginning, wherever the others are read from. */
static void test_topic_made_later(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "here", 1);
    const char *topics[] = {"coming", "here", NULL};
    struct kafka_sender sender;
    kafka_sender_start(&sender, fixture, NULL, &topics[1], 1);
    kafka_sender_fill(&sender, "here", 0, 0, 2);

    struct follower follower = {.let_absent_be = true};
    start(&follower, fixture, NULL, topics, KAFKA_READER_FROM_END);
    wait_ready(&follower);
    assert_int_equal(follower.absent_times, 1);
    assert_string_equal(follower.absent, "coming");
    kafka_sender_fill(&sender, "here", 0, 2, 1);
    wait_records(&follower, 1);
    assert_record(&follower, 0, "here", 0, 2, "2");

    kafka_fixture_create_topic(fixture, "coming", 2);
    kafka_sender_fill(&sender, "coming", 1, 0, 3);
    wait_records(&follower, 4);
    for (int i = 0; i < 3; i++)
        assert_record(&follower, (size_t)i + 1, "coming", 1, i, (const char *[]){"0", "1", "2"}[i]);
    assert_int_equal(follower.absent_times, 1);
    assert_int_equal(follower.trouble_times, 0);
    assert_int_equal(follower.caught_up_times, 1);
    stop(&follower);
    kafka_sender_stop(&sender);
}

static void test_no_topic_at_all(void **state)
{
    struct kafka_fixture *fixture = *state;
    const char *topics[] = {"never-1", "never-2", NULL};
    struct follower follower = {.let_absent_be = true, .until_end = true};
    start(&follower, fixture, NULL, topics, KAFKA_READER_FROM_BEGINNING);
    kafka_fixture_wait(fixture, is_caught_up, &follower);
    assert_int_equal(follower.ready_times, 1);
    assert_int_equal(follower.absent_times, 2);
    stop(&follower);
}

static void send_ten_more(struct follower *follower)
{
    static struct kafka_sent sent[10];
    for (size_t i = 0; i < 10; i++) {
        sent[i] = (struct kafka_sent){
            .delivery = {
                .topic = "ending", .partition = (int32_t)i % 2, .value = "late", .value_size = 4}};
        kafka_sent_start(&sent[i], follower->sender);
    }
}

/* What comes after the start is not handed over, though the end is still far. */
static void test_until_end(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "ending", 2);
    const char *topics[] = {"ending", NULL};
    struct kafka_sender sender;
    kafka_sender_start(&sender, fixture, NULL, topics, 1);
    kafka_sender_fill(&sender, "ending", 0, 0, 3);
    kafka_sender_fill(&sender, "ending", 1, 0, 60);

    struct follower follower = {.until_end = true, .sender = &sender, .then = send_ten_more};
    start(&follower, fixture, NULL, topics, KAFKA_READER_FROM_BEGINNING);
    kafka_fixture_wait(fixture, is_caught_up, &follower);
    kafka_fixture_run(fixture, 200);
    assert_int_equal(follower.record_count, 63);
    assert_int_equal(follower.caught_up_times, 1);
    stop(&follower);
    kafka_sender_stop(&sender);
}

static void test_held(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "held", 1);
    const char *topics[] = {"held", NULL};
    struct kafka_sender sender;
    kafka_sender_start(&sender, fixture, NULL, topics, 1);
    kafka_sender_fill(&sender, "held", 0, 0, 40);

    struct follower follower = {.hold_at = 7};
    start(&follower, fixture, NULL, topics, KAFKA_READER_FROM_BEGINNING);
    wait_records(&follower, 7);
    kafka_fixture_run(fixture, 200);
    assert_int_equal(follower.record_count, 7);
    kafka_reader_continue(follower.reader);
    wait_records(&follower, 40);

    kafka_reader_hold(follower.reader);
    stop(&follower); /* a hold is in nobody's way */
    kafka_sender_stop(&sender);
}

/* An answer that may pass is asked for again. */
static void test_passing_errors(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "moving", 1);
    const char *topics[] = {"moving", NULL};
    rd_kafka_mock_push_request_errors(fixture->cluster, API_LIST_OFFSETS, 2,
        RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE);
    struct follower follower = {0};
    start(&follower, fixture, NULL, topics, KAFKA_READER_FROM_END);
    wait_ready(&follower);
    stop(&follower);
}

static void test_not_authorized(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "secret", 1);
    const char *topics[] = {"secret", NULL};
    rd_kafka_mock_push_request_errors(fixture->cluster, API_LIST_OFFSETS, 2,
        RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    struct follower follower = {0};
    start(&follower, fixture, NULL, topics, KAFKA_READER_FROM_END);
    kafka_fixture_wait(fixture, is_in_trouble, &follower);
    assert_int_equal(follower.trouble, KAFKA_TROUBLE_NOT_AUTHORIZED);
    assert_non_null(strstr(follower.reason, "secret"));
    stop(&follower);
    rd_kafka_mock_clear_request_errors(fixture->cluster, API_LIST_OFFSETS);
}

static void test_nobody_there(void **state)
{
    struct kafka_fixture *fixture = *state;
    const char *topics[] = {"anything", NULL};
    struct follower follower = {0};
    int64_t began_us = clock_monotonic_us();
    kafka_log_catch();
    start(&follower, fixture, fixture->nowhere, topics, KAFKA_READER_FROM_END);
    kafka_fixture_wait(fixture, is_in_trouble, &follower);
    int64_t took_us = clock_monotonic_us() - began_us;
    assert_in_range(took_us, 2 * CLOCK_US_PER_SECOND, 6 * CLOCK_US_PER_SECOND);
    assert_int_equal(follower.trouble, KAFKA_TROUBLE_UNREACHABLE);
    assert_non_null(strstr(follower.reason, fixture->nowhere));
    assert_int_equal(kafka_log_count("no Kafka broker can be reached"), 1);
    stop(&follower);
    assert_int_equal(follower.trouble_times, 1);
    kafka_log_release();
}

static void test_closed_while_it_starts(void **state)
{
    struct kafka_fixture *fixture = *state;
    const char *topics[] = {"anything", NULL};
    struct follower follower = {0};
    kafka_log_catch();
    start(&follower, fixture, fixture->nowhere, topics, KAFKA_READER_FROM_END);
    stop(&follower);
    assert_int_equal(follower.ready_times + follower.trouble_times, 0);
    kafka_log_release();
}

static void test_closed_from_a_callback(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "closing", 1);
    const char *topics[] = {"closing", NULL};
    struct kafka_sender sender;
    kafka_sender_start(&sender, fixture, NULL, topics, 1);
    kafka_sender_fill(&sender, "closing", 0, 0, 20);

    struct follower in_record = {.close_at = 20};
    start(&in_record, fixture, NULL, topics, KAFKA_READER_FROM_BEGINNING);
    kafka_fixture_wait(fixture, is_closed, &in_record);
    assert_int_equal(in_record.record_count, 20);
    assert_int_equal(in_record.caught_up_times, 0); /* nothing comes after the close */

    struct follower in_ready = {.then = close_follower};
    start(&in_ready, fixture, NULL, topics, KAFKA_READER_FROM_END);
    kafka_fixture_wait(fixture, is_closed, &in_ready);
    assert_int_equal(in_ready.caught_up_times, 0);
    kafka_sender_stop(&sender);
}

static void test_waits_for_records(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "kept", 1);
    const char *topics[] = {"kept", NULL};
    struct kafka_sender sender;
    kafka_sender_start(&sender, fixture, NULL, topics, 1);
    kafka_sender_fill(&sender, "kept", 0, 42, 1);

    struct follower follower = {.keep = true};
    start(&follower, fixture, NULL, topics, KAFKA_READER_FROM_BEGINNING);
    wait_records(&follower, 1);
    close_follower(&follower);
    kafka_fixture_run(fixture, 200);
    assert_int_equal(follower.closed_times, 0);
    assert_memory_equal(follower.kept->value, "42", 2);
    struct kafka_record *record = follower.kept;
    follower.kept = NULL;
    kafka_record_free(record);
    kafka_fixture_wait(fixture, is_closed, &follower);
    kafka_sender_stop(&sender);
}

static void test_refused(void **state)
{
    char too_long[601];
    snprintf(too_long, sizeof(too_long), "%0600d", 0);
    const struct {
        const char *name, *value, *topic, *expected;
    } cases[] = {
        {"group.id", "g", "t", "group.id"},
        {"enable.auto.commit", "true", "t", "enable.auto.commit"},
        {"no.such.property", "1", "t", "no.such.property"},
        {"client.id", "c", too_long, "cannot be read"},
    };
    struct kafka_fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct kafka_property properties[] = {
            {"bootstrap.servers", fixture->brokers}, {cases[i].name, cases[i].value}};
        const char *topics[] = {"fine", cases[i].topic};
        struct kafka_reader_options options = {
            .properties = properties, .property_count = 2, .topics = topics, .topic_count = 2};
        struct kafka_reader *reader;
        char error[256] = "";
        assert_int_equal(kafka_reader_new(&fixture->loop, &options, &reader, error, sizeof(error)),
            RESULT_REJECT);
        assert_null(reader);
        if (!strstr(error, cases[i].expected))
            fail_msg("%s: %s", cases[i].name, error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_from_end),
        cmocka_unit_test(test_from_beginning),
        cmocka_unit_test(test_from_the_last_few),
        cmocka_unit_test(test_nothing_there_yet),
        cmocka_unit_test(test_from_a_time_to_come),
        cmocka_unit_test(test_topic_missing),
        cmocka_unit_test(test_topic_made_later),
        cmocka_unit_test(test_no_topic_at_all),
        cmocka_unit_test(test_until_end),
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_passing_errors),
        cmocka_unit_test(test_not_authorized),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_closed_while_it_starts),
        cmocka_unit_test(test_closed_from_a_callback),
        cmocka_unit_test(test_waits_for_records),
    };
    return cmocka_run_group_tests_name(
        "kafka_reader", tests, kafka_fixture_start, kafka_fixture_stop);
}
