/*
 * retry_after: how long an HTTP server asks to be left alone (RFC 9110 §10.2.3). Pure.
 */
#ifndef WORKER_RETRY_AFTER_H
#define WORKER_RETRY_AFTER_H

#include <stdint.h>

#define RETRY_AFTER_SECONDS_MAX 86400

/* The header's value as time from now: seconds (a fraction is rounded up) or an HTTP date (0 when
 * it has passed), a day at most. -1: NULL, or nothing that can be understood. */
int64_t retry_after_us(const char *text, int64_t now_wall_us);

#endif
