/*
 * http_server: a few pages over HTTP/1.1 (libmicrohttpd) on the libuv loop: metrics, health.
 *
 * A fixed table of paths, each with a function that writes the page when it is asked for. GET and
 * HEAD; anything else is 405, another path 404. A query is passed over.
 *
 * Promises:
 *  - everything runs on the loop's thread and nothing waits there: a page is written in one go into
 *    memory, and leaves as fast as its reader takes it;
 *  - what a client can cost is bounded: connections_max connections at once (more wait in the
 *    backlog), HTTP_SERVER_REQUEST_BYTES_MAX of request, one request per connection, and
 *    connection_life_us from its acceptance to its end. So clients that dawdle, on purpose or not,
 *    keep nobody else out for longer than that;
 *  - a request's body is never read.
 *
 * Life cycle: http_server_new listens before it returns, and resolves a host's name then and there,
 * which may take its time: it is meant for the start, before the loop runs. http_server_close,
 * after which no page is asked for; then run the loop dry: it frees itself.
 */
#ifndef COMMON_HTTP_SERVER_H
#define COMMON_HTTP_SERVER_H

#include <uv.h>

#include "common/buf.h"
#include "common/result.h"

#define HTTP_SERVER_REQUEST_BYTES_MAX ((size_t)16 * 1024)
#define HTTP_SERVER_BODY_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define HTTP_SERVER_ADDRESS_SIZE 64

struct http_server;

/* Comes as an empty text page, 200. A body past its ceiling is answered as 500. */
struct http_server_answer {
    int status;
    const char *content_type; /* a literal */
    struct buf body;          /* the server's */
};

struct http_server_page {
    const char *path; /* such as "/metrics"; a literal */
    void (*write)(void *context, struct http_server_answer *answer);
    void *context;
};

struct http_server_options {
    const char *listen;                   /* host:port, [IPv6]:port; port 0: any free one */
    const struct http_server_page *pages; /* copied */
    size_t page_count;
    unsigned connections_max;   /* 0: 64 */
    int64_t connection_life_us; /* 0: 10 s */
};

/* RESULT_REJECT with a message in `error` when nobody can listen there. */
enum result http_server_new(uv_loop_t *loop, const struct http_server_options *options,
    struct http_server **server, char *error, size_t error_size) MUST_CHECK;
void http_server_close(struct http_server *server);

/* Where it listens, with the port that was found: "127.0.0.1:9464", "[::1]:9464". */
const char *http_server_address(const struct http_server *server);

/* Of libmicrohttpd, at run time: "1.0.1". */
const char *http_server_library_version(void);

#endif
