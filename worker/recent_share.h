/*
 * recent_share: which part of what came lately was of one kind. Pure: the time is an argument.
 *
 * Counted in two windows, the one that fills and the one before it. A window ends with
 * RECENT_SHARE_COUNT things or after RECENT_SHARE_WINDOW_US, whichever is sooner; so under load the
 * last one to two thousand count, and what is older than 20 minutes does not.
 */
#ifndef WORKER_RECENT_SHARE_H
#define WORKER_RECENT_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#define RECENT_SHARE_COUNT 1000
#define RECENT_SHARE_WINDOW_US (600 * INT64_C(1000000))

struct recent_window {
    unsigned count;
    unsigned counting; /* of the kind */
};

/* {0}: nothing has come. */
struct recent_share {
    struct recent_window now, before;
    int64_t begun_us; /* when the window that fills began; monotonic */
};

/* True when it filled a window. */
bool recent_share_add(struct recent_share *share, bool counting, int64_t now_us);
/* 0 to 1; 0 also when nothing came. */
double recent_share_ratio(struct recent_share *share, int64_t now_us);

#endif
