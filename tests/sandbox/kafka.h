/*
 * kafka: the embedded Kafka (librdkafka's mock cluster of one broker), or topics on a real one.
 *
 * The mock keeps keys, values and headers, serves any client, and forgets with the process. It
 * means nothing about rebalances, transactions or retention: those are for a real broker. Its
 * faults can be scripted; on a real broker the fault functions answer RESULT_REJECT.
 */
#ifndef SANDBOX_KAFKA_H
#define SANDBOX_KAFKA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/result.h"

#define KAFKA_TOPICS_MAX 64
#define KAFKA_ERROR_SIZE 512
#define KAFKA_REQUEST_ERRORS_MAX 1000

struct kafka_topic {
    char name[250]; /* Kafka's own ceiling is 249 characters */
    int partitions;
};

struct kafka_options {
    const char *listen;  /* address the mock listens on, and tells its clients */
    uint16_t port;       /* 0: any */
    const char *brokers; /* a real Kafka instead; NULL: the mock */
    const struct kafka_topic *topics;
    size_t topic_count;
};

struct kafka;

/* REJECT: the port is taken, or the broker cannot be reached; the reason in error. */
enum result kafka_new(const struct kafka_options *options, struct kafka **kafka,
    char error[KAFKA_ERROR_SIZE]) MUST_CHECK;
void kafka_free(struct kafka *kafka);

const char *kafka_brokers(const struct kafka *kafka); /* for bootstrap.servers */

/* The next `count` requests of a kind ("Produce", "Fetch", …, or its number) fail with an error
 * ("NOT_LEADER_FOR_PARTITION", …, or its number; with "_TRANSPORT" the broker hangs up). The mock
 * answers Metadata always. */
enum result kafka_fail_requests(struct kafka *kafka, const char *request, const char *error_name,
    size_t count, char error[KAFKA_ERROR_SIZE]) MUST_CHECK;
enum result kafka_clear_failures(struct kafka *kafka, char error[KAFKA_ERROR_SIZE]) MUST_CHECK;
/* Down: connections are cut, new ones refused. */
enum result kafka_set_up(struct kafka *kafka, bool up, char error[KAFKA_ERROR_SIZE]) MUST_CHECK;
/* Every answer comes that much later. */
enum result kafka_set_rtt(struct kafka *kafka, int rtt_ms, char error[KAFKA_ERROR_SIZE]) MUST_CHECK;
/* Also on a real one. A topic that is there already is fine. */
enum result kafka_create_topic(
    struct kafka *kafka, const struct kafka_topic *topic, char error[KAFKA_ERROR_SIZE]) MUST_CHECK;

#endif
