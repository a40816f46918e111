/*
 * The script of the limit, as Redis runs it, against a slow and exact reference written separately:
 * random questions of several workers, pauses, overrides, cooldowns, a Redis that has forgotten, a
 * clock that is set back. Two things are checked at each step: the answer is the reference's, and
 * over any second no more slots than limit + burst can have been used, in all and by the share.
 *
 * The script asks Redis for the time; here that one call is replaced by an argument, so a second
 * takes no second. ADMISSION_MODEL_STEPS (20000) and ADMISSION_MODEL_SEED set how many steps and
 * which; a million takes a minute or two.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "admission_control_script.h"
#include "admission_script.h"
#include "common/memory.h"
#include "support/redis_pipe.h"
#include "support/redis_server.h"

#define SECOND INT64_C(1000000)
#define HOUR (3600 * SECOND)

enum {
    WORKERS = 12,
    SHARING = 8, /* from this one on they have a share */
    SHARE = 20,
    ITEMS = 17,
    BATCH = 128,
    FIRED_MAX = 1 << 15,
};

enum item {
    GRANTED,
    BEGINS_IN,
    SHARE_BEGINS_IN,
    EPOCH,
    INTERVAL,
    BURST,
    SHARE_INTERVAL,
    SHARE_BURST,
    WORKER_COUNT,
    LEASE,
    NEXT_IN,
    ASK_IN,
    COOLDOWN_IN,
    PAUSED,
    OVERRIDDEN,
    USE,
    NOW
};

static const char *const names[] = {"granted", "begins_in", "share_begins_in", "epoch", "interval",
    "burst", "share_interval", "share_burst", "workers", "lease", "next_in", "ask_in",
    "cooldown_in", "paused", "overridden", "use", "now"};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* ---- the reference ---- */

struct limit {
    int64_t calls, interval, burst; /* calls: a second's */
};

static struct reference {
    int64_t epoch, tat, share_tat, rest, cooldown, void_since, paced;
    bool paused;
    bool overridden, saw_override;
    struct limit override, seen_override;
    int64_t alive_until[2][WORKERS]; /* in all, and in the share; 0: not registered */
    int64_t window, granted, granted_before;
} reference;

static int64_t reference_workers(int worker, bool share, int64_t now)
{
    int64_t count = 0;
    for (int i = share ? SHARING : 0; i < WORKERS; i++) {
        int64_t *until = &reference.alive_until[share][i];
        if (*until <= now)
            *until = 0;
        count += i == worker || *until > 0;
    }
    return count;
}

static int64_t reference_lease(int64_t interval, int64_t workers)
{
    int64_t lease = 1;
    while (lease < 1024 && ((lease + 1) * interval * workers <= SECOND / 8 ||
                               (lease < 4 && (lease + 1) * interval * workers <= SECOND)))
        lease++;
    return lease;
}

static struct limit share_of(const struct limit *limit)
{
    return (struct limit){.interval = (limit->interval * 100 + SHARE - 1) / SHARE,
        .burst = most(1, limit->burst * SHARE / 100)};
}

static bool same_limit(const struct limit *a, const struct limit *b)
{
    return a->interval == b->interval && a->burst == b->burst;
}

static void reference_begin_epoch(int64_t now, int64_t rest)
{
    reference.epoch = most(reference.epoch + 1, now);
    reference.void_since = now;
    reference.rest = most(reference.rest, rest);
}

static int64_t reference_settle(const struct limit *limit, int64_t tat, int64_t now,
    int64_t interval, int64_t tolerance, int64_t ahead)
{
    if (reference.void_since > 0 && reference.paced > limit->interval && tat > now)
        tat = now + (tat - now + reference.paced - 1) / reference.paced * limit->interval;
    if (reference.void_since > 0 && tat > reference.void_since + tolerance + most(SECOND, interval))
        tat = reference.void_since + tolerance + most(SECOND, interval);
    if (tat > now + tolerance + ahead)
        tat = now + tolerance + ahead;
    if (tat < reference.rest + tolerance)
        tat = reference.rest + tolerance;
    return most(tat, now);
}

/* What both answers have in common: the epoch, and a clock that was set back. */
static void reference_look(int64_t now, int64_t known_granted, int64_t setting_interval)
{
    if (reference.rest > now + HOUR)
        reference.rest = now;
    if (reference.cooldown > now + HOUR)
        reference.cooldown = 0;
    bool changed =
        reference.overridden != reference.saw_override ||
        (reference.overridden && !same_limit(&reference.override, &reference.seen_override));
    if (reference.epoch == 0) {
        reference.epoch = now;
        int64_t interval = reference.overridden ? reference.override.interval : setting_interval;
        if (known_granted >= 0)
            reference.rest = now + least(HOUR, most(SECOND, known_granted * interval));
    } else if (changed) {
        reference_begin_epoch(now, now);
    }
    reference.saw_override = reference.overridden;
    reference.seen_override = reference.override;
}

static void reference_count(int64_t now, int64_t granted)
{
    for (; reference.window < now / (10 * SECOND); reference.window++) {
        reference.granted_before = reference.granted;
        reference.granted = 0;
        if (reference.window + 2 < now / (10 * SECOND))
            reference.window = now / (10 * SECOND) - 2;
    }
    if (reference.window > now / (10 * SECOND)) { /* set back */
        reference.window = now / (10 * SECOND);
        reference.granted = reference.granted_before = 0;
    }
    reference.granted += granted;
}

/* Slot by slot. */
static int64_t reference_grant(int64_t now, int64_t wanted, int64_t lease, int64_t horizon,
    const struct limit *limit, const struct limit *share)
{
    int64_t tolerance = (limit->burst - 1) * limit->interval;
    int64_t granted = 0;
    if (reference.paused || reference.tat - tolerance > now + horizon)
        return 0;
    while (granted < wanted && granted < lease) {
        int64_t share_tolerance = share ? (share->burst - 1) * share->interval : 0;
        if (share && reference.share_tat - share_tolerance > reference.tat)
            break;
        reference.tat += limit->interval;
        if (share)
            reference.share_tat += share->interval;
        granted++;
    }
    return granted;
}

static void reference_acquire(int worker, int64_t now, int64_t wanted, const struct limit *setting,
    int64_t known_granted, int64_t answer[ITEMS])
{
    reference_look(now, known_granted, setting->interval);
    bool sharing = worker >= SHARING;
    struct limit limit = reference.overridden ? reference.override : *setting;
    struct limit share = share_of(&limit);
    int64_t tolerance = (limit.burst - 1) * limit.interval;
    int64_t share_tolerance = (share.burst - 1) * share.interval;

    int64_t workers = reference_workers(worker, false, now);
    int64_t lease = reference_lease(limit.interval, workers);
    int64_t horizon = 2 * workers * lease * limit.interval;
    if (sharing) {
        workers = reference_workers(worker, true, now);
        lease = least(lease, reference_lease(share.interval, workers));
    }
    int64_t ahead = 10 * (horizon + SECOND);
    reference.tat = reference_settle(&limit, reference.tat, now, limit.interval, tolerance, ahead);
    if (sharing)
        reference.share_tat =
            most(reference.tat - tolerance, reference_settle(&limit, reference.share_tat, now,
                                                share.interval, share_tolerance, ahead));
    answer[BEGINS_IN] = reference.tat - tolerance - now;
    answer[SHARE_BEGINS_IN] = sharing ? reference.share_tat - share_tolerance - now : 0;

    int64_t granted = reference_grant(now, wanted, lease, horizon, &limit, sharing ? &share : NULL);
    int64_t next_in = reference.tat - tolerance - now;
    int64_t ask_in = most(0, next_in - horizon);
    if (sharing) {
        int64_t batch = least(lease, (share.burst + 1) / 2);
        int64_t ready =
            reference.share_tat - share_tolerance + (batch - 1) * (share.interval - limit.interval);
        if (ready > reference.tat)
            ask_in = most(
                ask_in, most(ready - reference.tat, least(ready - now, batch * share.interval)));
        next_in = most(next_in, reference.share_tat - share_tolerance - now);
    }
    if (reference.paused)
        ask_in = SECOND;
    if (wanted > 0) {
        int64_t alive = granted < wanted ? most(3 * SECOND, horizon) : SECOND;
        alive += most(0, most(next_in, ask_in));
        reference.alive_until[0][worker] = now + least(HOUR, alive);
        if (sharing)
            reference.alive_until[1][worker] = now + least(HOUR, alive);
    }
    reference.void_since = 0;
    reference.paced = limit.interval;
    reference_count(now, granted);

    answer[GRANTED] = granted;
    answer[EPOCH] = reference.epoch;
    answer[INTERVAL] = limit.interval;
    answer[BURST] = limit.burst;
    answer[SHARE_INTERVAL] = sharing ? share.interval : 0;
    answer[SHARE_BURST] = sharing ? share.burst : 0;
    answer[WORKER_COUNT] = workers;
    answer[LEASE] = lease;
    answer[NEXT_IN] = next_in;
    answer[ASK_IN] = ask_in;
    answer[COOLDOWN_IN] = most(0, reference.cooldown - now);
    answer[PAUSED] = reference.paused;
    answer[OVERRIDDEN] = reference.overridden;
    answer[NOW] = now;
    answer[USE] = least(1000, 1000 * reference.granted_before * limit.interval / (10 * SECOND));
}

/* ---- how many slots were used in any second ---- */

static struct fired {
    int64_t times[FIRED_MAX]; /* a ring, in order */
    size_t first, count;
    int64_t future[FIRED_MAX]; /* not yet, in any order */
    size_t future_count;
    int64_t unchecked_until; /* the limit was another, or Redis has forgotten */
    int64_t calls, burst;
    uint64_t total;
} in_all, by_share;

static int by_time(const void *a, const void *b)
{
    const int64_t *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

static void fire(struct fired *fired, int64_t time)
{
    fired->times[(fired->first + fired->count++) % FIRED_MAX] = time;
    fired->total++;
    while (fired->times[fired->first] < time - SECOND) {
        fired->first = (fired->first + 1) % FIRED_MAX;
        fired->count--;
    }
    assert_true(fired->count < FIRED_MAX);
    if (fired->times[fired->first] > fired->unchecked_until &&
        (int64_t)fired->count > fired->calls + fired->burst)
        fail_msg("%zu slots in the second before %" PRId64 ", at %" PRId64 "/s, burst %" PRId64,
            fired->count, time, fired->calls, fired->burst);
}

static void fire_until(struct fired *fired, int64_t now)
{
    qsort(fired->future, fired->future_count, sizeof fired->future[0], by_time);
    size_t due = 0;
    while (due < fired->future_count && fired->future[due] <= now)
        fire(fired, fired->future[due++]);
    fired->future_count -= due;
    memmove(fired->future, fired->future + due, fired->future_count * sizeof fired->future[0]);
}

static void void_future(int64_t now)
{
    fire_until(&in_all, now);
    fire_until(&by_share, now);
    in_all.future_count = by_share.future_count = 0;
}

static void forget_fired(int64_t unchecked_until)
{
    in_all.future_count = in_all.count = by_share.future_count = by_share.count = 0;
    in_all.unchecked_until = by_share.unchecked_until = unchecked_until;
}

/* ---- steps ---- */

static struct model {
    struct redis_pipe redis;
    char acquire_sha1[64], control_sha1[64];
    uint64_t random;
    int64_t now;
    struct limit setting;
    int64_t granted[WORKERS]; /* slots yet to begin, as each knows; -1: it does not */
    struct expected {
        bool is_line; /* an answer of no interest */
        int worker;
        int64_t answer[ITEMS];
    } expected[BATCH];
    size_t expected_count;
} model;

static uint64_t chance(uint64_t below)
{
    model.random ^= model.random << 13;
    model.random ^= model.random >> 7;
    model.random ^= model.random << 17;
    return (model.random >> 11) % below;
}

static struct limit any_limit(void)
{
    static const int64_t calls[] = {1, 2, 7, 10, 20, 50, 100, 300, 1000};
    static const int64_t bursts[] = {1, 2, 5, 10, 50};
    struct limit limit = {.calls = calls[chance(9)], .burst = bursts[chance(5)]};
    limit.interval = (SECOND + limit.calls - 1) / limit.calls;
    limit.interval += limit.interval * 15 / 1000;
    return limit;
}

/* Up to its end each slot may be used; beyond it are 15 ms and an interval, for the way. */
static void use_slots(int worker, const int64_t answer[ITEMS])
{
    for (int64_t i = 0; i < answer[GRANTED]; i++) {
        int64_t raw = model.now + answer[BEGINS_IN] + i * answer[INTERVAL];
        int64_t ends = raw + (answer[BURST] - 1) * answer[INTERVAL];
        int64_t begins = most(raw, model.now);
        if (worker >= SHARING) {
            int64_t share = model.now + answer[SHARE_BEGINS_IN] + i * answer[SHARE_INTERVAL];
            begins = most(begins, share);
            ends = least(ends, share + (answer[SHARE_BURST] - 1) * answer[SHARE_INTERVAL]);
        }
        assert_true(begins <= ends);
        int64_t time = begins + (int64_t)chance((uint64_t)(ends - begins) + 1);
        if (chance(4) == 0)
            time = chance(2) ? begins : ends;
        time += (int64_t)chance(15000);
        in_all.future[in_all.future_count++] = time;
        if (worker >= SHARING)
            by_share.future[by_share.future_count++] = time;
        assert_true(in_all.future_count < FIRED_MAX);
    }
}

static void expect(bool is_line, int worker, const int64_t *answer)
{
    struct expected *expected = &model.expected[model.expected_count++];
    expected->is_line = is_line;
    expected->worker = worker;
    if (answer)
        memcpy(expected->answer, answer, sizeof expected->answer);
}

static int64_t slots_within(int64_t duration, int64_t interval)
{
    return (most(0, duration) + interval - 1) / interval;
}

static void acquire(void)
{
    int worker = (int)chance(WORKERS);
    int64_t wanted = chance(20) == 0 ? 0 : 1 + (int64_t)chance(chance(3) ? 4 : 400);
    char name[8], numbers[6][24], now[24];
    snprintf(name, sizeof name, "w%d", worker);
    const int64_t values[6] = {wanted, wanted + (int64_t)chance(100), model.setting.interval,
        model.setting.burst, worker >= SHARING ? SHARE : 100, model.granted[worker]};
    for (int i = 0; i < 6; i++)
        snprintf(numbers[i], sizeof numbers[i], "%" PRId64, values[i]);
    snprintf(now, sizeof now, "%" PRId64, model.now);
    const char *arguments[] = {"EVALSHA", model.acquire_sha1, "5", "{m}s", "{m}o", "{m}w", "{m}q",
        "{m}w20", name, numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5],
        "{m}news", now};
    redis_pipe_add(&model.redis, sizeof arguments / sizeof arguments[0], arguments);

    int64_t answer[ITEMS];
    int64_t epoch = reference.epoch;
    reference_acquire(worker, model.now, wanted, &model.setting, model.granted[worker], answer);
    if (epoch != 0 && reference.epoch != epoch)
        void_future(model.now); /* an override ended: all have heard */
    model.granted[worker] = slots_within(answer[NEXT_IN], answer[INTERVAL]);
    expect(false, worker, answer);
    use_slots(worker, answer);
}

/* The limit is another one: windows that reach back to the old one are not judged. */
static void limit_changes(void)
{
    const struct limit *limit = reference.overridden ? &reference.override : &model.setting;
    void_future(model.now);
    in_all.unchecked_until = by_share.unchecked_until = model.now;
    in_all.calls = limit->calls;
    in_all.burst = limit->burst;
    by_share.calls = most(1, (limit->calls * SHARE + 99) / 100);
    by_share.burst = most(1, limit->burst * SHARE / 100);
}

static void control(const char *operation, int64_t first, int64_t second)
{
    char numbers[2][24], now[24];
    snprintf(numbers[0], sizeof numbers[0], "%" PRId64, first);
    snprintf(numbers[1], sizeof numbers[1], "%" PRId64, second);
    snprintf(now, sizeof now, "%" PRId64, model.now);
    const char *arguments[] = {"EVALSHA", model.control_sha1, "4", "{m}s", "{m}o", "{m}w", "{m}q",
        "{m}news", operation, numbers[0], numbers[1], "1", "1", "0", now};
    redis_pipe_add(&model.redis, sizeof arguments / sizeof arguments[0], arguments);
    expect(false, -1, NULL);
}

static void change_override(void)
{
    if (reference.overridden && chance(3) == 0) {
        control("unset", 0, 0);
        reference.overridden = reference.saw_override = false;
        reference_begin_epoch(model.now, model.now);
        limit_changes();
    } else if (reference.overridden && chance(2) == 0) {
        /* It ends by itself; the next question notices. */
        redis_pipe_add(&model.redis, 2, (const char *const[]){"DEL", "{m}o"});
        expect(true, -1, NULL);
        reference.overridden = false;
        limit_changes();
    } else {
        reference.override = any_limit();
        control("set", reference.override.interval, reference.override.burst);
        reference.overridden = reference.saw_override = true;
        reference.seen_override = reference.override;
        reference_begin_epoch(model.now, model.now);
        limit_changes();
    }
}

static void pause_or_resume(void)
{
    reference.paused = !reference.paused;
    control(reference.paused ? "pause" : "resume", 0, 0);
    reference_begin_epoch(model.now, model.now);
    void_future(model.now);
}

static void cool_down(void)
{
    int64_t pause = 1 + (int64_t)chance(5 * SECOND);
    control("cool", pause, 0);
    if (model.now + pause <= reference.cooldown)
        return;
    reference.cooldown = model.now + pause;
    reference_begin_epoch(model.now, reference.cooldown);
    void_future(model.now);
}

/* Where the workers know how many slots were granted and have not begun, those and the new ones
 * keep the bound together. */
static void lose_all(void)
{
    bool known = !reference.overridden && chance(2) == 0;
    int64_t begins = reference.tat - (model.setting.burst - 1) * model.setting.interval;
    struct limit share = share_of(&model.setting);
    int64_t share_begins = reference.share_tat - (share.burst - 1) * share.interval;
    redis_pipe_add(&model.redis, 1, (const char *const[]){"FLUSHALL"});
    expect(true, -1, NULL);
    reference = (struct reference){0};
    for (int i = 0; known && i < WORKERS; i++)
        model.granted[i] =
            slots_within(most(begins, share_begins) - model.now, model.setting.interval);
    if (known)
        return;
    fire_until(&in_all, model.now);
    fire_until(&by_share, model.now);
    forget_fired(model.now);
    model.setting = any_limit(); /* others are started on it */
    limit_changes();
}

static void set_clock_back(void)
{
    void_future(model.now);
    model.now -= (int64_t)chance(chance(2) ? 5 * SECOND : 3 * HOUR);
    forget_fired(model.now + 10 * SECOND);
}

static void step(void)
{
    static const int64_t advances[] = {0, 500, 5000, 20000, 100000, 1000000};
    model.now += (int64_t)chance((uint64_t)advances[chance(6)] + 1);
    if (chance(2000) == 0)
        model.now += (int64_t)chance(60 * SECOND);
    fire_until(&in_all, model.now);
    fire_until(&by_share, model.now);
    uint64_t dice = chance(2000);
    if (dice < 6)
        pause_or_resume();
    else if (dice < 14)
        cool_down();
    else if (dice < 22)
        change_override();
    else if (dice < 25)
        lose_all();
    else if (dice < 26)
        set_clock_back();
    else if (dice < 32)
        model.granted[chance(WORKERS)] = -1; /* a worker starts anew */
    else
        acquire();
    if (reference.paused && chance(50) == 0)
        pause_or_resume();
}

static void check_answers(void)
{
    redis_pipe_flush(&model.redis);
    for (size_t i = 0; i < model.expected_count; i++) {
        const struct expected *expected = &model.expected[i];
        int64_t answer[ITEMS];
        if (expected->is_line) {
            redis_pipe_skip_line(&model.redis);
        } else if (expected->worker < 0) {
            redis_pipe_expect_integers(&model.redis, 13, answer);
        } else {
            redis_pipe_expect_integers(&model.redis, ITEMS, answer);
            for (int item = 0; item < ITEMS; item++) {
                if (answer[item] != expected->answer[item])
                    fail_msg("worker %d: %s is %" PRId64 " and not %" PRId64, expected->worker,
                        names[item], answer[item], expected->answer[item]);
            }
        }
    }
    model.expected_count = 0;
}

/* ---- the scripts, with their one door ---- */

static void load_script(const char *script, char sha1[64])
{
    static const char call[] = "redis.call('TIME')";
    const char *found = strstr(script, call);
    assert_non_null(found);
    assert_null(strstr(found + 1, call));
    struct buf text;
    buf_init(&text, 65536);
    buf_append(&text, script, (size_t)(found - script));
    buf_append_text(&text, "{string.sub(ARGV[#ARGV], 1, -7), string.sub(ARGV[#ARGV], -6)}");
    buf_append_text(&text, found + strlen(call));
    redis_pipe_add(&model.redis, 3, (const char *const[]){"SCRIPT", "LOAD", buf_text(&text)});
    redis_pipe_flush(&model.redis);
    redis_pipe_expect_text(&model.redis, sha1, 64);
    buf_release(&text);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void test_random_steps(void **state)
{
    (void)state;
    static struct redis_server server;
    uint64_t steps = from_environment("ADMISSION_MODEL_STEPS", 20000);
    uint64_t seed = from_environment("ADMISSION_MODEL_SEED", 20);
    redis_server_start(&server);
    redis_pipe_open(&model.redis, server.socket_path);
    load_script(admission_script_text, model.acquire_sha1);
    load_script(admission_control_script_text, model.control_sha1);

    model.random = seed * 2654435761U + 88172645463325252U;
    model.now = 1700000000 * SECOND;
    for (int i = 0; i < WORKERS; i++)
        model.granted[i] = -1;
    model.setting = (struct limit){.calls = 100, .interval = 10100, .burst = 10};
    limit_changes();
    for (uint64_t i = 0; i < steps; i++) {
        step();
        if (model.expected_count + 2 > BATCH)
            check_answers();
    }
    check_answers();
    print_message("%" PRIu64 " steps, seed %" PRIu64 ": %" PRIu64 " slots used, %" PRIu64
                  " of them by the share\n",
        steps, seed, in_all.total, by_share.total);
    assert_true(in_all.total > steps / 10);
    redis_pipe_close(&model.redis);
    redis_server_end(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_steps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
