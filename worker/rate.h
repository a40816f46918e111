/*
 * rate: "10/s", "600/m", "5000/h" as a number of calls in a period. Pure.
 */
#ifndef WORKER_RATE_H
#define WORKER_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rate {
    int64_t calls; /* 0: no limit */
    int64_t period_us;
};

/* Microseconds between two calls at this rate, rounded up so that the limit is never exceeded; 0:
 * no limit. 10/s -> 100000, 7/s -> 142858. */
int64_t rate_interval_us(const struct rate *rate);

#define RATE_CALLS_MAX 1000000

/* False when the text is not N/s, N/m or N/h with N from 1 to RATE_CALLS_MAX, or 0; "0/s" is
 * refused, since it reads as "no calls". *rate is then no limit. */
bool rate_parse(const char *text, struct rate *rate);

/* In the same form; cut at size. */
void rate_print(const struct rate *rate, char *text, size_t size);

#endif
