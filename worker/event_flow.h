/*
 * event_flow: the order of stages for a record of Terra's Kafka destination. Its way:
 *
 *   intake -> event_scan (what is it?) -> event_pointer -> payload_fetch -> auth_event (decode)
 *          -> in turn (event_order) -> event_memory (a repeat?) and link_memory (whose link?)
 *          -> event_outbox -> publisher, or event_batch (exactly once) -> intake
 *
 * The promise: every auth event is published at least once, or becomes a dead letter, and only then
 * is its record's offset stored; events of one key in one partition keep their order. Data and
 * other types are counted and passed over, most of them without being parsed or fetched whole.
 *
 * Delivery: with a transactor each event is seen exactly once by a reader of committed records,
 * together with its offset; without one, at least once, and its repeats carry the same ce_id.
 *
 * Jobs whose partition goes to another worker are let go unless their output is on its way.
 *
 * Life cycle: as connect_flow's: event_flow_new, event_flow_start with its intake; event_flow_drain
 * (on_drained); event_flow_abandon; event_flow_close, run the loop dry; event_flow_free.
 */
#ifndef WORKER_EVENT_FLOW_H
#define WORKER_EVENT_FLOW_H

#include <uv.h>

#include "common/kafka_transactor.h"
#include "worker/event_memory.h"
#include "worker/event_pointer.h"
#include "worker/intake.h"
#include "worker/link_memory.h"
#include "worker/payload_fetch.h"
#include "worker/publisher.h"

struct event_flow;

struct event_flow_options {
    const struct event_pointer_rules *pointer_rules;
    struct payload_fetcher *fetcher;
    struct event_memory *event_memory;
    struct link_memory *link_memory;
    struct publisher *publisher;         /* at least once; NULL with a transactor */
    struct kafka_transactor *transactor; /* exactly once; NULL: at least once */

    const char *environment; /* of every event, where the worker knows only one; NULL: several */
    const char *events_topic;
    const char *dead_letters_topic;
    const char *group_id;
    const char *source; /* ce_source */

    void (*on_drained)(void *context);
    void *context;
};

struct event_flow *event_flow_new(uv_loop_t *loop, const struct event_flow_options *options);
void event_flow_start(struct event_flow *flow, struct intake *intake);
void event_flow_drain(struct event_flow *flow);
void event_flow_abandon(struct event_flow *flow);
void event_flow_close(struct event_flow *flow);
void event_flow_free(struct event_flow *flow);

/* What the intake hands over: a record with its place, which both go to the flow, and the news that
 * some places are leaving. */
void event_flow_take(
    struct event_flow *flow, struct kafka_record *record, struct intake_place place);
void event_flow_let_go_leaving(struct event_flow *flow);

unsigned event_flow_jobs(const struct event_flow *flow);
/* What share of the records is data is worked out when it is asked for. */
void event_flow_refresh_metrics(struct event_flow *flow);

#endif
