/*
 * check_run: what one run of terra-connect check gives to each of its areas: check_kafka,
 * check_redis, check_terra.
 *
 * An area begins when it is made (_new; NULL: there was nothing to begin) and has ended when the
 * loop has run dry; then it is freed. None takes longer than options->timeout_us, but for what the
 * system itself keeps (a name that does not resolve). It adds its lines, on the loop's thread, to a
 * report of its own.
 */
#ifndef WORKER_CHECK_RUN_H
#define WORKER_CHECK_RUN_H

#include <uv.h>

#include "worker/check_options.h"
#include "worker/check_report.h"

/* Clocks that are further apart than this are worth a word: deadlines and the limit count on them,
 * and Terra's expiry times are shown to people. */
#define CHECK_SKEW_MAX_US (5 * INT64_C(1000000))

struct check_run {
    uv_loop_t *loop;
    const struct config *config;
    const struct check_options *options;
    const struct check_needs *needs;
    const struct environments *environments; /* those of Terra */
    int64_t deadline_us;                     /* monotonic */
};

#endif
