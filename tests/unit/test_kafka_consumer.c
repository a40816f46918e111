#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/memory.h"
#include "support/kafka_fixture.h"

#define API_HEARTBEAT 12
#define API_FIND_COORDINATOR 10
#define LONG_HOLD_MS (2 * KAFKA_CONSUMER_HOLD_PAUSE_MS)

static void fill(struct kafka_fixture *fixture, const char *topic, int32_t partition, int count)
{
    struct kafka_sender sender;
    kafka_sender_start(&sender, fixture, NULL, NULL, 0);
    kafka_sender_fill(&sender, topic, partition, 0, count);
    kafka_sender_stop(&sender);
}

static bool owes_let_go(const void *context)
{
    const struct kafka_member *member = context;
    return member->owes;
}

static bool lost_some(const void *context)
{
    const struct kafka_member *member = context;
    return member->lost_times > 0;
}

static bool misses_topic(const void *context)
{
    const struct kafka_member *member = context;
    return member->troubles[KAFKA_TROUBLE_TOPIC_MISSING] > 0;
}

static bool reaches_nobody(const void *context)
{
    const struct kafka_member *member = context;
    return member->troubles[KAFKA_TROUBLE_UNREACHABLE] > 0;
}

static struct kafka_member *new_member(void)
{
    return memory_new(sizeof(struct kafka_member));
}

static void assert_bytes(const void *actual, size_t size, const char *expected)
{
    if (!expected) {
        assert_null(actual);
        return;
    }
    assert_non_null(actual);
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(actual, expected, size);
}

/* What goes in comes out, and where the Java client would have put it: the hashes are those of the
 * test of its murmur2. */
static void test_records(void **state)
{
    static const struct {
        const char *key, *value, *second; /* header */
        int32_t hash;
    } cases[] = {
        {"21", "one", "zwei", -973932308},
        {"foobar", "", NULL, -790332482},
        {"a-little-bit-long-string", NULL, "", -985981536}, /* a tombstone */
        {"a-little-bit-longer-string", "x", "y", -1486304829},
        {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", "{}", "z", -58897971},
        {"abc", "v", "w", 479470107},
        {NULL, "no key", "w", 0},
    };
    enum { CASES = sizeof(cases) / sizeof(cases[0]), HASHED_TO = 7 };
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "records", HASHED_TO);
    struct kafka_sender sender;
    kafka_sender_start(&sender, fixture, NULL, NULL, 0);
    int64_t begin_ms = clock_wall_us() / CLOCK_US_PER_MS;
    for (size_t i = 0; i < CASES; i++) {
        struct kafka_header headers[] = {
            {"first", "1", 1},
            {"second", cases[i].second, cases[i].second ? strlen(cases[i].second) : 0},
            {"first", "a\0b", 3},
        };
        struct kafka_sent sent = {.delivery = {
                                      .topic = "records",
                                      .partition = KAFKA_PARTITION_BY_KEY,
                                      .key = cases[i].key,
                                      .key_size = cases[i].key ? strlen(cases[i].key) : 0,
                                      .value = cases[i].value,
                                      .value_size = cases[i].value ? strlen(cases[i].value) : 0,
                                      .headers = headers,
                                      .header_count = i == CASES - 1 ? 0 : 3,
                                  }};
        kafka_sent_start(&sent, &sender);
        kafka_sent_wait(&sent);
        assert_int_equal(sent.outcome, KAFKA_DELIVERED);
    }
    kafka_sender_stop(&sender);
    int64_t end_ms = clock_wall_us() / CLOCK_US_PER_MS;

    struct kafka_member *member = new_member();
    member->keep = true;
    kafka_member_start(member, fixture, "records", "records", NULL);
    assert_false(kafka_consumer_joined(member->consumer));
    kafka_member_wait_records(member, CASES);
    assert_true(kafka_consumer_joined(member->consumer));

    for (size_t i = 0; i < CASES; i++) {
        const struct kafka_record *record = NULL;
        for (size_t j = 0; j < CASES && !record; j++) {
            size_t size = cases[i].key ? strlen(cases[i].key) : 0;
            if (member->kept[j]->key_size == size &&
                memcmp(member->kept[j]->key ? member->kept[j]->key : "",
                    cases[i].key ? cases[i].key : "", size) == 0)
                record = member->kept[j];
        }
        assert_non_null(record);
        assert_bytes(record->key, record->key_size, cases[i].key);
        assert_bytes(record->value, record->value_size, cases[i].value);
        assert_in_range(record->timestamp_ms, begin_ms, end_ms);
        if (cases[i].key)
            assert_int_equal(record->partition, (cases[i].hash & INT32_MAX) % HASHED_TO);

        struct kafka_header header;
        if (i == CASES - 1) {
            assert_false(kafka_record_header(record, "first", &header));
            assert_false(kafka_record_header_at(record, 0, &header));
            continue;
        }
        assert_true(kafka_record_header(record, "first", &header));
        assert_int_equal(header.value_size, 3);
        assert_memory_equal(header.value, "a\0b", 3);
        assert_true(kafka_record_header(record, "second", &header));
        assert_bytes(header.value, header.value_size, cases[i].second);
        assert_false(kafka_record_header(record, "third", &header));
        assert_true(kafka_record_header_at(record, 0, &header));
        assert_string_equal(header.name, "first");
        assert_bytes(header.value, header.value_size, "1");
        assert_false(kafka_record_header_at(record, 3, &header));
    }

    /* A consumer outlives its records. */
    member->inside++;
    kafka_consumer_close(member->consumer);
    member->inside--;
    kafka_fixture_run(fixture, 1000);
    assert_false(member->closed);
    for (size_t i = 0; i < CASES; i++)
        kafka_record_free(member->kept[i]);
    assert_false(member->closed);
    kafka_member_stop(member);
    free(member);
}

struct turns {
    const struct kafka_member *member;
    size_t seen, most;
};

/* Another handle of the loop: how many records came since its last turn? */
static void watch_turns(uv_check_t *check)
{
    struct turns *turns = check->data;
    size_t taken = turns->member->record_count - turns->seen;
    turns->seen = turns->member->record_count;
    if (taken > turns->most)
        turns->most = taken;
}

#define BACKLOG 1000

static void test_turns(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "turns", 1);
    fill(fixture, "turns", 0, BACKLOG);
    struct kafka_member *member = new_member();
    struct turns turns = {.member = member};
    uv_check_t check;
    uv_check_init(&fixture->loop, &check);
    check.data = &turns;
    uv_check_start(&check, watch_turns);

    kafka_member_start(member, fixture, "turns", "turns", NULL);
    kafka_member_wait_records(member, BACKLOG);
    kafka_member_check(member, 0, 0, BACKLOG - 1);
    assert_in_range(turns.most, 2, 64);

    kafka_member_stop(member);
    uv_close((uv_handle_t *)&check, NULL);
    kafka_fixture_run(fixture, 1);
    free(member);
}

/* A short hold leaves the records where they are, a long one pauses; neither loses nor doubles any.
 */
static void test_hold(void **state)
{
    static const unsigned durations_ms[] = {0, 50, LONG_HOLD_MS, 20, LONG_HOLD_MS};
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "hold", 2);
    struct kafka_sender sender;
    kafka_sender_start(&sender, fixture, NULL, NULL, 0);
    kafka_sender_fill(&sender, "hold", 0, 0, 500);
    kafka_sender_fill(&sender, "hold", 1, 0, 500);
    struct kafka_member *member = new_member();
    member->hold_at = 10;
    kafka_member_start(member, fixture, "hold", "hold", NULL);

    int filled = 500;
    for (size_t i = 0; i < sizeof(durations_ms) / sizeof(durations_ms[0]); i++) {
        kafka_member_wait_records(member, member->hold_at);
        kafka_fixture_run(fixture, durations_ms[i]);
        /* It stopped at once, in the midst of a turn. */
        assert_int_equal(member->record_count, member->hold_at);
        kafka_sender_fill(&sender, "hold", 0, filled, 100);
        filled += 100;
        assert_int_equal(member->record_count, member->hold_at);
        member->hold_at += 150;
        int64_t begin_us = clock_monotonic_us();
        kafka_consumer_continue(member->consumer);
        assert_int_equal(member->record_count, member->hold_at - 150);
        kafka_member_wait_records(member, member->hold_at);
        /* Some were kept; fetching again would take longer. */
        assert_true(clock_monotonic_us() - begin_us < 200 * CLOCK_US_PER_MS);
    }
    member->hold_at = 0;
    kafka_consumer_continue(member->consumer);
    kafka_member_wait_records(member, (size_t)filled + 500);
    kafka_fixture_run(fixture, 300);
    kafka_member_check(member, 0, 0, filled - 1);
    kafka_member_check(member, 1, 0, 499);

    /* Held to its end. */
    kafka_consumer_hold(member->consumer);
    kafka_member_stop(member);
    kafka_sender_stop(&sender);
    free(member);
}

enum { PARTITIONS = 4, EACH = 25 };

static bool have_all(const void *context)
{
    const struct kafka_member *const *members = context;
    return members[0]->record_count + members[1]->record_count == PARTITIONS * EACH * 2;
}

static void check_each_record_once(
    const struct kafka_member *first, const struct kafka_member *second)
{
    for (int partition = 0; partition < PARTITIONS; partition++) {
        int64_t count = 0;
        for (size_t i = 0; i < first->record_count; i++)
            count += first->records[i].partition == partition;
        if (first->owned[partition])
            assert_int_equal(count, 2 * EACH);
        kafka_member_check(first, partition, 0, count - 1);
        kafka_member_check(second, partition, count, 2 * EACH - 1);
    }
}

static void check_two_members(struct kafka_fixture *fixture, const char *strategy)
{
    char topic[64];
    snprintf(topic, sizeof(topic), "two-%s", strategy);
    const char *properties[] = {"partition.assignment.strategy", strategy, NULL};
    kafka_fixture_create_topic(fixture, topic, PARTITIONS);
    for (int partition = 0; partition < PARTITIONS; partition++)
        fill(fixture, topic, partition, EACH);

    struct kafka_member *first = new_member();
    first->store = true;
    first->let_go_late = true;
    first->hold_at = PARTITIONS * EACH / 2;
    kafka_member_start(first, fixture, topic, topic, properties);
    kafka_member_wait_records(first, first->hold_at);
    kafka_fixture_wait_committed(fixture, topic, PARTITIONS, PARTITIONS * EACH / 2);
    /* Held for long, so paused, with records kept: the second one is let in all the same. */
    kafka_fixture_run(fixture, LONG_HOLD_MS);

    struct kafka_member *second = new_member();
    second->store = true;
    kafka_member_start(second, fixture, topic, topic, properties);
    kafka_fixture_wait(fixture, owes_let_go, first);
    kafka_fixture_run(fixture, 700);
    assert_int_equal(second->owned_count, 0);
    bool eager = strcmp(strategy, "range") == 0;
    assert_int_equal(first->revoked_count, eager ? PARTITIONS : PARTITIONS / 2);
    /* Where the leader is first to sync, the mock cluster has the other one join once more. */
    first->let_go_late = false;
    kafka_member_let_go(first);

    kafka_member_wait_owned(second, PARTITIONS / 2);
    kafka_member_wait_owned(first, PARTITIONS / 2);
    first->hold_at = 0;
    kafka_consumer_continue(first->consumer);
    struct kafka_sender sender;
    kafka_sender_start(&sender, fixture, NULL, NULL, 0);
    for (int partition = 0; partition < PARTITIONS; partition++)
        kafka_sender_fill(&sender, topic, partition, EACH, EACH);
    kafka_sender_stop(&sender);
    const struct kafka_member *members[] = {first, second};
    kafka_fixture_wait(fixture, have_all, members);
    check_each_record_once(first, second);

    /* The former owner rewinds nothing. */
    kafka_fixture_wait_committed(fixture, topic, PARTITIONS, PARTITIONS * EACH * 2);
    for (int partition = 0; partition < PARTITIONS; partition++) {
        if (second->owned[partition])
            kafka_consumer_store(first->consumer, topic, partition, 1);
    }

    /* Whoever stays takes over, from where the other one was. */
    kafka_member_stop(first);
    kafka_member_wait_owned(second, PARTITIONS);
    kafka_member_stop(second);
    assert_true(have_all(members));
    kafka_fixture_wait_committed(fixture, topic, PARTITIONS, PARTITIONS * EACH * 2);
    free(first);
    free(second);
}

static void test_two_members_cooperative(void **state)
{
    check_two_members(*state, "cooperative-sticky");
}

static void test_two_members_eager(void **state)
{
    check_two_members(*state, "range");
}

/* What was stored is committed on close, also between on_revoked and let_go, and no more than that.
 */
static void test_close_commits(void **state)
{
    struct kafka_fixture *fixture = *state;
    const char *never[] = {"auto.commit.interval.ms", "3600000", NULL};
    kafka_fixture_create_topic(fixture, "close", 2);
    fill(fixture, "close", 0, 50);
    fill(fixture, "close", 1, 50);
    struct kafka_member *member = new_member();
    member->let_go_late = true;
    kafka_member_start(member, fixture, "close", "close", never);
    kafka_member_wait_records(member, 100);
    kafka_consumer_store(member->consumer, "close", 0, 20);
    kafka_consumer_store(member->consumer, "nowhere", 0, 20);
    member->inside++;
    kafka_consumer_close(member->consumer);
    kafka_consumer_close(member->consumer);
    member->inside--;
    kafka_fixture_wait(fixture, owes_let_go, member);
    assert_int_equal(member->revoked_count, 2);
    kafka_fixture_run(fixture, 300);
    assert_false(member->closed);
    kafka_consumer_store(member->consumer, "close", 0, 30);
    kafka_member_let_go(member);
    kafka_member_stop(member);
    assert_int_equal(kafka_fixture_committed(fixture, "close", "close", 0), 30);
    assert_int_equal(kafka_fixture_committed(fixture, "close", "close", 1), -1);
    free(member);

    member = new_member();
    kafka_member_start(member, fixture, "close", "close", NULL);
    kafka_member_wait_records(member, 20 + 50);
    kafka_member_stop(member);
    kafka_member_check(member, 0, 30, 49);
    kafka_member_check(member, 1, 0, 49);
    free(member);
}

/* Closed while it owes a let-go for some of its partitions: it is told of the others too. */
static void test_close_amid_rebalance(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "amid", 4);
    struct kafka_member *first = new_member();
    first->let_go_late = true;
    kafka_member_start(first, fixture, "amid", "amid", NULL);
    kafka_member_wait_owned(first, 4);
    struct kafka_member *second = new_member();
    kafka_member_start(second, fixture, "amid", "amid", NULL);
    kafka_fixture_wait(fixture, owes_let_go, first);
    assert_int_equal(first->revoked_count, 2);

    first->inside++;
    kafka_consumer_close(first->consumer);
    first->inside--;
    kafka_fixture_run(fixture, 100);
    assert_int_equal(first->revoked_count, 2);
    kafka_member_let_go(first);
    kafka_fixture_wait(fixture, owes_let_go, first);
    assert_int_equal(first->revoked_count, 4);
    kafka_member_let_go(first);
    kafka_member_stop(first);
    kafka_member_wait_owned(second, 4);
    kafka_member_stop(second);
    free(first);
    free(second);
}

static bool knows_its_generation(struct kafka_member *member)
{
    struct kafka_group_metadata *metadata = kafka_consumer_group_metadata(member->consumer);
    kafka_group_metadata_free(metadata);
    return metadata != NULL;
}

static void test_session_lost(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "lost", 2);
    struct kafka_member *member = new_member();
    kafka_member_start(member, fixture, "lost", "lost", NULL);
    assert_false(knows_its_generation(member));
    kafka_member_wait_owned(member, 2);
    assert_true(knows_its_generation(member));
    rd_kafka_mock_push_request_errors(
        fixture->cluster, API_HEARTBEAT, 1, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID);
    kafka_fixture_wait(fixture, lost_some, member);
    assert_int_equal(member->revoked_count, 2);
    kafka_member_wait_owned(member, 2);
    kafka_member_stop(member);
    free(member);
}

static void test_missing_topic(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_log_catch();
    struct kafka_member *member = new_member();
    kafka_member_start(member, fixture, "missing", "missing", NULL);
    kafka_fixture_wait(fixture, misses_topic, member);
    kafka_fixture_run(fixture, 1500);
    assert_int_equal(member->troubles[KAFKA_TROUBLE_TOPIC_MISSING], 1);
    assert_int_equal(kafka_log_count("a topic does not exist; create it"), 1);
    assert_false(kafka_fixture_has_topic(fixture, "missing"));

    kafka_fixture_create_topic(fixture, "missing", 1);
    fill(fixture, "missing", 0, 5);
    kafka_member_wait_records(member, 5);
    kafka_member_check(member, 0, 0, 4);
    kafka_member_stop(member);
    kafka_log_release();
    free(member);
}

static void test_not_authorized(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "denied", 1);
    kafka_log_catch();
    rd_kafka_mock_push_request_errors(fixture->cluster, API_FIND_COORDINATOR, 2,
        RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED);
    struct kafka_member *member = new_member();
    kafka_member_start(member, fixture, "denied", "denied", NULL);
    kafka_member_wait_owned(member, 1);
    assert_int_equal(member->troubles[KAFKA_TROUBLE_NOT_AUTHORIZED], 1);
    assert_int_equal(kafka_log_count("Kafka denies access"), 1);
    kafka_member_stop(member);
    kafka_log_release();
    free(member);
}

/* The library follows auto.offset.reset without an error; it is told all the same. */
static void test_offset_lost(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "offset", 1);
    fill(fixture, "offset", 0, 5);
    kafka_fixture_commit(fixture, "offset", "offset", 0, 1000);
    kafka_log_catch();
    struct kafka_member *member = new_member();
    kafka_member_start(member, fixture, "offset", "offset", NULL);
    kafka_member_wait_records(member, 5);
    kafka_member_check(member, 0, 0, 4);
    assert_int_equal(member->troubles[KAFKA_TROUBLE_OFFSET_LOST], 1);
    assert_int_equal(kafka_log_count("records were deleted before they were read"), 1);
    kafka_member_stop(member);
    kafka_log_release();
    free(member);
}

/* Nobody there: told once; closing waits for nobody, at whatever moment. */
static void test_nobody_there(void **state)
{
    struct kafka_fixture *fixture = *state;
    const char *properties[] = {"bootstrap.servers", fixture->nowhere, NULL};
    kafka_log_catch();
    struct kafka_member *member = new_member();
    kafka_member_start(member, fixture, "nobody", "nobody", properties);
    kafka_fixture_wait(fixture, reaches_nobody, member);
    kafka_fixture_run(fixture, 500);
    assert_int_equal(member->troubles[KAFKA_TROUBLE_UNREACHABLE], 1);
    assert_int_equal(kafka_log_count("no Kafka broker can be reached"), 1);
    int64_t begin_us = clock_monotonic_us();
    kafka_member_stop(member);
    assert_true(clock_monotonic_us() - begin_us < 2 * CLOCK_US_PER_SECOND);
    kafka_log_release();
    free(member);
}

/* With the range assignor: librdkafka 2.0.2 now and then fails an assertion of its own
 * (rd_kafka_sticky_assignor_state_destroy) when a leader closes just as it assigns stickily. */
static void test_closes_at_any_time(void **state)
{
    static const unsigned after_ms[] = {0, 5, 100, 1000, 3100, 3300};
    static const char *const properties[] = {"partition.assignment.strategy", "range", NULL};
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "any-time", 3);
    for (size_t i = 0; i < sizeof(after_ms) / sizeof(after_ms[0]); i++) {
        char group[32];
        snprintf(group, sizeof(group), "any-time-%zu", i);
        struct kafka_member *member = new_member();
        kafka_member_start(member, fixture, group, "any-time", properties);
        kafka_fixture_run(fixture, after_ms[i]);
        int64_t begin_us = clock_monotonic_us();
        kafka_member_stop(member);
        assert_true(clock_monotonic_us() - begin_us < 6 * CLOCK_US_PER_SECOND);
        free(member);
    }
}

static void test_joins_later(void **state)
{
    static const char *const topic = "later";
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, topic, 1);
    fill(fixture, topic, 0, 5);
    struct kafka_member *stranger = new_member();
    kafka_member_start(stranger, fixture, "later", NULL, NULL);
    struct kafka_member *member = new_member();
    kafka_member_start(member, fixture, "later", NULL, NULL);
    kafka_fixture_run(fixture, 300);
    assert_false(kafka_consumer_joined(member->consumer));
    char error[256] = "";
    member->topic = topic;
    assert_int_equal(
        kafka_consumer_join(member->consumer, &topic, 1, error, sizeof(error)), RESULT_OK);
    kafka_member_wait_records(member, 5);
    assert_true(kafka_consumer_joined(member->consumer));
    kafka_member_stop(member);
    /* Also one that never joined can be closed. */
    assert_false(kafka_consumer_joined(stranger->consumer));
    kafka_member_stop(stranger);
    assert_int_equal(stranger->revoked_count, 0);
    free(member);
    free(stranger);
}

/* The brokers went away: it cannot leave, and gives up. */
static void test_cannot_leave(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "cannot", 1);
    fill(fixture, "cannot", 0, 5);
    kafka_log_catch();
    struct kafka_member *member = new_member();
    member->store = true;
    kafka_member_start(member, fixture, "cannot", "cannot", NULL);
    kafka_member_wait_records(member, 5);
    rd_kafka_mock_broker_set_down(fixture->cluster, 1);
    int64_t begin_us = clock_monotonic_us();
    kafka_member_stop(member);
    assert_true(clock_monotonic_us() - begin_us < 8 * CLOCK_US_PER_SECOND);
    assert_int_equal(member->revoked_count, 1);
    rd_kafka_mock_broker_set_up(fixture->cluster, 1);
    kafka_log_release();
    free(member);
}

static void test_refused_properties(void **state)
{
    static const struct {
        const char *name, *value, *expected;
    } cases[] = {
        {"no.such.property", "1", "no.such.property"},
        {"session.timeout.ms", "x", "session.timeout.ms"},
        {"enable.auto.offset.store", "true", "enable.auto.offset.store"},
        {"enable.auto.commit", "false", "enable.auto.commit"},
        {"isolation.level", "read_uncommitted", "isolation.level"},
        {"plugin.library.paths", "x.so", "plugin.library.paths"},
        {"group.id", "", "subscribing"},
    };
    struct kafka_fixture *fixture = *state;
    const char *topic = "refused";
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct kafka_property properties[] = {{"bootstrap.servers", fixture->brokers},
            {"group.id", "refused"}, {cases[i].name, cases[i].value}};
        struct kafka_consumer_options options = {.properties = properties,
            .property_count = 3,
            .topics = &topic,
            .topic_count = 1,
            .records_per_turn = 1};
        struct kafka_consumer *consumer;
        char error[256] = "";
        assert_int_equal(
            kafka_consumer_new(&fixture->loop, &options, &consumer, error, sizeof(error)),
            RESULT_REJECT);
        assert_null(consumer);
        if (!strstr(error, cases[i].expected))
            fail_msg("%s: %s", cases[i].name, error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_properties),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_hold),
        cmocka_unit_test(test_two_members_cooperative),
        cmocka_unit_test(test_two_members_eager),
        cmocka_unit_test(test_close_commits),
        cmocka_unit_test(test_close_amid_rebalance),
        cmocka_unit_test(test_session_lost),
        cmocka_unit_test(test_missing_topic),
        cmocka_unit_test(test_not_authorized),
        cmocka_unit_test(test_offset_lost),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_closes_at_any_time),
        cmocka_unit_test(test_joins_later),
        cmocka_unit_test(test_cannot_leave),
    };
    return cmocka_run_group_tests_name(
        "kafka_consumer", tests, kafka_fixture_start, kafka_fixture_stop);
}
