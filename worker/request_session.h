/*
 * request_session: one run of terra-connect request: the loop, the requester, Ctrl-C, what is
 * printed and the exit code. What is asked, and what becomes of the answers, is its owner's part:
 * one request (command_request.c) or many (request_many.c).
 *
 * The owner embeds it and fills in the first block. request_session_run begins it and returns when
 * it has ended: after request_session_stop, which everything that ends it calls. Calls still open
 * then end as REQUESTER_CANCELLED. SIGINT and SIGTERM stop it; a second one exits at once.
 */
#ifndef WORKER_REQUEST_SESSION_H
#define WORKER_REQUEST_SESSION_H

#include <stdbool.h>
#include <uv.h>

#include "common/buf.h"
#include "worker/command.h"
#include "worker/request_options.h"
#include "worker/requester.h"

/* A worker answers at the deadline at the latest; the answer's way here takes a moment. */
#define REQUEST_GRACE_US (CLOCK_US_PER_SECOND)

struct request_session {
    const struct config *config;
    const struct request_options *options;
    enum exit_code exit_code; /* as long as nothing else is known */
    void (*on_ready)(void *context);
    /* The owner's own handles are to be closed. May be NULL. */
    void (*on_stopping)(void *context);
    void *context;

    uv_loop_t loop;
    struct requester *requester; /* usable from on_ready on */
    bool interrupted;

    /* private */
    bool stopping;
    bool output_gone; /* nothing more can be printed */
    uv_signal_t sigint, sigterm;
    struct kafka_property properties[COMMAND_PROPERTIES_MAX];
    char message_timeout[16];
};

void request_session_run(struct request_session *session);
void request_session_stop(struct request_session *session);

/* A line on standard output. When nobody reads it any more the session ends, quietly. */
void request_session_print(struct request_session *session, const char *line, size_t size);
/* A sentence on stderr, whatever characters are in it. */
void request_session_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
