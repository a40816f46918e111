/*
 * connect_job: one connect request on its way, from its record to its persisted reply. Used by
 * connect_flow alone, which knows the order; this module knows which step may follow which, and
 * which jobs are where.
 *
 * Invariants:
 *  - a job is in exactly one list, that of its state;
 *  - connect_job_set_state is the only door from one state to another, and asserts that the step
 *    is allowed;
 *  - while a job is in a state marked (ticket out), one callback is still to come, and the job
 *    must not be freed.
 */
#ifndef WORKER_CONNECT_JOB_H
#define WORKER_CONNECT_JOB_H

#include <uthash.h>

#include "common/log.h"
#include "common/traceparent.h"
#include "worker/admission.h"
#include "worker/cloud_event.h"
#include "worker/connect_reply.h"
#include "worker/connect_request.h"
#include "worker/intake.h"
#include "worker/publisher.h"
#include "worker/reply_address.h"
#include "worker/reply_cache.h"
#include "worker/terra_call.h"

struct connect_flow;
struct connect_outbox;

enum connect_state {
    CONNECT_NEW,        /* decoded, nothing asked yet */
    CONNECT_ADDRESSING, /* does the reply address exist? (ticket out) */
    CONNECT_TWIN,       /* a copy of it is in flight and will bring the outcome */
    CONNECT_RECALLING,  /* was it answered before? (ticket out) */
    CONNECT_WAITING,    /* for a turn under the limit */
    CONNECT_CALLING,    /* Terra (ticket out) */
    CONNECT_PAUSING,    /* between two attempts */
    CONNECT_HOLDING,    /* until known trouble with Terra or the credential is over */
    CONNECT_KEEPING,    /* the link goes into the reply cache (ticket out) */
    CONNECT_REPLYING,   /* the reply goes out (ticket out) */
    CONNECT_REPORTING,  /* the outcome goes out (ticket out) */
    CONNECT_BURYING,    /* a dead letter goes out (ticket out) */
    CONNECT_STATE_COUNT
};

struct connect_job {
    struct connect_flow *flow;
    enum connect_state state;
    struct connect_job *previous, *next; /* in the state's list */
    bool let_go;                         /* ends at its next callback and commits nothing */

    struct kafka_record *record;
    struct intake_place place;
    struct connect_request request;
    struct reply_address address;
    char trace_id[TRACE_ID_SIZE]; /* for log.trace_id */
    struct log_context log;       /* the stages borrow it with their tickets */

    int64_t requested_wall_us; /* the record's timestamp, or its arrival */
    int64_t arrived_us;        /* monotonic */
    int64_t deadline_us;       /* monotonic */
    int64_t since_us;          /* monotonic: when it asked for its turn, or was held, or when its
                                * pause ends */
    int64_t waiting_us;        /* all waits for a turn together */
    int64_t calling_us;        /* all calls together */
    unsigned attempts;         /* calls to Terra */
    bool refused;              /* it is held because the key was refused to itself */
    bool staying;              /* it counts among the requests of its environment that stay */

    /* what came of it */
    bool has_link;
    bool cached; /* the link was given before */
    struct terra_link link;
    struct connect_error error;

    /* copies of one request in flight: the leader does the work, the twins wait for it */
    char digest[DIGEST_HEX_SIZE];
    bool leading;
    struct connect_job *leader;
    struct connect_job *twins, *twin_previous, *twin_next;
    UT_hash_handle hh; /* leaders by digest */

    /* tickets of the stages */
    struct publisher_question question;
    struct reply_cache_ticket cache_ticket;
    struct admission_ticket admission_ticket;
    struct terra_call call;
    struct publication publication;

    /* what is being published */
    struct connect_outbox *outbox;
    struct cloud_event_headers headers;
    struct buf json;
};

/* All jobs of a flow by state. {0} is empty. */
struct connect_job_lists {
    struct connect_job *lists[CONNECT_STATE_COUNT];
    unsigned counts[CONNECT_STATE_COUNT];
    unsigned count;
    /* Jobs that wait or call, by environment.index, and how many of one environment may. */
    unsigned staying[ENVIRONMENTS_MAX];
    unsigned staying_max;
    struct connect_job *spare; /* ended jobs whose memory the next ones take */
    struct metric *gauges[CONNECT_STATE_COUNT], *oldest_seconds;
};

const char *connect_state_name(enum connect_state state);

void connect_job_lists_init(struct connect_job_lists *lists, unsigned staying_max);
void connect_job_lists_release(struct connect_job_lists *lists); /* no job may be left */
/* Sets the gauge that tells how long the oldest unanswered request has been here; looks at each. */
void connect_job_lists_refresh_oldest(const struct connect_job_lists *lists);

/* The record and the place go to the job. */
struct connect_job *connect_job_new(struct connect_flow *flow, struct connect_job_lists *lists,
    struct kafka_record *record, struct intake_place place);
void connect_job_free(struct connect_job_lists *lists, struct connect_job *job);

void connect_job_set_state(
    struct connect_job_lists *lists, struct connect_job *job, enum connect_state state);
bool connect_job_has_ticket_out(const struct connect_job *job);
/* Its call has been made, or its answer is on its way out. */
bool connect_job_has_begun(const struct connect_job *job);

/* Takes one of the places that its environment has for jobs that wait or call; kept until the job
 * ends. False when they are all taken: the job must not stay. */
bool connect_job_stay(struct connect_job_lists *lists, struct connect_job *job);

/* From the record and the decoded request: when it was asked, when it came, how long it is worth
 * an answer. */
void connect_job_set_times(struct connect_job *job);

/* Takes a link or an error as the outcome; the link's contents change hands. */
void connect_job_take_link(struct connect_job *job, struct terra_link *link, bool cached);
void connect_job_set_error(struct connect_job *job, const struct connect_error *error);

/* The fields with which every log line about a job begins. */
#define CONNECT_JOB_FIELDS(job)                                                                    \
    LOG_CONTEXT(&(job)->log), LOG_TEXT("state", connect_state_name((job)->state))

#endif
