/*
 * kafka_fixture: what the tests of the Kafka clients share: a mock cluster, a loop, and a
 * producer, a member of a group and their results to wait for.
 *
 * The mock cluster is one for the whole program (its first join of a group takes 3 s); every test
 * takes topics and groups of its own from it.
 */
#ifndef TESTS_SUPPORT_KAFKA_FIXTURE_H
#define TESTS_SUPPORT_KAFKA_FIXTURE_H

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdbool.h>
#include <uv.h>

#include "common/kafka_consumer.h"
#include "common/kafka_producer.h"

#define KAFKA_WAIT_MS 60000

struct kafka_fixture {
    uv_loop_t loop;
    uv_timer_t tick; /* lets a wait look at its condition now and then */
    rd_kafka_t *owner;
    rd_kafka_mock_cluster_t *cluster;
    const char *brokers;
    int nowhere_socket; /* bound, so that nobody else can be there, and not listening */
    char nowhere[32];   /* an address that refuses to be connected to */
};

/* cmocka's group set-up and tear-down; *state is the fixture. */
int kafka_fixture_start(void **state);
int kafka_fixture_stop(void **state);

void kafka_fixture_create_topic(struct kafka_fixture *fixture, const char *topic, int partitions);
bool kafka_fixture_has_topic(struct kafka_fixture *fixture, const char *topic);
/* What the group has committed; -1: nothing. */
int64_t kafka_fixture_committed(
    struct kafka_fixture *fixture, const char *group, const char *topic, int32_t partition);
void kafka_fixture_commit(struct kafka_fixture *fixture, const char *group, const char *topic,
    int32_t partition, int64_t offset);

/* Runs the loop until the condition holds; fails the test when it does not in time. */
void kafka_fixture_wait(
    struct kafka_fixture *fixture, bool (*condition)(const void *context), const void *context);
/* Runs the loop for so long. For what must not happen. */
void kafka_fixture_run(struct kafka_fixture *fixture, unsigned milliseconds);

/* Until that many records are committed in all, by a group that is called like its topic. The mock
 * cluster takes no commits while a group rebalances, so a test waits for them beforehand. */
void kafka_fixture_wait_committed(
    struct kafka_fixture *fixture, const char *group_and_topic, int partitions, int64_t total);

/* Log lines are kept instead of written. */
void kafka_log_catch(void);
bool kafka_log_has(const char *text);
unsigned kafka_log_count(const char *text);
void kafka_log_release(void);

#define KAFKA_PROPERTIES_MAX 16

/* A producer and what came of its deliveries. */
struct kafka_sender {
    struct kafka_fixture *fixture;
    struct kafka_producer *producer; /* NULL: closed */
    unsigned inside;                 /* in a call of the producer: nothing may be told */
    unsigned fatal_count;
    bool closed;
};

struct kafka_sent {
    struct kafka_delivery delivery;
    struct kafka_sender *sender;
    unsigned times;
    enum kafka_delivery_outcome outcome;
    int64_t offset;
    char reason[128];
    void (*then)(struct kafka_sent *sent);
};

/* NULL-terminated name, value, name, value, …; NULL: none beyond the brokers'. */
void kafka_sender_start(struct kafka_sender *sender, struct kafka_fixture *fixture,
    const char *const *properties, const char *const *topics, size_t topic_count);
void kafka_sender_stop(struct kafka_sender *sender);
/* Fills in the callback and sends. */
void kafka_sent_start(struct kafka_sent *sent, struct kafka_sender *sender);
void kafka_sent_wait(struct kafka_sent *sent);
/* A text to a topic, waited for. */
enum kafka_delivery_outcome kafka_sender_send(
    struct kafka_sender *sender, const char *topic, int32_t partition, const char *value);
/* "0", "1", … to one partition, all delivered. */
void kafka_sender_fill(
    struct kafka_sender *sender, const char *topic, int32_t partition, int first, int count);

#define KAFKA_MEMBER_RECORDS_MAX 4096
#define KAFKA_MEMBER_PARTITIONS_MAX 16

/* A member of a group and what it was told. */
struct kafka_member {
    struct kafka_fixture *fixture;
    struct kafka_consumer *consumer; /* NULL: closed */
    const char *topic;
    bool store;       /* each record as it comes */
    bool let_go_late; /* the test lets go */
    bool keep;        /* the test frees `kept` */
    size_t hold_at;   /* hold when so many have come; 0: never */
    unsigned inside;
    bool owes; /* let_go */

    size_t record_count;
    struct {
        int32_t partition;
        int64_t offset;
    } records[KAFKA_MEMBER_RECORDS_MAX];
    struct kafka_record *kept[KAFKA_MEMBER_RECORDS_MAX];
    bool owned[KAFKA_MEMBER_PARTITIONS_MAX];
    unsigned owned_count;
    unsigned assigned_times;
    unsigned revoked_times;
    unsigned revoked_count; /* partitions, in all */
    unsigned lost_times;
    unsigned troubles[KAFKA_TROUBLE_OTHER + 1];
    bool closed;
};

/* topic NULL: it has yet to join; the test does that, and sets member->topic. */
void kafka_member_start(struct kafka_member *member, struct kafka_fixture *fixture,
    const char *group, const char *topic, const char *const *properties);
void kafka_member_let_go(struct kafka_member *member);
/* Closes and waits for on_closed. */
void kafka_member_stop(struct kafka_member *member);
void kafka_member_wait_owned(struct kafka_member *member, unsigned partitions);
void kafka_member_wait_records(struct kafka_member *member, size_t count);
/* Every offset of the partition from first to last has come exactly once, and in order. */
void kafka_member_check(
    const struct kafka_member *member, int32_t partition, int64_t first, int64_t last);

#endif
