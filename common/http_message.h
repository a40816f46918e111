/*
 * http_message: one HTTP request and one response as plain structs; no HTTP library in sight.
 */
#ifndef COMMON_HTTP_MESSAGE_H
#define COMMON_HTTP_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

/* What came of a request. Only HTTP_ANSWERED has a body; it and HTTP_STOPPED have a status and
 * headers. */
enum http_outcome {
    HTTP_ANSWERED,           /* a whole response arrived, whatever its status */
    HTTP_TIMEOUT,            /* the deadline passed */
    HTTP_CONNECT_FAILED,     /* name resolution, TCP or TLS; no byte of the request was sent */
    HTTP_TLS_UNTRUSTED,      /* the server's certificate was refused */
    HTTP_BROKEN,             /* the connection broke, or what came was not HTTP */
    HTTP_RESPONSE_TOO_LARGE, /* the body passed its ceiling; reading stopped there */
    HTTP_UNDECODABLE,        /* compressed in a way that is broken, unknown or too deep */
    HTTP_CANCELLED,          /* http_client_cancel or http_client_close */
    /* only where they are asked for: */
    HTTP_ADDRESS_FORBIDDEN, /* no address of the host may be connected to */
    HTTP_STOPPED,           /* the call's on_body had seen enough */
};

enum http_method { HTTP_GET, HTTP_POST };

struct http_header {
    const char *name;
    const char *value;
};

struct http_response {
    enum http_outcome outcome;
    int status;       /* 100..599; 0 unless HTTP_ANSWERED or HTTP_STOPPED */
    const char *body; /* never NULL; NUL-terminated */
    size_t body_size;
    const char *error;   /* for the log when there is no status, never a URL or a header; else "" */
    int64_t duration_us; /* from the ask to the completion */
    const void *transfer; /* for http_response_header only */
};

const char *http_outcome_name(enum http_outcome outcome);

#endif
