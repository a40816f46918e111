/*
 * connect_outbox: what leaves for one job: its reply and then its outcome, or a dead letter. Used
 * by connect_flow alone.
 *
 * The outcome goes out after the reply is persisted: only then is it known. A reply that its named
 * address does not take becomes reply_address_rejected, without the link, on the default topic; one
 * that is too large becomes internal_error. A job whose partition has gone meanwhile publishes
 * nothing: the new owner answers, with the link that lies in the reply cache.
 *
 * Exactly one on_sent per call, possibly inside it; with it the job is the callee's again.
 * persisted: reply and outcome, or the dead letter, are with the broker; else nobody may commit the
 * request's offset.
 */
#ifndef WORKER_CONNECT_OUTBOX_H
#define WORKER_CONNECT_OUTBOX_H

#include "worker/connect_job.h"
#include "worker/link_memory.h"

struct connect_outbox;

struct connect_outbox_options {
    struct connect_job_lists *jobs;
    struct publisher *publisher;       /* for replies: somebody waits for each */
    struct publisher *batch_publisher; /* for outcomes and dead letters: nobody does */
    struct link_memory *link_memory;
    const struct reply_address_rules *address_rules;
    const char *outcomes_topic; /* NULL: no outcomes are written */
    const char *dead_letters_topic;
    const char *group_id;
    const char *source; /* ce_source */
    void (*on_sent)(struct connect_job *job, bool persisted);
};

struct connect_outbox *connect_outbox_new(const struct connect_outbox_options *options);
void connect_outbox_free(struct connect_outbox *outbox);

void connect_outbox_reply(struct connect_outbox *outbox, struct connect_job *job);
void connect_outbox_bury(struct connect_outbox *outbox, struct connect_job *job);

#endif
