/*
 * request_line: what terra-connect request says and hears, as lines of JSON: a request made of what
 * was asked for, a reply read, and a line in a reply's form for a request that has none. Pure.
 *
 * A request given as JSON is sent as it is; what the command line says besides is added where the
 * request does not name the field (not even as null; provider and providers are one choice).
 * Whether the values make sense is for the worker to judge.
 */
#ifndef WORKER_REQUEST_LINE_H
#define WORKER_REQUEST_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/json.h"
#include "worker/connect_request.h"

#define REQUEST_LINE_BYTES_MAX CONNECT_REQUEST_BYTES_MAX
/* With what a command line may hold besides. */
#define REQUEST_VALUE_BYTES_MAX (REQUEST_LINE_BYTES_MAX + 4 * 1024 * 1024)
/* Generous: replies of a newer worker may hold more than ours. */
#define REQUEST_REPLY_BYTES_MAX (1024 * 1024)

/* What the command line says about requests; NULL and 0: nothing. */
struct request_choice {
    const char *reference_id, *request_id, *environment;
    const char *provider;
    const char *providers; /* GARMIN,OURA */
    const char *language;
    const char *success_url, *failure_url;
    unsigned timeout_seconds;
};

struct request_line {
    json_value *tree;
    const char *reference_id; /* NULL: not given, or not as text */
    const char *request_id;   /* likewise */
    int64_t timeout_us;       /* how long its answer is worth waiting for */
};

/* False with a message when it is not a JSON object; then nothing is to be released. */
bool request_line_read(struct request_line *request, const char *line, size_t size,
    const struct request_choice *choice, char *message, size_t message_size);
void request_line_release(struct request_line *request);
/* The request's record. `line` is what was read. */
void request_line_write(const struct request_line *request, const char *line, size_t size,
    const struct request_choice *choice, struct buf *json);

/* Texts live in the tree. */
struct request_reply {
    const char *link; /* NULL: an error */
    const char *code, *message;
    bool retryable;
    double retry_after_seconds; /* negative: unknown */
    json_value *tree;
};

/* False when it is no connect-reply; then nothing is to be released. A link that is not http(s), or
 * that holds blanks or control characters, makes it none: it goes to somebody's browser. */
bool request_reply_read(struct request_reply *reply, const void *value, size_t size);
void request_reply_release(struct request_reply *reply);
/* A reply as it came, but in one line. */
void request_reply_copy(struct buf *line, const void *value, size_t size);

/* The codes that terra-connect request makes itself, beside the workers' invalid_request. */
#define REQUEST_NO_REPLY "no_reply"
#define REQUEST_NOT_SENT "not_sent"
#define REQUEST_BAD_REPLY "bad_reply"

/* Why a request has no reply, in a reply's form. */
struct request_fault {
    const char *code, *message;
    bool retryable;
    const char *request_id, *reference_id; /* NULL: unknown */
    uint64_t line;                         /* of the input, from 1; 0: none */
};

void request_fault_write(const struct request_fault *fault, struct buf *json);

#endif
