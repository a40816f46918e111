#include "common/http_message.h"

const char *http_outcome_name(enum http_outcome outcome)
{
    switch (outcome) {
    case HTTP_ANSWERED:
        return "answered";
    case HTTP_TIMEOUT:
        return "timeout";
    case HTTP_CONNECT_FAILED:
        return "connect_failed";
    case HTTP_TLS_UNTRUSTED:
        return "tls_untrusted";
    case HTTP_BROKEN:
        return "broken";
    case HTTP_RESPONSE_TOO_LARGE:
        return "response_too_large";
    case HTTP_UNDECODABLE:
        return "undecodable";
    case HTTP_CANCELLED:
        return "cancelled";
    case HTTP_ADDRESS_FORBIDDEN:
        return "address_forbidden";
    case HTTP_STOPPED:
        return "stopped";
    }
    return "unknown";
}
