/*
 * intake: records in, offsets out.
 *
 * Owns one consumer of one topic. Hands each record to the flow together with a place (its
 * partition and its turn in it), and stores what is safe to commit as places are finished.
 *
 * Invariants:
 *  - a place is given back exactly once: finished (answered, and the answer is persisted) or
 *    abandoned (somebody else will have the record again);
 *  - an offset is stored only when every record delivered before it in the same assignment is
 *    finished;
 *  - at most records_in_flight_max places are out; beyond that the consumer is held.
 *
 * Revoke. The group waits for us, so: places of the partitions that go become INTAKE_PLACE_LEAVING,
 * on_leaving asks the flow to abandon what has not begun, and as soon as the leaving partitions
 * have no place out, or revoke_timeout_us has passed, they are let go and their places become
 * INTAKE_PLACE_GONE. A place that is finished after that stores nothing.
 *
 * Transactions. With offsets_by_transactions nothing is stored; instead the flow carries what is
 * safe into a transaction together with what it writes:
 *  - intake_ready says that what the place's record becomes is made; the place stays out, so that
 *    what is made counts among what is in flight;
 *  - intake_commit_begin opens a commit: the offsets that are safe (every place before them is
 *    ready or finished) and the group's metadata as of now. What belongs in the transaction is what
 *    was made for the places that intake_place_in_commit then says yes to, all of it;
 *  - intake_commit_end closes it, once the transaction has ended. Afterwards the flow finishes the
 *    places of a commit that was made; those of one that was not are part of the next, or, where
 *    they are no longer INTAKE_PLACE_OURS, abandoned;
 *  - a record from which nothing comes is finished at once, and its offset goes with the next
 *    commit, as before.
 * On a revoke on_leaving cancels the transaction when intake_commit_is_leaving, and abandons the
 * places that leave and are not in it. The partitions of an open commit are not let go before it
 * is closed, or INTAKE_COMMIT_TIMEOUT_MS after revoke_timeout_us; then, and when they are lost, it
 * rests with the broker, which refuses the old metadata, and lets the next owner wait for offsets
 * that were sent before.
 *
 * Life cycle: intake_new; intake_join joins the group; intake_stop takes no more records in but
 * stays a member; intake_close, when no place is out, leaves the group, then on_closed;
 * intake_free. One that never joined is stopped and closed likewise.
 */
#ifndef WORKER_INTAKE_H
#define WORKER_INTAKE_H

#include <stdbool.h>
#include <uv.h>

#include "common/kafka_consumer.h"
#include "common/result.h"

/* How long a commit may hold up a revoke after revoke_timeout_us. */
#define INTAKE_COMMIT_TIMEOUT_MS 5000

struct intake;
struct intake_partition;

struct intake_place {
    struct intake_partition *partition;
    uint64_t sequence;
    bool ready; /* see Transactions */
};

enum intake_place_state {
    INTAKE_PLACE_OURS,
    INTAKE_PLACE_LEAVING, /* finish it soon or abandon it */
    INTAKE_PLACE_GONE,    /* another worker has the record now */
};

struct intake_options {
    const struct kafka_property *properties;
    size_t property_count;
    const char *topic;
    const char *metric_labels; /* a literal, such as flow="connect"; NULL: none */
    unsigned records_in_flight_max;
    bool offsets_by_transactions;
    int64_t revoke_timeout_us;

    /* The record goes to the callee (kafka_record_free), and so does the place. */
    void (*on_record)(void *context, struct kafka_record *record, struct intake_place place);
    /* Some places have just become INTAKE_PLACE_LEAVING or INTAKE_PLACE_GONE. */
    void (*on_leaving)(void *context);
    /* Another number of partitions is ours. May be NULL. */
    void (*on_partitions)(void *context, unsigned partitions);
    void (*on_fatal)(void *context, const char *reason);
    void (*on_closed)(void *context);
    void *context;
};

enum result intake_new(uv_loop_t *loop, const struct intake_options *options,
    struct intake **intake, char *error, size_t error_size) MUST_CHECK;
enum result intake_join(struct intake *intake, char *error, size_t error_size) MUST_CHECK;
void intake_stop(struct intake *intake);
void intake_close(struct intake *intake);
void intake_free(struct intake *intake); /* after on_closed and with no place out */

enum intake_place_state intake_place_state(const struct intake_place *place);
void intake_finish(struct intake *intake, const struct intake_place *place);
void intake_abandon(struct intake *intake, const struct intake_place *place);

/* What of the intake a transaction covers. The caller's memory; filled in by intake_commit_begin,
 * emptied by intake_commit_end. */
struct intake_commit {
    struct kafka_offset *offsets; /* of each partition that has something new */
    size_t offset_count;
    struct kafka_group_metadata *metadata;

    /* private */
    struct intake_covered *covered; /* the partitions of the offsets */
};

/* Once for each place, before it is finished. */
void intake_ready(struct intake *intake, struct intake_place *place);
/* False, and then there is nothing to end, when nothing is safe that was not committed, or when the
 * consumer is no member of its group at present. One at a time. */
bool intake_commit_begin(struct intake *intake, struct intake_commit *commit) MUST_CHECK;
/* True for a place that is ready and covered by the open commit. */
bool intake_place_in_commit(const struct intake_place *place);
/* True while the open commit covers a partition that is no longer ours. */
bool intake_commit_is_leaving(const struct intake_commit *commit);
void intake_commit_end(struct intake *intake, struct intake_commit *commit, bool committed);

unsigned intake_in_flight(const struct intake *intake);
bool intake_joined(const struct intake *intake);

#endif
