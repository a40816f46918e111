/*
 * event_memory: the last event accepted of each user (or reference), so that its repeats are
 * dropped.
 *
 * A repeat is dropped only while it is the *last* one accepted of its subject, within keep_us:
 * added, removed and added again are three events. The note is made when the broker has the event.
 *
 * In Redis, since Terra's events have no key and the next one of a user may come to another worker;
 * in this process, with a ceiling, where no Redis is configured. Beside Redis, this process
 * remembers what it noted itself within the last minute. From both follows, in this order:
 *
 *   Redis has nothing, or does not answer    what this process noted last decides
 *   this process noted another event, and
 *   Redis has not taken that note            no repeat: Redis is behind
 *   else                                     what Redis has decides
 *
 * So a doubt lets an event pass: seen twice is better than lost. A note is seen by every later ask
 * of this process, also before Redis has answered it; one that Redis never takes is lost to the
 * other workers and counted (redis_notes.h).
 *
 * Exactly one on_answer per event_memory_ask, never inside it; the ticket belongs to the caller
 * until then. Subjects are any text, hashed in keys.
 *
 * Life cycle: event_memory_new; event_memory_close, when no ticket waits; the loop run dry, the
 * Redis client closed; event_memory_free.
 */
#ifndef WORKER_EVENT_MEMORY_H
#define WORKER_EVENT_MEMORY_H

#include <stdbool.h>
#include <uv.h>

#include "common/deferred.h"
#include "common/digest.h"
#include "common/log.h"
#include "common/redis_client.h"

#define EVENT_MEMORY_LOCAL_ENTRIES_MAX 20000
#define EVENT_MEMORY_KEY_SIZE 256

struct event_memory;

struct event_memory_ticket {
    void (*on_answer)(struct event_memory_ticket *ticket, bool is_repeat);
    void *context;
    const struct log_context *log; /* may be NULL */

    /* private */
    struct event_memory *memory;
    struct redis_command command;
    struct deferred deferred;
    char key[EVENT_MEMORY_KEY_SIZE];
    char identity[DIGEST_HEX_SIZE];
};

struct event_memory_options {
    struct redis_client *redis; /* NULL: in this process only */
    const char *key_prefix;     /* must outlive the memory */
    int64_t keep_us;
    unsigned local_entries_max; /* 0: the default */
};

struct event_memory *event_memory_new(uv_loop_t *loop, const struct event_memory_options *options);
void event_memory_close(struct event_memory *memory);
void event_memory_free(struct event_memory *memory);

void event_memory_ask(struct event_memory *memory, struct event_memory_ticket *ticket,
    const char *subject, const char identity[DIGEST_HEX_SIZE]);

/* Fire and forget: no callback, copied at once. */
void event_memory_note(
    struct event_memory *memory, const char *subject, const char identity[DIGEST_HEX_SIZE]);

#endif
