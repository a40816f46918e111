/*
 * connection_memory: what the connections flow knows about each user_id, between one event and the
 * next and from one worker to the next.
 *
 * Opaque bytes by user_id. Here being right matters more than being quick: an id that is over must
 * not come to life again because nobody remembered. So a question that Redis does not answer is
 * CONNECTION_MEMORY_UNAVAILABLE, never "absent", and the flow waits and asks again; the same for
 * keeping, which may be repeated freely. Each user_id has one writer (the topic is keyed), so the
 * last write counts.
 *
 * How long, from the last write on:
 *   an ended one   30 days: a repeat lags behind by hours, not weeks. (Reading the topic anew from
 *                  its beginning is in order, and comes to the same end without it.)
 *   a live one     400 days: more than a year, so that what comes once a year (a renewed consent)
 *                  still finds it. One that is silent for longer loses its "since", and begins
 *                  again with its next event
 *
 * In Redis, under digests of the user_id. Where no Redis is configured, in this process, and then
 * it is not promised that anything outlives the process, is known to another worker, or stays
 * beyond CONNECTION_MEMORY_LOCAL_ENTRIES_MAX ids (the one written longest ago makes way): a late
 * repeat may then revive an ended connection, and "since" begins anew.
 *
 * What lies in Redis and cannot be a state (another type, larger than CONNECTION_MEMORY_BYTES_MAX)
 * counts as absent, and is logged; whether bytes make sense is the flow's to say.
 *
 * Exactly one callback per call, never inside it. The ticket belongs to the caller until then.
 *
 * Life cycle: connection_memory_new; connection_memory_close, when no ticket waits; the loop run
 * dry; connection_memory_free.
 */
#ifndef WORKER_CONNECTION_MEMORY_H
#define WORKER_CONNECTION_MEMORY_H

#include <stdbool.h>
#include <uv.h>

#include "common/deferred.h"
#include "common/log.h"
#include "common/redis_client.h"

#define CONNECTION_MEMORY_BYTES_MAX ((size_t)16 * 1024)
#define CONNECTION_MEMORY_LOCAL_ENTRIES_MAX 100000

struct connection_memory;

enum connection_memory_outcome {
    CONNECTION_MEMORY_FOUND,
    CONNECTION_MEMORY_ABSENT,
    CONNECTION_MEMORY_UNAVAILABLE, /* Redis is away or slow: wait, and ask again */
};

/* What becomes of the connection decides how long it is remembered. */
enum connection_memory_life { CONNECTION_MEMORY_LIVE, CONNECTION_MEMORY_ENDED };

struct connection_memory_ticket {
    /* bytes: the memory's, until the callback returns; NULL unless found. */
    void (*on_found)(struct connection_memory_ticket *ticket,
        enum connection_memory_outcome outcome, const void *bytes, size_t size);
    /* ok: it is kept; else Redis may or may not have it: keep it again. */
    void (*on_kept)(struct connection_memory_ticket *ticket, bool ok);
    void *context;
    const struct log_context *log; /* may be NULL */

    /* private */
    struct connection_memory *memory;
    struct redis_command command;
    struct deferred deferred;
    void *found; /* in this process: a copy of what was there when it was asked for */
    size_t found_size;
    bool keeping;
};

struct connection_memory_options {
    struct redis_client *redis; /* NULL: in this process only */
    const char *key_prefix;     /* must outlive the memory */
    unsigned local_entries_max; /* 0: the default */
};

struct connection_memory *connection_memory_new(
    uv_loop_t *loop, const struct connection_memory_options *options);
void connection_memory_close(struct connection_memory *memory);
void connection_memory_free(struct connection_memory *memory);

void connection_memory_find(
    struct connection_memory *memory, struct connection_memory_ticket *ticket, const char *user_id);

/* bytes are copied at once. More than CONNECTION_MEMORY_BYTES_MAX is a fault of the caller. */
void connection_memory_keep(struct connection_memory *memory,
    struct connection_memory_ticket *ticket, const char *user_id, const void *bytes, size_t size,
    enum connection_memory_life life);

#endif
