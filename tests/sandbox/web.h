/*
 * web: an HTTP/1.1 server (libmicrohttpd) on the libuv loop, for servers that must also misbehave.
 *
 * Everything runs on the loop's thread: libmicrohttpd offers an epoll descriptor, the loop watches
 * it. No locks, and an answer that waits is a timer, not a thread.
 *
 * Each request that arrives whole is given to on_request exactly once, which fills in the answer;
 * later on_finished says exactly once what became of it. Between the two the request is gone: what
 * matters later is kept by whoever answers, under the ticket it gave. Ticket 0: on_finished is not
 * called.
 *
 * Life cycle: web_new, web_close, then run the loop dry; web_close breaks off whatever waits.
 */
#ifndef SANDBOX_WEB_H
#define SANDBOX_WEB_H

#include <uv.h>

#include "answer.h"
#include "request.h"

enum web_outcome {
    WEB_SENT,        /* the whole answer went out */
    WEB_BROKEN,      /* broken off on purpose: the answer's manner asked for it */
    WEB_CLIENT_GONE, /* the client went before it had the answer */
};

struct web_options {
    const char *listen; /* an IPv4 address */
    uint16_t port;      /* 0: any */
    void (*on_request)(
        void *context, const struct request *request, struct answer *answer, uint64_t *ticket);
    void (*on_finished)(void *context, uint64_t ticket, enum web_outcome outcome);
    void *context;
};

struct web;

/* NULL when the port cannot be had; errno says why. */
struct web *web_new(uv_loop_t *loop, const struct web_options *options);
void web_close(struct web *web);
uint16_t web_port(const struct web *web);

const char *web_outcome_name(enum web_outcome outcome);

#endif
