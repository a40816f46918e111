/*
 * reply_cache: the link already given to a request.
 *
 * Keyed by a digest of everything that makes the request (connect_request_digest). Holds successes
 * only; the first writer wins, so that all successes of one request carry the same link. A link is
 * kept for `keep_us`, never past its own life less a minute; one with less life than that is not
 * kept.
 *
 * In Redis, shared by the fleet (a link is a bearer secret and lies there for that long); in this
 * process, with a ceiling, where no Redis is configured. Redis away is not an error: lookups find
 * nothing and keeping keeps nothing, both counted.
 *
 * Exactly one callback per call, never inside it. The ticket belongs to the caller until then.
 */
#ifndef WORKER_REPLY_CACHE_H
#define WORKER_REPLY_CACHE_H

#include <uv.h>

#include "common/buf.h"
#include "common/digest.h"
#include "common/log.h"
#include "common/redis_client.h"
#include "worker/terra_api.h"

#define REPLY_CACHE_PREFIX_SIZE 128
#define REPLY_CACHE_LOCAL_ENTRIES_MAX 10000

struct reply_cache;

struct reply_cache_ticket {
    /* link: what is kept, the callee's until it returns unless it takes the contents
     * (terra_link_take); NULL: nothing. */
    void (*on_link)(struct reply_cache_ticket *ticket, struct terra_link *link);
    void *context;
    const struct log_context *log; /* may be NULL */

    /* private */
    struct reply_cache *cache;
    struct redis_command command;
    char key[REPLY_CACHE_PREFIX_SIZE + 16 + DIGEST_HEX_SIZE];
    char keep_ms[24];
    struct buf value;
    const char *arguments[3];
    struct reply_cache_ticket *previous, *next;
    bool keeping; /* in reply_cache_keep, else in reply_cache_find */
};

struct reply_cache_options {
    struct redis_client *redis; /* NULL: in this process only */
    const char *key_prefix;
    int64_t keep_us;
    unsigned local_entries_max; /* 0: the default */
};

struct reply_cache *reply_cache_new(uv_loop_t *loop, const struct reply_cache_options *options);
/* Ends its handle; run the loop dry, then reply_cache_free. No ticket may be out. */
void reply_cache_close(struct reply_cache *cache);
void reply_cache_free(struct reply_cache *cache);

void reply_cache_find(struct reply_cache *cache, struct reply_cache_ticket *ticket,
    const char digest[DIGEST_HEX_SIZE]);

/* on_link brings the link that counts: this one, or the one that was there first. NULL: nothing was
 * kept (Redis away, or too little life left), so this one counts. */
void reply_cache_keep(struct reply_cache *cache, struct reply_cache_ticket *ticket,
    const char digest[DIGEST_HEX_SIZE], const struct terra_link *link);

#endif
