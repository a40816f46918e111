/* connect_job: see connect_job.h. */
#include "worker/connect_job.h"

#include <assert.h>
#include <stdlib.h>

#include <utlist.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/metrics.h"

#define BIT(state) (1u << (state))

/* What each state is called, and from where it may be entered. */
static const struct {
    const char *name;
    const char *label;
    unsigned from;
    bool ticket_out;
} states[CONNECT_STATE_COUNT] = {
    [CONNECT_NEW] = {"new", "state=\"new\"", 0, false},
    [CONNECT_ADDRESSING] = {"addressing", "state=\"addressing\"", BIT(CONNECT_NEW), true},
    [CONNECT_TWIN] = {"twin", "state=\"twin\"", BIT(CONNECT_NEW) | BIT(CONNECT_ADDRESSING), false},
    [CONNECT_RECALLING] = {"recalling", "state=\"recalling\"",
        BIT(CONNECT_NEW) | BIT(CONNECT_ADDRESSING) | BIT(CONNECT_TWIN), true},
    [CONNECT_WAITING] = {"waiting", "state=\"waiting\"",
        BIT(CONNECT_RECALLING) | BIT(CONNECT_CALLING) | BIT(CONNECT_PAUSING) | BIT(CONNECT_HOLDING),
        false},
    [CONNECT_CALLING] = {"calling", "state=\"calling\"", BIT(CONNECT_WAITING), true},
    [CONNECT_PAUSING] = {"pausing", "state=\"pausing\"", BIT(CONNECT_CALLING), false},
    [CONNECT_HOLDING] = {"holding", "state=\"holding\"",
        BIT(CONNECT_WAITING) | BIT(CONNECT_CALLING), false},
    [CONNECT_KEEPING] = {"keeping", "state=\"keeping\"", BIT(CONNECT_CALLING), true},
    [CONNECT_REPLYING] = {"replying", "state=\"replying\"",
        BIT(CONNECT_NEW) | BIT(CONNECT_ADDRESSING) | BIT(CONNECT_TWIN) | BIT(CONNECT_RECALLING) |
            BIT(CONNECT_WAITING) | BIT(CONNECT_CALLING) | BIT(CONNECT_HOLDING) |
            BIT(CONNECT_KEEPING) | BIT(CONNECT_REPLYING),
        true},
    [CONNECT_REPORTING] = {"reporting", "state=\"reporting\"", BIT(CONNECT_REPLYING), true},
    [CONNECT_BURYING] = {"burying", "state=\"burying\"", BIT(CONNECT_NEW) | BIT(CONNECT_REPLYING),
        true},
};

const char *connect_state_name(enum connect_state state)
{
    return states[state].name;
}

static void enter(struct connect_job_lists *lists, struct connect_job *job)
{
    DL_APPEND2(lists->lists[job->state], job, previous, next);
    metric_set(lists->gauges[job->state], ++lists->counts[job->state]);
}

static void leave(struct connect_job_lists *lists, struct connect_job *job)
{
    DL_DELETE2(lists->lists[job->state], job, previous, next);
    metric_set(lists->gauges[job->state], --lists->counts[job->state]);
}

void connect_job_lists_init(struct connect_job_lists *lists, unsigned staying_max)
{
    *lists = (struct connect_job_lists){.staying_max = staying_max};
    for (unsigned state = 0; state < CONNECT_STATE_COUNT; state++)
        lists->gauges[state] = metrics_gauge(
            "terra_connect_jobs", states[state].label, "Connect requests by what they wait for.");
    lists->oldest_seconds = metrics_gauge("terra_connect_oldest_waiting_seconds", NULL,
        "How long the oldest request that is not answered yet has been with this worker; 0: none.");
}

void connect_job_lists_release(struct connect_job_lists *lists)
{
    struct connect_job *job, *following;
    assert(lists->count == 0);
    LL_FOREACH_SAFE(lists->spare, job, following)
    {
        free(job);
    }
}

struct connect_job *connect_job_new(struct connect_flow *flow, struct connect_job_lists *lists,
    struct kafka_record *record, struct intake_place place)
{
    struct connect_job *job = lists->spare;
    if (job) {
        LL_DELETE(lists->spare, job);
        memset(job, 0, sizeof *job);
    } else {
        job = memory_new(sizeof *job);
    }
    job->flow = flow;
    job->record = record;
    job->place = place;
    job->log = kafka_record_log_context(record, job->trace_id);
    buf_init(&job->json, CONNECT_REPLY_BYTES_MAX);
    lists->count++;
    enter(lists, job);
    return job;
}

void connect_job_free(struct connect_job_lists *lists, struct connect_job *job)
{
    leave(lists, job);
    lists->count--;
    if (job->staying)
        lists->staying[job->request.environment->index]--;
    assert(!job->leading && !job->leader && !job->twins);
    connect_request_release(&job->request);
    terra_link_release(&job->link);
    cloud_event_headers_release(&job->headers);
    buf_release(&job->json);
    kafka_record_free(job->record);
    LL_PREPEND(lists->spare, job);
}

void connect_job_set_state(
    struct connect_job_lists *lists, struct connect_job *job, enum connect_state state)
{
    assert(states[state].from & BIT(job->state));
    leave(lists, job);
    job->state = state;
    enter(lists, job);
    log_debug("connect_flow", "step", CONNECT_JOB_FIELDS(job));
}

void connect_job_lists_refresh_oldest(const struct connect_job_lists *lists)
{
    int64_t now_us = clock_monotonic_us(), oldest_us = now_us;
    for (unsigned state = CONNECT_NEW; state < CONNECT_STATE_COUNT; state++) {
        const struct connect_job *job;
        if (state == CONNECT_REPORTING)
            continue; /* answered */
        DL_FOREACH2(lists->lists[state], job, next)
        {
            if (job->arrived_us < oldest_us)
                oldest_us = job->arrived_us;
        }
    }
    metric_set(lists->oldest_seconds, (double)(now_us - oldest_us) / CLOCK_US_PER_SECOND);
}

bool connect_job_has_ticket_out(const struct connect_job *job)
{
    return states[job->state].ticket_out;
}

void connect_job_take_link(struct connect_job *job, struct terra_link *link, bool cached)
{
    terra_link_release(&job->link);
    job->link = *link;
    *link = (struct terra_link){0};
    job->has_link = true;
    job->cached = cached;
}

void connect_job_set_error(struct connect_job *job, const struct connect_error *error)
{
    terra_link_release(&job->link);
    job->link = (struct terra_link){0};
    job->has_link = false;
    job->cached = false;
    job->error = *error;
}

void connect_job_set_times(struct connect_job *job)
{
    int64_t now_wall_us = clock_wall_us();
    int64_t timestamp_us = job->record->timestamp_ms * CLOCK_US_PER_MS;
    /* A missing timestamp, or one ahead of our clock, counts as arrival. */
    bool usable = job->record->timestamp_ms > 0 && timestamp_us <= now_wall_us;
    job->requested_wall_us = usable ? timestamp_us : now_wall_us;
    job->arrived_us = clock_monotonic_us();
    job->deadline_us =
        job->arrived_us + job->request.timeout_us - (now_wall_us - job->requested_wall_us);
}

bool connect_job_has_begun(const struct connect_job *job)
{
    return job->state == CONNECT_CALLING || job->state >= CONNECT_KEEPING;
}

bool connect_job_stay(struct connect_job_lists *lists, struct connect_job *job)
{
    unsigned *staying = &lists->staying[job->request.environment->index];
    if (!job->staying && *staying < lists->staying_max) {
        job->staying = true;
        ++*staying;
    }
    return job->staying;
}
