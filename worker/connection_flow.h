/*
 * connection_flow: our own auth events to the latest state of each connection. A record's way:
 *
 *   intake -> auth_event (decode) -> in turn (key_queue) -> for each user the event is about:
 *       connection_memory -> connection_state (apply) -> publisher -> connection_memory -> intake
 *
 * The events topic is keyed, so that each key has one writer; within the worker the events of one
 * key go one at a time. A changed state becomes a record of the compacted connections topic, keyed
 * by user_id; the end of a connection becomes a tombstone there, whose headers reference_id,
 * provider and kind say what ended. A reauthentication is about two users: the new one first.
 *
 * A state is kept in the memory only after the broker has it; doing a record again after a crash
 * comes to the same. While the memory is away the flow waits: a state made up without it could
 * revive a connection that is over.
 *
 * Life cycle: as connect_flow's: connection_flow_new, connection_flow_start with its intake;
 * connection_flow_drain (on_drained); connection_flow_abandon; connection_flow_close, run the loop
 * dry; connection_flow_free.
 */
#ifndef WORKER_CONNECTION_FLOW_H
#define WORKER_CONNECTION_FLOW_H

#include <uv.h>

#include "worker/connection_memory.h"
#include "worker/intake.h"
#include "worker/publisher.h"

struct connection_flow;

struct connection_flow_options {
    struct connection_memory *memory;
    struct publisher *publisher;
    const char *connections_topic;
    const char *dead_letters_topic;
    const char *group_id;
    const char *source; /* ce_source */
    void (*on_drained)(void *context);
    void *context;
};

struct connection_flow *connection_flow_new(
    uv_loop_t *loop, const struct connection_flow_options *options);
void connection_flow_start(struct connection_flow *flow, struct intake *intake);
void connection_flow_drain(struct connection_flow *flow);
void connection_flow_abandon(struct connection_flow *flow);
void connection_flow_close(struct connection_flow *flow);
void connection_flow_free(struct connection_flow *flow);

void connection_flow_take(
    struct connection_flow *flow, struct kafka_record *record, struct intake_place place);
void connection_flow_let_go_leaving(struct connection_flow *flow);

unsigned connection_flow_jobs(const struct connection_flow *flow);

#endif
