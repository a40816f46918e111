/* rate: see rate.h. */
#include "worker/rate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"

int64_t rate_interval_us(const struct rate *rate)
{
    return rate->calls > 0 ? (rate->period_us + rate->calls - 1) / rate->calls : 0;
}

/* 0: no such unit. */
static int64_t period_of(const char *unit)
{
    if (strcmp(unit, "s") == 0)
        return CLOCK_US_PER_SECOND;
    if (strcmp(unit, "m") == 0)
        return 60 * CLOCK_US_PER_SECOND;
    if (strcmp(unit, "h") == 0)
        return 3600 * CLOCK_US_PER_SECOND;
    return 0;
}

bool rate_parse(const char *text, struct rate *rate)
{
    *rate = (struct rate){.calls = 0, .period_us = CLOCK_US_PER_SECOND};
    if (strcmp(text, "0") == 0)
        return true;
    int64_t calls = 0;
    for (; *text >= '0' && *text <= '9' && calls <= RATE_CALLS_MAX; text++)
        calls = calls * 10 + (*text - '0');
    int64_t period_us = *text == '/' ? period_of(text + 1) : 0;
    if (calls < 1 || calls > RATE_CALLS_MAX || !period_us)
        return false;
    *rate = (struct rate){.calls = calls, .period_us = period_us};
    return true;
}

void rate_print(const struct rate *rate, char *text, size_t size)
{
    const char *unit = rate->period_us == CLOCK_US_PER_SECOND        ? "s"
                       : rate->period_us == 60 * CLOCK_US_PER_SECOND ? "m"
                                                                     : "h";
    if (rate->calls == 0)
        snprintf(text, size, "0");
    else
        snprintf(text, size, "%" PRId64 "/%s", rate->calls, unit);
}
