/*
 * publisher_letter: a dead letter through a publisher. One that the broker refuses for its size
 * goes out again without its value.
 *
 * What the letter points to stays valid until on_buried. Exactly one on_buried, never inside
 * publisher_bury. persisted: else nobody may commit the record's offset.
 */
#ifndef WORKER_PUBLISHER_LETTER_H
#define WORKER_PUBLISHER_LETTER_H

#include "worker/dead_letter.h"
#include "worker/publisher.h"

void publisher_bury(struct publisher *publisher, const char *topic,
    const struct dead_letter *letter, void (*on_buried)(void *context, bool persisted),
    void *context);

#endif
