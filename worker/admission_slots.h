/*
 * admission_slots: where the slots of one limit come from. One for each process and credential.
 *
 * Slots are leased from Redis, some at a time (admission.lua), and lie here until their time comes;
 * nothing is allocated for one, and one Redis call brings a lease. A lease is asked for when half
 * of the last one is left and requests wait for more than is there, never for more than there are
 * permits. Where permits are what is short, the few that come free are gathered for 20 ms, so that
 * not each costs a call.
 *
 *  - A slot belongs to whoever stands first when its time comes. It is good from its beginning
 *    until its theoretical arrival time, plus an interval and 5 ms; later it is dropped, never
 *    fired beside those whose time it is. So a process that stood still fires nothing of what it
 *    held.
 *  - A slot of an older epoch is void: a cooldown, a pause or a changed limit has come since. News
 *    of an epoch is pushed on a channel, and each answer carries it.
 *  - Redis' answer says "in so many microseconds", and its time. The least late answer so far tells
 *    how its clock and ours stand, so no slot is used early, and a process that was late to read
 *    the answer, or stood still, sees that its slots are late. A clock of Redis that is set is
 *    noticed by the next answer, to within the time for which that was asked for.
 *
 * Without Redis (admission_without_redis), which is also where one call fails for whatever reason:
 *  - slots in hand are used up, then: none at all, this worker's part of the limit (limit x own
 *    partitions / all; the burst likewise, at least 1; begun without a burst, and only when the
 *    slots that others hold will be used up, too), or all pass;
 *  - once a second, about, Redis is asked again, and the first answer ends it;
 *  - for ADMISSION_RETURN_US after that, slots of Redis are used no faster than the part would
 *    allow, and asked for one by one, as it lets them begin: most of a lease, whose slots follow
 *    each other at the pace of all workers, would be late. By then every worker has come back. So
 *    over any second never more than limit + burst + one per worker start in all; only a worker
 *    that is cut off while the others are not adds its part to their whole limit.
 *
 * What is not promised: Redis that fails over to a replica may forget the slots it granted in the
 * last moments: as many as the replica lagged behind start twice. Redis that has lost all starts
 * without a burst, when the slots that it granted before have begun, as the first worker that asks
 * tells it, and after a second at least. One that was started just then knows of none.
 */
#ifndef WORKER_ADMISSION_SLOTS_H
#define WORKER_ADMISSION_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/redis_subscriber.h"
#include "worker/environment.h"

#define ADMISSION_RETURN_US (5 * INT64_C(1000000))
#define ADMISSION_NEVER_US INT64_MAX

/* What is used while Redis is away. */
enum admission_without_redis { ADMISSION_STOP, ADMISSION_SHARE, ADMISSION_UNLIMITED };

struct admission_slots;

struct admission_slots_options {
    const struct environment *environment; /* the limit; outlives */
    struct redis_client *redis;            /* NULL: the part of the limit, for ever */
    struct redis_subscriber *subscriber;   /* may be NULL: news then comes with the answers alone */
    const char *key_prefix;
    unsigned share; /* per cent of the limit */
    enum admission_without_redis without_redis;
    int64_t cooldown_max_us;
    /* Slots have come, or what admission_slots_estimate_us says is another now: look again. worse:
     * it may be later than it was. Never inside a call of this module. */
    void (*on_change)(void *context, bool worse);
    /* Redis has gone (with the reason) or come back (NULL). */
    void (*on_redis)(void *context, const char *reason);
    void *context;
};

struct admission_slots *admission_slots_new(const struct admission_slots_options *options);
/* The clients are closed, and the loop has run dry. */
void admission_slots_free(struct admission_slots *slots);

/* Takes a slot whose time has come. */
bool admission_slots_take(struct admission_slots *slots, int64_t now_us);
/* When the next one can be taken, as far as is known; ADMISSION_NEVER_US: it is not. */
int64_t admission_slots_next_us(const struct admission_slots *slots, int64_t now_us);
/* When the one behind `ahead` others will start, by the best guess; not before now_us. */
int64_t admission_slots_estimate_us(
    const struct admission_slots *slots, int64_t now_us, unsigned ahead);
/* Paused, or stopped without Redis: nobody knows for how long. */
bool admission_slots_stand_still(const struct admission_slots *slots);

/* Asks Redis when that is due. To be called whenever one of the numbers has changed, and at the
 * time given back. permits: how many calls may begin beside those under way. */
int64_t admission_slots_ask(
    struct admission_slots *slots, int64_t now_us, unsigned waiting, unsigned permits);

/* Terra wants to be left alone for that long; -1: it did not say, so a second. */
void admission_slots_cool_down(
    struct admission_slots *slots, int64_t now_us, int64_t retry_after_us);
/* The partitions of the request topic; all: 0 when it is not known. */
void admission_slots_set_fraction(struct admission_slots *slots, unsigned own, unsigned all);
/* The gauges tell what Redis said last. Where nobody has asked for a second, it is asked now, and
 * they tell the answer when they are looked at next. */
void admission_slots_refresh_metrics(struct admission_slots *slots, int64_t now_us);

#endif
