/*
 * kafka_consumer: a member of one consumer group through librdkafka, on a libuv loop. rdkafka.h
 * stays inside the kafka_*.c files.
 *
 * Promises:
 *  - all callbacks come on the loop's thread, none inside a call of this interface;
 *  - nothing here blocks the loop; librdkafka's queue wakes it, and at most `records_per_turn`
 *    records are handed over per turn before other handles have theirs;
 *  - offsets are committed only through kafka_consumer_store (the library's timed commit, and the
 *    one on revoke and close, send what was stored); a store for a partition that is no longer ours
 *    is dropped; with offsets_by_transactions nothing is committed here at all;
 *  - librdkafka's own log lines come out through log.h, on the loop's thread.
 *
 * Holding. kafka_consumer_hold stops handing over records, at once. The records already fetched
 * stay where they are for KAFKA_CONSUMER_HOLD_PAUSE_MS; a hold that lasts longer keeps about a
 * thousand of them, drops the others, pauses the partitions and polls on, because rebalances wait
 * for the poll. kafka_consumer_continue undoes either: the kept ones come at once, the others when
 * they have been fetched again, which takes the library up to a second. Partitions that are
 * assigned during a hold are held too.
 *
 * Rebalances. on_assigned tells of new partitions (with cooperative-sticky only the added ones;
 * there may be none). A group is not joined while none of the topics exists. on_revoked tells of
 * partitions that are about to go; the whole assignment stands still until kafka_consumer_let_go is
 * called, exactly once per on_revoked, so store what is finished and call it soon. `lost`: they are
 * gone already (the session ended); storing is useless, letting go is still owed. When the consumer
 * closes, on_revoked comes for what was left and is to be let go likewise.
 *
 * Life cycle: kafka_consumer_new subscribes, unless no topic is given: then
 * kafka_consumer_join does, once; kafka_consumer_close leaves the group (by the
 * library's asynchronous close), commits what was stored, then on_closed comes and the consumer is
 * gone. Records not yet freed must be freed before on_closed can come.
 */
#ifndef COMMON_KAFKA_CONSUMER_H
#define COMMON_KAFKA_CONSUMER_H

#include <uv.h>

#include "common/kafka_message.h"
#include "common/log.h"
#include "common/result.h"
#include "common/traceparent.h"

#define KAFKA_CONSUMER_HOLD_PAUSE_MS 250

struct kafka_consumer;
struct kafka_group_metadata;

struct kafka_consumer_options {
    const struct kafka_property *properties; /* applied over the pinned ones; group.id among them */
    size_t property_count;
    const char *const *topics;
    size_t topic_count; /* 0: kafka_consumer_join names them later */
    unsigned records_per_turn;
    /* The group's offsets go into transactions (kafka_transactor.h): kafka_consumer_store is not
     * called, and nothing is committed here. Reading begins behind the last transaction that
     * covered the partition, and waits for one that is under way. */
    bool offsets_by_transactions;

    /* The record goes to the callee: kafka_record_free. */
    void (*on_record)(void *context, struct kafka_record *record);
    void (*on_assigned)(
        void *context, const struct kafka_partition *partitions, size_t partition_count);
    void (*on_revoked)(
        void *context, const struct kafka_partition *partitions, size_t partition_count, bool lost);
    /* The consumer has logged it already, with advice, once per spell of trouble. */
    void (*on_trouble)(void *context, enum kafka_trouble trouble, const char *reason);
    /* Every statistics.interval.ms: how many records of the assigned partitions are not done yet,
     * as the library knows it (kafka_lag.h). May be NULL. */
    void (*on_lag)(void *context, int64_t records);
    void (*on_closed)(void *context);
    void *context;
};

/* RESULT_REJECT with a message for the operator in `error` when a property is refused. */
enum result kafka_consumer_new(uv_loop_t *loop, const struct kafka_consumer_options *options,
    struct kafka_consumer **consumer, char *error, size_t error_size) MUST_CHECK;
/* RESULT_FATAL with a reason when the library refuses to subscribe. */
enum result kafka_consumer_join(struct kafka_consumer *consumer, const char *const *topics,
    size_t topic_count, char *error, size_t error_size) MUST_CHECK;
void kafka_consumer_close(struct kafka_consumer *consumer);

void kafka_consumer_hold(struct kafka_consumer *consumer);
void kafka_consumer_continue(struct kafka_consumer *consumer);

/* Everything before next_offset is done. */
void kafka_consumer_store(
    struct kafka_consumer *consumer, const char *topic, int32_t partition, int64_t next_offset);
void kafka_consumer_let_go(struct kafka_consumer *consumer);

/* Which generation of the group this member belongs to, as of now; the broker refuses it once there
 * is another. NULL: it has not joined yet, or belongs to the group no more, and no transaction
 * should begin. The caller's: kafka_group_metadata_free. */
struct kafka_group_metadata *kafka_consumer_group_metadata(const struct kafka_consumer *consumer);
void kafka_group_metadata_free(struct kafka_group_metadata *metadata);

/* True once the group has been joined: an assignment has come, be it empty. */
bool kafka_consumer_joined(const struct kafka_consumer *consumer);

/* The last header of that exact name; false when there is none. */
bool kafka_record_header(
    const struct kafka_record *record, const char *name, struct kafka_header *header);
/* Header number `index` in order; false past the end. */
bool kafka_record_header_at(
    const struct kafka_record *record, size_t index, struct kafka_header *header);
/* The context of lines about the record, without a request id. It points into the record and to
 * trace_id, which holds the trace that the header traceparent names. */
struct log_context kafka_record_log_context(
    const struct kafka_record *record, char trace_id[TRACE_ID_SIZE]);
void kafka_record_free(struct kafka_record *record);

#endif
