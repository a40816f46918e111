/*
 * backoff: how long to wait before attempt n. Pure: the randomness is an argument.
 *
 * Full jitter: a uniform choice between 0 and min(maximum, base * 2^(attempt - 1)), so that many
 * callers that failed together do not come back together.
 *
 *   base 500 ms, maximum 8 s:  after attempt 1: 0..500 ms, 2: 0..1 s, 3: 0..2 s, … 6 and on: 0..8 s
 */
#ifndef COMMON_BACKOFF_H
#define COMMON_BACKOFF_H

#include <stdint.h>

struct backoff {
    int64_t base_us;
    int64_t maximum_us;
};

/* attempt: how many have failed so far, from 1. random: any 64 random bits. */
int64_t backoff_delay_us(const struct backoff *backoff, unsigned attempt, uint64_t random);

/* 64 bits that differ between processes; not for secrets. */
uint64_t backoff_random(void);

#endif
