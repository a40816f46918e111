/* admission: see admission.h. */
#include "worker/admission.h"

#include <assert.h>
#include <stdlib.h>

#include <utlist.h>

#include "common/clock.h"
#include "common/deferred.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/metrics.h"

#define NEVER_US ADMISSION_NEVER_US

/* Who knows when a pause ends. */
#define STANDSTILL_ROOM_US (10 * CLOCK_US_PER_SECOND)

/* One environment's waiting tickets and its limit. */
struct admission_queue {
    struct admission *admission;
    struct admission_ticket *waiting; /* by arrived_us */
    unsigned length;
    int64_t earliest_deadline_us; /* not later than any waiting ticket's; NEVER_US when none */
    struct admission_slots *slots;
    int64_t ask_us;       /* when the slots want to be asked for again */
    bool may_be_too_late; /* there may be tickets that cannot be served in time any more */
};

struct admission {
    struct admission_options options;
    struct admission_queue *queues; /* by environment.index */
    size_t queue_count;
    size_t turn; /* the queue that is served first next time */
    unsigned calling;
    unsigned waiting;
    unsigned queues_away;             /* without Redis, though there is one */
    bool closing;                     /* what the clients still answer is of no use */
    struct admission_ticket *refused; /* told in the next turn */
    struct deferred_queue deferred;
    struct deferred pump;
    uv_timer_t timer;
    struct metric *refused_total, *waiting_gauge, *calling_gauge, *away_total;
};

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

static int64_t room_in_us(const struct admission_queue *queue, int64_t now_us, unsigned ahead)
{
    int64_t room_us = admission_slots_estimate_us(queue->slots, now_us, ahead) - now_us;
    if (admission_slots_stand_still(queue->slots) && room_us < STANDSTILL_ROOM_US)
        room_us = STANDSTILL_ROOM_US;
    return room_us;
}

/* Whose deadline has passed, and after bad news also who has no hope. */
static void refuse_late(struct admission *admission, struct admission_queue *queue, int64_t now_us)
{
    if (queue->earliest_deadline_us > now_us && !queue->may_be_too_late)
        return;
    struct admission_ticket *ticket, *following;
    unsigned ahead = 0;
    queue->earliest_deadline_us = NEVER_US;
    DL_FOREACH_SAFE2(queue->waiting, ticket, following, next)
    {
        int64_t starts_us = now_us;
        if (queue->may_be_too_late)
            starts_us = admission_slots_estimate_us(queue->slots, now_us, ahead);
        if (ticket->deadline_us <= starts_us) {
            leave_queue(admission, ticket);
            refuse(admission, ticket, room_in_us(queue, now_us, ahead));
            continue;
        }
        ahead++;
        if (ticket->deadline_us < queue->earliest_deadline_us)
            queue->earliest_deadline_us = ticket->deadline_us;
    }
    queue->may_be_too_late = false;
}

static unsigned permits_left(const struct admission *admission)
{
    unsigned most = admission->options.calls_in_flight_max;
    return admission->calling < most ? most - admission->calling : 0;
}

static bool serve_one(struct admission *admission, struct admission_queue *queue, int64_t now_us)
{
    if (!queue->waiting || permits_left(admission) == 0 ||
        !admission_slots_take(queue->slots, now_us))
        return false;
    struct admission_ticket *ticket = queue->waiting;
    leave_queue(admission, ticket);
    ticket->state = ADMISSION_CALLING;
    admission->calling++;
    metric_set(admission->calling_gauge, admission->calling);
    ticket->on_turn(ticket, ADMISSION_TURN, 0);
    return true;
}

static void on_timer(uv_timer_t *timer);

static int64_t earliest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The timer stands at the next moment at which something can change by itself. */
static void set_timer(struct admission *admission, int64_t now_us)
{
    int64_t wake_us = NEVER_US;
    bool permits = permits_left(admission) > 0;
    for (size_t i = 0; i < admission->queue_count; i++) {
        const struct admission_queue *queue = &admission->queues[i];
        wake_us = earliest(wake_us, queue->ask_us);
        if (!queue->waiting)
            continue;
        wake_us = earliest(wake_us, queue->earliest_deadline_us);
        if (permits)
            wake_us = earliest(wake_us, admission_slots_next_us(queue->slots, now_us));
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
        now_us = clock_monotonic_us(); /* a call may take a while to begin */
    }
    for (size_t i = 0; i < admission->queue_count; i++) {
        struct admission_queue *queue = &admission->queues[i];
        queue->ask_us =
            admission_slots_ask(queue->slots, now_us, queue->length, permits_left(admission));
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

static void on_change(void *context, bool worse)
{
    struct admission_queue *queue = context;
    queue->may_be_too_late = queue->may_be_too_late || worse;
    if (!queue->admission->closing)
        deferred_queue_add(&queue->admission->deferred, &queue->admission->pump);
}

/* Each environment finds out by itself; it is told once. */
static void on_redis(void *context, const char *reason)
{
    struct admission_queue *queue = context;
    struct admission *admission = queue->admission;
    static const char *const meanwhile[] = {
        [ADMISSION_STOP] = "no calls are made",
        [ADMISSION_SHARE] = "this worker keeps to its part of the limit",
        [ADMISSION_UNLIMITED] = "there is no limit",
    };
    if (admission->closing)
        return;
    if (!reason) {
        if (--admission->queues_away == 0)
            log_info("admission", "the limit is shared through Redis again");
        return;
    }
    if (admission->queues_away++ > 0)
        return;
    metric_add(admission->away_total, 1);
    log_warn("admission", "the limit cannot be shared through Redis; asked again every second",
        LOG_TEXT("reason", reason),
        LOG_TEXT("meanwhile", meanwhile[admission->options.without_redis]));
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
    int64_t starts_us = admission_slots_estimate_us(queue->slots, now_us, ahead);
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

void admission_cool_down(
    struct admission *admission, const struct environment *environment, int64_t retry_after_us)
{
    struct admission_queue *queue = &admission->queues[environment->index];
    admission_slots_cool_down(queue->slots, clock_monotonic_us(), retry_after_us);
    queue->may_be_too_late = true;
    deferred_queue_add(&admission->deferred, &admission->pump);
}

void admission_set_fraction(struct admission *admission, unsigned own, unsigned all)
{
    for (size_t i = 0; i < admission->queue_count; i++)
        admission_slots_set_fraction(admission->queues[i].slots, own, all);
    if (!admission->closing)
        deferred_queue_add(&admission->deferred, &admission->pump);
}

static void init_queue(struct admission *admission, struct admission_queue *queue,
    const struct environment *environment)
{
    const struct admission_options *options = &admission->options;
    *queue = (struct admission_queue){
        .admission = admission, .earliest_deadline_us = NEVER_US, .ask_us = NEVER_US};
    queue->slots = admission_slots_new(&(struct admission_slots_options){
        .environment = environment,
        .redis = options->redis,
        .subscriber = options->subscriber,
        .key_prefix = options->key_prefix,
        .share = options->share,
        .without_redis = options->without_redis,
        .cooldown_max_us = options->cooldown_max_us,
        .on_change = on_change,
        .on_redis = on_redis,
        .context = queue,
    });
}

struct admission *admission_new(uv_loop_t *loop, const struct admission_options *options)
{
    struct admission *admission = memory_new(sizeof *admission);
    admission->options = *options;
    admission->queue_count = options->environments->count;
    admission->queues = memory_new(admission->queue_count * sizeof *admission->queues);
    for (size_t i = 0; i < admission->queue_count; i++)
        init_queue(admission, &admission->queues[i], &options->environments->items[i]);
    deferred_queue_init(&admission->deferred, loop);
    admission->pump = (struct deferred){.run = on_pump, .context = admission};
    uv_timer_init(loop, &admission->timer);
    admission->timer.data = admission;
    admission->refused_total = metrics_counter("terra_connect_admission_refused_total", NULL,
        "Requests told that the limit has no room before their deadline.");
    admission->waiting_gauge = metrics_gauge(
        "terra_connect_admission_waiting", NULL, "Requests waiting for a turn under the limit.");
    admission->away_total = metrics_counter("terra_connect_limit_away_total", NULL,
        "Times that the limit could not be shared through Redis any more.");
    admission->calling_gauge = metrics_gauge(
        "terra_connect_calls_in_flight", NULL, "Calls to Terra that have begun and not ended.");
    return admission;
}

void admission_close(struct admission *admission)
{
    admission->closing = true;
    deferred_queue_close(&admission->deferred);
    uv_close((uv_handle_t *)&admission->timer, NULL);
}

void admission_free(struct admission *admission)
{
    if (!admission)
        return;
    assert(admission->waiting == 0);
    for (size_t i = 0; i < admission->queue_count; i++)
        admission_slots_free(admission->queues[i].slots);
    free(admission->queues);
    free(admission);
}

void admission_refresh_metrics(struct admission *admission)
{
    int64_t now_us = clock_monotonic_us();
    for (size_t i = 0; i < admission->queue_count && !admission->closing; i++)
        admission_slots_refresh_metrics(admission->queues[i].slots, now_us);
}

unsigned admission_waiting(const struct admission *admission)
{
    return admission->waiting;
}
