/* time_queue: see time_queue.h. The children of items[i] are items[2 * i + 1] and the next one. */
#include "common/time_queue.h"

#include <assert.h>
#include <stdlib.h>

#include "common/memory.h"

#define CAPACITY_MIN 64

static void put(struct time_queue *queue, struct time_queue_item *item, size_t at)
{
    queue->items[at] = item;
    item->place = at + 1;
}

static void move_up(struct time_queue *queue, struct time_queue_item *item, size_t at)
{
    while (at > 0 && queue->items[(at - 1) / 2]->time_us > item->time_us) {
        put(queue, queue->items[(at - 1) / 2], at);
        at = (at - 1) / 2;
    }
    put(queue, item, at);
}

static void move_down(struct time_queue *queue, struct time_queue_item *item, size_t at)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < queue->count &&
            queue->items[child + 1]->time_us < queue->items[child]->time_us)
            child++;
        if (child >= queue->count || queue->items[child]->time_us >= item->time_us)
            break;
        put(queue, queue->items[child], at);
        at = child;
    }
    put(queue, item, at);
}

void time_queue_add(struct time_queue *queue, struct time_queue_item *item, int64_t time_us)
{
    assert(item->place == 0);
    if (queue->count == queue->capacity) {
        queue->capacity = queue->capacity ? 2 * queue->capacity : CAPACITY_MIN;
        queue->items =
            memory_resize(queue->items, queue->capacity * sizeof(struct time_queue_item *));
    }
    item->time_us = time_us;
    queue->count++;
    move_up(queue, item, queue->count - 1);
}

void time_queue_remove(struct time_queue *queue, struct time_queue_item *item)
{
    if (item->place == 0)
        return;
    size_t at = item->place - 1;
    assert(at < queue->count && queue->items[at] == item);
    struct time_queue_item *last = queue->items[--queue->count];
    item->place = 0;
    if (last == item)
        return;
    /* The last one fills the gap, and goes whichever way it has to. */
    if (at > 0 && queue->items[(at - 1) / 2]->time_us > last->time_us)
        move_up(queue, last, at);
    else
        move_down(queue, last, at);
}

struct time_queue_item *time_queue_first(const struct time_queue *queue)
{
    return queue->count > 0 ? queue->items[0] : NULL;
}

void time_queue_release(struct time_queue *queue)
{
    free(queue->items);
    *queue = (struct time_queue){0};
}
