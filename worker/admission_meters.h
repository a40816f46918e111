/*
 * admission_meters: what an operator sees of one limit. Part of admission_slots.
 */
#ifndef WORKER_ADMISSION_METERS_H
#define WORKER_ADMISSION_METERS_H

#include "common/metrics.h"
#include "worker/admission_lease.h"

/* Where slots come from. */
enum admission_mode {
    ADMISSION_MODE_REDIS,
    ADMISSION_MODE_STOP,
    ADMISSION_MODE_SHARE,
    ADMISSION_MODE_UNLIMITED,
    ADMISSION_MODE_COUNT
};

enum admission_asked {
    ADMISSION_ASKED_GRANTED,
    ADMISSION_ASKED_NONE,
    ADMISSION_ASKED_FAILED,
    ADMISSION_ASKED_COUNT
};

struct admission_meters {
    struct metric *granted_total, *late_total, *void_total, *cooldowns_total;
    struct metric *asked_total[ADMISSION_ASKED_COUNT];
    struct metric *mode[ADMISSION_MODE_COUNT];
    struct metric *limit, *overridden, *paused, *workers, *use;
};

/* interval_us: of the setting, which counts until Redis says otherwise; 0: no limit. */
void admission_meters_init(
    struct admission_meters *meters, const char *environment, int64_t interval_us);
void admission_meters_set_mode(struct admission_meters *meters, enum admission_mode mode);
/* What Redis said. */
void admission_meters_see(struct admission_meters *meters, const struct admission_grant *grant);

const char *admission_mode_name(enum admission_mode mode);

#endif
