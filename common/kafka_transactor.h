/*
 * kafka_transactor: batches of records together with the offsets of their sources, all or nothing,
 * through librdkafka's transactional producer, on a libuv loop.
 *
 * Promises:
 *  - every transaction that is run gets exactly one on_ended, never inside a call of this
 *    interface, always on the loop's thread;
 *  - a reader with isolation.level=read_committed sees all of its records, or none; its group has
 *    all of its offsets, or none; and both go together;
 *  - nothing here blocks the loop: the library's calls, several of which wait for the broker, are
 *    one job on libuv's thread pool, of which it takes one thread;
 *  - it does not try a transaction again by itself, save that it waits for a broker that is away.
 *
 * Whose offsets. The metadata says which generation of the group the batch belongs to, so take it
 * when the batch begins (kafka_consumer_group_metadata). After a rebalance the broker refuses it,
 * and the batch ends as KAFKA_ABORTED. Metadata taken later would let a batch through whose
 * partitions have gone to somebody else, who writes it a second time.
 *
 * Whose records. The transactional.id belongs to one process at a time: whoever begins to use it
 * fences its former owner, whose open transaction is aborted. An owner that dies inside a
 * transaction under an id that nobody uses again holds up read_committed readers until the broker
 * gives the transaction up, after transaction.timeout.ms (10 s).
 *
 * Given up by the broker. When the process, the network or the broker stood still for longer than
 * transaction.timeout.ms within a transaction, the producer is out of step with the broker for
 * good: KAFKA_TRANSACTION_FATAL, as for one that is fenced. An owner that is sure of its id may
 * close this transactor and make another under the same, but must not run the transaction again: if
 * its commit had begun, it may have succeeded. The group's offsets tell, so read from them anew,
 * with a consumer that joins anew.
 *
 * Ownership: the transaction, and everything it points to, belongs to the caller and stays valid
 * until on_ended has been called. It may be freed from its on_ended, or run again if the transactor
 * is not closed.
 *
 * Life cycle: kafka_transactor_new, which does not wait for the cluster (the first transaction
 * does); kafka_transactor_close aborts what runs, then on_closed comes and the transactor is gone.
 * That takes up to about a second, and up to KAFKA_TRANSACTOR_OFFSETS_TIMEOUT_MS more when the
 * broker falls silent just while it is being told the offsets.
 */
#ifndef COMMON_KAFKA_TRANSACTOR_H
#define COMMON_KAFKA_TRANSACTOR_H

#include <uv.h>

#include "common/kafka_message.h"
#include "common/result.h"

#define KAFKA_TRANSACTOR_OFFSETS_TIMEOUT_MS 5000

struct kafka_transactor;
struct kafka_group_metadata; /* kafka_consumer.h */

/* All but KAFKA_COMMITTED: nothing of it will be seen. The last two cannot be sure of that when the
 * commit had begun. */
enum kafka_transaction_outcome {
    KAFKA_COMMITTED,
    /* It was cancelled, the group has another generation by now, or the broker was away for too
     * long. What is still ours can be run again, with new metadata; after a pause when it was not
     * cancelled. */
    KAFKA_ABORTED,
    /* records[culprit] is refused for its size: change it and run again. Where it was the broker
     * that refused, librdkafka may need one transaction more, KAFKA_ABORTED, until it can go on. */
    KAFKA_TRANSACTION_TOO_LARGE_RECORD,
    /* records[culprit] is refused for what it is (no key on a compacted topic, a malformed header);
     * the broker judges a batch of records, so it may be a neighbour of the one at fault. */
    KAFKA_TRANSACTION_REFUSED_RECORD,
    /* The topic of records[culprit] is not there. It may be made: run again after a pause. */
    KAFKA_TRANSACTION_NO_SUCH_TOPIC,
    /* Writing to the topic of records[culprit], or committing for the group, is not permitted. It
     * may come to be: run again after a pause. */
    KAFKA_TRANSACTION_NOT_AUTHORIZED,
    /* Fenced, or the producer cannot go on otherwise; on_fatal has been told. */
    KAFKA_TRANSACTION_FATAL,
    /* The transactor was closed first. */
    KAFKA_TRANSACTION_CLOSED,
};

struct kafka_transaction_record {
    const char *topic;
    const void *key; /* may be NULL; decides the partition, as the Java client's does */
    size_t key_size;
    const void *value; /* may be NULL: a tombstone */
    size_t value_size;
    const struct kafka_header *headers;
    size_t header_count;
};

struct kafka_transaction {
    const struct kafka_transaction_record *records; /* written in this order */
    size_t record_count;
    const struct kafka_offset *offsets;
    size_t offset_count;
    const struct kafka_group_metadata *metadata; /* may be NULL when there are no offsets */
    /* reason: for the log, "" when committed. */
    void (*on_ended)(struct kafka_transaction *transaction, enum kafka_transaction_outcome outcome,
        const char *reason);
    void *context;

    /* Set by the transactor when the outcome is about one record; else record_count. */
    size_t culprit;
};

struct kafka_transactor_options {
    const struct kafka_property *properties; /* applied over the pinned ones */
    size_t property_count;
    const char *transactional_id; /* unique per process */
    const char *const *topics;    /* looked up at start: the first record to a new one is slow */
    size_t topic_count;
    /* At most once; after it every transaction ends in KAFKA_TRANSACTION_FATAL. */
    void (*on_fatal)(void *context, const char *reason);
    void (*on_closed)(void *context); /* may be NULL */
    void *context;
};

/* RESULT_REJECT with a message for the operator in `error` when a property is refused. */
enum result kafka_transactor_new(uv_loop_t *loop, const struct kafka_transactor_options *options,
    struct kafka_transactor **transactor, char *error, size_t error_size) MUST_CHECK;
void kafka_transactor_close(struct kafka_transactor *transactor);

/* One at a time: not while another has not ended. */
void kafka_transactor_run(
    struct kafka_transactor *transactor, struct kafka_transaction *transaction);
/* The batch should not go on: some of its partitions are leaving. It ends as KAFKA_ABORTED; but
 * when its commit has begun, as the commit ends. Nothing happens when none runs. */
void kafka_transactor_cancel(struct kafka_transactor *transactor);

const char *kafka_transaction_outcome_name(enum kafka_transaction_outcome outcome);

#endif
