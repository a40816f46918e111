/* event_order: see event_order.h. */
#include "worker/event_order.h"

#include <stdlib.h>

#include <utlist.h>

#include "common/memory.h"

void event_order_enter(struct event_order *order, struct event_job *job)
{
    struct event_lane *lane;
    const struct intake_partition *partition = job->place.partition;
    HASH_FIND_PTR(order->lanes, &partition, lane);
    if (!lane) {
        lane = memory_new(sizeof *lane);
        lane->partition = partition;
        HASH_ADD_PTR(order->lanes, partition, lane);
    }
    job->lane = lane;
    DL_APPEND2(lane->jobs, job, lane_previous, lane_next);
    if (!lane->first_held)
        lane->first_held = job;
}

struct event_job *event_order_release(struct event_lane *lane)
{
    struct event_job *job = lane->first_held;
    if (!job || job->state != EVENT_JOB_ORDERED)
        return NULL;
    job->released = true;
    lane->first_held = job->lane_next;
    return job;
}

bool event_order_queue(struct event_order *order, struct event_job *job, const char *key)
{
    job->subject.owner = job;
    return !key || key_queue_join(&order->subjects, &job->subject, key, strlen(key));
}

static void leave_lane(struct event_order *order, struct event_job *job)
{
    struct event_lane *lane = job->lane;
    job->lane = NULL;
    if (lane->first_held == job)
        lane->first_held = job->lane_next;
    DL_DELETE2(lane->jobs, job, lane_previous, lane_next);
    if (lane->jobs)
        return;
    HASH_DEL(order->lanes, lane);
    free(lane);
}

struct event_job *event_order_leave(struct event_order *order, struct event_job *job)
{
    leave_lane(order, job);
    struct key_queue_ticket *next = key_queue_leave(&order->subjects, &job->subject);
    return next ? next->owner : NULL;
}
