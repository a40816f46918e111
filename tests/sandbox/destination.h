/*
 * destination: Terra's Kafka destination: events out, onto the raw topic, as Terra writes them:
 * without a key, without headers, one partition after the other, as pointers or inline.
 *
 * Events wait for their time (a rate), for the topic to be there, and while IN_FLIGHT_BYTES_MAX are
 * under way. The latest EVENTS_MAX are remembered with what became of them, together with their
 * objects; an object whose event is forgotten is gone.
 *
 * No client is made before the first event, so that a sandbox which writes none never appears among
 * the connections of its Kafka.
 *
 * Life cycle: destination_new, destination_close, run the loop dry, destination_free.
 */
#ifndef SANDBOX_DESTINATION_H
#define SANDBOX_DESTINATION_H

#include <uv.h>

#include "common/json.h"
#include "common/result.h"
#include "event_batch.h"
#include "event_object.h"

#define EVENTS_MAX 200000
#define EVENTS_BYTES_MAX ((size_t)1024 * 1024 * 1024)

struct destination_options {
    const char *brokers;
    const char *topic;   /* the raw topic; outlives the destination */
    const char *own_url; /* what stands before /payloads/… in pointers; outlives it too */
};

struct destination;

struct destination *destination_new(uv_loop_t *loop, const struct destination_options *options);
void destination_close(struct destination *destination);
void destination_free(struct destination *destination);

struct event_range {
    uint64_t first, last; /* sequence numbers; last < first: none */
};

/* Takes the batch's events; the batch is then as after event_batch_init. per_second: 0 means all at
 * once. REJECT: so many are still on their way that there is no room; the batch is untouched. */
enum result destination_send(struct destination *destination, struct event_batch *batch,
    double per_second, struct event_range *range) MUST_CHECK;

/* Forgets all events and objects. What still waits is never written. */
void destination_clear(struct destination *destination);

struct event_objects *destination_objects(struct destination *destination);

/* Which events; empty fields match all. */
struct event_filter {
    uint64_t since; /* sequence numbers above this */
    const char *type;
    const char *reference_id;
    const char *user_id;
};

/* {"events": […], "last": n, "more": bool, "waiting": n}. Of each event: sequence, type, delivery,
 * user_id, reference_id, payload_reference, bytes (of the payload), state (waiting, sent,
 * delivered, failed), reason (of a failure), partition, offset, sent_us (wall time), url, and
 * fetches: how often its object was asked for. `last` is the `since` of the next question,
 * `waiting` counts those above `since` that are not delivered or failed yet. */
void destination_write_events(const struct destination *destination,
    const struct event_filter *filter, size_t limit, struct json_writer *writer);

#endif
