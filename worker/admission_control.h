/*
 * admission_control: looks at the shared limit of one credential and changes it while workers run.
 *
 *  - An override wins over what each worker has as its setting, until it ends or is unset. A worker
 *    whose setting is "no limit" does not ask Redis and does not see it.
 *  - A pause lasts until it is resumed, or a week in which no worker asks.
 *  - A cooldown lasts for the given time, or longer where one is under way that does.
 *  - Each of these makes slots that were granted before void. The workers hear of it at once, or,
 *    where the news is lost, with their next question to Redis.
 *
 * Exactly one on_done per change, never inside the call. The change, and the texts it points to,
 * are the caller's and stay until then.
 */
#ifndef WORKER_ADMISSION_CONTROL_H
#define WORKER_ADMISSION_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/redis_client.h"
#include "worker/admission_keys.h"
#include "worker/rate.h"

/* As things are after the change. */
struct admission_state {
    bool overridden;
    struct rate override_rate; /* these three with an override only */
    int64_t override_burst;
    int64_t override_left_us; /* -1: until it is unset */
    /* The limit in force: the override, or the setting of the worker that asked last. The interval
     * has what is kept back in it (gcra.h); 0: none has asked yet. */
    int64_t interval_us, burst;
    bool paused;
    int64_t cooldown_left_us; /* 0: none */
    int64_t waiting;          /* requests, over all live workers, as of their last question */
    int64_t workers;          /* with requests to serve lately */
    int64_t reserved_us;      /* how far ahead slots have been granted */
    int64_t use_permille;     /* of the limit, in the last full ten seconds */
};

struct admission_change {
    /* by the caller */
    struct redis_client *redis;
    const char *key_prefix;
    const char *dev_id; /* of the environment */
    /* problem: NULL, or why it is not known whether the change was made; state is NULL then. */
    void (*on_done)(
        struct admission_change *change, const struct admission_state *state, const char *problem);
    void *context;

    /* private */
    struct redis_command command;
    struct admission_keys keys;
    char numbers[5][24];
};

void admission_control_show(struct admission_change *change);
/* rate: not "no limit"; burst from 1; for_us: 0 means until it is unset. */
void admission_control_set(
    struct admission_change *change, const struct rate *rate, int64_t burst, int64_t for_us);
void admission_control_unset(struct admission_change *change);
void admission_control_pause(struct admission_change *change);
void admission_control_resume(struct admission_change *change);
void admission_control_cool_down(struct admission_change *change, int64_t for_us);

#endif
