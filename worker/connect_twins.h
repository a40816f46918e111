/*
 * connect_twins: copies of one request in flight. The first leads and does the work; the others,
 * its twins, wait for its outcome. Used by connect_flow alone.
 *
 * Invariants: of the jobs with one digest exactly one leads; a twin is in CONNECT_TWIN and in its
 * leader's list, nowhere else. A twin is never later answered than its own deadline, and one that
 * may wait longer than its leader could is not bound by the leader's ill luck.
 */
#ifndef WORKER_CONNECT_TWINS_H
#define WORKER_CONNECT_TWINS_H

#include "worker/connect_job.h"

struct connect_twins;

struct connect_twins_options {
    struct connect_job_lists *jobs;
    void (*on_lead)(struct connect_job *job);    /* do its work */
    void (*on_twin)(struct connect_job *job);    /* it waits; see connect_twins_end_late */
    void (*on_outcome)(struct connect_job *job); /* the leader's is its own now */
    void (*on_late)(struct connect_job *job);    /* a twin no longer, and past its deadline */
};

struct connect_twins *connect_twins_new(const struct connect_twins_options *options);
void connect_twins_free(struct connect_twins *twins); /* no job may lead or wait */

/* Calls on_lead or on_twin before it returns. */
void connect_twins_join(struct connect_twins *twins, struct connect_job *job);
/* The job ends without an outcome, be it leader, twin or neither; twins of it join anew. */
void connect_twins_leave(struct connect_twins *twins, struct connect_job *job);
/* The job has its outcome: each of its twins is given it, or joins anew. */
void connect_twins_share(struct connect_twins *twins, struct connect_job *leader);
/* Calls on_late for each twin past its deadline. */
void connect_twins_end_late(struct connect_twins *twins, int64_t now_us);

#endif
