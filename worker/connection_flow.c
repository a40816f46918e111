/* connection_flow: see connection_flow.h. The stages stand here in the order in which a record
 * meets them. */
#include "worker/connection_flow.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "common/clock.h"
#include "common/deferred.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/metrics.h"
#include "common/traceparent.h"
#include "worker/auth_event.h"
#include "worker/cloud_event.h"
#include "worker/connection_state.h"
#include "worker/key_queue.h"
#include "worker/publisher_letter.h"

enum {
    PAUSE_TICK_MS = 500, /* how often the memory is asked again while it is away */
    STATE_JSON_BYTES_MAX = CONNECTION_STATE_JSON_BYTES_MAX,
};

enum job_state {
    JOB_NEW,
    JOB_QUEUED,     /* an earlier event of the same key is not done */
    JOB_RECALLING,  /* the state so far (ticket out) */
    JOB_PAUSING,    /* the memory was away */
    JOB_PUBLISHING, /* the new state, or a dead letter (ticket out) */
    JOB_KEEPING,    /* the new state goes into the memory (ticket out) */
};

/* Whose state is looked at: an event may be about two users. */
enum { ROLE_COUNT = 2 };

struct connection_job {
    struct connection_flow *flow;
    enum job_state state;
    struct connection_job *previous, *next;
    bool let_go; /* ends at its next callback and commits nothing */

    struct kafka_record *record;
    struct intake_place place;
    struct key_queue_ticket turn;
    struct auth_event event;
    struct auth_event_context context;
    char error[AUTH_EVENT_ERROR_SIZE];
    char trace_id[TRACE_ID_SIZE]; /* for log.trace_id */
    struct log_context log;       /* the stages borrow it with their tickets */

    enum connection_role role;
    struct connection_state connection;
    enum connection_change change;
    struct connection_memory_ticket ticket;
    struct cloud_event_headers headers;
    struct buf json; /* what is published, then what is kept */
    struct publication publication;
};

struct connection_flow {
    struct connection_flow_options options;
    struct intake *intake;
    struct connection_job *jobs;
    unsigned count;
    struct key_queue keys;
    bool draining;
    uv_timer_t pause; /* runs while jobs pause */
    struct deferred_queue deferred;
    struct deferred drained;
    struct metric *changed_total, *ended_total, *unchanged_total, *letters_total, *jobs_gauge;
};

static void recall(struct connection_job *job);
static void next_role(struct connection_job *job);

/* ---- the end of a job ---- */

static void end(struct connection_job *job)
{
    struct connection_flow *flow = job->flow;
    struct key_queue_ticket *next = key_queue_leave(&flow->keys, &job->turn);
    DL_DELETE2(flow->jobs, job, previous, next);
    metric_set(flow->jobs_gauge, --flow->count);
    auth_event_release(&job->event);
    connection_state_release(&job->connection);
    cloud_event_headers_release(&job->headers);
    buf_release(&job->json);
    kafka_record_free(job->record);
    free(job);
    if (next)
        recall(next->owner);
    if (flow->draining && flow->count == 0)
        deferred_queue_add(&flow->deferred, &flow->drained);
}

/* What it changes is persisted. */
static void finish(struct connection_job *job)
{
    intake_finish(job->flow->intake, &job->place);
    end(job);
}

/* Not done here: the partition's next owner has the record, or will have it. */
static void abandon(struct connection_job *job)
{
    intake_abandon(job->flow->intake, &job->place);
    end(job);
}

static void let_go(struct connection_job *job)
{
    job->let_go = true;
    if (job->state == JOB_QUEUED || job->state == JOB_PAUSING)
        abandon(job);
}

static void on_buried(void *context, bool persisted)
{
    struct connection_job *job = context;
    if (!persisted) {
        abandon(job);
        return;
    }
    metric_add(job->flow->letters_total, 1);
    finish(job);
}

static void bury(struct connection_job *job)
{
    const struct connection_flow_options *options = &job->flow->options;
    const struct dead_letter letter = {
        .code = "invalid_event",
        .message = job->error,
        .group = options->group_id,
        .source = options->source,
        .record = job->record,
        .time_wall_us = clock_wall_us(),
    };
    log_warn("connection_flow", "an auth event cannot be read and becomes a dead letter",
        LOG_CONTEXT(&job->log), LOG_TEXT("reason", job->error));
    job->state = JOB_PUBLISHING;
    publisher_bury(
        options->publisher, options->dead_letters_topic, &letter, &job->log, on_buried, job);
}

/* ---- an event comes in ---- */

static struct connection_job *new_job(
    struct connection_flow *flow, struct kafka_record *record, struct intake_place place)
{
    struct connection_job *job = memory_new(sizeof *job);
    job->flow = flow;
    job->record = record;
    job->place = place;
    job->turn.owner = job;
    job->log = kafka_record_log_context(record, job->trace_id);
    buf_init(&job->json, STATE_JSON_BYTES_MAX);
    DL_APPEND2(flow->jobs, job, previous, next);
    metric_set(flow->jobs_gauge, ++flow->count);
    return job;
}

void connection_flow_take(
    struct connection_flow *flow, struct kafka_record *record, struct intake_place place)
{
    struct connection_job *job = new_job(flow, record, place);
    enum auth_event_verdict verdict = auth_event_decode_normalised(
        &job->event, &job->context, record->value, record->value_size, job->error);
    job->log.request_id = job->context.request_id;
    if (verdict == AUTH_EVENT_BAD) {
        bury(job);
        return;
    }
    /* A kind of a later version, or an event about no connection. */
    if (verdict == AUTH_EVENT_NOT_AUTH || !job->event.user_id) {
        finish(job);
        return;
    }
    if (key_queue_join(&flow->keys, &job->turn, record->key ? record->key : "", record->key_size))
        recall(job);
    else
        job->state = JOB_QUEUED;
}

/* ---- the state so far ---- */

static const char *user_of(const struct connection_job *job)
{
    return job->role == CONNECTION_OF_USER ? job->event.user_id : job->event.old_user_id;
}

static void on_pause(uv_timer_t *timer)
{
    struct connection_flow *flow = timer->data;
    struct connection_job *job, *following;
    uv_timer_stop(timer);
    DL_FOREACH_SAFE2(flow->jobs, job, following, next)
    {
        if (job->state == JOB_PAUSING)
            recall(job);
    }
}

static void pause_before_asking_again(struct connection_job *job)
{
    job->state = JOB_PAUSING;
    if (!uv_is_active((uv_handle_t *)&job->flow->pause))
        uv_timer_start(&job->flow->pause, on_pause, PAUSE_TICK_MS, 0);
}

static void change_state(struct connection_job *job);

static void on_found(struct connection_memory_ticket *ticket,
    enum connection_memory_outcome outcome, const void *bytes, size_t size)
{
    struct connection_job *job = ticket->context;
    connection_state_release(&job->connection);
    job->connection = (struct connection_state){0};
    if (job->let_go) {
        abandon(job);
        return;
    }
    if (outcome == CONNECTION_MEMORY_UNAVAILABLE) {
        pause_before_asking_again(job);
        return;
    }
    if (outcome == CONNECTION_MEMORY_FOUND &&
        !connection_state_decode(&job->connection, bytes, size)) {
        static struct log_limit limit;
        log_limited(&limit, 10000, LOG_LEVEL_WARN, "connection_flow",
            "a kept connection state cannot be read and counts as none", LOG_CONTEXT(&job->log));
    }
    change_state(job);
}

static void recall(struct connection_job *job)
{
    job->state = JOB_RECALLING;
    job->ticket.on_found = on_found;
    job->ticket.context = job;
    job->ticket.log = &job->log;
    connection_memory_find(job->flow->options.memory, &job->ticket, user_of(job));
}

/* ---- the new state goes out ---- */

static void on_published(
    struct publication *publication, enum publication_outcome outcome, const char *reason);

static void add_header(struct connection_job *job, const char *name, const char *value)
{
    if (value)
        cloud_event_headers_add_text(&job->headers, name, value);
}

static void publish(struct connection_job *job)
{
    const struct connection_flow_options *options = &job->flow->options;
    const char *user_id = user_of(job);
    bool ended = job->change == CONNECTION_ENDED;
    cloud_event_headers_release(&job->headers);
    cloud_event_headers_init(
        &job->headers, &(struct cloud_event){
                           .kind = ended ? "connection-ended" : "connection-state",
                           .source = options->source,
                           .subject = user_id,
                           .time_wall_us = clock_wall_us(),
                           .topic = job->record->topic,
                           .partition = job->record->partition,
                           .offset = job->record->offset,
                       });
    publisher_pass_trace(job->record, &job->headers);
    if (ended) {
        add_header(job, "reference_id", job->connection.reference_id.text);
        add_header(job, "provider", job->connection.provider.text);
        add_header(job, "kind", auth_event_kind_name(job->event.kind));
    }
    buf_reset(&job->json);
    if (!ended)
        connection_state_encode(&job->connection, &job->json);
    job->state = JOB_PUBLISHING;
    job->publication = (struct publication){
        .delivery =
            {
                .topic = options->connections_topic,
                .partition = KAFKA_PARTITION_BY_KEY,
                .key = user_id,
                .key_size = strlen(user_id),
                .value = ended ? NULL : buf_text(&job->json),
                .value_size = ended ? 0 : job->json.size,
                .headers = job->headers.headers,
                .header_count = job->headers.count,
            },
        .on_published = on_published,
        .context = job,
        .log = &job->log,
    };
    publisher_send(options->publisher, &job->publication);
}

static void change_state(struct connection_job *job)
{
    job->change = connection_state_apply(&job->connection, &job->event, &job->context, job->role);
    if (job->change != CONNECTION_UNCHANGED) {
        publish(job);
        return;
    }
    metric_add(job->flow->unchanged_total, 1);
    next_role(job);
}

/* ---- and into the memory ---- */

static void on_kept(struct connection_memory_ticket *ticket, bool kept)
{
    struct connection_job *job = ticket->context;
    if (kept)
        next_role(job);
    else if (job->let_go)
        abandon(job);
    else
        pause_before_asking_again(job); /* and does this user again: it comes to the same */
}

static void on_published(
    struct publication *publication, enum publication_outcome outcome, const char *reason)
{
    struct connection_job *job = publication->context;
    if (outcome != PUBLISHED) {
        if (outcome != PUBLISHED_NOT_CANCELLED)
            log_error("connection_flow", "a connection state cannot be published",
                LOG_CONTEXT(&job->log), LOG_TEXT("reason", reason));
        abandon(job);
        return;
    }
    metric_add(
        job->change == CONNECTION_ENDED ? job->flow->ended_total : job->flow->changed_total, 1);
    job->state = JOB_KEEPING;
    buf_reset(&job->json);
    connection_state_save(&job->connection, &job->json);
    job->ticket.on_kept = on_kept;
    job->ticket.context = job;
    connection_memory_keep(job->flow->options.memory, &job->ticket, user_of(job),
        buf_text(&job->json), job->json.size,
        job->change == CONNECTION_ENDED ? CONNECTION_MEMORY_ENDED : CONNECTION_MEMORY_LIVE);
}

static void next_role(struct connection_job *job)
{
    if (job->role == CONNECTION_OF_USER && job->event.old_user_id) {
        job->role = CONNECTION_OF_OLD_USER;
        recall(job);
        return;
    }
    finish(job);
}

/* ---- partitions leave, the worker leaves ---- */

static void let_go_waiting(struct connection_flow *flow, bool all)
{
    struct connection_job *job, *following;
    DL_FOREACH_SAFE2(flow->jobs, job, following, next)
    {
        if (all || intake_place_state(&job->place) != INTAKE_PLACE_OURS)
            let_go(job);
    }
}

void connection_flow_let_go_leaving(struct connection_flow *flow)
{
    let_go_waiting(flow, false);
}

static void on_drained(struct deferred *item)
{
    struct connection_flow *flow = item->context;
    flow->options.on_drained(flow->options.context);
}

void connection_flow_drain(struct connection_flow *flow)
{
    flow->draining = true;
    let_go_waiting(flow, true);
    if (flow->count == 0)
        deferred_queue_add(&flow->deferred, &flow->drained);
}

void connection_flow_abandon(struct connection_flow *flow)
{
    let_go_waiting(flow, true);
}

/* ---- life cycle ---- */

struct connection_flow *connection_flow_new(
    uv_loop_t *loop, const struct connection_flow_options *options)
{
    static const char help[] = "Connection states by what an auth event made of them.";
    struct connection_flow *flow = memory_new(sizeof *flow);
    flow->options = *options;
    uv_timer_init(loop, &flow->pause);
    flow->pause.data = flow;
    deferred_queue_init(&flow->deferred, loop);
    flow->drained = (struct deferred){.run = on_drained, .context = flow};
    flow->changed_total =
        metrics_counter("terra_connect_connection_states_total", "change=\"changed\"", help);
    flow->ended_total =
        metrics_counter("terra_connect_connection_states_total", "change=\"ended\"", help);
    flow->unchanged_total =
        metrics_counter("terra_connect_connection_states_total", "change=\"unchanged\"", help);
    flow->letters_total = metrics_counter("terra_connect_connection_dead_letters_total", NULL,
        "Auth events that could not be read and became dead letters.");
    flow->jobs_gauge = metrics_gauge("terra_connect_connection_jobs", NULL,
        "Auth events taken in by the connections flow and not yet done.");
    return flow;
}

void connection_flow_start(struct connection_flow *flow, struct intake *intake)
{
    flow->intake = intake;
}

void connection_flow_close(struct connection_flow *flow)
{
    deferred_queue_close(&flow->deferred);
    uv_close((uv_handle_t *)&flow->pause, NULL);
}

void connection_flow_free(struct connection_flow *flow)
{
    if (!flow)
        return;
    assert(flow->count == 0 && !flow->keys.entries);
    free(flow);
}

unsigned connection_flow_jobs(const struct connection_flow *flow)
{
    return flow->count;
}
