/*
 * kafka_message: what a Kafka record, header and property look like to the rest of the project; no
 * librdkafka in sight.
 */
#ifndef COMMON_KAFKA_MESSAGE_H
#define COMMON_KAFKA_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One librdkafka configuration property. */
struct kafka_property {
    const char *name;
    const char *value;
};

struct kafka_header {
    const char *name;
    const void *value; /* may be NULL: a null header */
    size_t value_size;
};

struct kafka_partition {
    const char *topic;
    int32_t partition;
};

/* Everything in the partition before next_offset is done. */
struct kafka_offset {
    const char *topic;
    int32_t partition;
    int64_t next_offset;
};

/* What can be wrong with a client's relation to the cluster. */
enum kafka_trouble {
    KAFKA_TROUBLE_UNREACHABLE,    /* all brokers are down; librdkafka keeps trying */
    KAFKA_TROUBLE_TLS,            /* encryption with a broker fails; keeps trying */
    KAFKA_TROUBLE_CREDENTIALS,    /* SASL refused; keeps trying */
    KAFKA_TROUBLE_TOPIC_MISSING,  /* a subscribed topic is not there; keeps looking */
    KAFKA_TROUBLE_NOT_AUTHORIZED, /* topic or group ACL is missing; keeps trying */
    KAFKA_TROUBLE_OFFSET_LOST,    /* the committed offset is out of the log's range */
    KAFKA_TROUBLE_FATAL,          /* this client cannot go on */
    KAFKA_TROUBLE_OTHER,
};

/* A record that arrived. */
struct kafka_record {
    const char *topic;
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms; /* since 1970; -1: the record has none */
    const void *key;      /* NULL: no key */
    size_t key_size;
    const void *value; /* NULL: a tombstone */
    size_t value_size;
};

#endif
