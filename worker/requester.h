/*
 * requester: publishes connect requests and finds the reply to each: the other side of the
 * contract, as a microservice would do it.
 *
 * It reads the replies topic from its end, without a group, and knows its own replies by the
 * correlation-id header, a text that is unique for each call; a second reply to a call is ignored.
 * It names that topic in reply-to, so it need not be the worker's default one.
 *
 * Promises: exactly one on_done per call, on the loop's thread, never inside requester_ask or
 * requester_close.
 *
 * Life cycle: requester_new; on_ready, after which requester_ask may be called, or on_failed;
 * requester_close in any case, after which calls still open end in REQUESTER_CANCELLED, then
 * on_closed, and the requester is gone.
 */
#ifndef WORKER_REQUESTER_H
#define WORKER_REQUESTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uthash.h>
#include <uv.h>

#include "common/kafka_producer.h"
#include "common/kafka_reader.h"
#include "common/result.h"

struct requester;

enum requester_outcome {
    REQUESTER_REPLIED,   /* `reply` is its value */
    REQUESTER_SILENT,    /* the request is in Kafka and nobody answered in time */
    REQUESTER_NOT_SENT,  /* Kafka did not take it; the reason says why */
    REQUESTER_CANCELLED, /* closed first */
};

#define REQUESTER_CORRELATION_SIZE 64

/* Belongs to the caller, with all it points to, until on_done. */
struct requester_call {
    const void *value;
    size_t value_size;
    const char *key;    /* NULL: none */
    int64_t timeout_us; /* from the sending */
    /* reply: valid during the call, NULL without one. reason: "" when there is nothing to say. */
    void (*on_done)(struct requester_call *call, enum requester_outcome outcome, const void *reply,
        size_t reply_size, const char *reason);
    void *context;

    char correlation_id[REQUESTER_CORRELATION_SIZE]; /* filled in by requester_ask */

    /* private */
    struct requester *requester;
    struct kafka_delivery delivery;
    struct kafka_header headers[2];
    int64_t deadline_us;
    bool reported; /* the delivery's outcome is known; before, Kafka uses our memory */
    bool lost;     /* and it is a failure */
    bool expired;
    struct kafka_record *reply; /* may come before the delivery's outcome */
    UT_hash_handle hh;          /* by correlation_id */
};

struct requester_options {
    const struct kafka_property *properties; /* of both clients; used until on_ready */
    size_t property_count;
    const char *requests_topic, *replies_topic; /* used until on_closed */
    int64_t start_timeout_us;
    void (*on_ready)(void *context);
    /* Before on_ready; REJECT: a property was refused, RETRY: the cluster cannot be used now. */
    void (*on_failed)(void *context, enum result result, const char *reason);
    void (*on_closed)(void *context);
    void *context;
};

/* RESULT_REJECT with a message when a property is refused. */
enum result requester_new(uv_loop_t *loop, const struct requester_options *options,
    struct requester **requester, char *error, size_t error_size) MUST_CHECK;
void requester_close(struct requester *requester);

void requester_ask(struct requester *requester, struct requester_call *call);

#endif
