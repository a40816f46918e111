/*
 * deferred: work for the next turn of the loop, in the order it was asked for. This is how a module
 * whose answer is already at hand keeps the promise "never inside the call that asked".
 *
 * Work asked for while deferred work runs waits for the turn after. The items belong to the caller,
 * usually embedded in a job, and are free again when `run` is called.
 */
#ifndef COMMON_DEFERRED_H
#define COMMON_DEFERRED_H

#include <stdbool.h>
#include <uv.h>

struct deferred {
    void (*run)(struct deferred *item);
    void *context;

    /* private */
    struct deferred *previous, *next;
    bool queued;
};

struct deferred_queue {
    uv_idle_t idle; /* active while items wait, so that the loop does not sleep on them */
    struct deferred *items;
};

void deferred_queue_init(struct deferred_queue *queue, uv_loop_t *loop);
/* Items that still wait are dropped; the memory may go when the loop has run dry. */
void deferred_queue_close(struct deferred_queue *queue);

/* Nothing happens when the item waits already. */
void deferred_queue_add(struct deferred_queue *queue, struct deferred *item);
void deferred_queue_remove(struct deferred_queue *queue, struct deferred *item);

#endif
