/*
 * magic: reference ids that make the simulated Terra fail, so that a developer can try, in the
 * tests of their own service and without touching the sandbox, what each failure looks like.
 *
 *   sandbox-<error code>-…    the error code that the worker's reply is to carry
 *   sandbox-slow-<ms>-…       the answer comes that much later (at most ten minutes)
 *   sandbox-flaky-<n>-…       n times 503, then the ordinary answer (and then from the beginning)
 *
 * Whatever follows is free, so that ids stay unique; it may also be left out. Error codes and what
 * Terra answers for each:
 *
 *   rejected_by_terra     400
 *   credentials_rejected  403, for this request. Two different ones in a row make a worker doubt
 *                         its credential; it asks again by itself
 *   endpoint_retired      410 on every endpoint, with Deprecation and Link
 *   user_limit_reached    403 that says "User Limit Reached"
 *   terra_unavailable     503, every time
 *   rate_limited          429 with Retry-After: 1, every time. The pause concerns the whole fleet
 *   deadline_exceeded     never answers; the worker's reply comes when its time is over
 *
 * The other codes are the worker's own verdicts, which no answer of Terra's can cause:
 * invalid_request, redirect_not_allowed, reply_address_rejected, unknown_environment and
 * internal_error. An id that asks for one of those gets 400 with a message that says so (the worker
 * replies rejected_by_terra): a test must not take silence for success. An id that begins with
 * `sandbox-` and means nothing is ordinary; the widget's answer carries a warning.
 */
#ifndef SANDBOX_MAGIC_H
#define SANDBOX_MAGIC_H

#include <stdbool.h>
#include <stdint.h>

#define MAGIC_SLOW_MS_MAX 600000
#define MAGIC_FLAKY_IDS_MAX 100000

enum magic_kind {
    MAGIC_NONE,
    MAGIC_UNKNOWN, /* "sandbox-", but nothing known behind it */
    MAGIC_ERROR,   /* `status`, `message` and the rest say what to answer */
    MAGIC_SLOW,    /* `number`: milliseconds */
    MAGIC_FLAKY,   /* `number`: how many times 503 */
    MAGIC_NO_ANSWER,
};

struct magic {
    enum magic_kind kind;
    int64_t number;
    unsigned status;
    const char *message;
    const char *retry_after; /* NULL: none */
};

/* What a reference id means; NULL means nothing. Pure. */
struct magic magic_of(const char *reference_id);

/* How often each flaky id has failed so far. */
struct flaky;

struct flaky *flaky_new(void);
void flaky_free(struct flaky *flaky);
void flaky_clear(struct flaky *flaky);
/* Counts a call of that id: true while it is to fail. */
bool flaky_fails(struct flaky *flaky, const char *reference_id, int64_t times);

#endif
