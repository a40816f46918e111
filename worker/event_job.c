/* event_job: see event_job.h. */
#include "worker/event_job.h"

#include <assert.h>
#include <stdlib.h>

#include <utlist.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/metrics.h"

#define EVENT_JSON_BYTES_MAX (1024 * 1024)
#define BIT(state) (1u << (state))

/* What each state is called, and from where it may be entered. */
static const struct {
    const char *name;
    const char *label;
    unsigned from;
    bool ticket_out;
} states[EVENT_JOB_STATE_COUNT] = {
    [EVENT_JOB_NEW] = {"new", "state=\"new\"", 0, false},
    [EVENT_JOB_FETCHING] = {"fetching", "state=\"fetching\"", BIT(EVENT_JOB_NEW), true},
    [EVENT_JOB_ORDERED] = {"ordered", "state=\"ordered\"",
        BIT(EVENT_JOB_NEW) | BIT(EVENT_JOB_FETCHING), false},
    [EVENT_JOB_QUEUED] = {"queued", "state=\"queued\"", BIT(EVENT_JOB_ORDERED), false},
    [EVENT_JOB_RECALLING] = {"recalling", "state=\"recalling\"",
        BIT(EVENT_JOB_ORDERED) | BIT(EVENT_JOB_QUEUED), true},
    [EVENT_JOB_PUBLISHING] = {"publishing", "state=\"publishing\"",
        BIT(EVENT_JOB_ORDERED) | BIT(EVENT_JOB_RECALLING) | BIT(EVENT_JOB_PUBLISHING), true},
    [EVENT_JOB_READY] = {"ready", "state=\"ready\"",
        BIT(EVENT_JOB_ORDERED) | BIT(EVENT_JOB_RECALLING) | BIT(EVENT_JOB_COMMITTING), false},
    [EVENT_JOB_COMMITTING] = {"committing", "state=\"committing\"", BIT(EVENT_JOB_READY), true},
};

const char *event_job_state_name(enum event_job_state state)
{
    return states[state].name;
}

void event_job_list_init(struct event_job_list *list)
{
    *list = (struct event_job_list){0};
    for (unsigned state = 0; state < EVENT_JOB_STATE_COUNT; state++)
        list->gauges[state] = metrics_gauge("terra_connect_event_jobs", states[state].label,
            "Records of the raw topic by what they wait for.");
}

struct event_job *event_job_new(struct event_flow *flow, struct event_job_list *list,
    struct kafka_record *record, struct intake_place place)
{
    struct event_job *job = memory_new(sizeof *job);
    job->flow = flow;
    job->record = record;
    job->place = place;
    job->log = kafka_record_log_context(record, job->trace_id);
    buf_init(&job->json, EVENT_JSON_BYTES_MAX);
    DL_APPEND2(list->jobs, job, previous, next);
    list->count++;
    metric_add(list->gauges[job->state], 1);
    return job;
}

void event_job_free(struct event_job_list *list, struct event_job *job)
{
    assert(!job->lane && !job->subject.entry && job->tickets_out == 0);
    DL_DELETE2(list->jobs, job, previous, next);
    list->count--;
    metric_add(list->gauges[job->state], -1);
    event_pointer_release(&job->pointer);
    auth_event_release(&job->event);
    link_memory_ticket_release(&job->link_ticket);
    cloud_event_headers_release(&job->headers);
    buf_release(&job->payload);
    buf_release(&job->json);
    kafka_record_free(job->record);
    free(job);
}

void event_job_set_state(
    struct event_job_list *list, struct event_job *job, enum event_job_state state)
{
    assert(states[state].from & BIT(job->state));
    metric_add(list->gauges[job->state], -1);
    job->state = state;
    metric_add(list->gauges[job->state], 1);
    log_debug("event_flow", "step", EVENT_JOB_FIELDS(job));
}

bool event_job_has_ticket_out(const struct event_job *job)
{
    return states[job->state].ticket_out;
}

const char *event_job_subject(const struct event_job *job)
{
    const struct auth_event *event = &job->event;
    if (event->user_id)
        return event->user_id;
    return event->reference_id ? event->reference_id : event->flow_id;
}
