/*
 * http_client: HTTP requests through libcurl on a libuv loop. curl.h stays inside http_client.c and
 * http_shards.
 *
 * Promises:
 *  - every started call gets exactly one on_done, never inside http_client_start or
 *    http_client_cancel, always on the loop's thread;
 *  - a response is whole or not there: a body past the ceiling, broken or late is an outcome, not
 *    half an answer;
 *  - redirects are not followed (credentials are in the headers); only http and https are spoken;
 *    no netrc, no cookies, no proxy from the environment (only options.proxy), no Expect header;
 *  - a kept connection that the server had closed meanwhile is not an attempt lost: when no byte
 *    of the answer had come, the request goes out again on a fresh connection by itself;
 *  - header names go out exactly as given;
 *  - any text may be a URL: one that is none is an HTTP_CONNECT_FAILED.
 *
 * Ownership: the call, its URL, body and headers belong to the caller and stay valid until on_done
 * has been called; the response and all it points to live only during on_done. The call may be
 * started again, or freed, from its own on_done.
 *
 * Life cycle: http_client_new; http_client_close, after which pending calls complete with
 * HTTP_CANCELLED in later turns of the loop and the client frees itself; so do calls that an
 * on_done starts meanwhile. Run the loop until it has no handles left before freeing what the
 * callbacks use.
 */
#ifndef COMMON_HTTP_CLIENT_H
#define COMMON_HTTP_CLIENT_H

#include <stdbool.h>
#include <uv.h>

#include "common/http_message.h"

struct http_client;
struct http_headers;
struct http_transfer;

struct http_client_options {
    /* How many calls are expected in flight at most. Connections and multi handles are sized by
     * it; more calls than this are served too, only less cheaply. */
    unsigned calls_in_flight_max;
    int64_t connect_timeout_us;
    const char *user_agent;
    const char *proxy;   /* NULL: none, whatever the environment says */
    const char *ca_file; /* NULL: the system's */
    bool http2;          /* offer HTTP/2 over TLS; HTTP/1.1 keep-alive otherwise */
};

/* One call. The caller fills in the first part, embeds it where the context is at hand, and keeps
 * its hands off the rest. */
struct http_call {
    enum http_method method;
    const char *url;
    const struct http_headers *headers; /* may be NULL */
    const char *body;                   /* POST only */
    size_t body_size;
    int64_t timeout_us; /* for the whole call, > 0 */
    size_t response_bytes_max;
    void (*on_done)(struct http_call *call, const struct http_response *response);
    void *context;

    /* private */
    struct http_transfer *transfer;
    struct http_call *previous, *next;
    int64_t started_us;
};

struct http_client *http_client_new(uv_loop_t *loop, const struct http_client_options *options);
void http_client_close(struct http_client *client);

void http_client_start(struct http_client *client, struct http_call *call);
/* The call completes with HTTP_CANCELLED, soon. Nothing happens when it is not in flight. */
void http_client_cancel(struct http_client *client, struct http_call *call);
unsigned http_client_calls_in_flight(const struct http_client *client);

/* A set of headers made once and used by many calls, also at the same time; counted references,
 * since calls may be in flight while a key is changed. A value ends at its first CR or LF. */
struct http_headers *http_headers_new(const struct http_header *headers, size_t count);
struct http_headers *http_headers_share(struct http_headers *headers);
void http_headers_free(struct http_headers *headers); /* gives up one reference; NULL is fine */

/* The last value of a response header, or NULL; name in any case. Only during on_done. */
const char *http_response_header(const struct http_response *response, const char *name);

#endif
