/*
 * connect_hold: where requests wait while something is known to be wrong with Terra or with their
 * credential (terra_health.h). Used by connect_flow alone.
 *
 * They wait four seconds at most, in case it heals, and never past their deadline; then they get
 * the error that is known, without a call. A request to which Terra itself refused the key waits
 * here too, where the key is in a file: when the file brings another key it is called for again.
 * Nobody is told of a refused key while a reading of its file is still to show whether there is
 * another one.
 */
#ifndef WORKER_CONNECT_HOLD_H
#define WORKER_CONNECT_HOLD_H

#include "worker/connect_job.h"
#include "worker/terra_health.h"

struct connect_hold;

struct connect_hold_options {
    struct connect_job_lists *jobs;
    struct terra_health *health;
    void (*on_over)(struct connect_job *job); /* let it ask for its turn */
    void (*on_end)(struct connect_job *job);  /* its error is set */
};

struct connect_hold *connect_hold_new(const struct connect_hold_options *options);
void connect_hold_free(struct connect_hold *hold);

/* Is something known that the job must wait for? */
bool connect_hold_wanted(const struct connect_hold *hold, const struct connect_job *job);
/* The job is the hold's until on_over or on_end; neither comes inside. */
void connect_hold_take(struct connect_hold *hold, struct connect_job *job);
/* The same for one to which Terra answered so. */
void connect_hold_take_refused(
    struct connect_hold *hold, struct connect_job *job, const struct connect_error *error);

/* Lets go whom it is time for. To be called every few milliseconds while there are any, and when
 * terra_health tells of a change. */
void connect_hold_review(struct connect_hold *hold);

#endif
