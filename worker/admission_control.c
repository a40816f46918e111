/* admission_control: see admission_control.h. */
#include "worker/admission_control.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "admission_control_script.h"
#include "common/clock.h"
#include "worker/gcra.h"

#define REDIS_TIMEOUT_US (2 * CLOCK_US_PER_SECOND)

static const struct redis_script script = {
    .text = admission_control_script_text,
    .sha1 = admission_control_script_sha1,
};

/* The order of the answer of admission_control.lua. */
enum item {
    ITEM_OVERRIDDEN,
    ITEM_CALLS,
    ITEM_PERIOD,
    ITEM_OVERRIDE_BURST,
    ITEM_LEFT_MS,
    ITEM_INTERVAL,
    ITEM_BURST,
    ITEM_PAUSED,
    ITEM_COOLDOWN,
    ITEM_WAITING,
    ITEM_WORKERS,
    ITEM_RESERVED,
    ITEM_USE,
    ITEM_COUNT
};

static bool read_state(struct admission_state *state, const struct redis_answer *answer)
{
    int64_t items[ITEM_COUNT];
    if (answer->kind != REDIS_ARRAY || answer->integer < ITEM_COUNT)
        return false;
    for (size_t i = 0; i < ITEM_COUNT; i++) {
        struct redis_answer item = redis_answer_item(answer, i);
        if (item.kind != REDIS_INTEGER)
            return false;
        items[i] = item.integer;
    }
    *state = (struct admission_state){
        .overridden = items[ITEM_OVERRIDDEN] == 1,
        .override_rate = {.calls = items[ITEM_CALLS], .period_us = items[ITEM_PERIOD]},
        .override_burst = items[ITEM_OVERRIDE_BURST],
        .override_left_us = items[ITEM_LEFT_MS] < 0 ? -1 : items[ITEM_LEFT_MS] * CLOCK_US_PER_MS,
        .interval_us = items[ITEM_INTERVAL],
        .burst = items[ITEM_BURST],
        .paused = items[ITEM_PAUSED] == 1,
        .cooldown_left_us = items[ITEM_COOLDOWN],
        .waiting = items[ITEM_WAITING],
        .workers = items[ITEM_WORKERS],
        .reserved_us = items[ITEM_RESERVED],
        .use_permille = items[ITEM_USE],
    };
    return true;
}

static void on_answer(struct redis_command *command, const struct redis_answer *answer)
{
    struct admission_change *change = command->context;
    struct admission_state state;
    switch (answer->outcome) {
    case REDIS_ANSWERED:
        if (read_state(&state, answer))
            change->on_done(change, &state, NULL);
        else
            change->on_done(change, NULL, "Redis gave an answer that is not understood");
        return;
    case REDIS_ERROR:
        change->on_done(change, NULL, answer->text);
        return;
    case REDIS_TIMEOUT:
        change->on_done(change, NULL, "Redis did not answer in time");
        return;
    case REDIS_UNAVAILABLE:
        change->on_done(change, NULL, "Redis cannot be reached");
        return;
    }
}

static void run(struct admission_change *change, const char *operation, const int64_t numbers[5])
{
    admission_keys_set(&change->keys, change->key_prefix, change->dev_id, 100);
    for (int i = 0; i < 5; i++)
        snprintf(change->numbers[i], sizeof change->numbers[i], "%" PRId64, numbers[i]);
    const char *arguments[] = {change->keys.state, change->keys.override, change->keys.workers,
        change->keys.waiting, change->keys.channel, operation, change->numbers[0],
        change->numbers[1], change->numbers[2], change->numbers[3], change->numbers[4]};
    change->command = (struct redis_command){.on_answer = on_answer, .context = change};
    redis_client_run_script(change->redis, &change->command, REDIS_TIMEOUT_US, &script, 4,
        sizeof arguments / sizeof arguments[0], arguments, NULL);
}

static void run_plain(struct admission_change *change, const char *operation)
{
    run(change, operation, (const int64_t[5]){0});
}

void admission_control_show(struct admission_change *change)
{
    run_plain(change, "show");
}

void admission_control_set(
    struct admission_change *change, const struct rate *rate, int64_t burst, int64_t for_us)
{
    assert(rate->calls > 0 && burst > 0 && for_us >= 0);
    int64_t for_ms = (for_us + CLOCK_US_PER_MS - 1) / CLOCK_US_PER_MS;
    run(change, "set",
        (const int64_t[5]){gcra_interval_us(rate), burst, rate->calls, rate->period_us, for_ms});
}

void admission_control_unset(struct admission_change *change)
{
    run_plain(change, "unset");
}

void admission_control_pause(struct admission_change *change)
{
    run_plain(change, "pause");
}

void admission_control_resume(struct admission_change *change)
{
    run_plain(change, "resume");
}

void admission_control_cool_down(struct admission_change *change, int64_t for_us)
{
    run(change, "cool", (const int64_t[5]){for_us});
}
