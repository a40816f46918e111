/*
 * admission_lease: the slots of one limit that a worker has in hand, and what Redis said of the
 * limit when it granted them. Part of admission_slots, which says what the rules are for.
 *
 * All times are our own monotonic ones. A ring of fixed size, made once.
 */
#ifndef WORKER_ADMISSION_LEASE_H
#define WORKER_ADMISSION_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/redis_client.h"

/* What one answer may grant; the script's LEASE_MAX. */
#define ADMISSION_LEASE_SLOTS_MAX 1024

/* admission.lua's answer, in its order. */
struct admission_grant {
    int64_t slots;
    int64_t begins_in_us, share_begins_in_us;
    int64_t epoch;
    int64_t interval_us, burst;
    int64_t share_interval_us, share_burst; /* 0: no share */
    int64_t workers;
    int64_t lease;
    int64_t next_in_us;
    int64_t ask_in_us;
    int64_t cooldown_in_us;
    int64_t paused, overridden;
    int64_t use_permille;
    int64_t redis_us; /* by Redis' clock */
};

/* False when it is no such answer: what comes from Redis is input like any other. */
bool admission_grant_read(struct admission_grant *grant, const struct redis_answer *answer);

struct admission_slot {
    int64_t begins_us, ends_us; /* good in between */
};

struct admission_lease {
    struct admission_slot *ring;
    unsigned first, count;
    int64_t clock_us; /* what our clock is ahead of Redis', by the least late answer */
    int64_t clock_of_us;

    /* As of the last answer. */
    int64_t epoch;         /* 0: none yet */
    int64_t epoch_awaited; /* an answer of an older one is from before; 0: any */
    int64_t interval_us, burst;
    int64_t share_interval_us;
    unsigned workers; /* that share the limit, this one among them */
    unsigned size;    /* of a whole lease */
    int64_t next_us;  /* when the slot after the last granted begins */
    bool paused;
};

/* The setting, until Redis says otherwise. is_granted: slots will come. */
void admission_lease_init(
    struct admission_lease *lease, int64_t interval_us, int64_t burst, bool is_granted);
void admission_lease_release(struct admission_lease *lease);

/* Takes an answer in; gives back how many slots turned out to be void by it. */
unsigned admission_lease_add(struct admission_lease *lease, const struct admission_grant *grant,
    int64_t asked_us, int64_t now_us);
/* Both give back how many there were. */
unsigned admission_lease_void(struct admission_lease *lease);
unsigned admission_lease_drop_late(struct admission_lease *lease, int64_t now_us);

int64_t admission_lease_begins_us(const struct admission_lease *lease, unsigned index);
/* When the last one in hand begins; 0: there is none. */
int64_t admission_lease_end_us(const struct admission_lease *lease);
void admission_lease_take(struct admission_lease *lease);

/* From when it is granted on, a slot is good for at least so long. */
int64_t admission_lease_life_us(const struct admission_lease *lease);

/* When the slot number `behind` after those in hand will begin: what has been reserved comes first,
 * then this worker's cadence among the others. */
int64_t admission_lease_guess_us(
    const struct admission_lease *lease, int64_t now_us, unsigned behind);

#endif
