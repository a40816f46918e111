/*
 * http_stub: a scripted HTTP server on the test's own loop, listening on a free loopback port.
 *
 * What it does with a request is data: the first rule whose path matches, and that applies to this
 * request of its connection, says which bytes go out and what happens to the connection then. A
 * request without a rule fails the test.
 */
#ifndef TESTS_SUPPORT_HTTP_STUB_H
#define TESTS_SUPPORT_HTTP_STUB_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

enum http_stub_then {
    STUB_KEEP, /* also to stall: with half an answer, or none */
    STUB_CLOSE,
    STUB_RESET,
};

struct http_stub_rule {
    const char *path;   /* the query is not compared; NULL ends the rules */
    const char *answer; /* NULL: not a byte */
    const void *body;   /* bytes behind the answer, zeros included; NULL: none */
    size_t body_size;
    size_t filler_bytes;   /* so many 'x' behind all that */
    unsigned from_request; /* only from this request on its connection on; the first is 1 */
    bool early;            /* act on the request's head, without waiting for its body */
    enum http_stub_then then;
};

#define HTTP_STUB_REQUEST_SIZE 4096

struct http_stub {
    int port;
    unsigned connections_accepted;
    unsigned connections_open;
    unsigned requests;
    size_t bytes_sent;
    char last_request[HTTP_STUB_REQUEST_SIZE]; /* head and body as they came, cut to this size */

    /* private */
    const struct http_stub_rule *rules;
    uv_tcp_t listener;
    struct http_stub_connection *connections;
};

/* The stub and the rules stay where they are until the loop has run dry. */
void http_stub_init(struct http_stub *stub, uv_loop_t *loop, const struct http_stub_rule *rules);
void http_stub_close_connections(struct http_stub *stub);
void http_stub_close(struct http_stub *stub);

#endif
