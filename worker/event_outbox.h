/*
 * event_outbox: what leaves for one job: its event, or a dead letter. Used by event_flow and
 * event_batch.
 *
 * event_outbox_prepare puts topic, key, value and headers into job->publication.delivery; who sends
 * it is the caller's business: event_outbox_send through a publisher, or a transaction.
 *
 * What the broker refuses for its size becomes smaller once: an event becomes a letter, a letter
 * loses its value (event_outbox_shrink).
 */
#ifndef WORKER_EVENT_OUTBOX_H
#define WORKER_EVENT_OUTBOX_H

#include "worker/event_job.h"

struct event_outbox;

struct event_outbox_options {
    struct event_job_list *jobs;
    struct publisher *publisher; /* NULL: everything goes through transactions */
    const char *events_topic;
    const char *dead_letters_topic;
    const char *group_id;
    const char *source; /* ce_source */
    /* After event_outbox_send, never inside it. persisted: the event or letter is with the broker;
     * else nobody may commit the record's offset. */
    void (*on_sent)(struct event_job *job, bool persisted);
};

struct event_outbox *event_outbox_new(const struct event_outbox_options *options);
void event_outbox_free(struct event_outbox *outbox);

void event_outbox_prepare(struct event_outbox *outbox, struct event_job *job);
void event_outbox_send(struct event_outbox *outbox, struct event_job *job);

/* False: it cannot be made smaller. */
bool event_outbox_shrink(struct event_outbox *outbox, struct event_job *job);

/* It is persisted: counts it. */
void event_outbox_count(struct event_outbox *outbox, const struct event_job *job);

#endif
