/* gcra: see gcra.h. */
#include "worker/gcra.h"

int64_t gcra_interval_us(const struct rate *rate)
{
    int64_t interval_us = rate_interval_us(rate);
    return interval_us + interval_us * GCRA_KEPT_BACK_PERMILLE / 1000;
}

void gcra_set(struct gcra *gcra, int64_t interval_us, int64_t burst)
{
    gcra->interval_us = interval_us;
    gcra->tolerance_us = (burst - 1) * interval_us;
}

int64_t gcra_slot_us(const struct gcra *gcra, int64_t now_us, unsigned ahead)
{
    if (gcra->interval_us == 0)
        return now_us;
    /* After a rest the account starts from now. */
    int64_t tat_us = gcra->tat_us > now_us ? gcra->tat_us : now_us;
    int64_t slot_us = tat_us - gcra->tolerance_us + (int64_t)ahead * gcra->interval_us;
    return slot_us > now_us ? slot_us : now_us;
}

void gcra_take(struct gcra *gcra, int64_t now_us)
{
    if (gcra->tat_us < now_us - GCRA_LATE_US)
        gcra->tat_us = now_us;
    gcra->tat_us += gcra->interval_us;
}

void gcra_start_anew(struct gcra *gcra, int64_t from_us)
{
    if (gcra->tat_us < from_us + gcra->tolerance_us)
        gcra->tat_us = from_us + gcra->tolerance_us;
}
