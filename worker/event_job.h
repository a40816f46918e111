/*
 * event_job: one record of the raw topic on its way to a persisted event, a dead letter, or
 * nothing. Used by event_flow and its siblings alone.
 *
 * Invariants:
 *  - event_job_set_state is the only door from one state to another, and asserts that the step is
 *    allowed;
 *  - while a job is in a state marked (ticket out), a callback is still to come, and the job must
 *    not be freed;
 *  - what becomes of a job (its fate) is known before it leaves EVENT_JOB_FETCHING, and changes
 *    only from event to nothing (a repeat) or to a letter (the broker refuses its size).
 */
#ifndef WORKER_EVENT_JOB_H
#define WORKER_EVENT_JOB_H

#include "common/log.h"
#include "common/traceparent.h"
#include "worker/auth_event.h"
#include "worker/cloud_event.h"
#include "worker/event_memory.h"
#include "worker/event_pointer.h"
#include "worker/intake.h"
#include "worker/key_queue.h"
#include "worker/link_memory.h"
#include "worker/payload_fetch.h"
#include "worker/publisher.h"

struct event_flow;
struct event_lane;
struct event_outbox;

enum event_job_state {
    EVENT_JOB_NEW,        /* nothing asked yet */
    EVENT_JOB_FETCHING,   /* the payload behind its pointer (ticket out) */
    EVENT_JOB_ORDERED,    /* understood; waits for earlier records of its partition to be so */
    EVENT_JOB_QUEUED,     /* waits for an earlier event of the same key to be persisted */
    EVENT_JOB_RECALLING,  /* is it a repeat, and which link does it follow? (tickets out) */
    EVENT_JOB_PUBLISHING, /* goes out (ticket out) */
    EVENT_JOB_READY,      /* exactly once: waits for the next transaction */
    EVENT_JOB_COMMITTING, /* exactly once: in the transaction under way (ticket out) */
    EVENT_JOB_STATE_COUNT
};

enum event_job_fate {
    EVENT_FATE_NOTHING, /* data, another type, a repeat: its offset is all that counts */
    EVENT_FATE_EVENT,
    EVENT_FATE_LETTER,
};

#define EVENT_JOB_MESSAGE_SIZE 256

struct event_job {
    struct event_flow *flow;
    enum event_job_state state;
    struct event_job *previous, *next; /* all jobs of the flow */
    bool let_go;                       /* ends at its next callback and commits nothing */

    struct kafka_record *record;
    struct intake_place place;
    char trace_id[TRACE_ID_SIZE]; /* for log.trace_id */
    struct log_context log;       /* the stages borrow it with their tickets */
    int64_t published_wall_us;    /* the record's timestamp, or its arrival */

    /* its places in the two orders: event_order.h */
    struct event_lane *lane;
    struct event_job *lane_previous, *lane_next;
    bool released;
    struct key_queue_ticket subject;

    struct event_pointer pointer; /* {0}: inline */
    struct payload_fetch fetch;
    struct buf payload; /* what the pointer led to; empty: inline, or nothing came */
    struct auth_event event;
    char identity[DIGEST_HEX_SIZE];
    struct auth_event_context context;

    enum event_job_fate fate;
    const char *code; /* of a letter: a literal */
    char message[EVENT_JOB_MESSAGE_SIZE];

    struct event_memory_ticket memory_ticket;
    struct link_memory_ticket link_ticket;
    unsigned tickets_out;

    /* what is being published */
    struct event_outbox *outbox;
    struct cloud_event_headers headers;
    struct buf json;
    struct publication publication;
};

/* All jobs of a flow. {0} is empty. */
struct event_job_list {
    struct event_job *jobs;
    unsigned count;
    struct metric *gauges[EVENT_JOB_STATE_COUNT];
};

const char *event_job_state_name(enum event_job_state state);

void event_job_list_init(struct event_job_list *list);

/* The record and the place go to the job. */
struct event_job *event_job_new(struct event_flow *flow, struct event_job_list *list,
    struct kafka_record *record, struct intake_place place);
void event_job_free(struct event_job_list *list, struct event_job *job);

void event_job_set_state(
    struct event_job_list *list, struct event_job *job, enum event_job_state state);
bool event_job_has_ticket_out(const struct event_job *job);

/* What it is about: the user, else the reference, else the attempt; NULL: nothing of these. */
const char *event_job_subject(const struct event_job *job);

/* The fields with which every log line about a job begins. The request is known once the memory of
 * links has told which one the event's link answered. */
#define EVENT_JOB_FIELDS(job)                                                                      \
    LOG_CONTEXT(&(job)->log), LOG_TEXT("state", event_job_state_name((job)->state))

#endif
