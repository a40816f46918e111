/*
 * time_option: a point or a span of time as people give it on a command line. Pure.
 *
 *   10m, 90s, 2h, 7d            so long ago
 *   2026-11-21T07:04:32Z        RFC 3339
 */
#ifndef WORKER_TIME_OPTION_H
#define WORKER_TIME_OPTION_H

#include <stdbool.h>
#include <stdint.h>

/* For messages. */
#define TIME_OPTION_FORMS "such as 10m, 2h, 7d or 2026-11-21T07:04:32Z"

/* False when it is neither, or before 1970. */
bool time_option_parse(const char *text, int64_t now_wall_us, int64_t *wall_us);

#define TIME_OPTION_SPAN_FORMS "such as 90s, 10m, 2h or 7d"

/* So long; at most a million of the unit. */
bool time_option_parse_span(const char *text, int64_t *span_us);

#endif
