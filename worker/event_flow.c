/* event_flow: see event_flow.h. Each stage begins with a function that asks and goes on in the one
 * that is answered; they stand here in the order in which a record meets them. */
#include "worker/event_flow.h"

#include <stdio.h>
#include <stdlib.h>

#include <utlist.h>

#include "common/clock.h"
#include "common/deferred.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/metrics.h"
#include "worker/event_batch.h"
#include "worker/event_job.h"
#include "worker/event_order.h"
#include "worker/event_outbox.h"
#include "worker/event_scan.h"
#include "worker/recent_share.h"

enum { DATA_ADVICE_INTERVAL_MS = 3600000 }; /* how often the operator is told at most */

struct event_flow {
    struct event_flow_options options;
    struct intake *intake;
    struct event_job_list jobs;
    struct event_order order;
    struct event_outbox *outbox;
    struct event_batch *batch; /* NULL: at least once */
    bool draining;
    struct recent_share data_share; /* of records and payloads */
    struct deferred_queue deferred;
    struct deferred drained;
    struct metric *records_total[EVENT_CLASS_COUNT], *last_record, *data_ratio, *repeats_total;
};

static void settle(struct event_job *job, enum event_job_fate fate);
static void go_on(struct event_lane *lane);
static void recall(struct event_job *job);
static void publish(struct event_job *job);

/* ---- the end of a job ---- */

static void tell_when_drained(struct event_flow *flow)
{
    bool committing = flow->batch && event_batch_is_running(flow->batch);
    if (flow->draining && flow->jobs.count == 0 && !committing)
        deferred_queue_add(&flow->deferred, &flow->drained);
}

static void on_batch_idle(void *context)
{
    tell_when_drained(context);
}

/* Out of the orders; who waited for it goes on. */
static void end(struct event_job *job)
{
    struct event_flow *flow = job->flow;
    /* One that still held others up; without others the lane goes with it. */
    struct event_lane *held_up = !job->released && job->lane_next ? job->lane : NULL;
    struct event_job *next = event_order_leave(&flow->order, job);
    event_job_free(&flow->jobs, job);
    if (next)
        recall(next);
    if (held_up)
        go_on(held_up);
    tell_when_drained(flow);
}

static void finish_place(struct event_flow *flow, const struct intake_place *place)
{
    intake_finish(flow->intake, place);
    if (flow->batch)
        event_batch_note_offset(flow->batch);
}

/* Its output, if it has one, is persisted. */
static void finish(struct event_job *job)
{
    finish_place(job->flow, &job->place);
    end(job);
}

/* Not done here: the partition's next owner has the record, or will have it. */
static void abandon(struct event_job *job)
{
    if (job->flow->batch)
        event_batch_withdraw(job->flow->batch, job);
    intake_abandon(job->flow->intake, &job->place);
    end(job);
}

static void let_go(struct event_job *job)
{
    job->let_go = true;
    if (job->state == EVENT_JOB_FETCHING)
        payload_fetch_cancel(&job->fetch);
    else if (!event_job_has_ticket_out(job))
        abandon(job);
}

static void fail(struct event_job *job, const char *code, const char *message)
{
    job->code = code;
    snprintf(job->message, sizeof job->message, "%s", message);
    log_info("event_flow", "a record becomes a dead letter", EVENT_JOB_FIELDS(job),
        LOG_TEXT("code", code), LOG_TEXT("reason", job->message));
    settle(job, EVENT_FATE_LETTER);
}

/* ---- a record comes in: what is it? ---- */

static void advise_on_data(struct event_flow *flow, enum event_class class)
{
    static struct log_limit limit;
    int64_t now_us = clock_monotonic_us();
    if (!recent_share_add(&flow->data_share, class == EVENT_DATA, now_us))
        return;
    double share = recent_share_ratio(&flow->data_share, now_us);
    if (share > 0.5)
        log_limited(&limit, DATA_ADVICE_INTERVAL_MS, LOG_LEVEL_WARN, "event_flow",
            "most records are data, not auth events; limit the destination at Terra to auth event "
            "types",
            LOG_INT("data_percent", (int64_t)(share * 100)));
}

/* What a record, or the payload behind its pointer, turned out to be. */
static void count(struct event_flow *flow, enum event_class class)
{
    metric_add(flow->records_total[class], 1);
    if (class != EVENT_POINTER)
        advise_on_data(flow, class);
}

static enum event_class classify(const struct kafka_record *record)
{
    struct event_scan scan;
    if (!record->value)
        return EVENT_OTHER; /* a tombstone says nothing */
    event_scan_init(&scan);
    event_scan_feed(&scan, record->value, record->value_size);
    return event_scan_end(&scan);
}

static void set_time(struct event_job *job)
{
    int64_t now_wall_us = clock_wall_us();
    int64_t timestamp_us = job->record->timestamp_ms * CLOCK_US_PER_MS;
    /* A missing timestamp, or one ahead of our clock, counts as arrival. */
    bool usable = job->record->timestamp_ms > 0 && timestamp_us <= now_wall_us;
    job->published_wall_us = usable ? timestamp_us : now_wall_us;
    metric_set(job->flow->last_record, (double)job->published_wall_us / CLOCK_US_PER_SECOND);
}

static void decode(struct event_job *job, const void *bytes, size_t size)
{
    char error[AUTH_EVENT_ERROR_SIZE];
    switch (auth_event_decode(&job->event, bytes, size, error)) {
    case AUTH_EVENT_READ:
        auth_event_identity(&job->event, job->pointer.payload_reference, job->identity);
        settle(job, EVENT_FATE_EVENT);
        return;
    case AUTH_EVENT_NOT_AUTH:
        settle(job, EVENT_FATE_NOTHING);
        return;
    case AUTH_EVENT_BAD:
        fail(job, "invalid_event", error);
        return;
    }
}

static void fetch(struct event_job *job);

void event_flow_take(
    struct event_flow *flow, struct kafka_record *record, struct intake_place place)
{
    enum event_class class = classify(record);
    count(flow, class);
    if (class == EVENT_DATA || class == EVENT_OTHER) {
        kafka_record_free(record);
        finish_place(flow, &place);
        return;
    }
    struct event_job *job = event_job_new(flow, &flow->jobs, record, place);
    event_order_enter(&flow->order, job);
    set_time(job);
    if (class == EVENT_POINTER)
        fetch(job);
    else if (class == EVENT_AUTH)
        decode(job, record->value, record->value_size);
    else
        fail(job, "invalid_event", "operator or Terra: the record is no JSON object");
}

/* ---- the payload behind a pointer ---- */

static void on_expired(struct event_job *job)
{
    static struct log_limit limit;
    /* One line for many: at a group's first start the whole topic has expired. */
    log_limited(&limit, 10000, LOG_LEVEL_WARN, "event_flow",
        "payloads had expired before they could be fetched; Terra can send them again",
        EVENT_JOB_FIELDS(job));
    job->code = "payload_expired";
    snprintf(job->message, sizeof job->message,
        "Terra: the pointer's life was over before its payload could be fetched");
    settle(job, EVENT_FATE_LETTER);
}

static void on_payload(struct event_job *job)
{
    job->payload = job->fetch.body;
    job->fetch.body = (struct buf){0};
    decode(job, buf_text(&job->payload), job->payload.size);
}

static void on_fetched(
    struct payload_fetch *fetched, enum payload_outcome outcome, const char *reason)
{
    struct event_job *job = fetched->context;
    if (job->let_go) {
        buf_release(&fetched->body);
        abandon(job);
        return;
    }
    if (outcome == PAYLOAD_FETCHED || outcome == PAYLOAD_SKIPPED)
        count(job->flow, fetched->class_);
    switch (outcome) {
    case PAYLOAD_FETCHED:
        on_payload(job);
        return;
    case PAYLOAD_SKIPPED:
        settle(job, EVENT_FATE_NOTHING);
        return;
    case PAYLOAD_EXPIRED:
        on_expired(job);
        return;
    case PAYLOAD_FORBIDDEN:
        fail(job, "payload_forbidden", reason);
        return;
    case PAYLOAD_UNREADABLE:
        fail(job, "payload_unreadable", reason);
        return;
    case PAYLOAD_UNAVAILABLE:
        fail(job, "payload_unavailable", reason);
        return;
    case PAYLOAD_CANCELLED:
        abandon(job);
        return;
    }
}

static void fetch(struct event_job *job)
{
    char error[EVENT_POINTER_ERROR_SIZE];
    const struct kafka_record *record = job->record;
    switch (event_pointer_read(&job->pointer, record->value, record->value_size,
        job->flow->options.pointer_rules, error)) {
    case EVENT_POINTER_FOLLOW:
        break;
    case EVENT_POINTER_FORBIDDEN:
        fail(job, "payload_forbidden", error);
        return;
    case EVENT_POINTER_BAD:
        fail(job, "invalid_event", error);
        return;
    }
    int64_t age_us = clock_wall_us() - job->published_wall_us;
    event_job_set_state(&job->flow->jobs, job, EVENT_JOB_FETCHING);
    job->fetch = (struct payload_fetch){
        .url = job->pointer.url,
        .expires_us = clock_monotonic_us() + job->pointer.life_us - age_us,
        .on_fetched = on_fetched,
        .context = job,
        .log = &job->log,
    };
    payload_fetch_start(job->flow->options.fetcher, &job->fetch);
}

/* ---- in turn ---- */

static void settle(struct event_job *job, enum event_job_fate fate)
{
    job->fate = fate;
    event_job_set_state(&job->flow->jobs, job, EVENT_JOB_ORDERED);
    go_on(job->lane);
}

static void begin(struct event_job *job)
{
    struct event_flow *flow = job->flow;
    if (job->fate == EVENT_FATE_NOTHING)
        finish(job);
    else if (job->fate == EVENT_FATE_LETTER)
        publish(job);
    else if (event_order_queue(&flow->order, job, auth_event_key(&job->event)))
        recall(job);
    else
        event_job_set_state(&flow->jobs, job, EVENT_JOB_QUEUED);
}

static void go_on(struct event_lane *lane)
{
    struct event_job *job;
    while ((job = event_order_release(lane))) {
        bool last = !lane->first_held;
        begin(job);
        if (last)
            return; /* it may have ended at once, and the lane with it */
    }
}

/* ---- is it a repeat, and which link does it follow? ---- */

static void on_recalled(struct event_job *job)
{
    if (--job->tickets_out > 0)
        return;
    if (job->let_go)
        abandon(job);
    else if (job->fate == EVENT_FATE_NOTHING)
        finish(job);
    else
        publish(job);
}

static void on_remembered(struct event_memory_ticket *ticket, bool is_repeat)
{
    struct event_job *job = ticket->context;
    if (is_repeat) {
        metric_add(job->flow->repeats_total, 1);
        job->fate = EVENT_FATE_NOTHING;
    }
    on_recalled(job);
}

static const enum auth_event_match matches[] = {
    [LINK_MATCH_NONE] = AUTH_EVENT_MATCH_NONE,
    [LINK_MATCH_SESSION] = AUTH_EVENT_MATCH_SESSION,
    [LINK_MATCH_USER] = AUTH_EVENT_MATCH_USER,
    [LINK_MATCH_REFERENCE] = AUTH_EVENT_MATCH_REFERENCE,
};

static void on_link_found(
    struct link_memory_ticket *ticket, const struct link_fact *fact, enum link_match match)
{
    struct event_job *job = ticket->context;
    if (fact) {
        double since_us = (double)(job->published_wall_us - fact->answered_wall_us);
        job->context.request_id = job->log.request_id = fact->request_id;
        job->context.offered_provider = fact->provider;
        job->context.matched_by = matches[match];
        job->context.seconds_since_link = since_us > 0 ? since_us / CLOCK_US_PER_SECOND : 0;
        if (fact->environment)
            job->context.environment = fact->environment;
    }
    on_recalled(job);
}

static void recall(struct event_job *job)
{
    const struct event_flow_options *options = &job->flow->options;
    const struct auth_event *event = &job->event;
    const char *subject = event_job_subject(job);
    event_job_set_state(&job->flow->jobs, job, EVENT_JOB_RECALLING);
    job->context = (struct auth_event_context){
        .environment = options->environment,
        .seconds_since_link = -1,
        .published_wall_us = job->published_wall_us,
    };
    job->tickets_out = subject ? 2 : 1;
    job->link_ticket.on_found = on_link_found;
    job->link_ticket.context = job;
    job->link_ticket.log = &job->log;
    job->memory_ticket.on_answer = on_remembered;
    job->memory_ticket.context = job;
    job->memory_ticket.log = &job->log;
    link_memory_find(options->link_memory, &job->link_ticket, event->widget_session_id,
        event->user_id, event->reference_id);
    if (subject)
        event_memory_ask(options->event_memory, &job->memory_ticket, subject, job->identity);
}

/* ---- it goes out ---- */

/* The event is accepted: only now may its repeats be dropped. */
static void on_persisted(struct event_job *job)
{
    const char *subject = event_job_subject(job);
    event_outbox_count(job->flow->outbox, job);
    if (job->fate == EVENT_FATE_EVENT && subject)
        event_memory_note(job->flow->options.event_memory, subject, job->identity);
    finish(job);
}

static void on_sent(struct event_job *job, bool persisted)
{
    if (persisted)
        on_persisted(job);
    else
        abandon(job);
}

static void publish(struct event_job *job)
{
    struct event_flow *flow = job->flow;
    event_outbox_prepare(flow->outbox, job);
    if (flow->batch)
        event_batch_add(flow->batch, job);
    else
        event_outbox_send(flow->outbox, job);
}

/* ---- partitions leave, the worker leaves ---- */

static void let_go_unbegun(struct event_flow *flow, bool all)
{
    struct event_job *job = flow->jobs.jobs;
    while (job) {
        struct event_job *following = job->next;
        bool begun = job->state == EVENT_JOB_PUBLISHING || job->state == EVENT_JOB_COMMITTING;
        if (!begun && (all || intake_place_state(&job->place) != INTAKE_PLACE_OURS))
            let_go(job);
        job = following;
    }
}

void event_flow_let_go_leaving(struct event_flow *flow)
{
    if (flow->batch)
        event_batch_cancel_leaving(flow->batch);
    let_go_unbegun(flow, false);
}

static void on_drained(struct deferred *item)
{
    struct event_flow *flow = item->context;
    flow->options.on_drained(flow->options.context);
}

void event_flow_drain(struct event_flow *flow)
{
    flow->draining = true;
    let_go_unbegun(flow, true);
    tell_when_drained(flow);
}

void event_flow_abandon(struct event_flow *flow)
{
    struct event_job *job;
    DL_FOREACH2(flow->jobs.jobs, job, next)
    {
        job->let_go = true;
    }
}

/* ---- life cycle ---- */

static void register_metrics(struct event_flow *flow)
{
    static const char help[] = "Records of the raw topic, and payloads behind pointers, by what "
                               "they were.";
    static const char *const labels[EVENT_CLASS_COUNT] = {
        [EVENT_AUTH] = "class=\"auth\"",
        [EVENT_POINTER] = "class=\"pointer\"",
        [EVENT_DATA] = "class=\"data\"",
        [EVENT_OTHER] = "class=\"other\"",
        [EVENT_UNREADABLE] = "class=\"unreadable\"",
    };
    for (unsigned class = 0; class < EVENT_CLASS_COUNT; class ++) {
        if (labels[class])
            flow->records_total[class] =
                metrics_counter("terra_connect_raw_records_total", labels[class], help);
    }
    flow->last_record = metrics_gauge("terra_connect_raw_record_last_timestamp_seconds", NULL,
        "Timestamp of the newest record taken from the raw topic, in Unix time.");
    flow->data_ratio = metrics_gauge("terra_connect_raw_data_ratio", NULL,
        "Share of data among the records and payloads of the last 10 to 20 minutes, or the last "
        "one to two thousand, 0 to 1; 0 also when none came.");
    flow->repeats_total = metrics_counter("terra_connect_event_repeats_total", NULL,
        "Auth events dropped as repeats of the last one of their user.");
}

struct event_flow *event_flow_new(uv_loop_t *loop, const struct event_flow_options *options)
{
    struct event_flow *flow = memory_new(sizeof *flow);
    flow->options = *options;
    event_job_list_init(&flow->jobs);
    flow->outbox = event_outbox_new(&(struct event_outbox_options){
        .jobs = &flow->jobs,
        .publisher = options->publisher,
        .events_topic = options->events_topic,
        .dead_letters_topic = options->dead_letters_topic,
        .group_id = options->group_id,
        .source = options->source,
        .on_sent = on_sent,
    });
    if (options->transactor)
        flow->batch = event_batch_new(loop, &(struct event_batch_options){
                                                .jobs = &flow->jobs,
                                                .outbox = flow->outbox,
                                                .transactor = options->transactor,
                                                .on_committed = on_persisted,
                                                .on_refused = abandon,
                                                .on_idle = on_batch_idle,
                                                .context = flow,
                                            });
    register_metrics(flow);
    deferred_queue_init(&flow->deferred, loop);
    flow->drained = (struct deferred){.run = on_drained, .context = flow};
    return flow;
}

void event_flow_start(struct event_flow *flow, struct intake *intake)
{
    flow->intake = intake;
    if (flow->batch)
        event_batch_start(flow->batch, intake);
}

void event_flow_close(struct event_flow *flow)
{
    if (flow->batch)
        event_batch_close(flow->batch);
    deferred_queue_close(&flow->deferred);
}

void event_flow_free(struct event_flow *flow)
{
    if (!flow)
        return;
    event_batch_free(flow->batch);
    event_outbox_free(flow->outbox);
    free(flow);
}

unsigned event_flow_jobs(const struct event_flow *flow)
{
    return flow->jobs.count;
}

void event_flow_refresh_metrics(struct event_flow *flow)
{
    metric_set(flow->data_ratio, recent_share_ratio(&flow->data_share, clock_monotonic_us()));
}
