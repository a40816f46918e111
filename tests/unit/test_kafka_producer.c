#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/memory.h"
#include "support/kafka_fixture.h"

#define API_PRODUCE 0
#define API_INIT_PRODUCER_ID 22

static void send_text(struct kafka_sent *sent, struct kafka_sender *sender, const char *topic)
{
    *sent = (struct kafka_sent){
        .delivery = {.topic = topic, .partition = 0, .value = "text", .value_size = 4}};
    kafka_sent_start(sent, sender);
}

static void assert_outcome(const struct kafka_sent *sent, enum kafka_delivery_outcome outcome)
{
    assert_int_equal(sent->times, 1);
    assert_string_equal(
        kafka_delivery_outcome_name(sent->outcome), kafka_delivery_outcome_name(outcome));
}

static void test_delivers(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "delivers", 1);
    const char *topics[] = {"delivers"};
    struct kafka_sender sender;
    kafka_sender_start(&sender, fixture, NULL, topics, 1);

    for (int64_t i = 0; i < 3; i++) {
        struct kafka_sent sent;
        send_text(&sent, &sender, "delivers");
        assert_int_equal(kafka_producer_in_flight(sender.producer), 1);
        kafka_sent_wait(&sent);
        assert_outcome(&sent, KAFKA_DELIVERED);
        assert_int_equal(sent.offset, i);
        assert_string_equal(sent.reason, "");
        assert_int_equal(kafka_producer_in_flight(sender.producer), 0);
    }
    kafka_sender_stop(&sender);
}

/* What the broker, or librdkafka in its name, answers to a record. */
static void test_outcomes(void **state)
{
    static const struct {
        rd_kafka_resp_err_t injected;
        enum kafka_delivery_outcome outcome;
    } cases[] = {
        {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, KAFKA_TOO_LARGE},
        {RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, KAFKA_TOO_LARGE},
        {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, KAFKA_NOT_AUTHORIZED},
        {RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, KAFKA_DELIVERED}, /* sent again */
        {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, KAFKA_DELIVERED},      /* sent again */
        {RD_KAFKA_RESP_ERR_POLICY_VIOLATION, KAFKA_REFUSED},
        {RD_KAFKA_RESP_ERR_INVALID_RECORD, KAFKA_REFUSED},
    };
    struct kafka_fixture *fixture = *state;
    struct kafka_sender sender;
    kafka_sender_start(&sender, fixture, NULL, NULL, 0);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char topic[32];
        snprintf(topic, sizeof(topic), "outcome-%zu", i);
        kafka_fixture_create_topic(fixture, topic, 1);
        rd_kafka_mock_push_request_errors(fixture->cluster, API_PRODUCE, 1, cases[i].injected);
        struct kafka_sent sent;
        send_text(&sent, &sender, topic);
        kafka_sent_wait(&sent);
        assert_outcome(&sent, cases[i].outcome);
        assert_true((sent.reason[0] == '\0') == (cases[i].outcome == KAFKA_DELIVERED));
        assert_true((sent.offset == -1) == (cases[i].outcome != KAFKA_DELIVERED));
        rd_kafka_mock_clear_request_errors(fixture->cluster, API_PRODUCE);
    }
    kafka_sender_stop(&sender);
}

static void test_too_large_for_us(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "large", 1);
    const char *properties[] = {
        "message.max.bytes", "2000", "queue.buffering.max.kbytes", "1", NULL};
    struct kafka_sender sender;
    kafka_sender_start(&sender, fixture, properties, NULL, 0);

    /* The one at a time that the library's queue has room for, more than it ever has, and more than
     * is allowed. */
    char value[3000];
    memset(value, 'x', sizeof(value));
    const struct {
        size_t size;
        enum kafka_delivery_outcome outcome;
    } cases[] = {{800, KAFKA_DELIVERED}, {1500, KAFKA_TOO_LARGE}, {3000, KAFKA_TOO_LARGE}};
    for (size_t i = 0; i < 3; i++) {
        struct kafka_sent sent = {
            .delivery = {
                .topic = "large", .partition = 0, .value = value, .value_size = cases[i].size}};
        kafka_sent_start(&sent, &sender);
        kafka_sent_wait(&sent);
        assert_outcome(&sent, cases[i].outcome);
    }
    kafka_sender_stop(&sender);
}

static void test_no_such_topic(void **state)
{
    static const struct {
        const char *topic;
        int32_t partition;
    } cases[] = {
        {"nowhere", 0},
        {"nowhere", KAFKA_PARTITION_BY_KEY},
        {"nowhere either", 0}, /* not a topic's name */
        {"", 0},
        {"narrow", 1},
        {"narrow", 7},
    };
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "narrow", 1);
    struct kafka_sender sender;
    kafka_sender_start(&sender, fixture, NULL, NULL, 0);

    int64_t begin_us = clock_monotonic_us();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct kafka_sent sent = {
            .delivery = {.topic = cases[i].topic, .partition = cases[i].partition}};
        kafka_sent_start(&sent, &sender);
        kafka_sent_wait(&sent);
        assert_outcome(&sent, KAFKA_NO_SUCH_TOPIC);
        assert_true(sent.reason[0] != '\0');
    }
    /* Long before the message's timeout. */
    assert_true(clock_monotonic_us() - begin_us < 5 * CLOCK_US_PER_SECOND);
    kafka_sender_stop(&sender);
    assert_false(kafka_fixture_has_topic(fixture, "nowhere"));
}

/* One that is opened at start but is not there is told within seconds, and used when it appears. */
static void test_own_topic_appears_later(void **state)
{
    struct kafka_fixture *fixture = *state;
    const char *topics[] = {"later"};
    struct kafka_sender sender;
    kafka_sender_start(&sender, fixture, NULL, topics, 1);

    int64_t begin_us = clock_monotonic_us();
    assert_int_equal(kafka_sender_send(&sender, "later", 0, "a"), KAFKA_NO_SUCH_TOPIC);
    assert_true(clock_monotonic_us() - begin_us < 8 * CLOCK_US_PER_SECOND);
    begin_us = clock_monotonic_us();
    assert_int_equal(kafka_sender_send(&sender, "later", 0, "b"), KAFKA_NO_SUCH_TOPIC);
    assert_true(clock_monotonic_us() - begin_us < CLOCK_US_PER_SECOND);
    assert_false(kafka_fixture_has_topic(fixture, "later"));

    kafka_fixture_create_topic(fixture, "later", 1);
    enum kafka_delivery_outcome outcome;
    begin_us = clock_monotonic_us();
    do {
        outcome = kafka_sender_send(&sender, "later", 0, "c");
    } while (outcome == KAFKA_NO_SUCH_TOPIC &&
             clock_monotonic_us() - begin_us < 5 * CLOCK_US_PER_SECOND);
    assert_int_equal(outcome, KAFKA_DELIVERED);
    kafka_sender_stop(&sender);
}

static void test_nobody_there(void **state)
{
    struct kafka_fixture *fixture = *state;
    const char *properties[] = {
        "bootstrap.servers", fixture->nowhere, "message.timeout.ms", "1200", NULL};
    const char *topics[] = {"own"};
    struct kafka_sender sender;
    kafka_log_catch();
    kafka_sender_start(&sender, fixture, properties, topics, 1);

    struct kafka_sent own;
    send_text(&own, &sender, "own");
    struct kafka_sent other;
    send_text(&other, &sender, "other"); /* looked up in vain first */
    kafka_sent_wait(&own);
    assert_outcome(&own, KAFKA_TIMED_OUT);
    kafka_sent_wait(&other);
    assert_outcome(&other, KAFKA_TIMED_OUT);
    assert_int_equal(kafka_log_count("no Kafka broker can be reached"), 1);
    kafka_sender_stop(&sender);
    kafka_log_release();
}

/* The broker goes away with records under way, and comes back. */
static void test_broker_comes_back(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "returns", 1);
    struct kafka_sender sender;
    kafka_sender_start(&sender, fixture, NULL, NULL, 0);
    assert_int_equal(kafka_sender_send(&sender, "returns", 0, "a"), KAFKA_DELIVERED);

    rd_kafka_mock_broker_set_down(fixture->cluster, 1);
    struct kafka_sent sent;
    send_text(&sent, &sender, "returns");
    kafka_fixture_run(fixture, 300);
    assert_int_equal(sent.times, 0);
    rd_kafka_mock_broker_set_up(fixture->cluster, 1);
    kafka_sent_wait(&sent);
    assert_outcome(&sent, KAFKA_DELIVERED);
    kafka_sender_stop(&sender);
}

#define CROWD 500

/* More than the library's queue takes: the rest waits here. */
static void test_full_queue(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "full", 1);
    const char *properties[] = {"queue.buffering.max.messages", "10", NULL};
    const char *topics[] = {"full"};
    struct kafka_sender sender;
    kafka_sender_start(&sender, fixture, properties, topics, 1);
    kafka_sender_fill(&sender, "full", 0, 0, CROWD);
    /* Also where the wait begins with a lookup. */
    kafka_fixture_create_topic(fixture, "full-too", 1);
    kafka_sender_fill(&sender, "full-too", 0, 0, CROWD);
    kafka_sender_stop(&sender);
}

static void send_again(struct kafka_sent *sent)
{
    if (sent->offset == 0 || sent->outcome == KAFKA_NO_SUCH_TOPIC) {
        sent->then = NULL;
        sent->delivery.topic = "again";
        kafka_sent_start(sent, sent->sender);
    }
}

static bool is_at_one(const void *context)
{
    const struct kafka_sent *sent = context;
    return sent->times == 1 && sent->offset == 1;
}

static bool is_delivered_once(const void *context)
{
    const struct kafka_sent *sent = context;
    return sent->times == 1 && sent->outcome == KAFKA_DELIVERED;
}

/* From its own on_delivered, after a delivery as after a refusal. */
static void test_sends_again(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "again", 1);
    struct kafka_sender sender;
    kafka_sender_start(&sender, fixture, NULL, NULL, 0);
    struct kafka_sent sent = {.delivery = {.topic = "again", .partition = 0}, .then = send_again};
    kafka_sent_start(&sent, &sender);
    kafka_fixture_wait(fixture, is_at_one, &sent);

    struct kafka_sent refused = {.delivery = {.topic = "not-again"}, .then = send_again};
    kafka_sent_start(&refused, &sender);
    kafka_fixture_wait(fixture, is_delivered_once, &refused);
    assert_outcome(&refused, KAFKA_DELIVERED);
    kafka_sender_stop(&sender);
}

struct pending {
    struct kafka_sent sent;
    char *value;
};

/* Whoever touched it later would be caught by the address sanitizer. */
static void free_value(struct kafka_sent *sent)
{
    struct pending *pending = (struct pending *)sent;
    free(pending->value);
    pending->value = NULL;
}

#define PENDING 200
#define PENDING_BYTES 100000 /* large enough to be sent from where it lies */

static void close_with_pending(
    struct kafka_fixture *fixture, const char *const *properties, const char *topic)
{
    const char *topics[] = {topic};
    struct kafka_sender sender;
    kafka_sender_start(&sender, fixture, properties, topics, 1);
    struct pending *all = memory_new(PENDING * sizeof(*all));
    for (size_t i = 0; i < PENDING; i++) {
        all[i].value = memory_new(PENDING_BYTES);
        all[i].sent = (struct kafka_sent){.then = free_value,
            .delivery = {.topic = i % 20 == 19 ? "elsewhere" : topic,
                .value = all[i].value,
                .value_size = PENDING_BYTES}};
        kafka_sent_start(&all[i].sent, &sender);
    }
    kafka_fixture_run(fixture, 60);
    int64_t begin_us = clock_monotonic_us();
    kafka_sender_stop(&sender);
    assert_true(clock_monotonic_us() - begin_us < 4 * CLOCK_US_PER_SECOND);
    for (size_t i = 0; i < PENDING; i++) {
        assert_int_equal(all[i].sent.times, 1);
        if (all[i].sent.outcome != KAFKA_DELIVERED && all[i].sent.outcome != KAFKA_NO_SUCH_TOPIC)
            assert_outcome(&all[i].sent, KAFKA_CANCELLED);
    }
    free(all);
}

static void test_closes_with_pending(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "pending", 1);
    const char *plain[] = {"compression.type", "none", NULL};
    close_with_pending(fixture, plain, "pending");

    /* A broker that is slow to answer, so that requests are on their way. */
    rd_kafka_mock_broker_set_rtt(fixture->cluster, 1, 500);
    close_with_pending(fixture, plain, "pending");
    rd_kafka_mock_broker_set_rtt(fixture->cluster, 1, 0);

    const char *nowhere[] = {"bootstrap.servers", fixture->nowhere, NULL};
    close_with_pending(fixture, nowhere, "pending");
}

struct asked {
    struct kafka_topic_query query;
    struct kafka_sender *sender;
    unsigned times;
    enum kafka_topic_state state;
    int32_t partition_count;
};

static void on_answer(
    struct kafka_topic_query *query, enum kafka_topic_state topic_state, int32_t partition_count)
{
    struct asked *asked = query->context;
    assert_int_equal(asked->sender->inside, 0);
    asked->times++;
    asked->state = topic_state;
    asked->partition_count = partition_count;
}

static void ask(struct asked *asked, struct kafka_sender *sender, const char *topic)
{
    *asked = (struct asked){
        .query = {.topic = topic, .on_answer = on_answer, .context = asked}, .sender = sender};
    sender->inside++;
    kafka_producer_find_topic(sender->producer, &asked->query);
    sender->inside--;
}

static bool has_answer(const void *context)
{
    const struct asked *asked = context;
    return asked->times > 0;
}

static enum kafka_topic_state find(struct kafka_sender *sender, const char *topic, int32_t *count)
{
    struct asked asked;
    ask(&asked, sender, topic);
    kafka_fixture_wait(sender->fixture, has_answer, &asked);
    assert_int_equal(asked.times, 1);
    *count = asked.partition_count;
    return asked.state;
}

static void test_finds_topics(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "found", 3);
    kafka_fixture_create_topic(fixture, "denied", 1);
    rd_kafka_mock_topic_set_error(
        fixture->cluster, "denied", RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    struct kafka_sender sender;
    kafka_sender_start(&sender, fixture, NULL, NULL, 0);

    int32_t count;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(find(&sender, "found", &count), KAFKA_TOPIC_FOUND);
        assert_int_equal(count, 3);
        assert_int_equal(find(&sender, "lost", &count), KAFKA_TOPIC_MISSING);
        assert_int_equal(find(&sender, "denied", &count), KAFKA_TOPIC_NOT_AUTHORIZED);
        assert_int_equal(kafka_sender_send(&sender, "denied", 0, "a"), KAFKA_NOT_AUTHORIZED);
    }
    assert_false(kafka_fixture_has_topic(fixture, "lost"));

    /* Missing is not remembered for long. */
    kafka_fixture_create_topic(fixture, "lost", 2);
    int64_t begin_us = clock_monotonic_us();
    while (find(&sender, "lost", &count) == KAFKA_TOPIC_MISSING)
        assert_true(clock_monotonic_us() - begin_us < 5 * CLOCK_US_PER_SECOND);
    assert_int_equal(count, 2);
    assert_int_equal(kafka_sender_send(&sender, "lost", 1, "a"), KAFKA_DELIVERED);
    kafka_sender_stop(&sender);
}

#define MANY_TOPICS 70

/* More at once than one lookup takes and than handles may be open. */
static void test_many_topics(void **state)
{
    struct kafka_fixture *fixture = *state;
    static char names[MANY_TOPICS][24];
    for (int i = 0; i < MANY_TOPICS; i++) {
        snprintf(names[i], sizeof(names[i]), "many-%d", i);
        if (i % 2 == 0)
            kafka_fixture_create_topic(fixture, names[i], 1);
    }
    struct kafka_sender sender;
    kafka_sender_start(&sender, fixture, NULL, NULL, 0);
    struct asked *asked = memory_new(MANY_TOPICS * sizeof(*asked));
    struct kafka_sent *sent = memory_new(MANY_TOPICS * sizeof(*sent));
    for (int i = 0; i < MANY_TOPICS; i++) {
        ask(&asked[i], &sender, names[i]);
        sent[i].delivery.topic = names[i];
        kafka_sent_start(&sent[i], &sender);
    }
    for (int i = 0; i < MANY_TOPICS; i++) {
        kafka_fixture_wait(fixture, has_answer, &asked[i]);
        kafka_sent_wait(&sent[i]);
        assert_int_equal(asked[i].state, i % 2 == 0 ? KAFKA_TOPIC_FOUND : KAFKA_TOPIC_MISSING);
        assert_outcome(&sent[i], i % 2 == 0 ? KAFKA_DELIVERED : KAFKA_NO_SUCH_TOPIC);
    }
    /* Those that had to make way are opened again. */
    for (int i = 0; i < MANY_TOPICS; i += 2)
        assert_int_equal(kafka_sender_send(&sender, names[i], 0, "a"), KAFKA_DELIVERED);
    kafka_sender_stop(&sender);
    free(asked);
    free(sent);
}

/* Asked of a cluster that does not answer: in time, and closing does not wait for it. */
static void test_asks_in_vain(void **state)
{
    struct kafka_fixture *fixture = *state;
    const char *properties[] = {"bootstrap.servers", fixture->nowhere, NULL};
    struct kafka_sender sender;
    kafka_sender_start(&sender, fixture, properties, NULL, 0);
    int64_t begin_us = clock_monotonic_us();
    int32_t count;
    assert_int_equal(find(&sender, "unseen", &count), KAFKA_TOPIC_UNKNOWN);
    assert_true(clock_monotonic_us() - begin_us < 7 * CLOCK_US_PER_SECOND);

    struct asked asked;
    ask(&asked, &sender, "unseen");
    begin_us = clock_monotonic_us();
    kafka_sender_stop(&sender);
    assert_true(clock_monotonic_us() - begin_us < 3 * CLOCK_US_PER_SECOND);
    assert_int_equal(asked.times, 1);
    assert_int_equal(asked.state, KAFKA_TOPIC_UNKNOWN);
}

static bool had_fatal(const void *context)
{
    const struct kafka_sender *sender = context;
    return sender->fatal_count > 0;
}

/* An idempotent producer that may not be one cannot go on. */
static void test_fatal(void **state)
{
    struct kafka_fixture *fixture = *state;
    kafka_fixture_create_topic(fixture, "fatal", 1);
    rd_kafka_mock_push_request_errors(
        fixture->cluster, API_INIT_PRODUCER_ID, 1, RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED);
    const char *properties[] = {"enable.idempotence", "true", NULL};
    struct kafka_sender sender;
    kafka_log_catch();
    kafka_sender_start(&sender, fixture, properties, NULL, 0);
    kafka_fixture_wait(fixture, had_fatal, &sender);
    assert_int_equal(kafka_sender_send(&sender, "fatal", 0, "a"), KAFKA_FATAL);
    assert_int_equal(sender.fatal_count, 1);
    assert_int_equal(kafka_log_count("this Kafka client cannot go on"), 1);
    kafka_sender_stop(&sender);
    kafka_log_release();
}

static void test_refused_properties(void **state)
{
    static const struct {
        const char *name, *value, *expected;
    } cases[] = {
        {"no.such.property", "1", "no.such.property"}, {"linger.ms", "soon", "linger.ms"},
        {"allow.auto.create.topics", "true", "allow.auto.create.topics"},
        {"transactional.id", "t", "transactional.id"},
        {"delivery.report.only.error", "true", "delivery.report.only.error"},
        {"compression.type", "zip", "compression.type"},
        {"security.protocol", "sasl_plaintext", "sasl"}, /* without a name */
    };
    struct kafka_fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct kafka_property properties[] = {
            {"bootstrap.servers", fixture->nowhere}, {cases[i].name, cases[i].value}};
        struct kafka_producer_options options = {.properties = properties, .property_count = 2};
        struct kafka_producer *producer;
        char error[256] = "";
        assert_int_equal(
            kafka_producer_new(&fixture->loop, &options, &producer, error, sizeof(error)),
            RESULT_REJECT);
        assert_null(producer);
        if (!strstr(error, cases[i].expected))
            fail_msg("%s: %s", cases[i].name, error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_properties),
        cmocka_unit_test(test_delivers),
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_too_large_for_us),
        cmocka_unit_test(test_no_such_topic),
        cmocka_unit_test(test_own_topic_appears_later),
        cmocka_unit_test(test_finds_topics),
        cmocka_unit_test(test_many_topics),
        cmocka_unit_test(test_full_queue),
        cmocka_unit_test(test_sends_again),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_asks_in_vain),
        cmocka_unit_test(test_broker_comes_back),
        cmocka_unit_test(test_closes_with_pending),
        cmocka_unit_test(test_fatal),
    };
    return cmocka_run_group_tests_name(
        "kafka_producer", tests, kafka_fixture_start, kafka_fixture_stop);
}
