/*
 * simulated_loop: virtual time, and processes of which each has a libuv loop that runs by it. For
 * limit_simulation, which is linked with this in place of libuv's timers and idle handles; the code
 * under test does not notice.
 *
 * A process does one thing at a time and takes no time for it, except while it stands still: then
 * what happens to it waits. What was meant for a process that has been killed is dropped. Timers
 * have libuv's millisecond.
 */
#ifndef BENCH_SIMULATED_LOOP_H
#define BENCH_SIMULATED_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct simulated_process {
    uv_loop_t loop;
    unsigned life; /* counts its starts */
    int64_t still_until_us;
    uv_idle_t *idle; /* the one that is active; NULL: none */
};

typedef void simulated_action(void *context);

/* Sets the project's clock to virtual time, which begins at start_us. */
void simulated_time_begin(int64_t start_us);
/* Runs what is due, in order, until nothing is left before until_us. */
void simulated_time_run(int64_t until_us);

/* process: NULL for what happens in no process of ours. */
void simulated_at(
    int64_t at_us, struct simulated_process *process, simulated_action *action, void *context);

void simulated_process_start(struct simulated_process *process);
void simulated_process_kill(struct simulated_process *process);

#endif
