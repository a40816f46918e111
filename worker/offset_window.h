/*
 * offset_window: per partition and assignment, which offset is safe to commit. Pure.
 *
 * Records enter in the order they were delivered; offsets may have gaps (transactions, compaction)
 * and even fall back (the topic was made anew or its log lost its end while we were reading), so
 * order is by sequence, never by offset. Records finish in any order. The safe offset is one past
 * the last record before which all have finished.
 *
 *   delivered 10, 11, 15; finished 11: nothing new; finished 10: 12; finished 15: 16
 *
 * Grows by doubling; the caller bounds what is in flight.
 *
 * Life cycle: offset_window_init (no allocation), any use, offset_window_release,
 * whatever is still unfinished.
 */
#ifndef WORKER_OFFSET_WINDOW_H
#define WORKER_OFFSET_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct offset_window {
    struct offset_window_entry *entries; /* a ring; sequence s lies at s modulo capacity */
    size_t capacity;                     /* a power of two, or 0 */
    uint64_t first;                      /* sequence of the oldest unfinished record */
    uint64_t next;                       /* sequence that the next record gets */
    int64_t last_offset;                 /* of the newest record; -1: none yet */
};

void offset_window_init(struct offset_window *window);
void offset_window_release(struct offset_window *window);

/* Gives the sequence by which the record is finished. */
uint64_t offset_window_add(struct offset_window *window, int64_t offset);

/* True when the safe offset moved; *next_offset is then what to store. Each sequence once. */
bool offset_window_finish(struct offset_window *window, uint64_t sequence, int64_t *next_offset);

/* From the oldest unfinished on. */
size_t offset_window_in_flight(const struct offset_window *window);

#endif
