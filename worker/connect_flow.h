/*
 * connect_flow: the order of stages for a connect request. Begin reading here.
 *
 *   intake -> decode -> reply address -> twin? -> reply cache -> known trouble? -> admission
 *          -> Terra -> reply cache -> reply -> outcome -> intake
 *
 * The promise: every record is answered at least once or becomes a dead letter, and only then is
 * its offset stored. All successes of one request carry the same link. A person waits behind each
 * request, so a job is answered at its deadline at the latest, whatever the other stages do, save
 * that it must be persisted.
 *
 * While trouble with Terra or a credential is known, requests are held for a few seconds and then
 * told so; they cost no call and no slot of the limit (connect_hold.h). Where there are several
 * environments, the requests of one that wait or call are at most half of those that there may be:
 * one more is told so at once, so that a flood or an outage of one environment leaves room for the
 * others.
 *
 * A call worth repeating goes back to admission, so retries count against the limit too and keep
 * their place by first arrival. Jobs whose partition goes to another worker are let go unless their
 * call has begun; those run on into the reply cache, where the new owner finds the link.
 *
 * Life cycle: the stages first, then connect_flow_new, connect_flow_start with its intake;
 * connect_flow_drain lets go what has not begun and awaits the rest (on_drained);
 * connect_flow_abandon gives up even those; connect_flow_close, run the loop dry;
 * connect_flow_free.
 */
#ifndef WORKER_CONNECT_FLOW_H
#define WORKER_CONNECT_FLOW_H

#include <uv.h>

#include "worker/admission.h"
#include "worker/connect_request.h"
#include "worker/intake.h"
#include "worker/link_memory.h"
#include "worker/publisher.h"
#include "worker/reply_address.h"
#include "worker/reply_cache.h"
#include "worker/terra_call.h"
#include "worker/terra_health.h"

struct connect_flow;

struct connect_flow_options {
    struct connect_request_rules request_rules;
    const struct reply_address_rules *address_rules;
    struct reply_cache *reply_cache;
    struct link_memory *link_memory; /* told of every link that a reply carries */
    struct admission *admission;
    struct terra_caller *terra;
    struct terra_health *health;
    struct publisher *publisher;       /* for replies: somebody waits for each */
    struct publisher *batch_publisher; /* for outcomes and dead letters: nobody does */

    unsigned attempts_max;
    unsigned requests_in_flight_max; /* as the intake has it */
    const char *outcomes_topic;      /* NULL: no outcomes are written */
    const char *dead_letters_topic;
    const char *group_id;
    const char *source; /* ce_source */

    void (*on_drained)(void *context);
    void *context;
};

struct connect_flow *connect_flow_new(uv_loop_t *loop, const struct connect_flow_options *options);
void connect_flow_start(struct connect_flow *flow, struct intake *intake);
void connect_flow_drain(struct connect_flow *flow);
void connect_flow_abandon(struct connect_flow *flow);
void connect_flow_close(struct connect_flow *flow);
void connect_flow_free(struct connect_flow *flow);

/* What the intake hands over: a record with its place, which both go to the flow, and the news that
 * some places are leaving. */
void connect_flow_take(
    struct connect_flow *flow, struct kafka_record *record, struct intake_place place);
void connect_flow_let_go_leaving(struct connect_flow *flow);

/* terra_health tells of a change. */
void connect_flow_review_trouble(struct connect_flow *flow);

unsigned connect_flow_jobs(const struct connect_flow *flow);
/* How long the oldest request has waited is looked up when it is asked for. */
void connect_flow_refresh_metrics(struct connect_flow *flow);

#endif
