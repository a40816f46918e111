/*
 * simulated_redis: as much of a Redis as the limit's script needs, in memory and by virtual time.
 * The script itself is the real one and runs in a real Lua 5.1, as Redis embeds it.
 *
 * It stands in for redis_client: limit_simulation is linked with this in its place. A question
 * takes its time on the way to Redis, waits there for its turn, and its answer takes its time back.
 */
#ifndef BENCH_SIMULATED_REDIS_H
#define BENCH_SIMULATED_REDIS_H

#include <stdint.h>

#include "common/redis_client.h"
#include "simulated_loop.h"

/* What a process is told is its client. */
struct redis_client {
    struct simulated_process *process;
};

struct simulated_redis_options {
    int64_t script_us;        /* how long one run takes */
    int64_t (*trip_us)(void); /* one way over the network, each time anew */
};

void simulated_redis_begin(const struct simulated_redis_options *options);
/* Down: every question fails at once. */
void simulated_redis_set_down(bool down);
void simulated_redis_forget(void);
uint64_t simulated_redis_calls(void);

#endif
