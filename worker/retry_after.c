/* retry_after: see retry_after.h. */
#include "worker/retry_after.h"

#include <stdbool.h>

#include "common/clock.h"

static const char digits[] = "0123456789";

/* False when it is no number of seconds. */
static bool parse_seconds(const char *text, int64_t *seconds)
{
    *seconds = 0;
    for (; *text >= '0' && *text <= '9'; text++)
        if (*seconds < RETRY_AFTER_SECONDS_MAX)
            *seconds = *seconds * 10 + (*text - '0');
    if (*text == '.') {
        text++;
        *seconds += strspn(text, "0") < strspn(text, digits);
        text += strspn(text, digits);
    }
    return text[strspn(text, " \t")] == '\0';
}

int64_t retry_after_us(const char *text, int64_t now_wall_us)
{
    const int64_t most_us = RETRY_AFTER_SECONDS_MAX * CLOCK_US_PER_SECOND;
    int64_t wait_us, seconds, date_us;
    if (!text)
        return -1;
    text += strspn(text, " \t");
    if (*text >= '0' && *text <= '9') {
        if (!parse_seconds(text, &seconds))
            return -1;
        wait_us = seconds * CLOCK_US_PER_SECOND;
    } else {
        if (!clock_parse_http_date(text, &date_us))
            return -1;
        wait_us = date_us > now_wall_us ? date_us - now_wall_us : 0;
    }
    return wait_us < most_us ? wait_us : most_us;
}
