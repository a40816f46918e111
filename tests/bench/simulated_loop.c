/* simulated_loop: see simulated_loop.h. */
#include "simulated_loop.h"

#include <assert.h>
#include <stddef.h>

#include "common/clock.h"
#include "common/memory.h"

struct event {
    int64_t at_us;
    uint64_t order; /* of those at the same time, the one asked for first */
    struct simulated_process *process;
    unsigned life;
    simulated_action *action;
    void *context;
};

/* A heap: the earliest is the first. */
static struct event *events;
static size_t event_count, event_room;
static uint64_t orders;
static int64_t now_us;

static int64_t virtual_now_us(void)
{
    return now_us;
}

void simulated_time_begin(int64_t start_us)
{
    now_us = start_us;
    event_count = 0;
    clock_set_source(virtual_now_us, virtual_now_us);
}

/* ---- events ---- */

static bool is_before(const struct event *a, const struct event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void add_event(struct event event)
{
    if (event_count == event_room) {
        event_room = 2 * event_room + 1024;
        events = memory_resize(events, event_room * sizeof *events);
    }
    size_t at = event_count++;
    for (size_t parent; at > 0 && is_before(&event, &events[parent = (at - 1) / 2]); at = parent)
        events[at] = events[parent];
    events[at] = event;
}

static struct event take_event(void)
{
    struct event first = events[0], last = events[--event_count];
    size_t at = 0;
    for (size_t child = 1; child < event_count; child = 2 * at + 1) {
        if (child + 1 < event_count && is_before(&events[child + 1], &events[child]))
            child++;
        if (!is_before(&events[child], &last))
            break;
        events[at] = events[child];
        at = child;
    }
    events[at] = last;
    return first;
}

void simulated_at(
    int64_t at_us, struct simulated_process *process, simulated_action *action, void *context)
{
    add_event((struct event){
        .at_us = at_us > now_us ? at_us : now_us,
        .order = orders++,
        .process = process,
        .life = process ? process->life : 0,
        .action = action,
        .context = context,
    });
}

static void run_event(struct event event)
{
    struct simulated_process *process = event.process;
    if (process && process->life != event.life)
        return;
    if (process && process->still_until_us > now_us) {
        event.at_us = process->still_until_us;
        add_event(event);
        return;
    }
    event.action(event.context);
    while (process && process->life == event.life && process->idle)
        process->idle->idle_cb(process->idle);
}

void simulated_time_run(int64_t until_us)
{
    while (event_count > 0 && events[0].at_us < until_us) {
        struct event event = take_event();
        now_us = event.at_us;
        run_event(event);
    }
    now_us = until_us;
}

/* ---- processes ---- */

void simulated_process_start(struct simulated_process *process)
{
    process->life++;
    process->idle = NULL;
    process->still_until_us = 0;
}

void simulated_process_kill(struct simulated_process *process)
{
    process->life++;
    process->idle = NULL;
}

static struct simulated_process *process_of(uv_loop_t *loop)
{
    return (struct simulated_process *)((char *)loop - offsetof(struct simulated_process, loop));
}

/* ---- what the code under test calls ---- */

int uv_timer_init(uv_loop_t *loop, uv_timer_t *timer)
{
    *timer = (uv_timer_t){.loop = loop};
    return 0;
}

static void on_timer(void *context)
{
    uv_timer_t *timer = context;
    uv_timer_cb run = timer->timer_cb;
    /* It may have been stopped, or moved to a later time, since this event was made. */
    if (!run || timer->timeout > (uint64_t)now_us)
        return;
    timer->timer_cb = NULL;
    run(timer);
}

int uv_timer_start(uv_timer_t *timer, uv_timer_cb run, uint64_t milliseconds, uint64_t repeat)
{
    assert(repeat == 0);
    timer->timer_cb = run;
    timer->timeout = (uint64_t)now_us + milliseconds * 1000;
    simulated_at((int64_t)timer->timeout, process_of(timer->loop), on_timer, timer);
    return 0;
}

int uv_timer_stop(uv_timer_t *timer)
{
    timer->timer_cb = NULL;
    return 0;
}

int uv_idle_init(uv_loop_t *loop, uv_idle_t *idle)
{
    *idle = (uv_idle_t){.loop = loop};
    return 0;
}

int uv_idle_start(uv_idle_t *idle, uv_idle_cb run)
{
    idle->idle_cb = run;
    process_of(idle->loop)->idle = idle;
    return 0;
}

int uv_idle_stop(uv_idle_t *idle)
{
    process_of(idle->loop)->idle = NULL;
    return 0;
}
