/* hold: connections whose answer waits; see hold.h. */
#include "hold.h"

#include <stdbool.h>
#include <utlist.h>

#include "common/clock.h"
#include "common/memory.h"

struct hold {
    struct hold *prev, *next; /* in holds->list */
    struct holds *holds;
    uv_timer_t timer;
    uv_poll_t watch;
    unsigned handles_open; /* memory lives until the last one is closed */
    void (*on_end)(void *context, enum hold_end end);
    void *context;
};

void holds_init(struct holds *holds, uv_loop_t *loop)
{
    *holds = (struct holds){.loop = loop};
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct hold *hold = handle->data;
    if (--hold->handles_open == 0)
        free(hold);
}

/* The descriptor is out of the loop's poll set when uv_close returns, so on_end may close it. */
static void hold_end(struct hold *hold, enum hold_end end)
{
    DL_DELETE(hold->holds->list, hold);
    void (*on_end)(void *context, enum hold_end end_) = hold->on_end;
    void *context = hold->context;
    bool watched = hold->handles_open == 2;
    uv_close((uv_handle_t *)&hold->timer, on_handle_closed);
    if (watched)
        uv_close((uv_handle_t *)&hold->watch, on_handle_closed);
    on_end(context, end);
}

static void on_time(uv_timer_t *timer)
{
    hold_end(timer->data, HOLD_OVER);
}

static void on_disconnect(uv_poll_t *watch, int status, int events)
{
    (void)status;
    (void)events;
    hold_end(watch->data, HOLD_CLIENT_GONE);
}

void hold_start(struct holds *holds, int socket, int64_t duration_us,
    void (*on_end)(void *context, enum hold_end end), void *context)
{
    struct hold *hold = memory_new(sizeof(*hold));
    hold->holds = holds;
    hold->on_end = on_end;
    hold->context = context;
    DL_APPEND(holds->list, hold);
    uv_timer_init(holds->loop, &hold->timer);
    hold->timer.data = hold;
    hold->handles_open = 1;
    if (duration_us != HOLD_FOREVER) {
        uv_update_time(holds->loop);
        uint64_t duration_ms = (uint64_t)((duration_us + CLOCK_US_PER_MS - 1) / CLOCK_US_PER_MS);
        uv_timer_start(&hold->timer, on_time, duration_ms, 0);
    }
    if (duration_us != HOLD_FOREVER && duration_us < HOLD_WATCH_US)
        return;
    if (uv_poll_init(holds->loop, &hold->watch, socket) != 0)
        return;
    hold->watch.data = hold;
    hold->handles_open = 2;
    uv_poll_start(&hold->watch, UV_DISCONNECT, on_disconnect);
}

void holds_end_all(struct holds *holds)
{
    while (holds->list != NULL)
        hold_end(holds->list, HOLD_ENDED);
}
