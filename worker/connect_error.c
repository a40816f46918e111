/* connect_error: see connect_error.h. */
#include "worker/connect_error.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/utf8.h"

/* retryable: the caller may send the same request again and get a link. That is so for a refused
 * key, which the operator replaces without the caller's doing, and not for a retired endpoint or a
 * full account, which need a decision first. */
static const struct {
    const char *name;
    bool retryable;
} codes[CONNECT_CODE_COUNT] = {
    [CONNECT_INVALID_REQUEST] = {"invalid_request", false},
    [CONNECT_REDIRECT_NOT_ALLOWED] = {"redirect_not_allowed", false},
    [CONNECT_REPLY_ADDRESS_REJECTED] = {"reply_address_rejected", false},
    [CONNECT_UNKNOWN_ENVIRONMENT] = {"unknown_environment", false},
    [CONNECT_REJECTED_BY_TERRA] = {"rejected_by_terra", false},
    [CONNECT_CREDENTIALS_REJECTED] = {"credentials_rejected", true},
    [CONNECT_ENDPOINT_RETIRED] = {"endpoint_retired", false},
    [CONNECT_USER_LIMIT_REACHED] = {"user_limit_reached", false},
    [CONNECT_TERRA_UNAVAILABLE] = {"terra_unavailable", true},
    [CONNECT_RATE_LIMITED] = {"rate_limited", true},
    [CONNECT_DEADLINE_EXCEEDED] = {"deadline_exceeded", true},
    [CONNECT_INTERNAL_ERROR] = {"internal_error", true},
};

const char *connect_code_name(enum connect_code code)
{
    return codes[code].name;
}

void connect_error_set(struct connect_error *error, enum connect_code code, const char *format, ...)
{
    error->code = code;
    error->retryable = codes[code].retryable;
    error->retry_after_us = -1;
    error->http_status = 0;
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(error->message, sizeof(error->message), format, arguments);
    va_end(arguments);
    if (size >= CONNECT_MESSAGE_SIZE)
        error->message[utf8_valid_prefix(error->message, CONNECT_MESSAGE_SIZE - 1)] = '\0';
}
