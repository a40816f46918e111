/*
 * publisher_letter: a dead letter through a publisher. One that the broker refuses for its size
 * goes out again without its value.
 *
 * What the letter points to, and the log's context (may be NULL), stay valid until on_buried. There
 * is exactly one on_buried, never inside publisher_bury. persisted: else nobody may commit the
 * record's offset.
 */
#ifndef WORKER_PUBLISHER_LETTER_H
#define WORKER_PUBLISHER_LETTER_H

#include "common/log.h"
#include "worker/dead_letter.h"
#include "worker/publisher.h"

void publisher_bury(struct publisher *publisher, const char *topic,
    const struct dead_letter *letter, const struct log_context *log,
    void (*on_buried)(void *context, bool persisted), void *context);

#endif
