/*
 * time_queue: items ordered by a time, the earliest first; a binary heap. Pure.
 *
 * Adding and removing any item take a few steps even with 100,000 of them. The items belong to the
 * caller, usually embedded in what waits, and are in one queue at most. Equal times come in any
 * order.
 *
 * Life cycle: {0} is an empty queue; time_queue_release, whatever is still in it.
 */
#ifndef COMMON_TIME_QUEUE_H
#define COMMON_TIME_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct time_queue_item {
    int64_t time_us; /* as given to time_queue_add */
    void *context;   /* the caller's */

    size_t place; /* private: from 1; 0: in no queue */
};

struct time_queue {
    struct time_queue_item **items; /* items[0] is the earliest */
    size_t count;
    size_t capacity;
};

void time_queue_release(struct time_queue *queue);

void time_queue_add(struct time_queue *queue, struct time_queue_item *item, int64_t time_us);
/* Nothing happens when it is in no queue; it must not be in another one. */
void time_queue_remove(struct time_queue *queue, struct time_queue_item *item);

/* NULL: empty. */
struct time_queue_item *time_queue_first(const struct time_queue *queue);

#endif
