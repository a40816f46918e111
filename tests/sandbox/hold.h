/*
 * hold: connections whose answer waits, without a thread each. Thousands at once are fine.
 *
 * A hold ends when its time is over, when the client has gone, or when all holds are ended at
 * shutdown. on_end is called exactly once, from the loop, never inside hold_start; the hold
 * frees itself.
 *
 * Whether the client is still there is watched only for holds of HOLD_WATCH_US and longer: two
 * system calls each, which a simulated latency under load should not cost. While watched, the
 * socket must stay open until on_end has been called.
 */
#ifndef SANDBOX_HOLD_H
#define SANDBOX_HOLD_H

#include <stdint.h>
#include <uv.h>

#define HOLD_FOREVER INT64_C(-1)
#define HOLD_WATCH_US INT64_C(1000000)

enum hold_end {
    HOLD_OVER,        /* the time has passed */
    HOLD_CLIENT_GONE, /* the client closed the connection meanwhile */
    HOLD_ENDED,       /* holds_end_all */
};

struct hold;

struct holds {
    uv_loop_t *loop;
    struct hold *list;
};

void holds_init(struct holds *holds, uv_loop_t *loop);
void holds_end_all(struct holds *holds);

void hold_start(struct holds *holds, int socket, int64_t duration_us,
    void (*on_end)(void *context, enum hold_end end), void *context);

#endif
