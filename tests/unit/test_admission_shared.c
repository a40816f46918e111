/*
 * Workers that share a limit, on a real redis-server: how much of it they use, what it costs, and
 * what they do when Redis fails in any of its ways. Each worker here is an admission of its own on
 * the one loop; what comes of a turn is a call that ends at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/metrics.h"
#include "support/redis_fixture.h"
#include "support/redis_server.h"
#include "worker/admission.h"
#include "worker/admission_control.h"

#define MS CLOCK_US_PER_MS
#define SECOND CLOCK_US_PER_SECOND

enum { WORKERS_MAX = 4, ASKERS_MAX = 2000 };

struct asker {
    struct admission_ticket ticket;
    struct worker *worker;
    bool turn, refused;
    int64_t told_us, room_in_us;
};

struct worker {
    struct admission *admission;
    unsigned turns, refusals;
};

static struct redis_server server;
static struct redis_fixture fixture;
static struct redis_subscriber *subscriber;
static struct environment environment;
static struct environments environments = {.items = &environment, .count = 1};
static char environment_name[] = "acme", dev_id[] = "acme-prod";
static struct worker workers[WORKERS_MAX];
static struct asker askers[ASKERS_MAX];
static unsigned asker_count;
static unsigned told; /* turns and refusals, over all */
static int64_t turn_times[ASKERS_MAX];
static unsigned turns;
static bool calls_last; /* until end_call */
static int64_t clock_skip_us, turn_takes_us;
static struct asker *calls[ASKERS_MAX];
static unsigned call_count, calls_ended;

static void on_turn(
    struct admission_ticket *ticket, enum admission_verdict verdict, int64_t room_in_us)
{
    struct asker *asker = ticket->context;
    asker->told_us = clock_monotonic_us();
    asker->room_in_us = room_in_us;
    told++;
    uv_stop(&fixture.loop);
    if (verdict == ADMISSION_NO_ROOM) {
        asker->refused = true;
        asker->worker->refusals++;
        return;
    }
    asker->turn = true;
    asker->worker->turns++;
    clock_skip_us += turn_takes_us;
    turn_times[turns++] = asker->told_us;
    if (calls_last)
        calls[call_count++] = asker;
    else
        admission_done(asker->worker->admission, ticket);
}

static struct admission_options options_of(enum admission_without_redis without_redis)
{
    return (struct admission_options){
        .environments = &environments,
        .calls_in_flight_max = 256,
        .redis = fixture.client,
        .subscriber = subscriber,
        .key_prefix = "test",
        .share = 100,
        .without_redis = without_redis,
        .cooldown_max_us = 60 * SECOND,
    };
}

static void begin(const char *rate, int64_t burst)
{
    char url[64], error[128];
    struct redis_probe probe;
    redis_fixture_init(&fixture);
    redis_fixture_open_port(&fixture, server.port, "");
    snprintf(url, sizeof url, "redis://127.0.0.1:%d", server.port);
    const struct redis_client_options options = {
        .url = url, .connect_timeout_us = SECOND, .reconnect_max_us = 50 * MS};
    assert_int_equal(
        redis_subscriber_new(&fixture.loop, &options, &subscriber, error, sizeof error), RESULT_OK);
    redis_fixture_wait_connected(&fixture);
    redis_probe_run(&probe, &fixture, "FLUSHALL");
    redis_probe_run(&probe, &fixture, "CONFIG RESETSTAT");
    environment = (struct environment){.name = environment_name, .dev_id = dev_id, .burst = burst};
    assert_true(rate_parse(rate, &environment.rate));
    memset(workers, 0, sizeof workers);
    memset(askers, 0, sizeof askers);
    asker_count = told = turns = call_count = calls_ended = 0;
    turn_takes_us = 0;
    calls_last = false;
    metrics_reset();
}

static void start(struct worker *worker, const struct admission_options *options)
{
    worker->admission = admission_new(&fixture.loop, options);
}

static void start_workers(int count)
{
    const struct admission_options options = options_of(ADMISSION_SHARE);
    for (int i = 0; i < count; i++)
        start(&workers[i], &options);
}

static void end(void)
{
    for (unsigned i = 0; i < asker_count; i++)
        admission_withdraw(askers[i].worker->admission, &askers[i].ticket);
    for (int i = 0; i < WORKERS_MAX; i++) {
        if (workers[i].admission)
            admission_close(workers[i].admission);
    }
    redis_subscriber_close(subscriber);
    redis_fixture_release(&fixture);
    for (int i = 0; i < WORKERS_MAX; i++)
        admission_free(workers[i].admission);
}

static struct asker *ask(struct worker *worker, int64_t patience_us)
{
    struct asker *asker = &askers[asker_count];
    assert_true(asker_count < ASKERS_MAX);
    asker->worker = worker;
    asker->ticket = (struct admission_ticket){
        .environment = &environment,
        .arrived_us = asker_count++,
        .deadline_us = clock_monotonic_us() + patience_us,
        .on_turn = on_turn,
        .context = asker,
    };
    admission_ask(worker->admission, &asker->ticket);
    return asker;
}

static void ask_many(struct worker *worker, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        ask(worker, 60 * SECOND);
}

static void wait_told(unsigned count)
{
    redis_fixture_wait_times(&fixture, &told, count);
}

static void on_pause_over(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
    uv_stop(&fixture.loop);
}

static void run_for(int64_t duration_us)
{
    bool over = false;
    uv_timer_t timer;
    uv_timer_init(&fixture.loop, &timer);
    timer.data = &over;
    uv_timer_start(&timer, on_pause_over, (uint64_t)(duration_us / MS), 0);
    while (!over)
        uv_run(&fixture.loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&fixture.loop, UV_RUN_NOWAIT);
}

/* The most turns in any second. */
static unsigned busiest_second(void)
{
    unsigned most = 0;
    for (unsigned first = 0, last = 0; last < turns; last++) {
        while (turn_times[first] < turn_times[last] - SECOND)
            first++;
        if (last - first + 1 > most)
            most = last - first + 1;
    }
    return most;
}

static double metric_of(const char *name, const char *more)
{
    char labels[128];
    snprintf(labels, sizeof labels, "environment=\"acme\"%s", more);
    return metric_value(metrics_counter(name, labels, ""));
}

static double redis_calls(void)
{
    return metric_of("terra_connect_limit_redis_calls_total", ",outcome=\"granted\"") +
           metric_of("terra_connect_limit_redis_calls_total", ",outcome=\"none\"");
}

static double mode_is(const char *mode)
{
    char more[64];
    snprintf(more, sizeof more, "environment=\"acme\",mode=\"%s\"", mode);
    return metric_value(metrics_gauge("terra_connect_limit_mode", more, ""));
}

static void change(void (*run)(struct admission_change *change));

/* ---- the limit, its use and its cost ---- */

static void test_workers_share_one_limit(void **state)
{
    (void)state;
    static const struct {
        const char *rate;
        int64_t calls, burst;
        int workers;
        double calls_per_grant_max;
    } rows[] = {{"100/s", 100, 10, 1, 0.5}, {"300/s", 300, 5, 4, 0.5}, {"10/s", 10, 1, 4, 1.3}};
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        begin(rows[row].rate, rows[row].burst);
        start_workers(rows[row].workers);
        unsigned wanted = (unsigned)(rows[row].calls * 12 / 10 + rows[row].burst);
        for (unsigned i = 0; i < wanted * 2; i++)
            ask(&workers[i % (unsigned)rows[row].workers], 60 * SECOND);
        int64_t start_us = clock_monotonic_us();
        wait_told(wanted);
        int64_t ideal_us = (wanted - rows[row].burst) * SECOND / rows[row].calls;
        int64_t took_us = clock_monotonic_us() - start_us;
        assert_true(took_us >= ideal_us - 20 * MS);
        assert_true(took_us <= ideal_us * 102 / 100 + 150 * MS);
        assert_true(busiest_second() <= rows[row].calls + rows[row].burst);
        assert_true(redis_calls() <= rows[row].calls_per_grant_max * turns + 2 * rows[row].workers);
        /* The whole script goes to a server that does not know it yet, and then no more. */
        assert_true(redis_fixture_calls(&fixture, "evalsha") > 0);
        assert_in_range(redis_fixture_calls(&fixture, "eval"), 0, rows[row].workers);
        for (int i = 0; i < rows[row].workers; i++)
            assert_in_range(workers[i].turns, wanted / (unsigned)rows[row].workers / 2,
                wanted / (unsigned)rows[row].workers * 2 + 1);
        end();
    }
}

static void test_no_limit_costs_no_call(void **state)
{
    (void)state;
    begin("0", 1);
    start_workers(1);
    ask_many(&workers[0], 50);
    wait_told(50);
    struct redis_probe probe;
    redis_probe_run(&probe, &fixture, "DBSIZE");
    assert_int_equal(probe.integer, 0);
    end();
}

static void test_share_of_the_limit(void **state)
{
    (void)state;
    begin("200/s", 10);
    struct admission_options options = options_of(ADMISSION_SHARE);
    options.share = 20;
    start(&workers[0], &options);
    options.share = 100;
    start(&workers[1], &options);
    ask_many(&workers[0], 500);
    ask_many(&workers[1], 500);
    wait_told(250);
    unsigned by_share = workers[0].turns;
    /* 1.2 seconds or so: 40/s and a burst of 2; the others have the rest. */
    assert_in_range(by_share, 35, 56);
    assert_true(busiest_second() <= 210);
    end();
}

static void end_call(uv_timer_t *timer)
{
    (void)timer;
    if (calls_ended == call_count)
        return;
    struct asker *asker = calls[calls_ended++];
    admission_done(asker->worker->admission, &asker->ticket);
}

static void test_permits_gather(void **state)
{
    (void)state;
    begin("1000/s", 50);
    struct admission_options options = options_of(ADMISSION_SHARE);
    options.calls_in_flight_max = 10;
    start(&workers[0], &options);
    calls_last = true;
    ask_many(&workers[0], 110);
    wait_told(10);
    /* They end one by one, far below the limit. */
    uv_timer_t timer;
    uv_timer_init(&fixture.loop, &timer);
    uv_timer_start(&timer, end_call, 4, 4);
    wait_told(100);
    assert_true(redis_calls() <= 60);
    uv_close((uv_handle_t *)&timer, NULL);
    while (calls_ended < call_count)
        end_call(NULL);
    end();
}

static void test_no_room_is_told_at_once(void **state)
{
    (void)state;
    begin("5/s", 1);
    start_workers(1);
    ask_many(&workers[0], 10);
    wait_told(2);
    struct asker *late = ask(&workers[0], SECOND);
    int64_t start_us = clock_monotonic_us();
    while (!late->refused)
        uv_run(&fixture.loop, UV_RUN_ONCE);
    assert_true(clock_monotonic_us() - start_us < 100 * MS);
    assert_in_range(late->room_in_us, 1400 * MS, 2100 * MS);
    end();
}

/* ---- standing still ---- */

static int64_t skipped_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND + now.tv_nsec / 1000 + clock_skip_us;
}

static void test_nothing_is_fired_late(void **state)
{
    (void)state;
    begin("50/s", 5);
    start_workers(1);
    ask_many(&workers[0], 300);
    wait_told(20);
    clock_set_source(skipped_clock, NULL); /* as after SIGCONT */
    clock_skip_us += 10 * SECOND;
    unsigned before = turns;
    int64_t start_us = clock_monotonic_us();
    wait_told(told + 40);
    int64_t took_us = clock_monotonic_us() - start_us;
    assert_true(took_us >= (turns - before - 5 - 2) * SECOND / 50);
    assert_true(metric_of("terra_connect_limit_slots_dropped_total", ",reason=\"late\"") > 0);
    end();
    clock_set_source(NULL, NULL);
}

/* Five may start together; each takes its time to do so. */
static void test_nothing_is_fired_late_in_one_go(void **state)
{
    (void)state;
    begin("50/s", 5);
    clock_set_source(skipped_clock, NULL);
    start_workers(1);
    turn_takes_us = SECOND / 10;
    ask_many(&workers[0], 5);
    wait_told(1);
    assert_in_range(turns, 1, 2);
    assert_true(metric_of("terra_connect_limit_slots_dropped_total", ",reason=\"late\"") > 0);
    end();
    clock_set_source(NULL, NULL);
}

/* ---- cooldown, pause, override ---- */

static void on_changed(
    struct admission_change *ticket, const struct admission_state *state, const char *problem)
{
    (void)state;
    assert_null(problem);
    (*(unsigned *)ticket->context)++;
    uv_stop(&fixture.loop);
}

static void change(void (*run)(struct admission_change *change))
{
    unsigned times = 0;
    struct admission_change ticket = {.redis = fixture.client,
        .key_prefix = "test",
        .dev_id = dev_id,
        .on_done = on_changed,
        .context = &times};
    run(&ticket);
    redis_fixture_wait_times(&fixture, &times, 1);
}

static void set_twice_as_much(struct admission_change *ticket)
{
    const struct rate rate = {.calls = 100, .period_us = SECOND};
    admission_control_set(ticket, &rate, 3, 700 * MS);
}

static void test_cooldown_is_for_all(void **state)
{
    (void)state;
    begin("100/s", 20);
    start_workers(2);
    ask_many(&workers[0], 200);
    ask_many(&workers[1], 200);
    wait_told(30);
    int64_t start_us = clock_monotonic_us();
    admission_cool_down(workers[0].admission, &environment, 400 * MS);
    admission_cool_down(workers[0].admission, &environment, 400 * MS);
    unsigned before = turns;
    wait_told(told + 10);
    /* What the other one began before it heard. */
    unsigned too_late = 0;
    for (unsigned i = before; i < turns; i++)
        too_late += turn_times[i] < start_us + 400 * MS;
    assert_in_range(too_late, 0, 3);
    /* And no burst afterwards. */
    wait_told(told + 20);
    assert_true(clock_monotonic_us() >= start_us + (400 + (30 - 3 - 2) * 10) * MS);
    assert_int_equal((int)metric_of("terra_connect_limit_cooldowns_total", ""), 1);
    end();
}

static void test_cooldown_has_a_ceiling(void **state)
{
    (void)state;
    begin("100/s", 1);
    struct admission_options options = options_of(ADMISSION_SHARE);
    options.cooldown_max_us = 200 * MS;
    start(&workers[0], &options);
    int64_t start_us = clock_monotonic_us();
    admission_cool_down(workers[0].admission, &environment, 3600 * SECOND);
    ask(&workers[0], 5 * SECOND);
    struct asker *hurried = ask(&workers[0], 100 * MS);
    wait_told(1);
    assert_true(hurried->refused);
    assert_in_range(hurried->room_in_us, 150 * MS, 250 * MS);
    wait_told(2);
    assert_in_range(clock_monotonic_us() - start_us, 200 * MS, SECOND);
    end();
}

static void test_pause_and_resume(void **state)
{
    (void)state;
    begin("100/s", 5);
    start_workers(1);
    ask_many(&workers[0], 200);
    wait_told(20);
    change(admission_control_pause);
    run_for(50 * MS);
    unsigned before = turns;
    struct asker *hurried = ask(&workers[0], 150 * MS);
    run_for(300 * MS);
    assert_int_equal(turns, before);
    assert_true(hurried->refused);
    assert_true(hurried->room_in_us >= SECOND);
    int64_t start_us = clock_monotonic_us();
    change(admission_control_resume);
    wait_told(told + 1);
    assert_true(clock_monotonic_us() - start_us < 500 * MS); /* it was told, and did not ask */
    end();
}

static void test_override_wins_until_it_ends(void **state)
{
    (void)state;
    begin("10/s", 1);
    start_workers(1);
    ask_many(&workers[0], 300);
    wait_told(3);
    change(set_twice_as_much); /* ten times, for 0.7 s */
    int64_t start_us = clock_monotonic_us();
    wait_told(told + 40);
    assert_true(clock_monotonic_us() - start_us < 650 * MS);
    run_for(start_us + 900 * MS - clock_monotonic_us());
    unsigned before = turns;
    run_for(500 * MS);
    assert_in_range(turns - before, 2, 8);
    end();
}

/* ---- Redis fails ---- */

static struct redis_probe fault_probe;

static void send_fault(const char *command)
{
    struct redis_fixture *other = &fixture;
    redis_probe_run(&fault_probe, other, command);
}

static void kill_redis(void)
{
    redis_server_kill(&server);
}

static void revive_redis(void)
{
    redis_server_start(&server);
}

static void freeze_redis(void)
{
    redis_server_freeze(&server);
}

static void thaw_redis(void)
{
    redis_server_thaw(&server);
}

static void make_read_only(void)
{
    send_fault("REPLICAOF 127.0.0.1 1");
}

static void make_writable(void)
{
    send_fault("REPLICAOF NO ONE");
}

static void fill_memory(void)
{
    send_fault("CONFIG SET maxmemory 1");
}

static void free_memory(void)
{
    send_fault("CONFIG SET maxmemory 0");
}

static void want_password(void)
{
    redis_server_kill(&server);
    server.arguments[0] = "--requirepass";
    server.arguments[1] = REDIS_SECRET;
    redis_server_start(&server);
}

static void want_no_password(void)
{
    redis_server_kill(&server);
    server.arguments[0] = NULL;
    redis_server_start(&server);
}

static void spoil_keys(void)
{
    char command[128];
    struct admission_keys keys;
    admission_keys_set(&keys, "test", dev_id, 100);
    snprintf(command, sizeof command, "SET %.100s other", keys.state);
    send_fault(command);
}

static void mend_keys(void)
{
    send_fault("FLUSHALL");
}

static void test_faults(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        void (*begin)(void), (*end)(void);
    } rows[] = {
        {"killed", kill_redis, revive_redis},
        {"slow", freeze_redis, thaw_redis},
        {"read-only", make_read_only, make_writable},
        {"out of memory", fill_memory, free_memory},
        {"wrong password", want_password, want_no_password},
        {"something else under the key", spoil_keys, mend_keys},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        begin("100/s", 4);
        start_workers(1);
        admission_set_fraction(workers[0].admission, 1, 2);
        ask_many(&workers[0], 1000);
        wait_told(10);
        rows[row].begin();
        while (mode_is("share") == 0)
            uv_run(&fixture.loop, UV_RUN_ONCE);
        unsigned before = turns;
        int64_t start_us = clock_monotonic_us();
        wait_told(told + 30);
        /* Half of the limit, beside what was in hand. */
        int64_t took_us = clock_monotonic_us() - start_us;
        if (took_us < (int64_t)(turns - before - 12) * SECOND / 50)
            fail_msg("%s: too fast", rows[row].what);
        double granted = metric_of("terra_connect_limit_slots_granted_total", "");
        rows[row].end();
        while (mode_is("redis") == 0)
            uv_run(&fixture.loop, UV_RUN_ONCE);
        wait_told(told + 5);
        assert_true(metric_of("terra_connect_limit_slots_granted_total", "") > granted);
        assert_true(busiest_second() <= 104);
        if (redis_fixture_logged("the limit cannot be shared") != 1)
            fail_msg("%s: not logged once", rows[row].what);
        assert_int_equal(redis_fixture_logged("the limit is shared through Redis again"), 1);
        assert_int_equal(workers[0].refusals, 0);
        end();
    }
}

/* Each is then one of the workers that Redis has seen, however many partitions it has. */
static void test_parts_of_an_unknown_number(void **state)
{
    (void)state;
    begin("100/s", 4);
    start_workers(2);
    for (size_t i = 0; i < 2; i++) {
        admission_set_fraction(workers[i].admission, 2, 0);
        ask_many(&workers[i], 500);
    }
    wait_told(30);
    kill_redis();
    while (mode_is("share") == 0)
        uv_run(&fixture.loop, UV_RUN_ONCE);
    int64_t start_us = clock_monotonic_us();
    wait_told(told + 60);
    assert_true(clock_monotonic_us() - start_us >= (60 - 12) * SECOND / 100);
    revive_redis();
    end();
}

/* Others may not have come back yet, and have their parts of the limit. */
static void test_comes_back_slowly(void **state)
{
    (void)state;
    begin("100/s", 4);
    start_workers(1);
    admission_set_fraction(workers[0].admission, 1, 4);
    ask_many(&workers[0], 200);
    wait_told(5);
    redis_server_freeze(&server);
    while (mode_is("share") == 0)
        uv_run(&fixture.loop, UV_RUN_ONCE);
    redis_server_thaw(&server);
    while (mode_is("redis") == 0)
        uv_run(&fixture.loop, UV_RUN_ONCE);
    int64_t start_us = clock_monotonic_us();
    wait_told(told + 15);
    assert_true(clock_monotonic_us() - start_us >= 12 * SECOND / 25);
    end();
}

/* Also without a request that would ask. */
static void test_comes_back_while_nobody_waits(void **state)
{
    (void)state;
    begin("100/s", 4);
    start_workers(1);
    kill_redis();
    ask_many(&workers[0], 1);
    wait_told(1);
    while (metric_of("terra_connect_limit_redis_calls_total", ",outcome=\"failed\"") < 2)
        uv_run(&fixture.loop, UV_RUN_ONCE);
    assert_true(mode_is("share") == 1);
    revive_redis();
    while (mode_is("redis") == 0)
        uv_run(&fixture.loop, UV_RUN_ONCE);
    assert_int_equal(redis_fixture_logged("the limit is shared through Redis again"), 1);
    end();
}

/* These heal within one question. */
static void test_forgotten(void **state)
{
    (void)state;
    static const char *const faults[] = {"SCRIPT FLUSH", "FLUSHALL"};
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        begin("100/s", 4);
        start_workers(1);
        ask_many(&workers[0], 1000);
        wait_told(10);
        send_fault(faults[i]);
        wait_told(told + 60);
        assert_true(mode_is("redis") == 1);
        assert_true(busiest_second() <= 104);
        end();
    }
}

static void test_what_is_done_without_redis(void **state)
{
    (void)state;
    begin("50/s", 1);
    for (int i = 0; i < 3; i++) {
        const struct admission_options options = options_of((enum admission_without_redis)i);
        start(&workers[i], &options);
    }
    redis_server_kill(&server);
    for (int i = 0; i < 3; i++)
        ask_many(&workers[i], 100);
    run_for(400 * MS);
    assert_int_equal(workers[ADMISSION_STOP].turns, 0);
    assert_in_range(workers[ADMISSION_SHARE].turns, 5, 23);
    assert_int_equal(workers[ADMISSION_UNLIMITED].turns, 100);
    assert_int_equal(workers[ADMISSION_STOP].refusals, 0);
    /* Nobody knows how long it lasts, so the deadline decides. */
    struct asker *hurried = ask(&workers[ADMISSION_STOP], 50 * MS);
    wait_told(told + 1);
    while (!hurried->refused)
        uv_run(&fixture.loop, UV_RUN_ONCE);
    assert_true(hurried->told_us >= hurried->ticket.deadline_us);
    redis_server_start(&server);
    while (workers[ADMISSION_STOP].turns == 0)
        uv_run(&fixture.loop, UV_RUN_ONCE);
    end();
}

static void test_without_any_redis(void **state)
{
    (void)state;
    begin("100/s", 4);
    struct admission_options options = options_of(ADMISSION_STOP);
    options.redis = NULL;
    options.subscriber = NULL;
    start(&workers[0], &options);
    admission_set_fraction(workers[0].admission, 1, 4);
    assert_int_equal(redis_fixture_logged("no REDIS_URL"), 1);
    ask_many(&workers[0], 100);
    int64_t start_us = clock_monotonic_us();
    wait_told(11);
    assert_true(clock_monotonic_us() - start_us >= 10 * 40 * MS);
    end();
}

static int set_up(void **state)
{
    (void)state;
    redis_server_start(&server);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    redis_server_end(&server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_workers_share_one_limit),
        cmocka_unit_test(test_no_limit_costs_no_call),
        cmocka_unit_test(test_share_of_the_limit),
        cmocka_unit_test(test_permits_gather),
        cmocka_unit_test(test_no_room_is_told_at_once),
        cmocka_unit_test(test_nothing_is_fired_late),
        cmocka_unit_test(test_nothing_is_fired_late_in_one_go),
        cmocka_unit_test(test_cooldown_is_for_all),
        cmocka_unit_test(test_cooldown_has_a_ceiling),
        cmocka_unit_test(test_pause_and_resume),
        cmocka_unit_test(test_override_wins_until_it_ends),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_parts_of_an_unknown_number),
        cmocka_unit_test(test_comes_back_slowly),
        cmocka_unit_test(test_comes_back_while_nobody_waits),
        cmocka_unit_test(test_forgotten),
        cmocka_unit_test(test_what_is_done_without_redis),
        cmocka_unit_test(test_without_any_redis),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
