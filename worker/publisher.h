/*
 * publisher: hands a record to the producer and says when it is persisted, or that it cannot be.
 *
 * A publication keeps trying by itself for as long as the record may still be accepted: after a
 * timeout (the record may then stand there twice: consumers of our topics know repeats by ce_id),
 * and, for our own topics, while topic or permission is missing, with a line in the log that says
 * so. A publication to an address that the request named (`addressed`) is given back instead, so
 * that the reply can say so elsewhere.
 *
 * Ownership: the publication and all its delivery points to belong to the caller until
 * on_published. Exactly one on_published, never inside publisher_send.
 *
 * Life cycle: publisher_new; publisher_close, after which what is still out ends in
 * PUBLISHED_NOT_CANCELLED and on_closed comes; publisher_free.
 */
#ifndef WORKER_PUBLISHER_H
#define WORKER_PUBLISHER_H

#include <stdbool.h>
#include <uv.h>

#include "common/kafka_producer.h"
#include "common/log.h"
#include "common/result.h"
#include "worker/cloud_event.h"

struct publisher;

enum publication_outcome {
    PUBLISHED,
    PUBLISHED_NOT_ADDRESS,   /* addressed only: topic or partition missing, or not ours to write */
    PUBLISHED_NOT_TOO_LARGE, /* the broker or the producer refuses its size */
    PUBLISHED_NOT_CANCELLED, /* the publisher was closed */
};

struct publication {
    struct kafka_delivery delivery; /* topic to header_count by the caller */
    bool addressed;
    void (*on_published)(
        struct publication *publication, enum publication_outcome outcome, const char *reason);
    void *context;
    const struct log_context *log; /* may be NULL */

    /* private */
    struct publisher *publisher;
    struct publication *previous, *next;
    unsigned attempts;
    int64_t handed_over_us; /* monotonic, as is the next */
    int64_t resend_us;
};

/* Does the cluster have this topic and partition? Never creates one. */
struct publisher_question {
    struct kafka_topic_query query; /* query.topic by the caller */
    int32_t partition;              /* KAFKA_PARTITION_BY_KEY: any */
    /* reason: "" when it exists, else for the reply. exists is true also where the cluster could
     * not be asked: publishing will tell. */
    void (*on_checked)(struct publisher_question *question, bool exists, const char *reason);
    void *context;
};

struct publisher_options {
    const struct kafka_property *properties;
    size_t property_count;
    const char *const *topics; /* our own */
    size_t topic_count;
    const char *metric_labels; /* what it writes: output="replies" */
    void (*on_fatal)(void *context, const char *reason);
    void (*on_closed)(void *context); /* may be NULL */
    void *context;
};

enum result publisher_new(uv_loop_t *loop, const struct publisher_options *options,
    struct publisher **publisher, char *error, size_t error_size) MUST_CHECK;
void publisher_close(struct publisher *publisher);
void publisher_free(struct publisher *publisher); /* after on_closed */

void publisher_send(struct publisher *publisher, struct publication *publication);
void publisher_check(struct publisher *publisher, struct publisher_question *question);
/* Trace context passes through: copies traceparent and tracestate of the source record, where it
 * has them and they are not over PUBLISHER_TRACE_BYTES_MAX each. */
#define PUBLISHER_TRACE_BYTES_MAX 1024
void publisher_pass_trace(const struct kafka_record *source, struct cloud_event_headers *headers);
/* What the cluster knows of a topic; its promises are those of kafka_producer_find_topic. */
void publisher_find_topic(struct publisher *publisher, struct kafka_topic_query *query);

#endif
