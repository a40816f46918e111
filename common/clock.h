/*
 * clock: monotonic and wall time in microseconds. Nothing else in the project reads the time of
 * day, so a test that sets its own clock controls all of it.
 *
 * Durations and deadlines are monotonic; timestamps that leave the process (headers, replies,
 * record timestamps) are wall time since 1970-01-01 UTC.
 */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define CLOCK_US_PER_MS INT64_C(1000)
#define CLOCK_US_PER_SECOND INT64_C(1000000)

int64_t clock_monotonic_us(void);
int64_t clock_wall_us(void);

/* A test's own clock; NULL for both puts the real one back. */
void clock_set_source(int64_t (*monotonic_us)(void), int64_t (*wall_us)(void));

/* RFC 3339 in UTC with milliseconds, "2026-11-21T07:04:32.123Z", as CloudEvents' ce_time wants it.
 * Times outside the years 0000 to 9999, which it cannot write, become the nearest it can. */
#define CLOCK_RFC3339_SIZE 32
void clock_format_rfc3339(int64_t wall_us, char text[CLOCK_RFC3339_SIZE]);
/* "2026-11-21T07:04:32Z", with any fraction of a second and any offset ("+01:00") in place of the
 * Z; a blank in place of the T is fine too. Returns 0 on anything else, else 1. */
int clock_parse_rfc3339(const char *text, int64_t *wall_us);

/* The three HTTP date forms of RFC 9110 §5.6.7; returns 0 on anything else, without a guess (a day
 * that does not exist, a day of the week that is not that date's), else 1. */
int clock_parse_http_date(const char *text, int64_t *wall_us);

#endif
