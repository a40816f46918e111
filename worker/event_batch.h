/*
 * event_batch: exactly-once delivery: outputs and the offsets of their sources in transactions, one
 * at a time. Used by event_flow alone.
 *
 * A batch holds what the intake covers in one commit: of each partition the contiguous run of
 * records that are done with, and the outputs made of them. With outputs it goes at once; offsets
 * alone (of data, repeats) wait for company, since a transaction costs the same whatever is in it.
 *
 * The group's generation is taken when the batch begins: after a rebalance the broker refuses the
 * batch, and what is still ours is done again from memory. event_batch_cancel_leaving, on a revoke
 * that touches the batch, ends it sooner.
 *
 * For each job of a batch comes one of on_committed and on_refused (nothing of it is persisted, and
 * its partition has gone or the flow is closing), in the order of delivery, and the job is the
 * callee's again; or none, and the job is EVENT_JOB_READY once more and part of the next batch.
 */
#ifndef WORKER_EVENT_BATCH_H
#define WORKER_EVENT_BATCH_H

#include "common/kafka_transactor.h"
#include "worker/event_job.h"
#include "worker/event_outbox.h"

struct event_batch;

struct event_batch_options {
    struct event_job_list *jobs;
    struct event_outbox *outbox;
    struct kafka_transactor *transactor;
    void (*on_committed)(struct event_job *job);
    void (*on_refused)(struct event_job *job);
    void (*on_idle)(void *context); /* no transaction is under way any more */
    void *context;
};

struct event_batch *event_batch_new(uv_loop_t *loop, const struct event_batch_options *options);
void event_batch_start(struct event_batch *batch, struct intake *intake);
/* No job may be in a batch. Run the loop dry, then event_batch_free. */
void event_batch_close(struct event_batch *batch);
void event_batch_free(struct event_batch *batch);

/* The job, whose output is prepared, waits for the next batch. */
void event_batch_add(struct event_batch *batch, struct event_job *job);
bool event_batch_is_running(const struct event_batch *batch);
/* A job that waits for a batch ends otherwise. */
void event_batch_withdraw(struct event_batch *batch, struct event_job *job);
/* A record was finished from which nothing comes. */
void event_batch_note_offset(struct event_batch *batch);
/* Ends the batch under way if it covers a partition that is leaving. */
void event_batch_cancel_leaving(struct event_batch *batch);

#endif
