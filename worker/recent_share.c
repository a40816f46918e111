/* recent_share: see recent_share.h. */
#include "worker/recent_share.h"

static void begin_window(struct recent_share *share, int64_t now_us)
{
    share->before = share->now;
    share->now = (struct recent_window){0};
    share->begun_us = now_us;
}

static void age(struct recent_share *share, int64_t now_us)
{
    int64_t age_us = now_us - share->begun_us;
    if (age_us >= RECENT_SHARE_WINDOW_US)
        begin_window(share, now_us);
    if (age_us >= 2 * RECENT_SHARE_WINDOW_US)
        begin_window(share, now_us); /* what was the last window is too old as well */
}

bool recent_share_add(struct recent_share *share, bool counting, int64_t now_us)
{
    age(share, now_us);
    share->now.count++;
    share->now.counting += counting;
    if (share->now.count < RECENT_SHARE_COUNT)
        return false;
    begin_window(share, now_us);
    return true;
}

double recent_share_ratio(struct recent_share *share, int64_t now_us)
{
    age(share, now_us);
    unsigned count = share->now.count + share->before.count;
    return count > 0 ? (double)(share->now.counting + share->before.counting) / count : 0;
}
