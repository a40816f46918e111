/* admission_lease: see admission_lease.h. */
#include "worker/admission_lease.h"

#include <assert.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/memory.h"

/* Leases are asked for when half of one is left. */
#define RING_SLOTS (2 * ADMISSION_LEASE_SLOTS_MAX)
/* What a slot may be late beyond its theoretical arrival time, beside an interval; gcra.h says what
 * there is to spend, and the rest is for the way to Terra. */
#define GRACE_US (5 * CLOCK_US_PER_MS)
/* Two clocks drift apart by no more than one microsecond in so many. */
#define DRIFT 20000

#define MOST_US (INT64_C(1) << 52) /* what a number of Lua holds exactly, and some */
#define INTERVAL_MAX_US (4000 * CLOCK_US_PER_SECOND)
#define WORKERS_MAX 1000000

bool admission_grant_read(struct admission_grant *grant, const struct redis_answer *answer)
{
    const struct {
        int64_t *field;
        int64_t least, most;
    } fields[] = {
        {&grant->slots, 0, ADMISSION_LEASE_SLOTS_MAX},
        {&grant->begins_in_us, -MOST_US, MOST_US},
        {&grant->share_begins_in_us, -MOST_US, MOST_US},
        {&grant->epoch, 1, INT64_MAX},
        {&grant->interval_us, 1, INTERVAL_MAX_US},
        {&grant->burst, 1, 1000000},
        {&grant->share_interval_us, 0, 100 * INTERVAL_MAX_US},
        {&grant->share_burst, 0, 1000000},
        {&grant->workers, 1, WORKERS_MAX},
        {&grant->lease, 1, ADMISSION_LEASE_SLOTS_MAX},
        {&grant->next_in_us, -MOST_US, MOST_US},
        {&grant->ask_in_us, 0, MOST_US},
        {&grant->cooldown_in_us, 0, MOST_US},
        {&grant->paused, 0, 1},
        {&grant->overridden, 0, 1},
        {&grant->use_permille, 0, 1000},
        {&grant->redis_us, 0, MOST_US},
    };
    const size_t count = sizeof fields / sizeof fields[0];
    if (answer->kind != REDIS_ARRAY || answer->integer < (int64_t)count)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct redis_answer item = redis_answer_item(answer, i);
        if (item.kind != REDIS_INTEGER || item.integer < fields[i].least ||
            item.integer > fields[i].most)
            return false;
        *fields[i].field = item.integer;
    }
    return true;
}

void admission_lease_init(
    struct admission_lease *lease, int64_t interval_us, int64_t burst, bool is_granted)
{
    *lease = (struct admission_lease){
        .interval_us = interval_us, .burst = burst, .workers = 1, .size = 1, .clock_us = MOST_US};
    lease->ring = is_granted ? memory_new(RING_SLOTS * sizeof *lease->ring) : NULL;
}

void admission_lease_release(struct admission_lease *lease)
{
    free(lease->ring);
    lease->ring = NULL;
}

static struct admission_slot *slot_at(const struct admission_lease *lease, unsigned index)
{
    return &lease->ring[(lease->first + index) % RING_SLOTS];
}

static int64_t latest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* When it was "now" at Redis, by our clock. An answer is late by its way, and by what kept us from
 * reading it; the least late one tells how the two clocks stand. Where that is before we asked,
 * Redis' clock was set back, or it is another Redis. */
static int64_t anchor_of(
    struct admission_lease *lease, int64_t redis_us, int64_t asked_us, int64_t now_us)
{
    int64_t drift_us = (now_us - lease->clock_of_us) / DRIFT;
    lease->clock_us += drift_us;
    lease->clock_of_us += drift_us * DRIFT;
    int64_t late_us = now_us - (redis_us + lease->clock_us);
    if (late_us < 0 || late_us > now_us - asked_us) {
        lease->clock_us = now_us - redis_us;
        lease->clock_of_us = now_us;
    }
    return redis_us + lease->clock_us;
}

static void add_slots(
    struct admission_lease *lease, const struct admission_grant *grant, int64_t anchor_us)
{
    int64_t grace_us = grant->interval_us + GRACE_US;
    int64_t tolerance_us = (grant->burst - 1) * grant->interval_us;
    int64_t share_tolerance_us = (grant->share_burst - 1) * grant->share_interval_us;
    for (int64_t i = 0; i < grant->slots && lease->count < RING_SLOTS; i++) {
        int64_t begins_us = anchor_us + grant->begins_in_us + i * grant->interval_us;
        int64_t ends_us = begins_us + tolerance_us + grace_us;
        if (grant->share_interval_us > 0) {
            int64_t share_us = anchor_us + grant->share_begins_in_us + i * grant->share_interval_us;
            int64_t share_ends_us = share_us + share_tolerance_us + grace_us;
            begins_us = latest(begins_us, share_us);
            ends_us = ends_us < share_ends_us ? ends_us : share_ends_us;
        }
        *slot_at(lease, lease->count++) = (struct admission_slot){
            .begins_us = latest(begins_us, anchor_us),
            .ends_us = ends_us,
        };
    }
}

unsigned admission_lease_add(struct admission_lease *lease, const struct admission_grant *grant,
    int64_t asked_us, int64_t now_us)
{
    int64_t anchor_us = anchor_of(lease, grant->redis_us, asked_us, now_us);
    bool is_from_before = grant->epoch < lease->epoch_awaited;
    unsigned void_count = grant->epoch != lease->epoch ? admission_lease_void(lease) : 0;
    lease->epoch_awaited = 0;
    lease->epoch = grant->epoch;
    lease->interval_us = grant->interval_us;
    lease->burst = grant->burst;
    lease->share_interval_us = grant->share_interval_us;
    lease->workers = (unsigned)grant->workers;
    lease->size = (unsigned)grant->lease;
    lease->paused = grant->paused == 1;
    lease->next_us = anchor_us + grant->next_in_us;
    if (is_from_before)
        return void_count + (unsigned)grant->slots;
    add_slots(lease, grant, anchor_us);
    return void_count;
}

unsigned admission_lease_void(struct admission_lease *lease)
{
    unsigned count = lease->count;
    lease->count = 0;
    return count;
}

unsigned admission_lease_drop_late(struct admission_lease *lease, int64_t now_us)
{
    unsigned count = 0;
    while (lease->count > 0 && slot_at(lease, 0)->ends_us < now_us) {
        admission_lease_take(lease);
        count++;
    }
    return count;
}

int64_t admission_lease_begins_us(const struct admission_lease *lease, unsigned index)
{
    assert(index < lease->count);
    return slot_at(lease, index)->begins_us;
}

int64_t admission_lease_end_us(const struct admission_lease *lease)
{
    return lease->count > 0 ? slot_at(lease, lease->count - 1)->begins_us : 0;
}

void admission_lease_take(struct admission_lease *lease)
{
    assert(lease->count > 0);
    lease->first = (lease->first + 1) % RING_SLOTS;
    lease->count--;
}

int64_t admission_lease_life_us(const struct admission_lease *lease)
{
    return lease->interval_us + GRACE_US;
}

int64_t admission_lease_guess_us(
    const struct admission_lease *lease, int64_t now_us, unsigned behind)
{
    int64_t slot_us = lease->interval_us;
    if (lease->share_interval_us > slot_us)
        slot_us = lease->share_interval_us;
    /* What was said may be long ago: at rest a whole burst is there. */
    int64_t next_us = latest(lease->next_us, now_us - (lease->burst - 1) * lease->interval_us);
    return next_us + (int64_t)behind * slot_us * lease->workers;
}
