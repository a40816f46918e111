/* admission_meters: see admission_meters.h. */
#include "worker/admission_meters.h"

#include <stdio.h>

#include "common/clock.h"

static const char *const mode_names[ADMISSION_MODE_COUNT] = {
    [ADMISSION_MODE_REDIS] = "redis",
    [ADMISSION_MODE_STOP] = "stop",
    [ADMISSION_MODE_SHARE] = "share",
    [ADMISSION_MODE_UNLIMITED] = "unlimited",
};

static const char *const asked_names[ADMISSION_ASKED_COUNT] = {
    [ADMISSION_ASKED_GRANTED] = "granted",
    [ADMISSION_ASKED_NONE] = "none",
    [ADMISSION_ASKED_FAILED] = "failed",
};

const char *admission_mode_name(enum admission_mode mode)
{
    return mode_names[mode];
}

static void init_families(struct admission_meters *meters, const char *environment)
{
    char labels[160];
    for (int i = 0; i < ADMISSION_ASKED_COUNT; i++) {
        snprintf(labels, sizeof labels, "environment=\"%s\",outcome=\"%s\"", environment,
            asked_names[i]);
        meters->asked_total[i] = metrics_counter("terra_connect_limit_redis_calls_total", labels,
            "Questions to Redis for slots under the shared limit, by what came of them.");
    }
    for (int i = 0; i < ADMISSION_MODE_COUNT; i++) {
        snprintf(
            labels, sizeof labels, "environment=\"%s\",mode=\"%s\"", environment, mode_names[i]);
        meters->mode[i] = metrics_gauge("terra_connect_limit_mode", labels,
            "1 for where the limit is kept now: redis, or what LIMIT_WITHOUT_REDIS says.");
    }
}

static void set_limit(struct admission_meters *meters, int64_t interval_us)
{
    metric_set(
        meters->limit, interval_us > 0 ? (double)CLOCK_US_PER_SECOND / (double)interval_us : 0);
}

void admission_meters_init(
    struct admission_meters *meters, const char *environment, int64_t interval_us)
{
    char labels[160];
    init_families(meters, environment);
    snprintf(labels, sizeof labels, "environment=\"%s\"", environment);
    meters->granted_total = metrics_counter(
        "terra_connect_limit_slots_granted_total", labels, "Slots that Redis granted this worker.");
    static const char dropped[] =
        "Slots that were not used: late when their time had passed, void when the limit, a pause "
        "or a cooldown had come in between.";
    char reasons[192];
    snprintf(reasons, sizeof reasons, "%s,reason=\"late\"", labels);
    meters->late_total =
        metrics_counter("terra_connect_limit_slots_dropped_total", reasons, dropped);
    snprintf(reasons, sizeof reasons, "%s,reason=\"void\"", labels);
    meters->void_total =
        metrics_counter("terra_connect_limit_slots_dropped_total", reasons, dropped);
    meters->cooldowns_total = metrics_counter("terra_connect_limit_cooldowns_total", labels,
        "Times that an answer of Terra to this worker began a pause of all workers.");
    meters->limit = metrics_gauge("terra_connect_limit_calls_per_second", labels,
        "The limit in force, less the 1.5 per cent that is kept back; 0: no limit.");
    meters->overridden = metrics_gauge("terra_connect_limit_overridden", labels,
        "1 while a limit set by terra-connect limit wins over the setting.");
    meters->paused = metrics_gauge("terra_connect_limit_paused", labels,
        "1 while the limit is paused by terra-connect limit.");
    meters->workers = metrics_gauge("terra_connect_limit_workers", labels,
        "Workers with requests to serve that share the limit, as Redis sees them.");
    meters->use = metrics_gauge("terra_connect_limit_use_ratio", labels,
        "Part of the limit that the fleet used in the last full ten seconds, 0 to 1.");
    set_limit(meters, interval_us);
}

void admission_meters_set_mode(struct admission_meters *meters, enum admission_mode mode)
{
    for (int i = 0; i < ADMISSION_MODE_COUNT; i++)
        metric_set(meters->mode[i], i == (int)mode);
}

void admission_meters_see(struct admission_meters *meters, const struct admission_grant *grant)
{
    set_limit(meters, grant->interval_us);
    metric_set(meters->overridden, (double)grant->overridden);
    metric_set(meters->paused, (double)grant->paused);
    metric_set(meters->workers, (double)grant->workers);
    metric_set(meters->use, (double)grant->use_permille / 1000);
}
