/*
 * connect_reply: the outcome of a request as JSON, for the reply topic and, without any link, for
 * the outcomes topic. Pure. The schemas are connect-reply.json and connect-outcome.json under
 * schemas/.
 *
 *   {"status":"success","request_id":"r1","reference_id":"u1","environment":"default","attempts":1,
 *    "link":"https://…","url":"https://…","session_id":"…",
 *    "link_expires_at":"2026-11-22T07:04:32.123Z","warnings":[]}
 *
 *   {"status":"error","request_id":"r1","reference_id":"u1","environment":"default","attempts":5,
 *    "error":{"code":"terra_unavailable","message":"…","retryable":true,"retry_after_seconds":30,
 *             "http_status":503},"warnings":[]}
 *
 * A direct link has auth_url and user_id instead of url and session_id. The warnings are those
 * about the request, then Terra's. An outcome has all its fields always, null where there is
 * nothing to say, so that analysts get columns. Texts that are not valid UTF-8 come out with
 * U+FFFD.
 *
 * CONNECT_REPLY_BYTES_MAX holds the largest of both: the link twice, two full lists of warnings,
 * the longest ids and message, a hundred providers, all with an escape for every character that
 * may need one.
 */
#ifndef WORKER_CONNECT_REPLY_H
#define WORKER_CONNECT_REPLY_H

#include "common/buf.h"
#include "worker/connect_error.h"
#include "worker/connect_request.h"
#include "worker/terra_api.h"

#define CONNECT_REPLY_BYTES_MAX (64 * 1024)

struct connect_result {
    const struct connect_request *request;
    const struct terra_link *link;     /* NULL: error */
    const struct connect_error *error; /* NULL: link */
    unsigned attempts;
    bool cached; /* the link was given before: kept, or shared with a copy in flight */

    /* for the outcome */
    int64_t requested_wall_us; /* the record's timestamp, or its arrival */
    int64_t answered_wall_us;
    int64_t waiting_us; /* for a turn under the limit, all attempts together */
    int64_t calling_us; /* in calls to Terra, all attempts together */
};

/* Appended to the buf. */
void connect_reply_encode(const struct connect_result *result, struct buf *json);
void connect_outcome_encode(const struct connect_result *result, struct buf *json);

#endif
