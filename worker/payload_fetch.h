/*
 * payload_fetch: one GET of one payload, under a deadline and a ceiling.
 *
 * When more wait than may run, the one with the least life left starts first; one whose life is
 * over ends without a call. What may pass (no connection, a broken one, no answer in time, HTTP
 * 408, 425, 429 and 5xx) is tried again, with backoff and as Retry-After says, while there is life
 * left, but for PAYLOAD_TRIES_US at most: the partition's later records wait for this one.
 *
 * The body is looked at as it comes, decompressed (event_scan.h). Data is recognised by its first
 * bytes; then the rest is neither read nor stored. An auth event is stored, up to
 * PAYLOAD_EVENT_BYTES_MAX; of anything PAYLOAD_BYTES_MAX are read at most, before and after
 * decompression.
 *
 * A GET goes only to addresses that event_pointer_address_allowed allows, follows no redirect, and
 * carries neither credentials nor cookies, through no proxy. Where the URL may lead by its text is
 * judged before, by event_pointer_read.
 *
 * Exactly one on_fetched per payload_fetch_start, never inside it nor inside payload_fetch_cancel.
 * The fetch belongs to the asker, who zeroes it, fills in its part and keeps it until then; in its
 * on_fetched it may be started again, or freed. No URL reaches the log or a reason.
 *
 * Life cycle: payload_fetcher_new; payload_fetcher_close, after which what is pending ends in
 * PAYLOAD_CANCELLED; run the loop dry; payload_fetcher_free.
 */
#ifndef WORKER_PAYLOAD_FETCH_H
#define WORKER_PAYLOAD_FETCH_H

#include <uv.h>

#include "common/buf.h"
#include "common/deferred.h"
#include "common/http_client.h"
#include "common/log.h"
#include "common/time_queue.h"
#include "worker/event_pointer.h"
#include "worker/event_scan.h"

#define PAYLOAD_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define PAYLOAD_EVENT_BYTES_MAX ((size_t)1024 * 1024)
#define PAYLOAD_TRIES_US INT64_C(60000000)
#define PAYLOAD_REASON_SIZE 160

struct payload_fetcher;

struct payload_fetcher_options {
    const struct event_pointer_rules *rules; /* must outlive the fetcher */
    unsigned fetches_in_flight_max;          /* GETs at once */
    int64_t attempt_timeout_us;
    const char *user_agent; /* may be NULL */
    const char *ca_file;    /* NULL: the system's */
};

enum payload_outcome {
    PAYLOAD_FETCHED,     /* body holds an auth event, by its looks */
    PAYLOAD_SKIPPED,     /* data or another type: class_ says which */
    PAYLOAD_EXPIRED,     /* its life is over, or the store says so (HTTP 403, 404, 410, 400 with
                          * ExpiredToken: what stores answer to a signature that is over) */
    PAYLOAD_UNAVAILABLE, /* the store did not give it in PAYLOAD_TRIES_US; it has life left */
    PAYLOAD_FORBIDDEN,   /* it led where we may not go: an address, a redirect, a server without a
                          * trusted certificate, another pointer */
    PAYLOAD_UNREADABLE,  /* too large, before or after decompression; not JSON; compressed in an
                          * unknown or broken way; any other HTTP status, 400 and 401 among them */
    PAYLOAD_CANCELLED,
};

enum payload_state {
    PAYLOAD_IDLE,    /* not started, or ended */
    PAYLOAD_WAITING, /* for one of the GETs */
    PAYLOAD_CALLING,
    PAYLOAD_PAUSED, /* until the next attempt */
    PAYLOAD_ENDING, /* without a call; told in the next turn */
};

struct payload_fetch {
    /* by the asker; the URL stays valid until on_fetched */
    const char *url;
    int64_t expires_us; /* monotonic */
    /* reason: "" with PAYLOAD_FETCHED and PAYLOAD_SKIPPED, else for a dead letter or the log; lives
     * during on_fetched. */
    void (*on_fetched)(
        struct payload_fetch *fetch, enum payload_outcome outcome, const char *reason);
    void *context;
    const struct log_context *log; /* may be NULL */

    /* answers */
    struct buf body;         /* with PAYLOAD_FETCHED the asker's to buf_release, else empty */
    enum event_class class_; /* of what came; EVENT_UNDECIDED: nothing did */
    struct event_scan scan;  /* for event_scan_type */

    /* private */
    struct payload_fetcher *fetcher;
    enum payload_state state;
    struct time_queue_item turn;
    struct deferred ending;
    struct http_call http;
    int64_t first_attempt_us; /* monotonic */
    unsigned attempts;
    uint64_t received_bytes;
    bool cancelled; /* while calling */
    enum payload_outcome outcome;
    char reason[PAYLOAD_REASON_SIZE];
};

struct payload_fetcher *payload_fetcher_new(
    uv_loop_t *loop, const struct payload_fetcher_options *options);
void payload_fetcher_close(struct payload_fetcher *fetcher);
void payload_fetcher_free(struct payload_fetcher *fetcher);

void payload_fetch_start(struct payload_fetcher *fetcher, struct payload_fetch *fetch);
/* The fetch ends in PAYLOAD_CANCELLED, soon. Nothing happens when it is not started. */
void payload_fetch_cancel(struct payload_fetch *fetch);

const char *payload_outcome_name(enum payload_outcome outcome);

#endif
