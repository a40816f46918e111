/*
 * limit_simulation: a fleet that fits no machine, by a virtual clock. The admission of each worker
 * is the real one (worker/admission.c and all below it), and so is the script (in a real Lua);
 * simulated are the loop, the network, Redis' tables, and Terra.
 *
 *   limit_simulation <workers> <requests> <calls/s> <burst> <seconds> <redis down at> <for>
 *                    <redis forgets> <file>
 *
 * Every worker begins with its part of the requests waiting. What goes wrong meanwhile: see the
 * constants. "redis down at" is the second at which Redis goes, 0: never, and "for" how many
 * milliseconds it stays away; "redis forgets" is 1 where it is empty then. Writes pairs of 64-bit
 * integers, microseconds and worker, to the file: when calls arrived at Terra, and whose; and one
 * line of JSON to stdout.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "simulated_loop.h"
#include "simulated_redis.h"
#include "worker/admission.h"

#define SECOND_US CLOCK_US_PER_SECOND
#define START_US (INT64_C(1800000000) * SECOND_US)
#define SCRIPT_US 30

/* The network. To Redis: mostly near, one message in 2,000 is lost and sent again. */
#define REDIS_TRIP_LEAST_US 200
#define REDIS_TRIP_MORE_US 800
#define REDIS_RESEND_US 40000
/* To Terra, and what Terra takes for it. */
#define TERRA_TRIP_LEAST_US 20000
#define TERRA_TRIP_MORE_US 4000
#define TERRA_ANSWERS_AFTER_US 250000

/* On average every so often a worker's loop stands still for up to so long. */
#define STILL_EVERY_US (20 * SECOND_US)
#define STILL_MOST_US (100 * CLOCK_US_PER_MS)
/* ... and a worker is killed, with whatever it holds, and another is there a while later. */
#define KILL_EVERY_US (1800 * SECOND_US)
#define RESTART_US (5 * SECOND_US)

enum { CALLS_IN_FLIGHT_MAX = 256 };

struct request {
    struct admission_ticket ticket;
    struct worker *worker;
    bool called;
};

struct worker {
    struct simulated_process process;
    struct redis_client redis;
    struct admission *admission;
    struct request *requests;
    unsigned count;
};

static struct fleet {
    struct environment environment;
    struct environments environments;
    struct worker *workers;
    unsigned worker_count;
    FILE *file;
    uint64_t calls, kills, stills;
} fleet;

/* ---- chance ---- */

static uint64_t random_state = 88172645463325252u;

static uint64_t chance(uint64_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (random_state >> 11) % below;
}

/* Until the next of what happens on average every so often. */
static int64_t chance_us(int64_t average_us)
{
    double part = ((double)chance(1000000) + 1) / 1000001;
    return (int64_t)(-log(part) * (double)average_us);
}

static int64_t redis_trip_us(void)
{
    int64_t trip_us = REDIS_TRIP_LEAST_US + (int64_t)chance(REDIS_TRIP_MORE_US);
    return chance(2000) == 0 ? trip_us + REDIS_RESEND_US : trip_us;
}

/* ---- calls ---- */

static void on_call_ended(void *context)
{
    struct request *request = context;
    admission_done(request->worker->admission, &request->ticket);
}

static int64_t terra_trip_us(void)
{
    return TERRA_TRIP_LEAST_US + (int64_t)chance(TERRA_TRIP_MORE_US);
}

static void on_turn(
    struct admission_ticket *ticket, enum admission_verdict verdict, int64_t room_in_us)
{
    (void)room_in_us;
    struct request *request = ticket->context;
    if (verdict != ADMISSION_TURN)
        return;
    struct worker *worker = request->worker;
    int64_t arrives_us = clock_monotonic_us() + terra_trip_us();
    const int64_t pair[2] = {arrives_us, worker - fleet.workers};
    fwrite(pair, sizeof pair, 1, fleet.file);
    fleet.calls++;
    request->called = true;
    simulated_at(arrives_us + TERRA_ANSWERS_AFTER_US + terra_trip_us(), &worker->process,
        on_call_ended, request);
}

/* ---- a worker's life ---- */

static void ask_for_all(void *context)
{
    struct worker *worker = context;
    for (unsigned i = 0; i < worker->count; i++) {
        struct request *request = &worker->requests[i];
        if (request->called)
            continue;
        request->worker = worker;
        request->ticket = (struct admission_ticket){
            .environment = &fleet.environment,
            .arrived_us = START_US + i,
            .deadline_us = START_US + 24 * 3600 * SECOND_US,
            .on_turn = on_turn,
            .context = request,
        };
        admission_ask(worker->admission, &request->ticket);
    }
}

static void on_still(void *context)
{
    struct worker *worker = context;
    int64_t now_us = clock_monotonic_us();
    worker->process.still_until_us = now_us + (int64_t)chance(STILL_MOST_US);
    fleet.stills++;
    simulated_at(now_us + chance_us(STILL_EVERY_US), &worker->process, on_still, worker);
}

/* What a killed one had is left behind: nobody will ask for it again. */
static void start(void *context)
{
    struct worker *worker = context;
    simulated_process_start(&worker->process);
    worker->admission =
        admission_new(&worker->process.loop, &(struct admission_options){
                                                 .environments = &fleet.environments,
                                                 .calls_in_flight_max = CALLS_IN_FLIGHT_MAX,
                                                 .redis = &worker->redis,
                                                 .key_prefix = "simulation",
                                                 .share = 100,
                                                 .without_redis = ADMISSION_SHARE,
                                                 .cooldown_max_us = 60 * SECOND_US,
                                             });
    admission_set_fraction(worker->admission, 1, fleet.worker_count);
    int64_t now_us = clock_monotonic_us();
    simulated_at(now_us, &worker->process, ask_for_all, worker);
    simulated_at(now_us + chance_us(STILL_EVERY_US), &worker->process, on_still, worker);
}

static void on_kill(void *context)
{
    struct worker *worker = context;
    int64_t now_us = clock_monotonic_us();
    simulated_process_kill(&worker->process);
    fleet.kills++;
    simulated_at(now_us + RESTART_US, NULL, start, worker);
    simulated_at(now_us + RESTART_US + chance_us(KILL_EVERY_US), NULL, on_kill, worker);
}

static void on_redis_gone(void *context)
{
    const bool *forgets = context;
    simulated_redis_set_down(true);
    if (*forgets)
        simulated_redis_forget();
}

static void on_redis_back(void *context)
{
    (void)context;
    simulated_redis_set_down(false);
}

/* ---- all of it ---- */

static bool read_number(const char *text, long least, long most, long *number)
{
    char *end;
    *number = strtol(text, &end, 10);
    return *text && !*end && *number >= least && *number <= most;
}

static void make_fleet(long workers, long requests, long calls, long burst)
{
    static char name[] = "simulation";
    fleet.environment = (struct environment){
        .name = name,
        .dev_id = name,
        .rate = {.calls = calls, .period_us = SECOND_US},
        .burst = burst,
    };
    fleet.environments = (struct environments){.items = &fleet.environment, .count = 1};
    fleet.worker_count = (unsigned)workers;
    fleet.workers = memory_new((size_t)workers * sizeof *fleet.workers);
    for (long i = 0; i < workers; i++) {
        struct worker *worker = &fleet.workers[i];
        worker->redis.process = &worker->process;
        worker->count = (unsigned)(requests / workers);
        worker->requests = memory_new(worker->count * sizeof *worker->requests);
        /* Not in the order of their numbers, nor all at once. */
        simulated_at(START_US + (int64_t)chance(100000), NULL, start, worker);
        simulated_at(START_US + chance_us(KILL_EVERY_US), NULL, on_kill, worker);
    }
}

int main(int argc, char **argv)
{
    long workers, requests, calls, burst, seconds, down_at, down_ms, forgets;
    if (argc != 10 || !read_number(argv[1], 1, 100000, &workers) ||
        !read_number(argv[2], workers, 100000000, &requests) ||
        !read_number(argv[3], 1, 1000000, &calls) || !read_number(argv[4], 1, 100000, &burst) ||
        !read_number(argv[5], 1, 100000, &seconds) || !read_number(argv[6], 0, 100000, &down_at) ||
        !read_number(argv[7], 0, 100000, &down_ms) || !read_number(argv[8], 0, 1, &forgets)) {
        fprintf(stderr, "usage: limit_simulation <workers> <requests> <calls per second> <burst> "
                        "<seconds> <redis down at> <for> <redis forgets> <file>\n");
        return 2;
    }
    fleet.file = fopen(argv[9], "wb");
    if (!fleet.file) {
        perror(argv[9]);
        return 1;
    }
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
    simulated_time_begin(START_US);
    simulated_redis_begin(
        &(struct simulated_redis_options){.script_us = SCRIPT_US, .trip_us = redis_trip_us});
    make_fleet(workers, requests, calls, burst);
    bool redis_forgets = forgets == 1;
    if (down_at > 0) {
        simulated_at(START_US + down_at * SECOND_US, NULL, on_redis_gone, &redis_forgets);
        simulated_at(
            START_US + down_at * SECOND_US + down_ms * CLOCK_US_PER_MS, NULL, on_redis_back, NULL);
    }
    simulated_time_run(START_US + seconds * SECOND_US);
    if (fclose(fleet.file) != 0) {
        perror(argv[9]);
        return 1;
    }
    printf("{\"calls\": %" PRIu64 ", \"redis_calls\": %" PRIu64 ", \"kills\": %" PRIu64
           ", \"stills\": %" PRIu64 ", \"began_us\": %" PRId64 "}\n",
        fleet.calls, simulated_redis_calls(), fleet.kills, fleet.stills, START_US);
    return 0;
}
