/*
 * admission: waits for a turn under the limit of Terra calls; fair, and with a deadline.
 *
 * A turn is two things: a permit (at most calls_in_flight_max calls at once, over all environments)
 * and a slot under the environment's rate. The permit comes first, so that no slot is spent on a
 * job that cannot use it yet.
 *
 * Each environment has a queue, ordered by first arrival: a retry asks again with its old
 * arrived_us and stands before those who came after it. Who cannot be served before the deadline is
 * told so at once, with the time until there would have been room; who waits is told when the
 * deadline passes.
 *
 * The rate is shared by the whole fleet through Redis; without it, each worker keeps to its part
 * (admission_slots.h, which also says what is promised and what is not). At rest `burst` calls may
 * start together, then one each interval; over any second at most limit + burst calls start, in all
 * workers together.
 *
 *   10/s, burst 3, five asks at 0 ms: slots at about 0, 0, 0, 100, 200 ms
 *
 * When the limit is paused, or stopped for want of Redis, everybody waits; the deadline decides. A
 * cooldown is room that begins later.
 *
 * Ticket: exactly one on_turn per admission_ask, never inside it, unless withdrawn before. A ticket
 * with a turn gives its permit back with admission_done when the call has ended, whatever came of
 * it.
 */
#ifndef WORKER_ADMISSION_H
#define WORKER_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "worker/admission_slots.h"
#include "worker/environment.h"

struct admission;

enum admission_verdict {
    ADMISSION_TURN,    /* start the call now */
    ADMISSION_NO_ROOM, /* the limit has no room before the deadline */
};

struct admission_ticket {
    /* by the asker */
    const struct environment *environment;
    int64_t arrived_us;  /* monotonic, of the first ask */
    int64_t deadline_us; /* monotonic */
    /* room_in_us: with ADMISSION_NO_ROOM, from now until there would be room. */
    void (*on_turn)(
        struct admission_ticket *ticket, enum admission_verdict verdict, int64_t room_in_us);
    void *context;

    /* private */
    struct admission_ticket *previous, *next;
    int64_t room_in_us;
    enum { ADMISSION_IDLE, ADMISSION_WAITING, ADMISSION_REFUSED, ADMISSION_CALLING } state;
};

struct admission_options {
    const struct environments *environments; /* rate and burst of each; must outlive */
    unsigned calls_in_flight_max;
    struct redis_client *redis;          /* NULL: this worker's part of the limit, for ever */
    struct redis_subscriber *subscriber; /* of the same Redis; may be NULL */
    const char *key_prefix;
    unsigned share; /* per cent of the limit that this deployment may use */
    enum admission_without_redis without_redis;
    int64_t cooldown_max_us;
};

struct admission *admission_new(uv_loop_t *loop, const struct admission_options *options);
/* No ticket may be waiting. The clients are closed next; run the loop dry, then admission_free. */
void admission_close(struct admission *admission);
void admission_free(struct admission *admission);

void admission_ask(struct admission *admission, struct admission_ticket *ticket);
/* Gives up waiting; on_turn will not come. Nothing happens when the ticket does not wait. */
void admission_withdraw(struct admission *admission, struct admission_ticket *ticket);
void admission_done(struct admission *admission, struct admission_ticket *ticket);

/* Terra answered 429, or 503 with Retry-After: all workers leave this environment alone for that
 * long, cut at cooldown_max_us. -1: Terra did not say. */
void admission_cool_down(
    struct admission *admission, const struct environment *environment, int64_t retry_after_us);

/* The partitions of the request topic that are this worker's, of how many in all (0: not known):
 * its part of the limit while Redis is away. */
void admission_set_fraction(struct admission *admission, unsigned own, unsigned all);

unsigned admission_waiting(const struct admission *admission);
/* The gauges of the limits: admission_slots.h. */
void admission_refresh_metrics(struct admission *admission);

#endif
