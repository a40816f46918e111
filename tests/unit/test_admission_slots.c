/*
 * When a worker's slots begin and when it asks for more, by a clock of the test's own. Redis is a
 * few lines here, in place of the client (which is therefore not linked): it answers what the test
 * says, when the test says so. What the real one does is tested in test_admission_shared.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/metrics.h"
#include "common/redis_client.h"
#include "worker/admission_lease.h"
#include "worker/admission_slots.h"

#define MS CLOCK_US_PER_MS
#define SECOND CLOCK_US_PER_SECOND
#define START (1000 * SECOND)
#define INTERVAL INT64_C(10150) /* of 100/s, see gcra_interval_us */

enum { WORKERS_MAX = 4, LEASE = 8, TURNS_MAX = 1024 };

struct redis_client {
    struct redis_command *question; /* NULL: none is out */
    int64_t wanted, granted;        /* as the question says */
};

struct redis_subscriber {
    struct redis_subscription *subscription;
};

struct worker {
    struct admission_slots *slots;
    struct redis_client redis;
    struct redis_subscriber subscriber;
};

static struct environment environment;
static char environment_name[] = "acme", dev_id[] = "acme-prod";
static struct worker workers[WORKERS_MAX];
static int64_t now_us;
static int64_t redis_sees; /* so many workers */
static unsigned questions;
static int64_t turns[TURNS_MAX];
static unsigned turn_count;

static int64_t test_clock(void)
{
    return now_us;
}

/* ---- in place of the clients ---- */

void redis_client_run_script(struct redis_client *client, struct redis_command *command,
    int64_t timeout_us, const struct redis_script *script, size_t keys, size_t count,
    const char *const *arguments, const size_t *sizes)
{
    (void)timeout_us, (void)script, (void)sizes;
    assert_true(keys == 5 && count == 13);
    assert_null(client->question);
    questions++;
    client->question = command;
    client->wanted = strtoll(arguments[6], NULL, 10);
    client->granted = strtoll(arguments[11], NULL, 10);
}

struct redis_answer redis_answer_item(const struct redis_answer *answer, size_t index)
{
    const int64_t *items = answer->reply;
    return (struct redis_answer){
        .outcome = REDIS_ANSWERED, .kind = REDIS_INTEGER, .integer = items[index], .text = ""};
}

void redis_subscriber_add(
    struct redis_subscriber *subscriber, struct redis_subscription *subscription)
{
    subscriber->subscription = subscription;
}

/* ---- workers ---- */

static void on_change(void *context, bool worse)
{
    (void)context, (void)worse;
}

static void on_redis(void *context, const char *reason)
{
    (void)context, (void)reason;
}

/* 100/s; each worker has one of so many partitions. */
static void begin(unsigned count, int64_t burst, unsigned partitions)
{
    environment = (struct environment){.name = environment_name, .dev_id = dev_id, .burst = burst};
    assert_true(rate_parse("100/s", &environment.rate));
    now_us = START;
    redis_sees = WORKERS_MAX;
    turn_count = 0;
    clock_set_source(test_clock, test_clock);
    for (unsigned i = 0; i < WORKERS_MAX; i++) {
        workers[i] = (struct worker){0};
        if (i >= count)
            continue;
        workers[i].slots = admission_slots_new(&(struct admission_slots_options){
            .environment = &environment,
            .redis = &workers[i].redis,
            .subscriber = &workers[i].subscriber,
            .key_prefix = "test",
            .share = 100,
            .without_redis = ADMISSION_SHARE,
            .cooldown_max_us = SECOND,
            .on_change = on_change,
            .on_redis = on_redis,
        });
        admission_slots_set_fraction(workers[i].slots, 1, partitions);
    }
}

static int64_t ask(struct worker *worker)
{
    return admission_slots_ask(worker->slots, now_us, 1000, 256);
}

static void tell(struct worker *worker, const struct redis_answer *answer)
{
    struct redis_command *question = worker->redis.question;
    assert_non_null(question);
    worker->redis.question = NULL;
    question->on_answer(question, answer);
}

static void tell_gone(struct worker *worker)
{
    tell(worker, &(struct redis_answer){.outcome = REDIS_UNAVAILABLE, .text = ""});
}

static void end(void)
{
    for (unsigned i = 0; i < WORKERS_MAX; i++) {
        if (workers[i].redis.question)
            tell_gone(&workers[i]); /* as a client that is closed does */
        admission_slots_free(workers[i].slots);
    }
    clock_set_source(NULL, NULL);
}

/* next_in_us: until when slots have been granted to all, this worker among them. */
static void grant(struct worker *worker, int64_t slots, int64_t begins_in_us, int64_t next_in_us)
{
    const int64_t items[] = {slots, begins_in_us, 0, 7, INTERVAL, environment.burst, 0, 0,
        redis_sees, LEASE, next_in_us, 0, 0, 0, 0, 0, now_us};
    tell(worker, &(struct redis_answer){.outcome = REDIS_ANSWERED,
                     .kind = REDIS_ARRAY,
                     .integer = sizeof items / sizeof items[0],
                     .text = "",
                     .reply = items});
}

/* Its turns until then, each as soon as it may be. The loop it lives on would come back at the time
 * given back; that is later, or it would never rest. */
static void run(struct worker *worker, int64_t until_us)
{
    for (;;) {
        while (admission_slots_take(worker->slots, now_us)) {
            assert_true(turn_count < TURNS_MAX);
            turns[turn_count++] = now_us - START;
        }
        int64_t wake_us = ask(worker);
        int64_t next_us = admission_slots_next_us(worker->slots, now_us);
        if (next_us < wake_us)
            wake_us = next_us;
        if (wake_us <= now_us)
            fail_msg("no rest at %d us", (int)(now_us - START));
        if (wake_us > until_us)
            return;
        now_us = wake_us;
    }
}

/* Between the two; the turns ascend. */
static unsigned turns_between(int64_t from_us, int64_t to_us)
{
    unsigned count = 0;
    for (unsigned i = 0; i < turn_count; i++)
        count += turns[i] >= from_us && turns[i] < to_us;
    return count;
}

static void assert_in_any_second(unsigned most)
{
    for (unsigned i = 0; i < turn_count; i++)
        assert_in_range(turns_between(turns[i], turns[i] + SECOND), 1, most);
}

/* ---- without Redis ---- */

/* The worker's own part of the limit begins when all slots that Redis granted, to whomever, have
 * begun: they are the whole limit until then. */
static void test_own_part_begins_after_granted_slots(void **state)
{
    (void)state;
    enum { TURNS = 4 };
    static const struct {
        const char *what;
        int64_t burst;
        int64_t slots, next_in_us; /* as Redis said at 0 ms */
        int64_t gone_us;           /* when the next question failed */
        int64_t turns_us[TURNS];
    } rows[] = {
        {"none but this worker's", 1, 2, 2 * INTERVAL, 5 * MS,
            {0, INTERVAL, 2 * INTERVAL + 5 * MS, 4 * INTERVAL + 5 * MS}},
        {"the others' reach further", 1, 2, 300 * MS, 5 * MS,
            {0, INTERVAL, 305 * MS, 305 * MS + 2 * INTERVAL}},
        {"no burst beside them", 8, 2, 300 * MS, 5 * MS,
            {0, INTERVAL, 305 * MS, 305 * MS + 2 * INTERVAL}},
        {"this worker has none left", 1, 1, 40 * MS, 20 * MS,
            {0, 60 * MS, 60 * MS + 2 * INTERVAL, 60 * MS + 4 * INTERVAL}},
        {"none at all", 1, 1, -50 * MS, 20 * MS,
            {0, 20 * MS, 20 * MS + 2 * INTERVAL, 20 * MS + 4 * INTERVAL}},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        begin(1, rows[row].burst, 2);
        ask(&workers[0]);
        grant(&workers[0], rows[row].slots, 0, rows[row].next_in_us);
        run(&workers[0], START + rows[row].gone_us);
        now_us = START + rows[row].gone_us;
        tell_gone(&workers[0]);
        run(&workers[0], START + 2 * SECOND);
        for (int turn = 0; turn < TURNS; turn++)
            if (turns[turn] != rows[row].turns_us[turn])
                fail_msg("%s: turn %d at %d us", rows[row].what, turn, (int)turns[turn]);
        end();
    }
}

/* Redis grants slots to one after the other and is gone; each finds out when it asks for more. */
static void test_granted_slots_and_parts_keep_the_bound(void **state)
{
    (void)state;
    enum { COUNT = WORKERS_MAX, SLOTS = 12 };
    begin(COUNT, 1, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        ask(&workers[i]);
        grant(&workers[i], SLOTS, i * SLOTS * INTERVAL, (i + 1) * SLOTS * INTERVAL);
    }
    for (int64_t until_us = START; until_us < START + 3 * SECOND; until_us += MS) {
        for (unsigned i = 0; i < COUNT; i++) {
            run(&workers[i], until_us);
            if (workers[i].redis.question)
                tell_gone(&workers[i]);
        }
        now_us = until_us;
    }
    assert_true(turn_count > 200);
    assert_in_any_second(100 + 1 + COUNT);
    end();
}

/* To a Redis that has forgotten it. */
static void test_tells_how_many_slots_were_granted(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        int64_t next_in_us; /* as Redis said at 0 ms */
        int64_t later_us;   /* when it is asked again */
        int64_t granted;
    } rows[] = {
        {"as many as had not begun then", 30 * INTERVAL, 20 * MS, 30},
        {"there may be as many still", 30 * INTERVAL, 600 * SECOND, 30},
        {"one has begun in part", 30 * INTERVAL - 1, 20 * MS, 30},
        {"none", -50 * MS, 20 * MS, 0},
        {"that was too long ago", 30 * INTERVAL, 3600 * SECOND, -1},
    };
    struct worker *worker = &workers[0];
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        begin(1, 1, 2);
        ask(worker);
        assert_int_equal(worker->redis.granted, -1);
        grant(worker, 1, 0, rows[row].next_in_us);
        now_us += rows[row].later_us;
        ask(worker);
        if (worker->redis.granted != rows[row].granted)
            fail_msg("%s: %d", rows[row].what, (int)worker->redis.granted);
        end();
    }
    /* While Redis is away nothing is added. */
    begin(1, 1, 2);
    ask(worker);
    grant(worker, 1, 0, 300 * INTERVAL);
    ask(worker);
    tell_gone(worker);
    run(worker, START + 2 * SECOND); /* it is asked again before */
    assert_non_null(worker->redis.question);
    assert_in_range(
        worker->redis.granted, 300 - 2 * SECOND / INTERVAL, 300 - SECOND / 2 / INTERVAL);
    end();
}

/* ---- with it ---- */

/* As the script does it, without a burst. */
static void reserve(struct worker *worker, int64_t *tat_us)
{
    int64_t slots = worker->redis.wanted < LEASE ? worker->redis.wanted : LEASE;
    int64_t begins_us = *tat_us > now_us ? *tat_us : now_us;
    *tat_us = begins_us + slots * INTERVAL;
    grant(worker, slots, begins_us - now_us, *tat_us - now_us);
}

/* For a while both count, the slots of Redis and the part; slots that come in leases, much faster
 * than the part lets them begin, would mostly be late. */
static void test_after_an_outage_no_slot_is_wasted(void **state)
{
    (void)state;
    static const struct {
        unsigned count, partitions;
        int64_t sees; /* Redis, after it has come back */
    } rows[] = {{1, 1, 1}, {2, 2, 1}, {4, 4, 1}, {4, 0, 1}};
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        unsigned count = rows[row].count;
        int64_t tat_us = 0;
        begin(count, 1, rows[row].partitions);
        for (int64_t until_us = START; until_us < START + 6 * SECOND; until_us += MS) {
            bool is_gone = until_us > START + SECOND && until_us < START + 2 * SECOND;
            if (!is_gone && until_us > START + SECOND)
                redis_sees = rows[row].sees;
            if (until_us == START + 4 * SECOND)
                questions = 0;
            for (unsigned i = 0; i < count; i++) {
                run(&workers[i], until_us);
                if (!workers[i].redis.question)
                    continue;
                if (is_gone)
                    tell_gone(&workers[i]);
                else
                    reserve(&workers[i], &tat_us);
            }
            now_us = until_us;
        }
        assert_in_any_second(100 + 1 + count);
        unsigned used = turns_between(4 * SECOND, 6 * SECOND); /* all have come back before */
        assert_in_range(used, 190, 200);
        assert_in_range(questions, 1, used + count);
        end();
    }
}

static void test_looks_when_news_may_have_passed(void **state)
{
    (void)state;
    begin(1, 1, 1);
    struct worker *worker = &workers[0];
    struct redis_subscription *subscription = worker->subscriber.subscription;
    /* At the start, and whenever the subscription is made anew. */
    for (int i = 0; i < 2; i++) {
        subscription->on_subscribed(subscription);
        assert_non_null(worker->redis.question);
        assert_int_equal(worker->redis.wanted, 0);
        subscription->on_subscribed(subscription); /* one question at a time */
        grant(worker, 0, 0, 0);
    }
    ask(worker);
    tell_gone(worker);
    subscription->on_subscribed(subscription);
    assert_null(worker->redis.question);
    end();
}

static double limit_told(void)
{
    return metric_value(
        metrics_gauge("terra_connect_limit_calls_per_second", "environment=\"acme\"", ""));
}

/* The gauges tell what Redis said last. While nobody calls, it is who looks at them that asks. */
static void test_looks_when_somebody_looks(void **state)
{
    (void)state;
    enum { NEVER_ASKED, BUSY, AWAY, AT_REST };
    static const struct {
        const char *what;
        int before;
        int64_t after_us; /* the last question */
        bool asks;
    } rows[] = {
        {"at the start, before the subscription", NEVER_ASKED, 5 * SECOND, false},
        {"a question is out", BUSY, 5 * SECOND, false},
        {"Redis is away", AWAY, 5 * SECOND, false},
        {"it was asked just now", AT_REST, SECOND - 1, false},
        {"it was not asked for a second", AT_REST, SECOND, true},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        struct worker *worker = &workers[0];
        begin(1, 8, 4);
        assert_true(limit_told() == (double)SECOND / INTERVAL); /* the setting */
        if (rows[row].before != NEVER_ASKED)
            ask(worker);
        if (rows[row].before == AWAY)
            tell_gone(worker);
        if (rows[row].before == AT_REST)
            grant(worker, LEASE, 0, LEASE * INTERVAL);
        questions = 0;
        now_us += rows[row].after_us;
        admission_slots_refresh_metrics(worker->slots, now_us);
        admission_slots_refresh_metrics(worker->slots, now_us); /* one question at a time */
        if (questions != rows[row].asks)
            fail_msg("%s: %u questions", rows[row].what, questions);
        assert_true(!rows[row].asks || worker->redis.wanted == 0);
        end();
    }
}

/* Slots that lie here and may not be used yet are no reason to look again before they may: run()
 * fails where the loop would not rest. */
static void test_rests_while_slots_are_held_back(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        bool was_gone;        /* then this worker's part holds back, too: a slot each 40.6 ms */
        int64_t begins_in_us; /* the first of eight */
        int64_t apart_us;     /* turns, at least */
    } rows[] = {
        {"their time has not come", false, 50 * MS, INTERVAL},
        {"they may be used at once, but for the part", true, -7 * INTERVAL, 4 * INTERVAL},
        {"neither their time nor the part's has come", true, 10 * MS, 4 * INTERVAL},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        struct worker *worker = &workers[0];
        begin(1, 8, 4);
        ask(worker);
        if (rows[row].was_gone) {
            tell_gone(worker);
            run(worker, START + 2 * SECOND); /* asks again before */
        }
        turn_count = 0;
        grant(worker, LEASE, rows[row].begins_in_us, rows[row].begins_in_us + LEASE * INTERVAL);
        run(worker, now_us + SECOND);
        assert_true(turn_count >= 2);
        for (unsigned i = 1; i < turn_count; i++)
            if (turns[i] - turns[i - 1] < rows[row].apart_us)
                fail_msg("%s: turn %u is too early", rows[row].what, i);
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_part_begins_after_granted_slots),
        cmocka_unit_test(test_granted_slots_and_parts_keep_the_bound),
        cmocka_unit_test(test_tells_how_many_slots_were_granted),
        cmocka_unit_test(test_after_an_outage_no_slot_is_wasted),
        cmocka_unit_test(test_looks_when_news_may_have_passed),
        cmocka_unit_test(test_looks_when_somebody_looks),
        cmocka_unit_test(test_rests_while_slots_are_held_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
