/* offset_window: see offset_window.h. */
#include "worker/offset_window.h"

#include <assert.h>
#include <stdlib.h>

#include "common/memory.h"

enum { CAPACITY_FIRST = 64 };

struct offset_window_entry {
    int64_t offset;
    bool finished;
};

static struct offset_window_entry *entry_of(const struct offset_window *window, uint64_t sequence)
{
    return &window->entries[sequence & (window->capacity - 1)];
}

void offset_window_init(struct offset_window *window)
{
    *window = (struct offset_window){.last_offset = -1};
}

void offset_window_release(struct offset_window *window)
{
    free(window->entries);
    offset_window_init(window);
}

static void grow(struct offset_window *window)
{
    struct offset_window larger = *window;
    larger.capacity = window->capacity ? window->capacity * 2 : CAPACITY_FIRST;
    larger.entries = memory_new(larger.capacity * sizeof *larger.entries);
    for (uint64_t sequence = window->first; sequence < window->next; sequence++)
        *entry_of(&larger, sequence) = *entry_of(window, sequence);
    free(window->entries);
    *window = larger;
}

uint64_t offset_window_add(struct offset_window *window, int64_t offset)
{
    if (offset_window_in_flight(window) == window->capacity)
        grow(window);
    *entry_of(window, window->next) = (struct offset_window_entry){.offset = offset};
    window->last_offset = offset;
    return window->next++;
}

bool offset_window_finish(struct offset_window *window, uint64_t sequence, int64_t *next_offset)
{
    assert(sequence >= window->first && sequence < window->next);
    assert(!entry_of(window, sequence)->finished);
    entry_of(window, sequence)->finished = true;
    if (sequence != window->first)
        return false;
    while (window->first < window->next && entry_of(window, window->first)->finished) {
        *next_offset = entry_of(window, window->first)->offset + 1;
        window->first++;
    }
    return true;
}

size_t offset_window_in_flight(const struct offset_window *window)
{
    return (size_t)(window->next - window->first);
}
