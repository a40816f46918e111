/* connect_flow: see connect_flow.h. Each stage begins with a function that asks and goes on in the
 * one that is answered; they stand here in the order in which a request meets them. */
#include "worker/connect_flow.h"

#include <limits.h>
#include <stdlib.h>

#include <utlist.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/deferred.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/metrics.h"
#include "worker/connect_hold.h"
#include "worker/connect_job.h"
#include "worker/connect_outbox.h"
#include "worker/connect_twins.h"

enum {
    TICK_MS = 20,     /* how exactly pauses and the deadlines of twins are kept */
    ATTEMPTS_FEW = 3, /* for answers that seldom pass later (500) */
};

/* When an environment has as many requests here as it may, some go within seconds. */
#define CROWDED_RETRY_US (5 * CLOCK_US_PER_SECOND)

static const struct backoff retry_backoff = {
    .base_us = 500 * CLOCK_US_PER_MS,
    .maximum_us = 8 * CLOCK_US_PER_SECOND,
};

struct connect_flow {
    struct connect_flow_options options;
    struct intake *intake;
    struct connect_job_lists jobs;
    struct connect_outbox *outbox;
    struct connect_twins *twins;
    struct connect_hold *hold;
    bool draining;
    uv_timer_t tick; /* runs while jobs pause or are held, or twins wait */
    struct deferred_queue deferred;
    struct deferred drained;
    struct metric *retries_total, *crowded_total;
};

static void find_twin(struct connect_job *job);
static void recall(struct connect_job *job);
static void ask_for_turn(struct connect_job *job);
static void conclude(struct connect_job *job);
static void reply(struct connect_job *job);

/* ---- the end of a job ---- */

static void free_job(struct connect_job *job)
{
    struct connect_flow *flow = job->flow;
    connect_job_free(&flow->jobs, job);
    if (flow->draining && flow->jobs.count == 0)
        deferred_queue_add(&flow->deferred, &flow->drained);
}

/* Answered, and the answer is persisted. */
static void finish(struct connect_job *job)
{
    intake_finish(job->flow->intake, &job->place);
    free_job(job);
}

/* Not answered here: the partition's next owner has the record, or will have it. */
static void abandon(struct connect_job *job)
{
    connect_twins_leave(job->flow->twins, job);
    intake_abandon(job->flow->intake, &job->place);
    free_job(job);
}

/* Ends a job that has not begun its call, now or at its next callback. */
static void let_go(struct connect_job *job)
{
    if (connect_job_has_ticket_out(job)) {
        job->let_go = true;
        return;
    }
    admission_withdraw(job->flow->options.admission, &job->admission_ticket);
    abandon(job);
}

static void fail(
    struct connect_job *job, enum connect_code code, int64_t retry_after_us, const char *message)
{
    struct connect_error error;
    connect_error_set(&error, code, "%s", message);
    error.retry_after_us = retry_after_us;
    connect_job_set_error(job, &error);
    conclude(job);
}

static bool is_late(const struct connect_job *job)
{
    return clock_monotonic_us() >= job->deadline_us;
}

static void fail_late(struct connect_job *job)
{
    fail(job, CONNECT_DEADLINE_EXCEEDED, -1,
        "nobody is at fault: the request's deadline passed before Terra gave a link; send it again "
        "if somebody still waits");
}

/* ---- a record comes in ---- */

/* One with a null value is as good as none. */
static struct kafka_header *find_header(
    const struct connect_job *job, const char *name, struct kafka_header *header)
{
    return kafka_record_header(job->record, name, header) && header->value ? header : NULL;
}

static void on_address_checked(struct publisher_question *question, bool exists, const char *reason)
{
    struct connect_job *job = question->context;
    if (job->let_go) {
        abandon(job);
    } else if (exists) {
        find_twin(job);
    } else {
        reply_address_set_default(job->flow->options.address_rules, &job->address);
        fail(job, CONNECT_REPLY_ADDRESS_REJECTED, -1, reason);
    }
}

static void check_address(struct connect_job *job)
{
    if (job->address.is_default) {
        find_twin(job);
        return;
    }
    connect_job_set_state(&job->flow->jobs, job, CONNECT_ADDRESSING);
    job->question = (struct publisher_question){
        .query.topic = job->address.topic,
        .partition = job->address.partition,
        .on_checked = on_address_checked,
        .context = job,
    };
    publisher_check(job->flow->options.publisher, &job->question);
}

void connect_flow_take(
    struct connect_flow *flow, struct kafka_record *record, struct intake_place place)
{
    struct connect_job *job = connect_job_new(flow, &flow->jobs, record, place);
    struct kafka_header kafka_correlation, correlation, reply_topic, reply_to, reply_partition;
    struct kafka_header *named = find_header(job, "kafka_correlationId", &kafka_correlation);
    if (!named)
        named = find_header(job, "correlation-id", &correlation);

    const struct connect_request_source source = {
        .topic = record->topic,
        .partition = record->partition,
        .offset = record->offset,
        .value = record->value,
        .value_size = record->value_size,
        .correlation = named ? named->value : NULL,
        .correlation_size = named ? named->value_size : 0,
    };
    bool readable =
        connect_request_decode(&job->request, &source, &flow->options.request_rules, &job->error);
    job->log.request_id = job->request.request_id;
    connect_job_set_times(job);
    struct connect_error address_error;
    bool addressable = reply_address_read(flow->options.address_rules,
        find_header(job, "kafka_replyTopic", &reply_topic), find_header(job, "reply-to", &reply_to),
        find_header(job, "kafka_replyPartition", &reply_partition), &job->address, &address_error);

    if (readable && addressable) {
        check_address(job);
    } else if (readable) {
        connect_job_set_error(job, &address_error);
        conclude(job);
    } else if (job->address.named || named || job->request.identified) {
        log_info("connect_flow", "a request cannot be read", CONNECT_JOB_FIELDS(job),
            LOG_TEXT("code", connect_code_name(job->error.code)));
        conclude(job);
    } else {
        connect_outbox_bury(flow->outbox, job); /* nobody can be answered */
    }
}

/* ---- copies of one request in flight share one call ---- */

static void on_tick(uv_timer_t *timer);

static void start_tick(struct connect_flow *flow)
{
    if (!uv_is_active((uv_handle_t *)&flow->tick))
        uv_timer_start(&flow->tick, on_tick, TICK_MS, TICK_MS);
}

static void find_twin(struct connect_job *job)
{
    connect_twins_join(job->flow->twins, job);
}

static void fail_crowded(struct connect_job *job)
{
    metric_add(job->flow->crowded_total, 1);
    fail(job, CONNECT_RATE_LIMITED, CROWDED_RETRY_US,
        "nobody is at fault: the worker has as many requests of this environment as it takes at "
        "once; send it again later");
}

static void on_twin(struct connect_job *job)
{
    if (!connect_job_stay(&job->flow->jobs, job)) {
        connect_twins_leave(job->flow->twins, job);
        fail_crowded(job);
        return;
    }
    start_tick(job->flow);
}

/* ---- was it answered before? ---- */

static void on_recalled(struct reply_cache_ticket *ticket, struct terra_link *link)
{
    struct connect_job *job = ticket->context;
    if (job->let_go) {
        abandon(job);
    } else if (link) {
        connect_job_take_link(job, link, true);
        conclude(job);
    } else {
        ask_for_turn(job);
    }
}

static void recall(struct connect_job *job)
{
    connect_job_set_state(&job->flow->jobs, job, CONNECT_RECALLING);
    job->cache_ticket.on_link = on_recalled;
    job->cache_ticket.context = job;
    job->cache_ticket.log = &job->log;
    reply_cache_find(job->flow->options.reply_cache, &job->cache_ticket, job->digest);
}

/* ---- a turn under the limit ---- */

static void on_turn(
    struct admission_ticket *ticket, enum admission_verdict verdict, int64_t room_in_us);

static void hold(struct connect_job *job)
{
    connect_hold_take(job->flow->hold, job);
    start_tick(job->flow);
}

static void ask_for_turn(struct connect_job *job)
{
    connect_job_set_state(&job->flow->jobs, job, CONNECT_WAITING);
    /* Late by its age or by its pause: the limit has nothing to do with it. */
    if (is_late(job)) {
        fail_late(job);
        return;
    }
    if (!connect_job_stay(&job->flow->jobs, job)) {
        fail_crowded(job);
        return;
    }
    if (connect_hold_wanted(job->flow->hold, job)) {
        hold(job);
        return;
    }
    job->since_us = clock_monotonic_us();
    job->admission_ticket = (struct admission_ticket){
        .environment = job->request.environment,
        .arrived_us = job->arrived_us,
        .deadline_us = job->deadline_us,
        .on_turn = on_turn,
        .context = job,
    };
    admission_ask(job->flow->options.admission, &job->admission_ticket);
}

static void on_answer(struct terra_call *call, struct terra_answer *answer);

static void on_turn(
    struct admission_ticket *ticket, enum admission_verdict verdict, int64_t room_in_us)
{
    struct connect_job *job = ticket->context;
    job->waiting_us += clock_monotonic_us() - job->since_us;
    if (verdict == ADMISSION_NO_ROOM) {
        fail(job, CONNECT_RATE_LIMITED,
            room_in_us > CLOCK_US_PER_SECOND ? room_in_us : CLOCK_US_PER_SECOND,
            "nobody is at fault: the limit of calls to Terra has no room before this request's "
            "deadline; send it again later");
        return;
    }
    if (connect_hold_wanted(job->flow->hold, job)) {
        admission_done(job->flow->options.admission, ticket);
        hold(job);
        return;
    }
    connect_job_set_state(&job->flow->jobs, job, CONNECT_CALLING);
    job->attempts++;
    job->call.on_answer = on_answer;
    job->call.context = job;
    job->call.log = &job->log;
    terra_call_start(job->flow->options.terra, &job->call, &job->request, job->deadline_us);
}

/* ---- Terra's answer ---- */

static void pause_before_retry(struct connect_job *job, int64_t delay_us)
{
    connect_job_set_state(&job->flow->jobs, job, CONNECT_PAUSING);
    job->since_us = clock_monotonic_us() + delay_us;
    metric_add(job->flow->retries_total, 1);
    start_tick(job->flow);
}

static void retry_or_give_up(struct connect_job *job, const struct terra_answer *answer)
{
    unsigned attempts_max = job->flow->options.attempts_max;
    if (answer->verdict == TERRA_RETRY_FEW && attempts_max > ATTEMPTS_FEW)
        attempts_max = ATTEMPTS_FEW;
    int64_t delay_us = backoff_delay_us(&retry_backoff, job->attempts, backoff_random());
    if (answer->retry_after_us > delay_us)
        delay_us = answer->retry_after_us;

    if (is_late(job)) {
        fail_late(job);
    } else if (job->attempts >= attempts_max ||
               clock_monotonic_us() + delay_us >= job->deadline_us) {
        connect_job_set_error(job, &answer->error);
        if (job->error.retry_after_us < 0)
            job->error.retry_after_us = delay_us;
        conclude(job);
    } else {
        pause_before_retry(job, delay_us);
    }
}

static void keep(struct connect_job *job);

/* Not this request alone had to wait: all of this credential's are to. */
static void cool_down_if_told(struct connect_job *job, const struct terra_answer *answer)
{
    int status = answer->error.http_status;
    if (status == 429 || (status == 503 && answer->retry_after_us >= 0))
        admission_cool_down(
            job->flow->options.admission, job->request.environment, answer->retry_after_us);
}

/* A worker that leaves, or whose partition has gone, begins nothing new. */
static bool may_call_again(const struct connect_job *job)
{
    return !job->let_go && !job->flow->draining &&
           intake_place_state(&job->place) == INTAKE_PLACE_OURS;
}

/* True: the job goes on with another key, or waits for one; else the refusal is its outcome. */
static bool outlives_refusal(struct connect_job *job, const struct terra_answer *answer)
{
    const struct environment *environment = job->request.environment;
    bool replaced = job->call.key_generation != environment->key_generation;
    if (!replaced && !environment->api_key_file)
        return false;
    if (!may_call_again(job)) {
        abandon(job);
    } else if (replaced) {
        ask_for_turn(job);
    } else {
        connect_hold_take_refused(job->flow->hold, job, &answer->error);
        start_tick(job->flow);
    }
    return true;
}

static void on_answer(struct terra_call *call, struct terra_answer *answer)
{
    struct connect_job *job = call->context;
    struct connect_flow *flow = job->flow;
    job->calling_us += call->duration_us;
    admission_done(flow->options.admission, &job->admission_ticket);
    terra_health_note(flow->options.health, call, job->digest, answer);
    switch (answer->verdict) {
    case TERRA_LINK:
        connect_job_take_link(job, &answer->link, false);
        keep(job);
        return;
    case TERRA_OTHER_ENDPOINT:
        if (terra_call_has_other_endpoint(flow->options.terra, call)) {
            if (may_call_again(job))
                ask_for_turn(job);
            else
                abandon(job);
            return;
        }
        break;
    case TERRA_RETRY:
    case TERRA_RETRY_FEW:
        cool_down_if_told(job, answer);
        if (may_call_again(job))
            retry_or_give_up(job, answer);
        else
            abandon(job);
        return;
    case TERRA_CREDENTIALS:
        if (outlives_refusal(job, answer))
            return;
        break;
    case TERRA_REJECT:
        break;
    }
    connect_job_set_error(job, &answer->error);
    conclude(job);
}

/* ---- the first link given to a request is its link ---- */

static void on_kept(struct reply_cache_ticket *ticket, struct terra_link *link)
{
    struct connect_job *job = ticket->context;
    if (link)
        connect_job_take_link(job, link, true); /* another worker was first */
    conclude(job);
}

static void keep(struct connect_job *job)
{
    connect_job_set_state(&job->flow->jobs, job, CONNECT_KEEPING);
    job->cache_ticket.on_link = on_kept;
    reply_cache_keep(job->flow->options.reply_cache, &job->cache_ticket, job->digest, &job->link);
}

/* ---- trouble begins or ends ---- */

void connect_flow_review_trouble(struct connect_flow *flow)
{
    struct connect_job *job, *following;
    DL_FOREACH_SAFE2(flow->jobs.lists[CONNECT_WAITING], job, following, next)
    {
        if (!connect_hold_wanted(flow->hold, job))
            continue;
        job->waiting_us += clock_monotonic_us() - job->since_us;
        admission_withdraw(flow->options.admission, &job->admission_ticket);
        hold(job);
    }
    connect_hold_review(flow->hold);
}

/* ---- pauses, holds and the deadlines of twins ---- */

static void on_tick(uv_timer_t *timer)
{
    struct connect_flow *flow = timer->data;
    struct connect_job *job, *following;
    int64_t now_us = clock_monotonic_us();
    DL_FOREACH_SAFE2(flow->jobs.lists[CONNECT_PAUSING], job, following, next)
    {
        if (job->since_us <= now_us)
            ask_for_turn(job);
    }
    connect_hold_review(flow->hold);
    connect_twins_end_late(flow->twins, now_us);
    if (!flow->jobs.lists[CONNECT_PAUSING] && !flow->jobs.lists[CONNECT_HOLDING] &&
        !flow->jobs.lists[CONNECT_TWIN])
        uv_timer_stop(&flow->tick);
}

/* ---- the answer goes out ---- */

static void on_sent(struct connect_job *job, bool persisted)
{
    if (persisted)
        finish(job);
    else
        abandon(job);
}

static void reply(struct connect_job *job)
{
    connect_outbox_reply(job->flow->outbox, job);
}

static void conclude(struct connect_job *job)
{
    connect_twins_share(job->flow->twins, job);
    reply(job);
}

/* ---- partitions leave, the worker leaves ---- */

static void let_go_unbegun(struct connect_flow *flow, bool all)
{
    for (unsigned state = 0; state < CONNECT_STATE_COUNT; state++) {
        struct connect_job *job = flow->jobs.lists[state];
        while (job) {
            struct connect_job *following = job->next;
            if (!connect_job_has_begun(job) &&
                (all || intake_place_state(&job->place) != INTAKE_PLACE_OURS))
                let_go(job);
            job = following;
        }
    }
}

void connect_flow_let_go_leaving(struct connect_flow *flow)
{
    let_go_unbegun(flow, false);
}

static void on_drained(struct deferred *item)
{
    struct connect_flow *flow = item->context;
    flow->options.on_drained(flow->options.context);
}

void connect_flow_drain(struct connect_flow *flow)
{
    flow->draining = true;
    let_go_unbegun(flow, true);
    if (flow->jobs.count == 0)
        deferred_queue_add(&flow->deferred, &flow->drained);
}

void connect_flow_abandon(struct connect_flow *flow)
{
    for (unsigned state = 0; state < CONNECT_STATE_COUNT; state++) {
        struct connect_job *job;
        DL_FOREACH2(flow->jobs.lists[state], job, next)
        {
            job->let_go = true;
        }
    }
}

/* ---- life cycle ---- */

struct connect_flow *connect_flow_new(uv_loop_t *loop, const struct connect_flow_options *options)
{
    struct connect_flow *flow = memory_new(sizeof *flow);
    flow->options = *options;
    bool shared = options->request_rules.environments->count > 1;
    connect_job_lists_init(&flow->jobs, shared ? options->requests_in_flight_max / 2 : UINT_MAX);
    flow->outbox = connect_outbox_new(&(struct connect_outbox_options){
        .jobs = &flow->jobs,
        .publisher = options->publisher,
        .batch_publisher = options->batch_publisher,
        .link_memory = options->link_memory,
        .address_rules = options->address_rules,
        .outcomes_topic = options->outcomes_topic,
        .dead_letters_topic = options->dead_letters_topic,
        .group_id = options->group_id,
        .source = options->source,
        .on_sent = on_sent,
    });
    flow->twins = connect_twins_new(&(struct connect_twins_options){
        .jobs = &flow->jobs,
        .on_lead = recall,
        .on_twin = on_twin,
        .on_outcome = reply,
        .on_late = fail_late,
    });
    flow->hold = connect_hold_new(&(struct connect_hold_options){
        .jobs = &flow->jobs,
        .health = options->health,
        .on_over = ask_for_turn,
        .on_end = conclude,
    });
    flow->crowded_total = metrics_counter("terra_connect_early_answers_total",
        "code=\"rate_limited\"", "Requests answered with an error that was known without a call.");
    flow->retries_total = metrics_counter(
        "terra_connect_retries_total", NULL, "Calls to Terra that will be made again.");
    deferred_queue_init(&flow->deferred, loop);
    flow->drained = (struct deferred){.run = on_drained, .context = flow};
    uv_timer_init(loop, &flow->tick);
    flow->tick.data = flow;
    return flow;
}

void connect_flow_start(struct connect_flow *flow, struct intake *intake)
{
    flow->intake = intake;
}

void connect_flow_close(struct connect_flow *flow)
{
    deferred_queue_close(&flow->deferred);
    uv_close((uv_handle_t *)&flow->tick, NULL);
}

void connect_flow_free(struct connect_flow *flow)
{
    if (!flow)
        return;
    connect_outbox_free(flow->outbox);
    connect_twins_free(flow->twins);
    connect_hold_free(flow->hold);
    connect_job_lists_release(&flow->jobs);
    free(flow);
}

unsigned connect_flow_jobs(const struct connect_flow *flow)
{
    return flow->jobs.count;
}

void connect_flow_refresh_metrics(struct connect_flow *flow)
{
    connect_job_lists_refresh_oldest(&flow->jobs);
}
