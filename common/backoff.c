#include "common/backoff.h"

#include <assert.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

int64_t backoff_delay_us(const struct backoff *backoff, unsigned attempt, uint64_t random)
{
    int64_t ceiling = backoff->base_us;

    assert(attempt >= 1 && backoff->base_us >= 0 && backoff->maximum_us >= 0);
    for (unsigned doublings = attempt - 1; doublings > 0 && ceiling > 0; doublings--) {
        if (ceiling > backoff->maximum_us / 2) {
            ceiling = backoff->maximum_us;
            break;
        }
        ceiling *= 2;
    }
    if (ceiling > backoff->maximum_us)
        ceiling = backoff->maximum_us;

    /* The upper half of a 128-bit product: random scaled to 0..ceiling
     * without a division's bias. */
    return (int64_t)(((unsigned __int128)random * ((uint64_t)ceiling + 1)) >> 64);
}

static uint64_t seed(void)
{
    uint64_t random = 0;

    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) == (ssize_t)sizeof(random))
        return random;
    /* Right after the machine's start there may be no entropy yet: process and time differ too. */
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return ((uint64_t)getpid() << 32) ^ ((uint64_t)now.tv_sec << 30) ^ (uint64_t)now.tv_nsec;
}

/* SplitMix64 (Steele, Lea, Flood 2014): a counter and a mixing function. */
uint64_t backoff_random(void)
{
    static uint64_t state;

    if (state == 0)
        state = seed();
    state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t mixed = state;
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}
