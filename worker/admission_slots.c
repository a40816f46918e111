/*
 * admission_slots: see admission_slots.h.
 *
 * Three things can hold the next slot back, and the latest of them counts: the slots in hand (or
 * the local limit where Redis is away), the local limit beside them for a while after Redis has
 * come back, and a cooldown.
 */
#include "worker/admission_slots.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admission_script.h"
#include "common/backoff.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/redis_client.h"
#include "worker/admission_control.h"
#include "worker/admission_keys.h"
#include "worker/admission_lease.h"
#include "worker/admission_meters.h"
#include "worker/gcra.h"

/* A person waits: a Redis slower than this is as good as away. */
#define REDIS_TIMEOUT_US (500 * CLOCK_US_PER_MS)
#define GATHER_US (20 * CLOCK_US_PER_MS)
#define PROBE_US CLOCK_US_PER_SECOND
#define LOOK_US CLOCK_US_PER_SECOND
#define COOLDOWN_UNSAID_US CLOCK_US_PER_SECOND
/* Calls that were under way when Terra had enough each say so; not each is a new cooldown. */
#define COOLDOWN_SAME_US (100 * CLOCK_US_PER_MS)
/* For so long it is worth telling what Redis granted: it may still be in somebody's hand. */
#define ANSWER_WORTH_US (3600 * CLOCK_US_PER_SECOND)

static const struct redis_script script = {
    .text = admission_script_text,
    .sha1 = admission_script_sha1,
};

/* The numbers among the script's arguments, as text that lives until it has answered. */
enum argument {
    ARGUMENT_WANTED,
    ARGUMENT_WAITING,
    ARGUMENT_INTERVAL,
    ARGUMENT_BURST,
    ARGUMENT_SHARE,
    ARGUMENT_GRANTED,
    ARGUMENT_COUNT
};

struct admission_slots {
    struct admission_slots_options options;
    struct admission_keys keys;
    struct admission_meters meters;
    char worker[24]; /* this acquirer's name in Redis */
    int64_t setting_interval_us;

    /* What Redis granted and said last. */
    struct admission_lease lease;
    int64_t answered_us; /* 0: never */
    bool away;           /* the last call failed; always true where there is no Redis */
    int64_t granted_us;  /* while away: until then slots have been granted, to whomever it be */
    int64_t return_us;   /* until then the local limit counts beside the slots of Redis */

    /* The question to Redis. */
    bool asking;
    int64_t asked_us, ask_not_before_us;
    struct redis_command command;
    char arguments[ARGUMENT_COUNT][24];
    struct redis_subscription subscription;

    int64_t cooling_until_us;
    int64_t cooldown_unsent_us; /* until then; 0: Redis knows */
    bool telling_cooldown;
    struct admission_change cooldown;

    /* The part of the limit that is this worker's own. */
    struct gcra local;
    unsigned own, all;
    unsigned workers; /* that Redis saw before it went; 1: it never answered */
};

/* ---- without Redis ---- */

static bool limit_is_set(const struct admission_slots *slots)
{
    return slots->setting_interval_us > 0;
}

static int64_t latest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Until the topic's partitions are known, the workers that Redis has seen stand for all of them,
 * and this one is one. */
static void set_local_limit(struct admission_slots *slots)
{
    int64_t own = slots->all > 0 && slots->own > 0 ? slots->own : 1;
    int64_t all = slots->all > 0 ? slots->all : slots->workers;
    int64_t percent = slots->options.share;
    if (all < own)
        all = own;
    int64_t burst = slots->lease.burst * own * percent / (all * 100);
    int64_t interval_us =
        (slots->lease.interval_us * all * 100 + own * percent - 1) / (own * percent);
    gcra_set(&slots->local, interval_us, burst > 1 ? burst : 1);
}

static enum admission_mode mode_of(const struct admission_slots *slots)
{
    static const enum admission_mode modes[] = {
        [ADMISSION_STOP] = ADMISSION_MODE_STOP,
        [ADMISSION_SHARE] = ADMISSION_MODE_SHARE,
        [ADMISSION_UNLIMITED] = ADMISSION_MODE_UNLIMITED,
    };
    if (!slots->away)
        return ADMISSION_MODE_REDIS;
    /* Without any Redis there is nothing that could end a stop. */
    return slots->options.redis ? modes[slots->options.without_redis] : ADMISSION_MODE_SHARE;
}

/* The local limit counts, alone or beside the slots of Redis. */
static bool counts_locally(const struct admission_slots *slots, int64_t now_us)
{
    return slots->away ? mode_of(slots) == ADMISSION_MODE_SHARE : now_us < slots->return_us;
}

/* Until when slots have been granted, to this worker and the others: as far ahead as they reached
 * when Redis last answered. */
static int64_t granted_until_us(const struct admission_slots *slots, int64_t now_us)
{
    if (slots->away)
        return slots->granted_us;
    int64_t ahead_us = latest(slots->lease.next_us - slots->answered_us, 0);
    return latest(now_us + ahead_us, admission_lease_end_us(&slots->lease));
}

static void go_away(struct admission_slots *slots, const char *reason)
{
    int64_t now_us = clock_monotonic_us();
    slots->ask_not_before_us =
        now_us + PROBE_US * 3 / 4 + (int64_t)(backoff_random() % (PROBE_US / 2));
    if (slots->away) {
        /* So that it is asked then, also where nobody waits. */
        slots->options.on_change(slots->options.context, false);
        return;
    }
    slots->granted_us = granted_until_us(slots, now_us);
    slots->away = true;
    set_local_limit(slots);
    gcra_start_anew(&slots->local, slots->granted_us); /* those come first */
    admission_meters_set_mode(&slots->meters, mode_of(slots));
    slots->options.on_redis(slots->options.context, reason);
    slots->options.on_change(slots->options.context, true);
}

static void come_back(struct admission_slots *slots, int64_t now_us)
{
    if (!slots->away)
        return;
    slots->away = false;
    if (slots->options.without_redis == ADMISSION_SHARE)
        slots->return_us = now_us + ADMISSION_RETURN_US;
    admission_meters_set_mode(&slots->meters, ADMISSION_MODE_REDIS);
    slots->options.on_redis(slots->options.context, NULL);
}

/* ---- slots ---- */

static void void_slots(struct admission_slots *slots)
{
    metric_add(slots->meters.void_total, admission_lease_void(&slots->lease));
}

int64_t admission_slots_next_us(const struct admission_slots *slots, int64_t now_us)
{
    int64_t next_us = now_us;
    if (!limit_is_set(slots))
        return latest(now_us, slots->cooling_until_us);
    if (slots->lease.count > 0)
        next_us = admission_lease_begins_us(&slots->lease, 0);
    else if (!slots->away || mode_of(slots) == ADMISSION_MODE_STOP)
        return ADMISSION_NEVER_US;
    if (counts_locally(slots, now_us) && !(slots->away && slots->lease.count > 0))
        next_us = latest(next_us, gcra_slot_us(&slots->local, now_us, 0));
    return latest(latest(next_us, now_us), slots->cooling_until_us);
}

bool admission_slots_take(struct admission_slots *slots, int64_t now_us)
{
    metric_add(slots->meters.late_total, admission_lease_drop_late(&slots->lease, now_us));
    if (admission_slots_next_us(slots, now_us) > now_us)
        return false;
    bool in_hand = slots->lease.count > 0;
    if (in_hand)
        admission_lease_take(&slots->lease);
    if (counts_locally(slots, now_us) && !(slots->away && in_hand))
        gcra_take(&slots->local, now_us);
    return true;
}

int64_t admission_slots_estimate_us(
    const struct admission_slots *slots, int64_t now_us, unsigned ahead)
{
    int64_t starts_us = now_us;
    unsigned in_hand = slots->lease.count;
    if (limit_is_set(slots)) {
        if (ahead < in_hand)
            starts_us = admission_lease_begins_us(&slots->lease, ahead);
        else if (!slots->away && !slots->lease.paused)
            starts_us = admission_lease_guess_us(&slots->lease, now_us, ahead - in_hand);
        if (counts_locally(slots, now_us) && ahead >= in_hand)
            starts_us = latest(starts_us, gcra_slot_us(&slots->local, now_us, ahead - in_hand));
    }
    return latest(latest(starts_us, now_us), slots->cooling_until_us);
}

bool admission_slots_stand_still(const struct admission_slots *slots)
{
    return limit_is_set(slots) &&
           (slots->away ? mode_of(slots) == ADMISSION_MODE_STOP : slots->lease.paused);
}

/* ---- the question to Redis ---- */

static const char *reason_of(const struct redis_answer *answer)
{
    switch (answer->outcome) {
    case REDIS_ERROR:
        return answer->text;
    case REDIS_TIMEOUT:
        return "no answer in time";
    case REDIS_UNAVAILABLE:
        return "not connected";
    default:
        return "an answer that is not understood; do the workers and the Redis belong together?";
    }
}

static void take_answer(struct admission_slots *slots, const struct redis_answer *answer)
{
    int64_t now_us = clock_monotonic_us();
    struct admission_grant grant;
    if (answer->outcome != REDIS_ANSWERED || !admission_grant_read(&grant, answer)) {
        metric_add(slots->meters.asked_total[ADMISSION_ASKED_FAILED], 1);
        go_away(slots, reason_of(answer));
        return;
    }
    metric_add(
        slots->meters.asked_total[grant.slots > 0 ? ADMISSION_ASKED_GRANTED : ADMISSION_ASKED_NONE],
        1);
    metric_add(slots->meters.granted_total, (double)grant.slots);
    bool worse = !slots->lease.paused && grant.paused;
    metric_add(slots->meters.void_total,
        admission_lease_add(&slots->lease, &grant, slots->asked_us, now_us));
    if (grant.cooldown_in_us > 0) {
        worse = worse || slots->cooling_until_us < now_us;
        slots->cooling_until_us = latest(slots->cooling_until_us, now_us + grant.cooldown_in_us);
    }
    slots->answered_us = now_us;
    slots->ask_not_before_us = now_us + grant.ask_in_us;
    admission_meters_see(&slots->meters, &grant);
    if (!counts_locally(slots, now_us)) /* else not all may be back yet */
        slots->workers = slots->lease.workers;
    set_local_limit(slots);
    come_back(slots, now_us);
    slots->options.on_change(slots->options.context, worse);
}

static void on_answer(struct redis_command *command, const struct redis_answer *answer)
{
    struct admission_slots *slots = command->context;
    slots->asking = false;
    take_answer(slots, answer);
}

static void set_argument(struct admission_slots *slots, enum argument argument, int64_t value)
{
    snprintf(slots->arguments[argument], sizeof slots->arguments[argument], "%" PRId64, value);
}

/* Where the local limit counts, too, no slot is asked for that it would not let begin before the
 * slot is late. From when on the one behind those in hand and so many others is none of these. */
static int64_t pace_us(const struct admission_slots *slots, int64_t now_us, unsigned behind)
{
    return gcra_slot_us(&slots->local, now_us, slots->lease.count + behind) -
           admission_lease_life_us(&slots->lease);
}

/* How many of those wanted are none. */
static unsigned pace(const struct admission_slots *slots, int64_t now_us, unsigned wanted)
{
    unsigned usable = 0;
    while (usable < wanted && pace_us(slots, now_us, usable) <= now_us)
        usable++;
    return usable;
}

/* For a Redis that has forgotten it. */
static int64_t known_granted(const struct admission_slots *slots, int64_t now_us)
{
    if (slots->answered_us == 0 || now_us - slots->answered_us >= ANSWER_WORTH_US)
        return -1;
    int64_t ahead_us = latest(granted_until_us(slots, now_us) - now_us, 0);
    return (ahead_us + slots->lease.interval_us - 1) / slots->lease.interval_us;
}

static void send_question(
    struct admission_slots *slots, int64_t now_us, unsigned wanted, unsigned waiting)
{
    set_argument(slots, ARGUMENT_WANTED, wanted);
    set_argument(slots, ARGUMENT_WAITING, waiting);
    set_argument(slots, ARGUMENT_GRANTED, known_granted(slots, now_us));
    const struct admission_keys *keys = &slots->keys;
    const char *arguments[] = {keys->state, keys->override, keys->workers, keys->waiting,
        keys->share_workers, slots->worker, slots->arguments[ARGUMENT_WANTED],
        slots->arguments[ARGUMENT_WAITING], slots->arguments[ARGUMENT_INTERVAL],
        slots->arguments[ARGUMENT_BURST], slots->arguments[ARGUMENT_SHARE],
        slots->arguments[ARGUMENT_GRANTED], keys->channel};
    slots->asking = true;
    slots->asked_us = now_us;
    slots->command = (struct redis_command){.on_answer = on_answer, .context = slots};
    redis_client_run_script(slots->options.redis, &slots->command, REDIS_TIMEOUT_US, &script, 5,
        sizeof arguments / sizeof arguments[0], arguments, NULL);
}

int64_t admission_slots_ask(
    struct admission_slots *slots, int64_t now_us, unsigned waiting, unsigned permits)
{
    if (!limit_is_set(slots) || !slots->options.redis || slots->asking)
        return ADMISSION_NEVER_US;
    metric_add(slots->meters.late_total, admission_lease_drop_late(&slots->lease, now_us));
    unsigned usable = waiting < permits ? waiting : permits;
    unsigned wanted = usable > slots->lease.count ? usable - slots->lease.count : 0;
    /* A small share in a busy fleet holds many slots, all far ahead; the script paces it. */
    bool has_share = slots->lease.share_interval_us > 0;
    unsigned low_water = has_share ? ADMISSION_LEASE_SLOTS_MAX : slots->lease.size / 2;
    int64_t ask_us = slots->ask_not_before_us;
    bool paced = counts_locally(slots, now_us);
    if (!slots->away) {
        if (wanted == 0)
            return ADMISSION_NEVER_US; /* until somebody comes, or a call ends */
        if (slots->lease.count > low_water) {
            unsigned index = slots->lease.count - low_water - 1;
            /* It has begun and is still here where the local limit holds it back. */
            return latest(admission_lease_begins_us(&slots->lease, index) + 1,
                admission_slots_next_us(slots, now_us));
        }
        if (permits < waiting && wanted <= low_water)
            ask_us = latest(ask_us, slots->asked_us + GATHER_US);
        if (paced)
            ask_us = latest(ask_us, pace_us(slots, now_us, 0));
    }
    if (ask_us > now_us)
        return ask_us;
    if (wanted > ADMISSION_LEASE_SLOTS_MAX)
        wanted = ADMISSION_LEASE_SLOTS_MAX;
    if (paced)
        wanted = pace(slots, now_us, wanted);
    send_question(slots, now_us, wanted, waiting);
    return ADMISSION_NEVER_US;
}

/* ---- news ---- */

static void on_message(struct redis_subscription *subscription, const char *text, size_t size)
{
    (void)size;
    struct admission_slots *slots = subscription->context;
    int64_t epoch = strtoll(text, NULL, 10);
    if (epoch <= slots->lease.epoch)
        return; /* an answer was faster */
    void_slots(slots);
    if (slots->asking)
        slots->lease.epoch_awaited = epoch; /* the answer may be from before */
    slots->ask_not_before_us = 0;
    slots->options.on_change(slots->options.context, false);
}

/* News may have passed meanwhile: the next slot is not used before Redis was asked. And at the
 * start it is good to know how its clock stands before much comes at once. */
static void on_subscribed(struct redis_subscription *subscription)
{
    struct admission_slots *slots = subscription->context;
    if (!slots->asking && !slots->away)
        send_question(slots, clock_monotonic_us(), 0, 0);
}

/* ---- Terra has had enough ---- */

static void send_cooldown(struct admission_slots *slots, int64_t now_us);

static void on_cooldown_told(
    struct admission_change *change, const struct admission_state *state, const char *problem)
{
    (void)state;
    struct admission_slots *slots = change->context;
    slots->telling_cooldown = false;
    if (!problem)
        send_cooldown(slots, clock_monotonic_us());
    else
        slots->cooldown_unsent_us = 0; /* others will find out from Terra */
}

/* One at a time; what comes meanwhile goes together in the next. */
static void send_cooldown(struct admission_slots *slots, int64_t now_us)
{
    if (slots->telling_cooldown || slots->cooldown_unsent_us <= now_us)
        return;
    slots->telling_cooldown = true;
    slots->cooldown = (struct admission_change){
        .redis = slots->options.redis,
        .key_prefix = slots->options.key_prefix,
        .dev_id = slots->options.environment->dev_id,
        .on_done = on_cooldown_told,
        .context = slots,
    };
    admission_control_cool_down(&slots->cooldown, slots->cooldown_unsent_us - now_us);
    slots->cooldown_unsent_us = 0;
}

void admission_slots_cool_down(
    struct admission_slots *slots, int64_t now_us, int64_t retry_after_us)
{
    int64_t pause_us = retry_after_us >= 0 ? retry_after_us : COOLDOWN_UNSAID_US;
    if (pause_us > slots->options.cooldown_max_us)
        pause_us = slots->options.cooldown_max_us;
    int64_t until_us = now_us + pause_us;
    if (pause_us == 0 || until_us <= slots->cooling_until_us + COOLDOWN_SAME_US)
        return;
    if (slots->cooling_until_us <= now_us) {
        metric_add(slots->meters.cooldowns_total, 1);
        log_warn("admission", "Terra wants fewer calls, all workers wait",
            LOG_TEXT("environment", slots->options.environment->name),
            LOG_INT("milliseconds", pause_us / CLOCK_US_PER_MS));
    }
    slots->cooling_until_us = until_us;
    void_slots(slots);
    gcra_start_anew(&slots->local, until_us);
    if (slots->options.redis && limit_is_set(slots)) {
        slots->cooldown_unsent_us = until_us;
        send_cooldown(slots, now_us);
    }
}

void admission_slots_set_fraction(struct admission_slots *slots, unsigned own, unsigned all)
{
    slots->own = own;
    slots->all = all;
    set_local_limit(slots);
    static struct log_limit limit;
    if (!slots->options.redis && limit_is_set(slots) && all > own)
        log_limited(&limit, 60000, LOG_LEVEL_ERROR, "admission",
            "no REDIS_URL, and part of the topic is read by other workers: each keeps to its part "
            "of the limit",
            LOG_INT("partitions", own), LOG_INT("of", all),
            LOG_TEXT("advice", "set REDIS_URL, or run one worker"));
}

/* ---- for who looks from outside ---- */

void admission_slots_refresh_metrics(struct admission_slots *slots, int64_t now_us)
{
    /* It is asked anyhow at the start, by on_subscribed, and while it is away. */
    bool at_rest = slots->answered_us > 0 && !slots->away && !slots->asking;
    if (at_rest && now_us - slots->asked_us >= LOOK_US)
        send_question(slots, now_us, 0, 0);
}

/* ---- life cycle ---- */

struct admission_slots *admission_slots_new(const struct admission_slots_options *options)
{
    const struct environment *environment = options->environment;
    struct admission_slots *slots = memory_new(sizeof *slots);
    slots->options = *options;
    slots->setting_interval_us = gcra_interval_us(&environment->rate);
    slots->away = !options->redis;
    slots->workers = 1;
    admission_lease_init(&slots->lease, slots->setting_interval_us, environment->burst,
        options->redis && limit_is_set(slots));
    if (options->redis)
        admission_keys_set(&slots->keys, options->key_prefix, environment->dev_id, options->share);
    admission_meters_init(&slots->meters, environment->name, slots->setting_interval_us);
    admission_meters_set_mode(
        &slots->meters, limit_is_set(slots) ? mode_of(slots) : ADMISSION_MODE_UNLIMITED);
    set_local_limit(slots);
    snprintf(slots->worker, sizeof slots->worker, "%016" PRIx64, backoff_random());
    set_argument(slots, ARGUMENT_INTERVAL, slots->setting_interval_us);
    set_argument(slots, ARGUMENT_BURST, environment->burst);
    set_argument(slots, ARGUMENT_SHARE, options->share);
    if (options->subscriber && limit_is_set(slots)) {
        slots->subscription = (struct redis_subscription){
            .channel = slots->keys.channel,
            .on_subscribed = on_subscribed,
            .on_message = on_message,
            .context = slots,
        };
        redis_subscriber_add(options->subscriber, &slots->subscription);
    }
    return slots;
}

void admission_slots_free(struct admission_slots *slots)
{
    if (!slots)
        return;
    assert(!slots->asking && !slots->telling_cooldown);
    admission_lease_release(&slots->lease);
    free(slots);
}
