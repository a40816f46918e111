/*
 * reply_address: where the reply to one request goes. Pure.
 *
 * kafka_replyTopic (Spring's) or reply-to name a topic, which must be on the allow-list; both may
 * be there only with the same name. kafka_replyPartition is a 4-byte big-endian integer; without a
 * topic it is a partition of the default one. Whether topic and partition exist is asked of the
 * cluster later. The default reply topic is always allowed.
 *
 * Allow-list: comma-separated names; a trailing * matches a prefix: "terra.connect.replies.*".
 * Kafka's internal topics (__…) are matched only by a rule that itself begins with "__".
 */
#ifndef WORKER_REPLY_ADDRESS_H
#define WORKER_REPLY_ADDRESS_H

#include <stdbool.h>

#include "common/kafka_message.h"
#include "worker/connect_error.h"

#define KAFKA_TOPIC_NAME_SIZE 250 /* 249 characters and the NUL */
#define REPLY_ADDRESS_RULES_MAX 64

struct reply_address_rules;

/* NULL and a message when the list holds something that is no topic name. NULL or "" as the list:
 * the default topic alone. */
struct reply_address_rules *reply_address_rules_new(
    const char *default_topic, const char *allowed, char *error, size_t error_size);
void reply_address_rules_free(struct reply_address_rules *rules);
bool reply_address_rules_allow(const struct reply_address_rules *rules, const char *topic);

struct reply_address {
    char topic[KAFKA_TOPIC_NAME_SIZE];
    int32_t partition; /* -1: by key */
    bool is_default;   /* the default topic, by key: nothing to check with the cluster */
    bool named;        /* the request named an address, be it a bad one */
};

/* Each header may be NULL (absent); one with a null value counts as absent. False: not allowed or
 * malformed; then `address` is the default one, where the error goes. */
bool reply_address_read(const struct reply_address_rules *rules,
    const struct kafka_header *reply_topic, const struct kafka_header *reply_to,
    const struct kafka_header *reply_partition, struct reply_address *address,
    struct connect_error *error);

/* The default topic, by key, not named by the request. */
void reply_address_set_default(
    const struct reply_address_rules *rules, struct reply_address *address);

#endif
