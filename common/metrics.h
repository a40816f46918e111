/*
 * metrics: counters, gauges and histograms, and their Prometheus text.
 *
 * A metric is registered once, at start, by the module that counts, and lives as long as the
 * process; the pointer that registration gives back is the fast path (an addition, no lookup).
 * Registering the same name with the same labels again gives the same metric. Labels are few and
 * fixed: never an id, a topic from outside or an error text.
 *
 * One thread. Names follow Prometheus: terra_connect_<what>_<unit>[_total],
 * base units (seconds, bytes).
 */
#ifndef COMMON_METRICS_H
#define COMMON_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

struct metric;

/* labels: Prometheus label text without braces, such as `code="rate_limited"`, or NULL. */
struct metric *metrics_counter(const char *name, const char *labels, const char *help);
struct metric *metrics_gauge(const char *name, const char *labels, const char *help);
/* bounds: ascending upper bounds in the metric's unit; the +Inf bucket is implied. Must outlive. */
struct metric *metrics_histogram(const char *name, const char *labels, const char *help,
    const double *bounds, size_t bound_count);

void metric_add(struct metric *metric, double amount);    /* counter, gauge */
void metric_set(struct metric *metric, double value);     /* gauge */
void metric_observe(struct metric *metric, double value); /* histogram */
double metric_value(const struct metric *metric);         /* counter, gauge; a histogram's count */

/* Upper bounds for durations in seconds, 1 ms to ten minutes: as long as Terra's pointers live. */
extern const double metrics_seconds_bounds[];
extern const size_t metrics_seconds_bound_count;

/* All metrics in the Prometheus text exposition format 0.0.4, families in order of registration. */
void metrics_print(struct buf *buf);
/* Forgets everything; for tests. */
void metrics_reset(void);

#endif
