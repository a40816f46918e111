/*
 * terra_call: one attempt at one call to Terra, under a deadline.
 *
 * The caller (struct terra_caller, one per worker) knows how to reach Terra with each environment's
 * credential, and which of the two widget endpoints serves it. With TERRA_WIDGET_AUTO the current
 * endpoint is asked first; what worked is remembered per environment for ten minutes, then the
 * current one is asked again: Terra moves accounts from the older endpoint to the newer one.
 *
 * A call carries the key that its environment has when it starts; keys may be replaced meanwhile
 * (environments_set_key), and each call says which it carried.
 *
 * An attempt is one HTTP call, never more: repeating, waiting for a turn, and trying the other
 * endpoint after TERRA_OTHER_ENDPOINT are the flow's business, since each of them is a call under
 * the limit.
 *
 * Exactly one on_answer per terra_call_start, never inside it. Ticket and request belong to the
 * asker until then; the answer is the asker's during on_answer and is released afterwards.
 *
 * Life cycle: terra_caller_new; terra_caller_close (pending calls are answered as unavailable), run
 * the loop dry; terra_caller_free.
 */
#ifndef WORKER_TERRA_CALL_H
#define WORKER_TERRA_CALL_H

#include <uv.h>

#include "common/http_client.h"
#include "common/log.h"
#include "worker/terra_api.h"

struct terra_caller;

struct terra_caller_options {
    const struct environments *environments; /* must outlive the caller */
    enum terra_widget_choice widget;
    int64_t attempt_timeout_us;
    struct http_client_options http;
};

struct terra_call {
    void (*on_answer)(struct terra_call *call, struct terra_answer *answer);
    void *context;
    const struct log_context *log; /* may be NULL */
    /* Bits by enum terra_endpoint: those that answered TERRA_OTHER_ENDPOINT. The asker zeroes it
     * for a new request. */
    unsigned endpoints_gone;
    int64_t duration_us; /* of the last attempt */
    const struct environment *environment;
    unsigned key_generation;      /* which of the environment's keys the last attempt carried */
    enum terra_endpoint endpoint; /* that the last attempt asked */
    /* The last attempt's failure says something about Terra: it was not given up by us, and had
     * the time in which Terra answers when it is well. */
    bool telling;

    /* private */
    struct terra_caller *caller;
    struct http_call http;
    struct http_headers *headers;
    struct buf url, body;
    int64_t called_wall_us;
};

/* One neutral GET (terra_api.h). It is no call under the limit: the asker sees to it that they are
 * few. */
struct terra_probe {
    /* error: why, unless accepted. */
    void (*on_answer)(struct terra_probe *probe, enum terra_probe_verdict verdict,
        const struct connect_error *error);
    void *context;
    unsigned key_generation; /* which of the environment's keys it carries */

    /* private */
    struct http_call http;
    struct http_headers *headers;
    struct buf url;
};

struct terra_caller *terra_caller_new(uv_loop_t *loop, const struct terra_caller_options *options);
void terra_caller_close(struct terra_caller *caller);
void terra_caller_free(struct terra_caller *caller);

/* deadline_us: monotonic; the attempt ends there, or after attempt_timeout_us. */
void terra_call_start(struct terra_caller *caller, struct terra_call *call,
    const struct connect_request *request, int64_t deadline_us);

/* After TERRA_OTHER_ENDPOINT: is there one that has not answered so to this request? */
bool terra_call_has_other_endpoint(
    const struct terra_caller *caller, const struct terra_call *call);

/* Exactly one on_answer, as with a call. It ends after attempt_timeout_us or three seconds. */
void terra_probe_start(
    struct terra_caller *caller, struct terra_probe *probe, const struct environment *environment);

#endif
