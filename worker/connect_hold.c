/* connect_hold: see connect_hold.h. */
#include "worker/connect_hold.h"

#include <stdlib.h>

#include <utlist.h>

#include "common/clock.h"
#include "common/memory.h"
#include "common/metrics.h"

#define HOLD_US (4 * CLOCK_US_PER_SECOND)
/* How much longer for a reading of the key's file that does not come to an end. */
#define READING_US CLOCK_US_PER_SECOND

struct connect_hold {
    struct connect_hold_options options;
    struct metric *credentials_total, *unavailable_total;
};

bool connect_hold_wanted(const struct connect_hold *hold, const struct connect_job *job)
{
    return terra_health_state(hold->options.health, job->request.environment) != TERRA_WELL;
}

void connect_hold_take(struct connect_hold *hold, struct connect_job *job)
{
    connect_job_set_state(hold->options.jobs, job, CONNECT_HOLDING);
    job->refused = false;
    job->since_us = clock_monotonic_us();
}

void connect_hold_take_refused(
    struct connect_hold *hold, struct connect_job *job, const struct connect_error *error)
{
    connect_hold_take(hold, job);
    connect_job_set_error(job, error);
    job->refused = true;
}

static bool is_patient(const struct connect_hold *hold, const struct connect_job *job)
{
    const struct environment *environment = job->request.environment;
    int64_t now_us = clock_monotonic_us(), end_us = job->since_us + HOLD_US;
    if (now_us >= job->deadline_us || now_us >= end_us + READING_US)
        return false;
    bool key_matters =
        job->refused || terra_health_state(hold->options.health, environment) == TERRA_KEY_REFUSED;
    return now_us < end_us ||
           (key_matters && !terra_health_key_read_since(hold->options.health, environment, end_us));
}

static void let_go(struct connect_hold *hold, struct connect_job *job, bool over)
{
    job->waiting_us += clock_monotonic_us() - job->since_us;
    job->refused = false;
    if (over)
        hold->options.on_over(job);
    else
        hold->options.on_end(job);
}

/* Terra refused the key to this request: another key helps, and time brings nothing else. */
static void review_refused(struct connect_hold *hold, struct connect_job *job)
{
    const struct environment *environment = job->request.environment;
    bool request_alone =
        terra_health_key_accepted_since(hold->options.health, environment, job->since_us);
    if (job->call.key_generation != environment->key_generation)
        let_go(hold, job, true);
    else if (request_alone || !is_patient(hold, job))
        let_go(hold, job, false);
}

static void review_held(struct connect_hold *hold, struct connect_job *job)
{
    struct connect_error error;
    if (!connect_hold_wanted(hold, job)) {
        let_go(hold, job, true);
    } else if (!is_patient(hold, job)) {
        terra_health_error(hold->options.health, job->request.environment, &error);
        metric_add(error.code == CONNECT_CREDENTIALS_REJECTED ? hold->credentials_total
                                                              : hold->unavailable_total,
            1);
        connect_job_set_error(job, &error);
        let_go(hold, job, false);
    }
}

void connect_hold_review(struct connect_hold *hold)
{
    struct connect_job *job, *following;
    DL_FOREACH_SAFE2(hold->options.jobs->lists[CONNECT_HOLDING], job, following, next)
    {
        if (job->refused)
            review_refused(hold, job);
        else
            review_held(hold, job);
    }
}

struct connect_hold *connect_hold_new(const struct connect_hold_options *options)
{
    static const char help[] = "Requests answered with an error that was known without a call.";
    struct connect_hold *hold = memory_new(sizeof *hold);
    hold->options = *options;
    hold->credentials_total =
        metrics_counter("terra_connect_early_answers_total", "code=\"credentials_rejected\"", help);
    hold->unavailable_total =
        metrics_counter("terra_connect_early_answers_total", "code=\"terra_unavailable\"", help);
    return hold;
}

void connect_hold_free(struct connect_hold *hold)
{
    free(hold);
}
