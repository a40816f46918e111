/*
 * key_queue: of those with the same key, one at a time, in the order they came. Pure.
 *
 *   u1: A is under way, C waits; u2: B is under way
 *
 * Invariants: the first ticket of a key is under way; a key lives as long as it has tickets.
 * Tickets are embedded in what waits, and belong to it.
 */
#ifndef WORKER_KEY_QUEUE_H
#define WORKER_KEY_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

struct key_queue_entry;

/* {0}: in no queue. */
struct key_queue_ticket {
    void *owner; /* by the caller */

    /* private */
    struct key_queue_entry *entry;
    struct key_queue_ticket *previous, *next;
};

/* {0} is empty; nothing is left of it when the last ticket has left. */
struct key_queue {
    struct key_queue_entry *entries;
};

/* True: it is under way at once. The key is copied. */
bool key_queue_join(
    struct key_queue *queue, struct key_queue_ticket *ticket, const void *key, size_t key_size);

/* Gives back the ticket that is under way now instead; NULL: none is, or it was already, or this
 * one was in no queue. */
struct key_queue_ticket *key_queue_leave(struct key_queue *queue, struct key_queue_ticket *ticket);

#endif
