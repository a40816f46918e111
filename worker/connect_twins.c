/* connect_twins: see connect_twins.h. */
#include "worker/connect_twins.h"

#include <assert.h>
#include <stdlib.h>

#include <utlist.h>

#include "common/memory.h"
#include "common/metrics.h"

struct connect_twins {
    struct connect_twins_options options;
    struct connect_job *leaders; /* by digest */
    struct metric *twins_total;
};

void connect_twins_join(struct connect_twins *twins, struct connect_job *job)
{
    struct connect_job *leader;
    if (job->digest[0] == '\0')
        connect_request_digest(&job->request, job->digest);
    HASH_FIND_STR(twins->leaders, job->digest, leader);
    if (!leader) {
        job->leading = true;
        HASH_ADD_STR(twins->leaders, digest, job);
        twins->options.on_lead(job);
        return;
    }
    if (job->state != CONNECT_TWIN)
        connect_job_set_state(twins->options.jobs, job, CONNECT_TWIN);
    job->leader = leader;
    DL_APPEND2(leader->twins, job, twin_previous, twin_next);
    metric_add(twins->twins_total, 1);
    twins->options.on_twin(job);
}

static void stop_leading(struct connect_twins *twins, struct connect_job *job)
{
    if (job->leading)
        HASH_DEL(twins->leaders, job);
    job->leading = false;
}

void connect_twins_leave(struct connect_twins *twins, struct connect_job *job)
{
    struct connect_job *twin = job->twins;
    stop_leading(twins, job);
    if (job->leader)
        DL_DELETE2(job->leader->twins, job, twin_previous, twin_next);
    job->leader = NULL;
    /* The first copy takes the lead; the others find it by the digest. */
    while (twin) {
        DL_DELETE2(job->twins, twin, twin_previous, twin_next);
        twin->leader = NULL;
        connect_twins_join(twins, twin);
        twin = job->twins;
    }
}

static bool outlives(const struct connect_job *twin, const struct connect_job *leader)
{
    return !leader->has_link && twin->deadline_us > leader->deadline_us &&
           (leader->error.code == CONNECT_DEADLINE_EXCEEDED ||
               leader->error.code == CONNECT_RATE_LIMITED);
}

void connect_twins_share(struct connect_twins *twins, struct connect_job *leader)
{
    struct connect_job *twin, *following;
    stop_leading(twins, leader);
    DL_FOREACH_SAFE2(leader->twins, twin, following, twin_next)
    {
        DL_DELETE2(leader->twins, twin, twin_previous, twin_next);
        twin->leader = NULL;
        if (outlives(twin, leader)) {
            connect_twins_join(twins, twin);
            continue;
        }
        if (leader->has_link) {
            struct terra_link link;
            terra_link_copy(&link, &leader->link);
            connect_job_take_link(twin, &link, true);
        } else {
            connect_job_set_error(twin, &leader->error);
        }
        twins->options.on_outcome(twin);
    }
}

void connect_twins_end_late(struct connect_twins *twins, int64_t now_us)
{
    /* One at a time: an ended twin may change the list. */
    struct connect_job *job = twins->options.jobs->lists[CONNECT_TWIN];
    while (job) {
        struct connect_job *following = job->next;
        if (job->deadline_us <= now_us) {
            connect_twins_leave(twins, job);
            twins->options.on_late(job);
        }
        job = following;
    }
}

struct connect_twins *connect_twins_new(const struct connect_twins_options *options)
{
    struct connect_twins *twins = memory_new(sizeof *twins);
    twins->options = *options;
    twins->twins_total = metrics_counter("terra_connect_twins_total", NULL,
        "Copies of a request in flight that waited for its outcome instead of calling.");
    return twins;
}

void connect_twins_free(struct connect_twins *twins)
{
    if (!twins)
        return;
    assert(!twins->leaders);
    free(twins);
}
