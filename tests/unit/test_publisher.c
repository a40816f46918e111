/* What the publisher tries again by itself, what it gives back, and what it says of an address,
 * against the mock cluster. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/metrics.h"
#include "support/kafka_fixture.h"
#include "worker/publisher_count.h"

#define API_PRODUCE 0

static struct publisher *publisher;
static bool closed;
static bool inside; /* a call of the publisher: nothing may be told */

struct sent {
    struct publication publication;
    unsigned times;
    enum publication_outcome outcome;
    char reason[128];
};

static void on_published(
    struct publication *publication, enum publication_outcome outcome, const char *reason)
{
    struct sent *sent = publication->context;
    assert_false(inside);
    sent->times++;
    sent->outcome = outcome;
    snprintf(sent->reason, sizeof sent->reason, "%s", reason);
}

static void on_closed(void *context)
{
    (void)context;
    assert_false(inside);
    closed = true;
}

static void on_fatal(void *context, const char *reason)
{
    (void)context;
    fail_msg("%s", reason);
}

static void open_publisher(
    struct kafka_fixture *fixture, const char *brokers, const char *const *topics, size_t count)
{
    const struct kafka_property properties[] = {
        {"bootstrap.servers", brokers}, {"message.max.bytes", "2000"}};
    const struct publisher_options options = {
        .properties = properties,
        .property_count = 2,
        .topics = topics,
        .topic_count = count,
        .metric_labels = "output=\"test\"",
        .on_fatal = on_fatal,
        .on_closed = on_closed,
    };
    char error[256] = "";
    closed = false;
    if (publisher_new(&fixture->loop, &options, &publisher, error, sizeof error) != RESULT_OK)
        fail_msg("%s", error);
}

static bool is_true(const void *context)
{
    return *(const bool *)context;
}

static void close_publisher(struct kafka_fixture *fixture)
{
    inside = true;
    publisher_close(publisher);
    inside = false;
    kafka_fixture_wait(fixture, is_true, &closed);
    publisher_free(publisher);
}

static void send_bytes(struct sent *sent, const char *topic, bool addressed, size_t size)
{
    static char value[4000];
    memset(value, 'x', sizeof value);
    *sent = (struct sent){
        .publication =
            {
                .delivery = {.topic = topic,
                    .partition = KAFKA_PARTITION_BY_KEY,
                    .value = value,
                    .value_size = size},
                .addressed = addressed,
                .on_published = on_published,
                .context = sent,
            },
    };
    inside = true;
    publisher_send(publisher, &sent->publication);
    inside = false;
}

static bool was_told(const void *context)
{
    return ((const struct sent *)context)->times > 0;
}

static void wait_for(
    struct kafka_fixture *fixture, const struct sent *sent, enum publication_outcome outcome)
{
    kafka_fixture_wait(fixture, was_told, sent);
    assert_int_equal(sent->times, 1);
    assert_int_equal(sent->outcome, outcome);
    assert_true((sent->reason[0] == '\0') == (outcome == PUBLISHED));
}

/* ---- records ---- */

/* What is refused for now is tried again on our own topics, and given back when the request named
 * the topic. */
static void test_refusals(void **state)
{
    static const struct {
        rd_kafka_resp_err_t injected;
        enum publication_outcome own, addressed;
    } cases[] = {
        {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, PUBLISHED, PUBLISHED_NOT_ADDRESS},
        {RD_KAFKA_RESP_ERR_POLICY_VIOLATION, PUBLISHED, PUBLISHED},
        {RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, PUBLISHED, PUBLISHED},
        {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, PUBLISHED_NOT_TOO_LARGE, PUBLISHED_NOT_TOO_LARGE},
    };
    struct kafka_fixture *fixture = *state;
    const char *topics[] = {"refusals"};
    kafka_fixture_create_topic(fixture, "refusals", 1);
    open_publisher(fixture, fixture->brokers, topics, 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char topic[32];
        struct sent own, addressed;
        rd_kafka_mock_push_request_errors(fixture->cluster, API_PRODUCE, 1, cases[i].injected);
        send_bytes(&own, "refusals", false, 4);
        wait_for(fixture, &own, cases[i].own);

        snprintf(topic, sizeof topic, "refusals-%zu", i);
        kafka_fixture_create_topic(fixture, topic, 1);
        rd_kafka_mock_push_request_errors(fixture->cluster, API_PRODUCE, 1, cases[i].injected);
        send_bytes(&addressed, topic, true, 4);
        wait_for(fixture, &addressed, cases[i].addressed);
    }
    close_publisher(fixture);
}

static void test_too_large_for_us(void **state)
{
    struct kafka_fixture *fixture = *state;
    const char *topics[] = {"large"};
    struct sent sent;
    kafka_fixture_create_topic(fixture, "large", 1);
    open_publisher(fixture, fixture->brokers, topics, 1);
    send_bytes(&sent, "large", false, 3000);
    wait_for(fixture, &sent, PUBLISHED_NOT_TOO_LARGE);
    close_publisher(fixture);
}

static void test_a_topic_that_is_not_there(void **state)
{
    struct kafka_fixture *fixture = *state;
    const char *topics[] = {"comes-later"};
    struct sent own, addressed;
    open_publisher(fixture, fixture->brokers, topics, 1);
    send_bytes(&own, "comes-later", false, 4);
    send_bytes(&addressed, "never-comes", true, 4);
    wait_for(fixture, &addressed, PUBLISHED_NOT_ADDRESS);
    assert_false(kafka_fixture_has_topic(fixture, "never-comes"));
    while (own.publication.attempts == 0)
        kafka_fixture_run(fixture, 20);
    assert_int_equal(own.times, 0);
    kafka_fixture_create_topic(fixture, "comes-later", 1);
    wait_for(fixture, &own, PUBLISHED);
    close_publisher(fixture);
}

/* ---- how long it takes ---- */

static int64_t ahead_us; /* of the real clock */

static int64_t clock_ahead_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return ahead_us + now.tv_sec * CLOCK_US_PER_SECOND + now.tv_nsec / 1000;
}

static double publish_seconds(const char *what)
{
    char line[96];
    struct buf page;
    buf_init(&page, 64 * 1024);
    metrics_print(&page);
    snprintf(line, sizeof line, "\nterra_connect_publish_seconds_%s{output=\"test\"} ", what);
    const char *found = strstr(buf_text(&page), line);
    assert_non_null(found);
    double value = strtod(found + strlen(line), NULL);
    buf_release(&page);
    return value;
}

/* From the first attempt to the acknowledgement; what is not acknowledged does not count. */
static void test_how_long_it_takes(void **state)
{
    struct kafka_fixture *fixture = *state;
    const char *topics[] = {"timed"};
    struct sent sent;
    metrics_reset();
    clock_set_source(clock_ahead_us, NULL);
    kafka_fixture_create_topic(fixture, "timed", 1);
    open_publisher(fixture, fixture->brokers, topics, 1);
    send_bytes(&sent, "timed", false, 4);
    wait_for(fixture, &sent, PUBLISHED);
    assert_true(publish_seconds("count") == 1);
    double quick = publish_seconds("sum");
    assert_true(quick > 0);

    rd_kafka_mock_push_request_errors(
        fixture->cluster, API_PRODUCE, 1, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    send_bytes(&sent, "timed", false, 4);
    ahead_us = 1000 * CLOCK_US_PER_SECOND;
    wait_for(fixture, &sent, PUBLISHED);
    assert_true(sent.publication.attempts > 1);
    assert_true(publish_seconds("count") == 2);
    assert_true(publish_seconds("sum") >= quick + 1000);

    send_bytes(&sent, "timed", false, 3000);
    wait_for(fixture, &sent, PUBLISHED_NOT_TOO_LARGE);
    assert_true(publish_seconds("count") == 2);
    close_publisher(fixture);
    clock_set_source(NULL, NULL);
}

/* Whatever is out at the end is told so, once: on its way, or waiting to be sent again. */
static void test_closing(void **state)
{
    struct kafka_fixture *fixture = *state;
    const char *topics[] = {"closing"};
    struct sent waiting, flying;
    open_publisher(fixture, fixture->brokers, topics, 1);
    send_bytes(&waiting, "closing", false, 4);
    while (waiting.publication.attempts == 0)
        kafka_fixture_run(fixture, 20);
    send_bytes(&flying, "closing", false, 4);
    close_publisher(fixture);
    wait_for(fixture, &waiting, PUBLISHED_NOT_CANCELLED);
    wait_for(fixture, &flying, PUBLISHED_NOT_CANCELLED);
    kafka_fixture_run(fixture, 100);
    assert_int_equal(waiting.times + flying.times, 2);
}

/* ---- questions ---- */

struct asked {
    struct publisher_question question;
    bool told, exists;
    char reason[128];
};

static void on_checked(struct publisher_question *question, bool exists, const char *reason)
{
    struct asked *asked = question->context;
    assert_false(inside);
    assert_false(asked->told);
    asked->told = true;
    asked->exists = exists;
    snprintf(asked->reason, sizeof asked->reason, "%s", reason);
}

static void check(
    struct kafka_fixture *fixture, struct asked *asked, const char *topic, int32_t partition)
{
    *asked = (struct asked){
        .question =
            {
                .query.topic = topic,
                .partition = partition,
                .on_checked = on_checked,
                .context = asked,
            },
    };
    inside = true;
    publisher_check(publisher, &asked->question);
    inside = false;
    kafka_fixture_wait(fixture, is_true, &asked->told);
}

static void test_questions(void **state)
{
    static const struct {
        const char *topic;
        int32_t partition;
        const char *reason; /* NULL: it exists */
    } cases[] = {
        {"three", KAFKA_PARTITION_BY_KEY, NULL},
        {"three", 0, NULL},
        {"three", 2, NULL},
        {"three", 3, "caller: the reply topic has no such partition"},
        {"three", INT32_MAX, "caller: the reply topic has no such partition"},
        {"not-there", KAFKA_PARTITION_BY_KEY, "caller or operator: the reply topic does not exist"},
        {"not-there", 0, "caller or operator: the reply topic does not exist"},
    };
    struct kafka_fixture *fixture = *state;
    struct asked asked;
    kafka_fixture_create_topic(fixture, "three", 3);
    open_publisher(fixture, fixture->brokers, NULL, 0);
    /* Twice: asked, and remembered. */
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        size_t row = i % (sizeof cases / sizeof cases[0]);
        check(fixture, &asked, cases[row].topic, cases[row].partition);
        assert_int_equal(asked.exists, !cases[row].reason);
        assert_string_equal(asked.reason, cases[row].reason ? cases[row].reason : "");
    }
    assert_false(kafka_fixture_has_topic(fixture, "not-there"));
    close_publisher(fixture);
}

/* A cluster that cannot be asked is no reason to refuse an address. */
static void test_questions_in_vain(void **state)
{
    struct kafka_fixture *fixture = *state;
    struct asked asked;
    open_publisher(fixture, fixture->nowhere, NULL, 0);
    check(fixture, &asked, "three", 0);
    assert_true(asked.exists);
    close_publisher(fixture);
}

/* ---- how many partitions a topic has ---- */

struct counted {
    unsigned times;
    unsigned partitions;
};

static void on_counted(void *context, unsigned partitions)
{
    struct counted *counted = context;
    assert_false(inside);
    counted->times++;
    counted->partitions = partitions;
}

static bool was_counted(const void *context)
{
    return ((const struct counted *)context)->times > 0;
}

static struct publisher_count *count_new(
    struct kafka_fixture *fixture, const char *topic, struct counted *counted)
{
    *counted = (struct counted){0};
    return publisher_count_new(&fixture->loop,
        &(struct publisher_count_options){
            .publisher = publisher, .topic = topic, .on_counted = on_counted, .context = counted});
}

static void count_ask(struct publisher_count *count)
{
    inside = true;
    publisher_count_ask(count);
    inside = false;
}

static void count_stop(struct kafka_fixture *fixture, struct publisher_count *count)
{
    publisher_count_close(count);
    close_publisher(fixture);
    publisher_count_free(count);
}

static void test_counts(void **state)
{
    struct kafka_fixture *fixture = *state;
    struct counted counted;
    kafka_fixture_create_topic(fixture, "five", 5);
    open_publisher(fixture, fixture->brokers, NULL, 0);
    struct publisher_count *count = count_new(fixture, "five", &counted);
    for (unsigned i = 1; i <= 2; i++) {
        /* Two questions at once have one answer. */
        count_ask(count);
        count_ask(count);
        counted.times = 0;
        kafka_fixture_wait(fixture, was_counted, &counted);
        kafka_fixture_run(fixture, 20);
        assert_int_equal(counted.times, 1);
        assert_int_equal(counted.partitions, 5);
    }
    count_stop(fixture, count);
}

/* Nobody asks again: it does so by itself. */
static void test_counts_until_it_is_said(void **state)
{
    struct kafka_fixture *fixture = *state;
    struct counted counted;
    open_publisher(fixture, fixture->brokers, NULL, 0);
    struct publisher_count *count = count_new(fixture, "made-later", &counted);
    count_ask(count);
    kafka_fixture_run(fixture, 300);
    assert_int_equal(counted.times, 0);
    kafka_fixture_create_topic(fixture, "made-later", 7);
    kafka_fixture_wait(fixture, was_counted, &counted);
    assert_int_equal(counted.partitions, 7);
    count_stop(fixture, count);
}

static void test_counting_ends(void **state)
{
    struct kafka_fixture *fixture = *state;
    struct counted counted;
    open_publisher(fixture, fixture->nowhere, NULL, 0);
    struct publisher_count *count = count_new(fixture, "never", &counted);
    count_ask(count);
    count_stop(fixture, count);
    kafka_fixture_run(fixture, 20);
    assert_int_equal(counted.times, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_too_large_for_us),
        cmocka_unit_test(test_a_topic_that_is_not_there),
        cmocka_unit_test(test_how_long_it_takes),
        cmocka_unit_test(test_closing),
        cmocka_unit_test(test_questions),
        cmocka_unit_test(test_questions_in_vain),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_counts_until_it_is_said),
        cmocka_unit_test(test_counting_ends),
    };
    return cmocka_run_group_tests_name("publisher", tests, kafka_fixture_start, kafka_fixture_stop);
}
