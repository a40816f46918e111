/*
 * request: one HTTP request as it came, whole. Plain data; no HTTP library in sight.
 *
 * Header names are as received, in the order received: Terra's help pages blame some failures on
 * `dev-id` written as `Dev-Id`, so this sandbox tells the two apart.
 *
 * All texts belong to whoever made the request and live as long as it does.
 */
#ifndef SANDBOX_REQUEST_H
#define SANDBOX_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#define REQUEST_HEADERS_MAX 64
#define REQUEST_QUERIES_MAX 32
#define REQUEST_BODY_BYTES_MAX (1024 * 1024)

struct request_pair {
    const char *name;
    const char *value; /* "" when there is none */
};

struct request {
    const char *method;
    const char *path;   /* percent-decoded, without the query */
    const char *target; /* path and query, as received */
    struct request_pair headers[REQUEST_HEADERS_MAX];
    size_t header_count;
    struct request_pair queries[REQUEST_QUERIES_MAX]; /* decoded */
    size_t query_count;
    const char *body; /* NUL-terminated */
    size_t body_size;
    uint64_t connection;         /* number of the connection it came on, from 1 */
    uint64_t connection_request; /* which request on that connection, from 1 */
};

/* By exact name; NULL when there is none. */
const char *request_header(const struct request *request, const char *name);
/* By name in any case, as HTTP has it. */
const char *request_header_any_case(const struct request *request, const char *name);
const char *request_query(const struct request *request, const char *name);

#endif
