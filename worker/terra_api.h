/*
 * terra_api: builds a request to one of Terra's auth endpoints and judges the response. Pure.
 *
 * Facts and their sources (Terra's published OpenAPI 2026.10.08 and documentation):
 *  - `providers` is one comma-separated string; an array answers 500. Only fields with a value are
 *    sent: no null, no empty string, no key that Terra does not know. Both widget endpoints take
 *    the same body since October 2026;
 *  - widget: 201 (legacy 200) with session_id, url, expires_in, warnings; authenticateUser: 200
 *    with user_id, auth_url and no expiry;
 *  - a body whose `message` is JSON null is a credential fault under any status, 5xx included;
 *  - errors come as {message, status}, problem+json {title, detail, code}, {detail}, HTML or
 *    nothing: status first, body second, Content-Type never;
 *  - 403 with a `code` that names an entitlement concerns that request, not the credential.
 *
 * The verdicts:
 *
 *   2xx with an https link                        LINK, whatever else is missing or odd
 *   "message": null, any status                   CREDENTIALS       credentials_rejected
 *   2xx otherwise: no link, status "error", HTML  REJECT            rejected_by_terra
 *   3xx (never followed: the key is in a header)  REJECT            endpoint_retired
 *   4xx that names a user limit or quota          REJECT            user_limit_reached
 *   401, 403                                      CREDENTIALS       credentials_rejected
 *   403 that names an entitlement or product,
 *       or a disabled environment                 REJECT            rejected_by_terra
 *   404, 405, 410 on a widget endpoint            OTHER_ENDPOINT    endpoint_retired
 *   405, 410 on authenticateUser                  REJECT            endpoint_retired
 *   429                                           RETRY             rate_limited
 *   408, 424, 425                                 RETRY             terra_unavailable
 *   other 4xx                                     REJECT            rejected_by_terra
 *   502, 503, 504                                 RETRY             terra_unavailable
 *   other 5xx                                     RETRY_FEW         terra_unavailable
 *   no answer: late, unreachable, broken,
 *       untrusted certificate                     RETRY             terra_unavailable
 *   body past the ceiling                         RETRY_FEW         terra_unavailable
 *
 * Terra's own words go into an error or a warning only as printable ASCII, cut, and without
 * anything that looks like a URL or a key.
 */
#ifndef WORKER_TERRA_API_H
#define WORKER_TERRA_API_H

#include "common/buf.h"
#include "common/http_message.h"
#include "worker/connect_error.h"
#include "worker/connect_request.h"
#include "worker/environment.h"
#include "worker/terra_link.h"

#define TERRA_ANSWER_BYTES_MAX (64 * 1024)
#define TERRA_TRACE_ID_SIZE 80

const char *terra_endpoint_name(enum terra_endpoint endpoint); /* "widget_session", … */

/* URL and JSON body of the call, appended to the two. */
void terra_api_encode(enum terra_endpoint endpoint, const struct connect_request *request,
    struct buf *url, struct buf *body);

enum terra_verdict {
    TERRA_LINK,           /* here is the link */
    TERRA_RETRY,          /* may pass later */
    TERRA_RETRY_FEW,      /* may pass later, but seldom does (500): three attempts at most */
    TERRA_OTHER_ENDPOINT, /* this widget endpoint is not served to this account (404, 405, 410) */
    TERRA_CREDENTIALS,    /* dev id or key refused */
    TERRA_REJECT,         /* for good */
};

/* What of a response matters beside status and body; each may be NULL. */
struct terra_response_headers {
    const char *retry_after; /* seconds or HTTP date */
    const char *deprecation; /* Terra says that the endpoint will go or has gone */
    const char *link;        /* where Terra says what takes its place; for the log alone */
    const char *trace_id;    /* x-terra-trace-id */
};

struct terra_answer {
    enum terra_verdict verdict;
    struct terra_link link;             /* TERRA_LINK */
    struct connect_error error;         /* else: what the reply says if this was the last attempt */
    int64_t retry_after_us;             /* from now; -1: not said */
    char trace_id[TERRA_TRACE_ID_SIZE]; /* for the log; "" */
};

/* called_wall_us: when the call began, from which expires_in counts; now_wall_us: now. The answer
 * is the caller's: terra_answer_release. */
void terra_api_judge(enum terra_endpoint endpoint, const struct http_response *response,
    const struct terra_response_headers *headers, int64_t called_wall_us, int64_t now_wall_us,
    struct terra_answer *answer);
void terra_answer_release(struct terra_answer *answer);

/*
 * The neutral GET, by which a credential and Terra itself are tried: GET …/v2/userInfo with a
 * reference id that nobody has. It needs both headers, changes nothing, spends no user, and its
 * answer (404, or an empty array) tells nothing about anybody, which the list of subscriptions
 * would; hosts that ignored that list's paging have answered with all users at once.
 */
enum terra_probe_verdict {
    TERRA_PROBE_ACCEPTED, /* Terra answers, and the credential is good */
    TERRA_PROBE_UNCLEAR,  /* Terra answers, and says nothing about the credential (429, 3xx) */
    TERRA_PROBE_REFUSED,  /* the credential is refused */
    TERRA_PROBE_FAILED,   /* Terra cannot be reached, or does not work */
    TERRA_PROBE_VERDICT_COUNT
};

/* The URL, appended; random: so that no id is asked for twice. */
void terra_api_encode_probe(
    const struct environment *environment, uint64_t random, struct buf *url);
/* error: why, in the words of a reply, unless accepted. */
enum terra_probe_verdict terra_api_judge_probe(
    const struct http_response *response, struct connect_error *error);

#endif
