/*
 * connect_error: why a connect request got no link, in the words of the reply. Pure.
 *
 * The codes are a contract with every service that reads replies: they may be added to, never
 * renamed. The message says who can mend it (caller, operator or Terra) and never holds a link, a
 * key, or bytes of a body that could hold one.
 */
#ifndef WORKER_CONNECT_ERROR_H
#define WORKER_CONNECT_ERROR_H

#include <stdbool.h>
#include <stdint.h>

enum connect_code {
    CONNECT_INVALID_REQUEST,        /* caller: the request cannot be read or a field is wrong */
    CONNECT_REDIRECT_NOT_ALLOWED,   /* caller or operator: REDIRECT_URLS_ALLOWED */
    CONNECT_REPLY_ADDRESS_REJECTED, /* caller or operator: reply topic not allowed or not there */
    CONNECT_UNKNOWN_ENVIRONMENT,    /* caller or operator: no credential of that name */
    CONNECT_REJECTED_BY_TERRA,      /* caller, mostly: Terra refused this request for good */
    CONNECT_CREDENTIALS_REJECTED,   /* operator: dev id or key refused */
    CONNECT_ENDPOINT_RETIRED,       /* operator: Terra no longer serves the endpoint */
    CONNECT_USER_LIMIT_REACHED,     /* operator: the account's cap of connected users */
    CONNECT_TERRA_UNAVAILABLE,      /* Terra: not reachable or failing after all attempts */
    CONNECT_RATE_LIMITED,           /* nobody: no room under the limit before the deadline */
    CONNECT_DEADLINE_EXCEEDED,      /* nobody: no answer in time */
    CONNECT_INTERNAL_ERROR,         /* operator: too large a reply for its topic */
    CONNECT_CODE_COUNT
};

#define CONNECT_MESSAGE_SIZE 512

struct connect_error {
    enum connect_code code;
    bool retryable;         /* the same request may succeed later */
    int64_t retry_after_us; /* when to try again; -1: unknown */
    int http_status;        /* Terra's; 0: no answer of Terra's is behind it */
    char message[CONNECT_MESSAGE_SIZE];
};

const char *connect_code_name(enum connect_code code); /* "invalid_request", … */

/* retryable as is usual for the code, retry_after unknown, no status. A message that does not fit
 * is cut at a character's boundary. */
void connect_error_set(struct connect_error *error, enum connect_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
