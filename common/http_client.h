/*
 * http_client: HTTP requests through libcurl on a libuv loop. curl.h stays inside http_client.c,
 * http_headers.c and http_shards.
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
 *  - with options.address_allowed, each address is judged when a connection to it is about to be
 *    made: what the name means then is what counts, whatever it meant before;
 *  - compression is accepted only by calls that ask for it, gzip or deflate in one layer: layers
 *    multiply, and a few kilobytes of five of them keep a processor busy for days;
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
#include <sys/socket.h>
#include <uv.h>

#include "common/http_headers.h"
#include "common/http_message.h"

struct http_client;
struct http_transfer;

struct http_client_options {
    /* How many calls are expected in flight at most. Connections and multi handles are sized by
     * it; more calls than this are served too, only less cheaply. */
    unsigned calls_in_flight_max;
    int64_t connect_timeout_us;
    const char *user_agent;
    const char *proxy; /* NULL: none, whatever the environment says */
    /* Who vouches for servers, and nobody else; NULL: the system's. A file that is of no use
     * (certificate_file_usable) shows only as HTTP_CONNECT_FAILED. */
    const char *ca_file;
    bool http2; /* offer HTTP/2 over TLS; HTTP/1.1 keep-alive otherwise */
    /* NULL: any address. Of a host with several, those that are refused are passed over; when none
     * can be connected to, and one was refused, that is an HTTP_ADDRESS_FORBIDDEN. With a proxy it
     * judges the proxy's address. Calls nothing of http_client. */
    bool (*address_allowed)(const struct sockaddr *address, const void *address_context);
    const void *address_context;
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
    /* Ceiling of the body, stored or not; of a compressed one before and after decompression. */
    size_t response_bytes_max;
    bool accept_compressed; /* say so to the server, and decompress what comes */
    /* NULL: the body is stored, and on_done has it. Else each piece is shown here as it comes,
     * decompressed, and none is stored; false means enough, and the call ends as HTTP_STOPPED
     * (when little is left, after that has come: it costs less than a new connection). Calls
     * nothing of http_client. */
    bool (*on_body)(struct http_call *call, int status, const void *bytes, size_t size);
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

/* The last value of a response header, or NULL; name in any case. Only during on_done. */
const char *http_response_header(const struct http_response *response, const char *name);

/* Of libcurl, at run time: "8.14.1". */
const char *http_client_library_version(void);

#endif
