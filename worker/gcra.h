/*
 * gcra: the arithmetic of a limit that one process keeps by itself. Pure: the time is an argument.
 *
 * A generic cell rate algorithm remembers one number, tat: the theoretical arrival time of the next
 * call. A call moves it on by one interval, and may begin one tolerance, burst - 1 intervals,
 * before it. So `burst` calls may start together after a rest, then one each interval, and over any
 * second at most limit + burst do.
 *
 *   10/s, burst 3 (interval 100 ms, tolerance 200 ms), five calls at 0 ms: 0, 0, 0, 100, 200 ms
 *
 * The interval keeps 1.5 per cent of the limit back (gcra_interval_us). That is what calls may come
 * late by, from the moment that is theirs to where they are counted, without breaking the bound: 15
 * ms and an interval, at limits up to 5000/s. Beyond that an interval is too few microseconds to be
 * cut so finely (10 ms at 10000/s, nothing beyond 15000/s). A process that stands still, or a
 * connection that takes its time, for longer than that may add limit x the time beyond it to one
 * second, and no more.
 */
#ifndef WORKER_GCRA_H
#define WORKER_GCRA_H

#include <stdint.h>

#include "worker/rate.h"

#define GCRA_KEPT_BACK_PERMILLE 15
/* A call that is late by no more than this, as timers of a millisecond make it, does not move those
 * behind it: an eighth of 1000/s would lose 7 per cent by that. Paid from what is kept back. */
#define GCRA_LATE_US 2000

struct gcra {
    int64_t interval_us; /* 0: no limit */
    int64_t tolerance_us;
    int64_t tat_us; /* 0: at rest */
};

/* Between two calls at this rate, less what is kept back; 0: no limit. 10/s -> 101500. */
int64_t gcra_interval_us(const struct rate *rate);

/* From now on this limit; what has been taken stays taken. burst from 1. */
void gcra_set(struct gcra *gcra, int64_t interval_us, int64_t burst);

/* When the slot behind `ahead` others begins; not before now_us. */
int64_t gcra_slot_us(const struct gcra *gcra, int64_t now_us, unsigned ahead);
void gcra_take(struct gcra *gcra, int64_t now_us);

/* From from_us on one slot each interval, without a burst, and none before. */
void gcra_start_anew(struct gcra *gcra, int64_t from_us);

#endif
