/*
 * link_memory: which request a link answered, so that the events which follow can say it.
 *
 * A note is made when a success has been published, and kept for keep_us under each id that an
 * event may name: Terra's session id, Terra's user id, the caller's reference id. Asked, the most
 * telling id that is known wins, in this order. Of two links of one reference id the later note
 * wins.
 *
 * In Redis, so that any worker may find what any worker noted; in this process, with a ceiling,
 * where no Redis is configured. No link is kept, and ids stand in keys as digests only; the values
 * hold the request id, reference id, environment and provider.
 *
 * Redis away is not an error: nothing is found, and notes are lost (redis_notes.h); both counted.
 * What cannot be read counts as nothing.
 *
 * Exactly one on_found per link_memory_find, never inside it. The ticket belongs to the caller; it
 * is zeroed before its first use, and released after its last.
 *
 * Life cycle: link_memory_new; link_memory_close, when no ticket waits; the loop run dry, the Redis
 * client closed; link_memory_free.
 */
#ifndef WORKER_LINK_MEMORY_H
#define WORKER_LINK_MEMORY_H

#include <uv.h>

#include "common/deferred.h"
#include "common/json.h"
#include "common/log.h"
#include "common/redis_client.h"

#define LINK_MEMORY_LOCAL_ENTRIES_MAX 30000 /* a link makes up to three */

struct link_memory;

struct link_fact { /* texts NULL when not known */
    const char *request_id;
    const char *reference_id;
    const char *environment;
    const char *provider; /* the one offered; NULL: several */
    int64_t answered_wall_us;
};

/* By which id the link was found. */
enum link_match { LINK_MATCH_NONE, LINK_MATCH_SESSION, LINK_MATCH_USER, LINK_MATCH_REFERENCE };

#define LINK_MATCH_COUNT 4

struct link_memory_options {
    struct redis_client *redis; /* NULL: in this process only */
    const char *key_prefix;     /* must outlive the memory */
    int64_t keep_us;
    unsigned local_entries_max; /* 0: the default */
};

struct link_memory_ticket {
    /* fact: the ticket's until it is used again or released; NULL: none. */
    void (*on_found)(
        struct link_memory_ticket *ticket, const struct link_fact *fact, enum link_match match);
    void *context;
    const struct log_context *log; /* may be NULL */

    /* private */
    struct link_memory *memory;
    struct redis_command commands[LINK_MATCH_COUNT]; /* by the id */
    unsigned unanswered;
    bool failed; /* one of them */
    struct deferred deferred;
    json_value *tree; /* what fact points into */
    struct link_fact fact;
    enum link_match match;
};

struct link_memory *link_memory_new(uv_loop_t *loop, const struct link_memory_options *options);
void link_memory_close(struct link_memory *memory);
void link_memory_free(struct link_memory *memory);

/* Fire and forget; copied at once. Ids may be NULL; the reference id is the fact's own. */
void link_memory_note(struct link_memory *memory, const char *session_id, const char *user_id,
    const struct link_fact *fact);

/* Ids may be NULL. */
void link_memory_find(struct link_memory *memory, struct link_memory_ticket *ticket,
    const char *session_id, const char *user_id, const char *reference_id);

void link_memory_ticket_release(struct link_memory_ticket *ticket);

#endif
