/* time_option: see time_option.h. */
#include "worker/time_option.h"

#include <string.h>

#include "common/clock.h"

#define AMOUNT_MAX 1000000

static int64_t unit_us(const char *unit)
{
    static const struct {
        const char *unit;
        int64_t seconds;
    } units[] = {{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(units[i].unit, unit) == 0)
            return units[i].seconds * CLOCK_US_PER_SECOND;
    return 0;
}

bool time_option_parse_span(const char *text, int64_t *span_us)
{
    int64_t amount = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9' && amount <= AMOUNT_MAX; at++)
        amount = amount * 10 + (*at - '0');
    int64_t unit = unit_us(at);
    if (at == text || amount > AMOUNT_MAX || unit == 0)
        return false;
    *span_us = amount * unit;
    return true;
}

bool time_option_parse(const char *text, int64_t now_wall_us, int64_t *wall_us)
{
    int64_t span_us;
    if (!clock_parse_rfc3339(text, wall_us)) {
        if (!time_option_parse_span(text, &span_us))
            return false;
        *wall_us = now_wall_us - span_us;
    }
    return *wall_us >= 0;
}
