/* event_batch: see event_batch.h. */
#include "worker/event_batch.h"

#include <stdlib.h>

#include <utlist.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/deferred.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/metrics.h"

/* How long offsets alone wait for a batch with outputs. */
enum { OFFSETS_ALONE_MS = 1000 };

static const struct backoff again_backoff = {
    .base_us = 100 * CLOCK_US_PER_MS,
    .maximum_us = 5 * CLOCK_US_PER_SECOND,
};

struct event_batch {
    struct event_batch_options options;
    struct intake *intake;
    unsigned ready; /* jobs that wait for a batch */

    /* the transaction under way */
    bool running;
    struct intake_commit commit;
    struct kafka_transaction transaction;
    struct event_job **jobs; /* as delivered; each has one record */
    struct kafka_transaction_record *records;
    size_t count, capacity; /* of both */
    int64_t begun_us;       /* monotonic */

    unsigned failed; /* in a row */
    uv_timer_t timer;
    struct deferred_queue deferred;
    struct deferred begin;
    struct metric *committed_total, *aborted_total, *records_in_batch, *seconds;
};

static void begin(struct event_batch *batch);

static void on_timer(uv_timer_t *timer)
{
    begin(timer->data);
}

static void begin_in(struct event_batch *batch, int64_t delay_us)
{
    uv_timer_start(&batch->timer, on_timer, (uint64_t)(delay_us / CLOCK_US_PER_MS), 0);
}

/* ---- how a batch ends ---- */

static void finish_jobs(struct event_batch *batch, enum kafka_transaction_outcome outcome)
{
    bool closing = outcome == KAFKA_TRANSACTION_FATAL || outcome == KAFKA_TRANSACTION_CLOSED;
    for (size_t i = 0; i < batch->count; i++) {
        struct event_job *job = batch->jobs[i];
        if (outcome == KAFKA_COMMITTED) {
            batch->options.on_committed(job);
        } else if (closing || job->let_go || intake_place_state(&job->place) != INTAKE_PLACE_OURS) {
            batch->options.on_refused(job);
        } else {
            event_job_set_state(batch->options.jobs, job, EVENT_JOB_READY);
            batch->ready++;
        }
    }
}

/* The record that the broker refuses for its size becomes smaller, and the rest goes with it. */
static bool mend(struct event_batch *batch, enum kafka_transaction_outcome outcome, size_t culprit)
{
    return outcome == KAFKA_TRANSACTION_TOO_LARGE_RECORD && culprit < batch->count &&
           event_outbox_shrink(batch->options.outbox, batch->jobs[culprit]);
}

static void on_ended(struct kafka_transaction *transaction, enum kafka_transaction_outcome outcome,
    const char *reason)
{
    static struct log_limit limit;
    struct event_batch *batch = transaction->context;
    bool committed = outcome == KAFKA_COMMITTED;
    bool goes_on = committed || mend(batch, outcome, transaction->culprit);
    metric_add(committed ? batch->committed_total : batch->aborted_total, 1);
    if (committed)
        metric_observe(
            batch->seconds, (double)(clock_monotonic_us() - batch->begun_us) / CLOCK_US_PER_SECOND);
    batch->running = false;
    intake_commit_end(batch->intake, &batch->commit, committed);
    finish_jobs(batch, outcome);
    batch->options.on_idle(batch->options.context);
    if (goes_on) {
        batch->failed = 0;
        deferred_queue_add(&batch->deferred, &batch->begin);
        return;
    }
    int64_t delay_us = backoff_delay_us(&again_backoff, ++batch->failed, backoff_random());
    log_limited(&limit, 5000, LOG_LEVEL_WARN, "event_batch",
        "a transaction was not committed and nothing of it will be seen",
        LOG_TEXT("outcome", kafka_transaction_outcome_name(outcome)), LOG_TEXT("reason", reason),
        LOG_INT("events", (int64_t)batch->count));
    if (outcome != KAFKA_TRANSACTION_FATAL && outcome != KAFKA_TRANSACTION_CLOSED)
        begin_in(batch, delay_us);
}

/* ---- how it begins ---- */

static void put(struct event_batch *batch, struct event_job *job)
{
    const struct kafka_delivery *delivery = &job->publication.delivery;
    event_job_set_state(batch->options.jobs, job, EVENT_JOB_COMMITTING);
    batch->ready--;
    batch->jobs[batch->count] = job;
    batch->records[batch->count++] = (struct kafka_transaction_record){
        .topic = delivery->topic,
        .key = delivery->key,
        .key_size = delivery->key_size,
        .value = delivery->value,
        .value_size = delivery->value_size,
        .headers = delivery->headers,
        .header_count = delivery->header_count,
    };
}

static void gather(struct event_batch *batch)
{
    batch->count = 0;
    if (batch->capacity < batch->ready) {
        batch->capacity = batch->ready;
        free(batch->jobs);
        free(batch->records);
        batch->jobs = memory_new(batch->capacity * sizeof(struct event_job *));
        batch->records = memory_new(batch->capacity * sizeof *batch->records);
    }
    struct event_job *job;
    DL_FOREACH2(batch->options.jobs->jobs, job, next)
    {
        if (job->state == EVENT_JOB_READY && intake_place_in_commit(&job->place))
            put(batch, job);
    }
}

static void begin(struct event_batch *batch)
{
    if (batch->running || !intake_commit_begin(batch->intake, &batch->commit))
        return;
    uv_timer_stop(&batch->timer);
    gather(batch);
    metric_observe(batch->records_in_batch, (double)batch->count);
    batch->running = true;
    batch->begun_us = clock_monotonic_us();
    batch->transaction = (struct kafka_transaction){
        .records = batch->records,
        .record_count = batch->count,
        .offsets = batch->commit.offsets,
        .offset_count = batch->commit.offset_count,
        .metadata = batch->commit.metadata,
        .on_ended = on_ended,
        .context = batch,
    };
    kafka_transactor_run(batch->options.transactor, &batch->transaction);
}

/* After a transaction that failed. */
static bool is_pausing(const struct event_batch *batch)
{
    return batch->failed > 0 && uv_is_active((const uv_handle_t *)&batch->timer);
}

static void on_begin(struct deferred *item)
{
    struct event_batch *batch = item->context;
    if (!is_pausing(batch) && batch->ready > 0)
        begin(batch);
}

void event_batch_add(struct event_batch *batch, struct event_job *job)
{
    event_job_set_state(batch->options.jobs, job, EVENT_JOB_READY);
    batch->ready++;
    intake_ready(batch->intake, &job->place);
    /* At the end of the turn, so that all that become ready together go together. */
    deferred_queue_add(&batch->deferred, &batch->begin);
}

void event_batch_withdraw(struct event_batch *batch, struct event_job *job)
{
    if (job->state == EVENT_JOB_READY)
        batch->ready--;
}

bool event_batch_is_running(const struct event_batch *batch)
{
    return batch->running;
}

void event_batch_note_offset(struct event_batch *batch)
{
    if (!uv_is_active((uv_handle_t *)&batch->timer))
        begin_in(batch, OFFSETS_ALONE_MS * CLOCK_US_PER_MS);
}

void event_batch_cancel_leaving(struct event_batch *batch)
{
    if (batch->running && intake_commit_is_leaving(&batch->commit))
        kafka_transactor_cancel(batch->options.transactor);
}

/* ---- life cycle ---- */

struct event_batch *event_batch_new(uv_loop_t *loop, const struct event_batch_options *options)
{
    static const char help[] = "Transactions of events by how they ended.";
    static const double bounds[] = {0, 1, 2, 5, 10, 25, 50, 100, 250, 1000};
    struct event_batch *batch = memory_new(sizeof *batch);
    batch->options = *options;
    uv_timer_init(loop, &batch->timer);
    batch->timer.data = batch;
    deferred_queue_init(&batch->deferred, loop);
    batch->begin = (struct deferred){.run = on_begin, .context = batch};
    batch->committed_total =
        metrics_counter("terra_connect_transactions_total", "outcome=\"committed\"", help);
    batch->aborted_total =
        metrics_counter("terra_connect_transactions_total", "outcome=\"aborted\"", help);
    batch->records_in_batch = metrics_histogram("terra_connect_transaction_records", NULL,
        "Events and dead letters in one transaction.", bounds, sizeof bounds / sizeof bounds[0]);
    batch->seconds = metrics_histogram("terra_connect_transaction_seconds", NULL,
        "From the beginning of a transaction to its commit; one that is aborted does not count.",
        metrics_seconds_bounds, metrics_seconds_bound_count);
    return batch;
}

void event_batch_start(struct event_batch *batch, struct intake *intake)
{
    batch->intake = intake;
}

void event_batch_close(struct event_batch *batch)
{
    deferred_queue_close(&batch->deferred);
    uv_close((uv_handle_t *)&batch->timer, NULL);
}

void event_batch_free(struct event_batch *batch)
{
    if (!batch)
        return;
    free(batch->jobs);
    free(batch->records);
    free(batch);
}
