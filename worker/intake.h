/*
 * intake: request records in, offsets out.
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

struct intake;
struct intake_partition;

struct intake_place {
    struct intake_partition *partition;
    uint64_t sequence;
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
    unsigned records_in_flight_max;
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

unsigned intake_in_flight(const struct intake *intake);
bool intake_joined(const struct intake *intake);

#endif
