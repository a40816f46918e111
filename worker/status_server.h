/*
 * status_server: what operators and their machines ask a worker over HTTP.
 *
 *   /metrics   all metrics in the Prometheus text format
 *   /healthz   200 while the loop turns: it is the loop that answers
 *   /readyz    200 {"ready":true,"reasons":[]}; else 503, with a reason for each thing that is
 *              missing: {"code":"group_not_joined","message":"…"}
 *
 * What makes the worker ready the owner knows: it is asked each time, and calls
 * status_readiness_object for each thing that is missing.
 *
 * Registers the gauges terra_connect_build_info, whose label tells the version, and
 * terra_connect_ready, which says what /readyz says; also where nothing listens.
 *
 * Life cycle: status_server_new, at the start, before the loop runs (it listens before it returns
 * and may resolve a name); status_server_close, then run the loop dry: it frees itself.
 */
#ifndef WORKER_STATUS_SERVER_H
#define WORKER_STATUS_SERVER_H

#include <uv.h>

#include "common/result.h"

struct status_server;
struct status_readiness;

struct status_server_options {
    const char *listen; /* host:port, port 0: any free one; NULL or "": nothing listens */
    /* Called for each question; NULL: always ready. */
    void (*on_readiness)(void *context, struct status_readiness *readiness);
    /* The metrics are about to be printed: for gauges that are looked up when they are asked for.
     * May be NULL. */
    void (*on_metrics)(void *context);
    void *context;
};

/* RESULT_REJECT with a message in `error` when nobody can listen there. *server is NULL where
 * nothing listens. Where it listens is logged. */
enum result status_server_new(uv_loop_t *loop, const struct status_server_options *options,
    struct status_server **server, char *error, size_t error_size) MUST_CHECK;
/* NULL is allowed. */
void status_server_close(struct status_server *server);

/* code: a literal such as "group_not_joined"; message: for the operator, without secrets. */
void status_readiness_object(
    struct status_readiness *readiness, const char *code, const char *message);

/* Where it listens, "127.0.0.1:9464". */
const char *status_server_address(const struct status_server *server);

#endif
