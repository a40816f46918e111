/* admission: see admission.h. */
#include "worker/admission.h"

#include <assert.h>
#include <stdlib.h>

#include <utlist.h>

#include "common/clock.h"
#include "common/deferred.h"
#include "common/memory.h"
#include "common/metrics.h"

#define NEVER_US INT64_MAX

/* One environment's waiting tickets and the state of its limit. */
struct admission_queue {
    struct admission_ticket *waiting; /* by arrived_us */
    unsigned length;
    int64_t earliest_deadline_us; /* not later than any waiting ticket's; NEVER_US when none */
    int64_t interval_us;          /* 0: no limit */
    int64_t tolerance_us;         /* (burst - 1) intervals */
    int64_t arrival_us;           /* GCRA: the theoretical arrival time of the next call */
};

struct admission {
    struct admission_options options;
    struct admission_queue *queues; /* by environment.index */
    size_t queue_count;
    size_t turn; /* the queue that is served first next time */
    unsigned calling;
    unsigned waiting;
    struct admission_ticket *refused; /* told in the next turn */
    struct deferred_queue deferred;
    struct deferred pump;
    uv_timer_t timer;
    struct metric *refused_total, *waiting_gauge, *calling_gauge;
};

/* When the slot behind `ahead` others begins. */
static int64_t slot_us(const struct admission_queue *queue, int64_t now_us, unsigned ahead)
{
    if (queue->interval_us == 0)
        return now_us;
    int64_t next_us = queue->arrival_us - queue->tolerance_us;
    int64_t behind = (int64_t)ahead * queue->interval_us;
    /* At rest the first `burst` slots begin now; after a rest the account starts from now. */
    if (queue->arrival_us < now_us)
        next_us = now_us - queue->tolerance_us;
    return next_us + behind > now_us ? next_us + behind : now_us;
}

static bool slot_is_free(const struct admission_queue *queue, int64_t now_us)
{
    return slot_us(queue, now_us, 0) <= now_us;
}

static void take_slot(struct admission_queue *queue, int64_t now_us)
{
    if (queue->arrival_us < now_us)
        queue->arrival_us = now_us;
    queue->arrival_us += queue->interval_us;
}

static struct admission_queue *queue_of(
    struct admission *admission, const struct admission_ticket *ticket)
{
    return &admission->queues[ticket->environment->index];
}

static void leave_queue(struct admission *admission, struct admission_ticket *ticket)
{
    struct admission_queue *queue = queue_of(admission, ticket);
    DL_DELETE2(queue->waiting, ticket, previous, next);
    queue->length--;
    admission->waiting--;
    metric_set(admission->waiting_gauge, admission->waiting);
    ticket->state = ADMISSION_IDLE;
}

static void refuse(struct admission *admission, struct admission_ticket *ticket, int64_t room_in_us)
{
    ticket->state = ADMISSION_REFUSED;
    ticket->room_in_us = room_in_us;
    metric_add(admission->refused_total, 1);
    DL_APPEND2(admission->refused, ticket, previous, next);
    deferred_queue_add(&admission->deferred, &admission->pump);
}

static void refuse_late(struct admission *admission, struct admission_queue *queue, int64_t now_us)
{
    if (queue->earliest_deadline_us > now_us)
        return;
    struct admission_ticket *ticket, *following;
    unsigned ahead = 0;
    queue->earliest_deadline_us = NEVER_US;
    DL_FOREACH_SAFE2(queue->waiting, ticket, following, next)
    {
        if (ticket->deadline_us <= now_us) {
            leave_queue(admission, ticket);
            refuse(admission, ticket, slot_us(queue, now_us, ahead) - now_us);
            continue;
        }
        ahead++;
        if (ticket->deadline_us < queue->earliest_deadline_us)
            queue->earliest_deadline_us = ticket->deadline_us;
    }
}

static bool serve_one(struct admission *admission, struct admission_queue *queue, int64_t now_us)
{
    if (!queue->waiting || admission->calling >= admission->options.calls_in_flight_max ||
        !slot_is_free(queue, now_us))
        return false;
    struct admission_ticket *ticket = queue->waiting;
    leave_queue(admission, ticket);
    take_slot(queue, now_us);
    ticket->state = ADMISSION_CALLING;
    admission->calling++;
    metric_set(admission->calling_gauge, admission->calling);
    ticket->on_turn(ticket, ADMISSION_TURN, 0);
    return true;
}

static void on_timer(uv_timer_t *timer);

/* The timer stands at the next moment at which something can change by itself. */
static void set_timer(struct admission *admission, int64_t now_us)
{
    int64_t wake_us = NEVER_US;
    bool permits = admission->calling < admission->options.calls_in_flight_max;
    for (size_t i = 0; i < admission->queue_count; i++) {
        const struct admission_queue *queue = &admission->queues[i];
        if (!queue->waiting)
            continue;
        if (queue->earliest_deadline_us < wake_us)
            wake_us = queue->earliest_deadline_us;
        int64_t next_slot_us = slot_us(queue, now_us, 0);
        if (permits && next_slot_us < wake_us)
            wake_us = next_slot_us;
    }
    if (wake_us == NEVER_US) {
        uv_timer_stop(&admission->timer);
        return;
    }
    int64_t wait_us = wake_us > now_us ? wake_us - now_us : 0;
    uv_timer_start(&admission->timer, on_timer,
        (uint64_t)((wait_us + CLOCK_US_PER_MS - 1) / CLOCK_US_PER_MS), 0);
}

static void tell_refused(struct admission *admission)
{
    while (admission->refused) {
        struct admission_ticket *ticket = admission->refused;
        DL_DELETE2(admission->refused, ticket, previous, next);
        ticket->state = ADMISSION_IDLE;
        ticket->on_turn(ticket, ADMISSION_NO_ROOM, ticket->room_in_us);
    }
}

static void pump(struct admission *admission)
{
    int64_t now_us = clock_monotonic_us();
    for (size_t i = 0; i < admission->queue_count; i++)
        refuse_late(admission, &admission->queues[i], now_us);
    tell_refused(admission);
    /* One each in rotation, so that no environment has all the permits. */
    for (size_t idle = 0; idle < admission->queue_count;) {
        struct admission_queue *queue = &admission->queues[admission->turn];
        admission->turn = (admission->turn + 1) % admission->queue_count;
        idle = serve_one(admission, queue, now_us) ? 0 : idle + 1;
    }
    set_timer(admission, now_us);
}

static void on_timer(uv_timer_t *timer)
{
    pump(timer->data);
}

static void on_pump(struct deferred *item)
{
    pump(item->context);
}

void admission_ask(struct admission *admission, struct admission_ticket *ticket)
{
    struct admission_queue *queue = queue_of(admission, ticket);
    assert(ticket->state == ADMISSION_IDLE);

    /* From the back: only a retry has anything to pass. */
    struct admission_ticket *after = queue->waiting ? queue->waiting->previous : NULL;
    unsigned ahead = queue->length;
    while (after && after->arrived_us > ticket->arrived_us) {
        after = after == queue->waiting ? NULL : after->previous;
        ahead--;
    }
    int64_t now_us = clock_monotonic_us();
    int64_t starts_us = slot_us(queue, now_us, ahead);
    if (starts_us >= ticket->deadline_us) {
        refuse(admission, ticket, starts_us - now_us);
        return;
    }
    if (after)
        DL_APPEND_ELEM2(queue->waiting, after, ticket, previous, next);
    else
        DL_PREPEND2(queue->waiting, ticket, previous, next);
    ticket->state = ADMISSION_WAITING;
    queue->length++;
    admission->waiting++;
    metric_set(admission->waiting_gauge, admission->waiting);
    if (ticket->deadline_us < queue->earliest_deadline_us)
        queue->earliest_deadline_us = ticket->deadline_us;
    deferred_queue_add(&admission->deferred, &admission->pump);
}

void admission_withdraw(struct admission *admission, struct admission_ticket *ticket)
{
    if (ticket->state == ADMISSION_WAITING) {
        leave_queue(admission, ticket);
    } else if (ticket->state == ADMISSION_REFUSED) {
        DL_DELETE2(admission->refused, ticket, previous, next);
        ticket->state = ADMISSION_IDLE;
    }
}

void admission_done(struct admission *admission, struct admission_ticket *ticket)
{
    assert(ticket->state == ADMISSION_CALLING);
    ticket->state = ADMISSION_IDLE;
    admission->calling--;
    metric_set(admission->calling_gauge, admission->calling);
    if (admission->waiting > 0)
        deferred_queue_add(&admission->deferred, &admission->pump);
}

struct admission *admission_new(uv_loop_t *loop, const struct admission_options *options)
{
    struct admission *admission = memory_new(sizeof *admission);
    admission->options = *options;
    admission->queue_count = options->environments->count;
    admission->queues = memory_new(admission->queue_count * sizeof *admission->queues);
    for (size_t i = 0; i < admission->queue_count; i++) {
        const struct environment *environment = &options->environments->items[i];
        struct admission_queue *queue = &admission->queues[i];
        queue->interval_us = rate_interval_us(&environment->rate);
        queue->tolerance_us = (environment->burst - 1) * queue->interval_us;
        queue->earliest_deadline_us = NEVER_US;
    }
    deferred_queue_init(&admission->deferred, loop);
    admission->pump = (struct deferred){.run = on_pump, .context = admission};
    uv_timer_init(loop, &admission->timer);
    admission->timer.data = admission;
    admission->refused_total = metrics_counter("terra_connect_admission_refused_total", NULL,
        "Requests told that the limit has no room before their deadline.");
    admission->waiting_gauge = metrics_gauge(
        "terra_connect_admission_waiting", NULL, "Requests waiting for a turn under the limit.");
    admission->calling_gauge = metrics_gauge(
        "terra_connect_calls_in_flight", NULL, "Calls to Terra that have begun and not ended.");
    return admission;
}

void admission_close(struct admission *admission)
{
    deferred_queue_close(&admission->deferred);
    uv_close((uv_handle_t *)&admission->timer, NULL);
}

void admission_free(struct admission *admission)
{
    if (!admission)
        return;
    assert(admission->waiting == 0);
    free(admission->queues);
    free(admission);
}

unsigned admission_waiting(const struct admission *admission)
{
    return admission->waiting;
}
