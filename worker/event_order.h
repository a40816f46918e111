/*
 * event_order: which job may go next. Used by event_flow and event_batch.
 *
 * Two orders are kept:
 *  - a lane for each partition and assignment: payloads arrive in any order, but a job goes on only
 *    when all earlier records of its partition are understood. So the events of one key leave in
 *    the order of their records, although the key is known only from the payload; and what has gone
 *    on is a contiguous run, which a transaction needs;
 *  - a subject for each Kafka key: of the jobs that have gone on, one of each key is under way at a
 *    time, so that a repeat of it is compared to what was really accepted before.
 *
 *   lane     offsets 7 (fetched), 8 (fetching), 9 (fetched): 7 may go, 9 waits for 8
 *   subject  u1: offset 7 under way, offset 12 waits; u2: offset 9 under way
 */
#ifndef WORKER_EVENT_ORDER_H
#define WORKER_EVENT_ORDER_H

#include <uthash.h>

#include "worker/event_job.h"
#include "worker/key_queue.h"

struct event_lane {
    const struct intake_partition *partition; /* the key: only its address is used */
    struct event_job *jobs;                   /* as delivered */
    struct event_job *first_held;             /* the first that has not gone on; NULL: none */
    UT_hash_handle hh;
};

/* {0} is empty, and nothing is left of it when the last job has left. */
struct event_order {
    struct event_lane *lanes;
    struct key_queue subjects;
};

/* As records come. */
void event_order_enter(struct event_order *order, struct event_job *job);

/* The lane's next job if it may go on: it is EVENT_JOB_ORDERED, and so were all before it. NULL:
 * none may. */
struct event_job *event_order_release(struct event_lane *lane);

/* True when no earlier job of the key is under way; NULL key: nothing to wait for. */
bool event_order_queue(struct event_order *order, struct event_job *job, const char *key);

/* Out of both orders. Gives back the job that is now under way for the same key; NULL: none is, or
 * it was already. */
struct event_job *event_order_leave(struct event_order *order, struct event_job *job);

#endif
