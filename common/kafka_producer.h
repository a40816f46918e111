/*
 * kafka_producer: records out through librdkafka, on a libuv loop, each with its delivery result.
 *
 * Promises:
 *  - every sent delivery gets exactly one on_delivered, never inside kafka_producer_send, always
 *    on the loop's thread, also when the record is refused locally;
 *  - a full library queue is not a failure: the record waits here and goes when there is room;
 *  - no topic is ever created by looking for it (kafka_producer_find_topic), and at most
 *    KAFKA_PRODUCER_TOPICS_MAX topic handles are open, the least used making way;
 *  - sending to a topic that the cluster does not have ends in KAFKA_NO_SUCH_TOPIC.
 *
 * Ownership: the delivery, and everything its record points to, belongs to the caller and stays
 * valid until on_delivered has been called. The delivery may be sent again, or freed, from its
 * on_delivered.
 *
 * Life cycle: kafka_producer_new; kafka_producer_close, after which pending deliveries complete
 * with KAFKA_CANCELLED, on_closed comes, and the producer is gone. Whoever wants delivery waits for
 * the results before closing.
 */
#ifndef COMMON_KAFKA_PRODUCER_H
#define COMMON_KAFKA_PRODUCER_H

#include <uv.h>

#include "common/kafka_message.h"
#include "common/result.h"

#define KAFKA_PRODUCER_TOPICS_MAX 48
#define KAFKA_PARTITION_BY_KEY (-1)

struct kafka_producer;

enum kafka_delivery_outcome {
    KAFKA_DELIVERED,
    KAFKA_TIMED_OUT,     /* may have arrived; sending again may double it */
    KAFKA_NO_SUCH_TOPIC, /* topic or partition unknown to the cluster */
    KAFKA_NOT_AUTHORIZED,
    KAFKA_TOO_LARGE,
    KAFKA_REFUSED,   /* another permanent answer of the broker */
    KAFKA_FATAL,     /* this producer cannot go on */
    KAFKA_CANCELLED, /* closed first */
};

struct kafka_delivery {
    const char *topic;
    int32_t partition; /* or KAFKA_PARTITION_BY_KEY */
    const void *key;   /* may be NULL */
    size_t key_size;
    const void *value; /* may be NULL: a tombstone */
    size_t value_size;
    const struct kafka_header *headers;
    size_t header_count;
    /* reason: for the log, "" when delivered. offset: of the record, -1 when unknown. */
    void (*on_delivered)(struct kafka_delivery *delivery, enum kafka_delivery_outcome outcome,
        int64_t offset, const char *reason);
    void *context;

    /* private */
    struct kafka_delivery *previous, *next;
    enum kafka_delivery_outcome local_outcome;
    const char *local_reason;
};

struct kafka_producer_options {
    const struct kafka_property *properties; /* applied over the pinned ones */
    size_t property_count;
    const char *const *topics; /* handles opened at start: the first record to a new one is slow */
    size_t topic_count;
    /* After it every send ends in KAFKA_FATAL. */
    void (*on_fatal)(void *context, const char *reason);
    void (*on_closed)(void *context);
    void *context;
};

enum kafka_topic_state {
    KAFKA_TOPIC_FOUND,
    KAFKA_TOPIC_MISSING,
    KAFKA_TOPIC_NOT_AUTHORIZED,
    KAFKA_TOPIC_UNKNOWN, /* the cluster could not be asked in time */
};

/* Asks the cluster's metadata, off the loop; answers are remembered for a short time. */
struct kafka_topic_query {
    const char *topic; /* valid until on_answer */
    void (*on_answer)(
        struct kafka_topic_query *query, enum kafka_topic_state state, int32_t partition_count);
    void *context;

    /* private */
    struct kafka_topic_query *previous, *next;
    struct kafka_producer *producer;
};

/* RESULT_REJECT with a message for the operator in `error` when a property is refused. */
enum result kafka_producer_new(uv_loop_t *loop, const struct kafka_producer_options *options,
    struct kafka_producer **producer, char *error, size_t error_size) MUST_CHECK;
void kafka_producer_close(struct kafka_producer *producer);

void kafka_producer_send(struct kafka_producer *producer, struct kafka_delivery *delivery);
/* Exactly one on_answer, never inside this call. */
void kafka_producer_find_topic(struct kafka_producer *producer, struct kafka_topic_query *query);
/* Sent and not yet answered. */
size_t kafka_producer_in_flight(const struct kafka_producer *producer);

const char *kafka_delivery_outcome_name(enum kafka_delivery_outcome outcome);

/* Of librdkafka, at run time: "2.8.0". */
const char *kafka_library_version(void);

#endif
