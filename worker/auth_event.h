/*
 * auth_event: Terra's event about a connection to our normalised event, and that to JSON and back.
 * Pure. The schemas are terra-raw-event.json and auth-event.json under schemas/; each example
 * terra-raw-event-<name>.json there becomes auth-event-<name>.json.
 *
 *   Terra's type                      kind
 *   auth, status success              connected
 *   auth, any other status;           connect_failed
 *     auth_cancelled
 *   deauth                            disconnected: by us, or by the person in the widget
 *   access_revoked                    revoked: by the person, at the provider
 *   connection_error                  degraded: the provider refused Terra; may pass
 *   user_reauth                       reauthenticated: user_id takes the place of old_user_id
 *   permission_change                 permissions_changed
 *   google_no_datasource              no_data_source: connected, but nothing to read
 *
 * An auth without a status is connected if it names a user_id and no reason, else connect_failed.
 *
 * What is taken for what, since Terra's shapes have drifted:
 *   - user, old_user and new_user are objects or arrays of one; an empty array is null; two users
 *     are a fault. user_reauth may say `user` for new_user, and old_user_id for old_user.
 *   - Missing, null and "" are the same, but for scopes, where "" is the empty set.
 *   - The reference_id is the user's, else that of the event, else that of the old user; so is the
 *     provider, which becomes upper case. An old id equal to the new one says nothing.
 *   - user_id, old_user_id and reference_id have to be right (event_text.h), or the event is BAD.
 *     Session and flow ids, provider, reason and scopes that are not what they should be count as
 *     not said: an event must not be lost over them.
 *   - reason is passed on, not classified: there is no list of them.
 *   - active is not looked at (it is a boolean, a text, or wrong), nor is message, nor anything
 *     unknown.
 *   - An event that names neither user nor reference, session or flow is BAD; a failed attempt
 *     with a flow_id alone is still a failed attempt. So user_id may be NULL whatever the kind.
 */
#ifndef WORKER_AUTH_EVENT_H
#define WORKER_AUTH_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/digest.h"
#include "worker/event_text.h"
#include "worker/scope_set.h"

/* Of Terra's event, and of a normalised one. */
#define AUTH_EVENT_BYTES_MAX (1024 * 1024)
#define AUTH_EVENT_DEPTH_MAX 64
/* What auth_event_encode writes has room in this. */
#define AUTH_EVENT_JSON_BYTES_MAX (48 * 1024)
#define AUTH_EVENT_ERROR_SIZE 256

#define AUTH_EVENT_PROVIDER_BYTES_MAX 64
#define AUTH_EVENT_REASON_BYTES_MAX 256
#define AUTH_EVENT_STATUS_BYTES_MAX 40

enum auth_event_kind {
    AUTH_EVENT_CONNECTED,
    AUTH_EVENT_CONNECT_FAILED,
    AUTH_EVENT_DISCONNECTED,
    AUTH_EVENT_REVOKED,
    AUTH_EVENT_DEGRADED,
    AUTH_EVENT_REAUTHENTICATED,
    AUTH_EVENT_PERMISSIONS_CHANGED,
    AUTH_EVENT_NO_DATA_SOURCE,
    AUTH_EVENT_KIND_COUNT,
};

/* "connected", "connect_failed", … */
const char *auth_event_kind_name(enum auth_event_kind kind);
/* False: there is no kind of that name (yet). */
bool auth_event_kind_find(const char *name, enum auth_event_kind *kind);

/* All texts are the event's own; NULL: not said. {0} holds nothing. */
struct auth_event {
    enum auth_event_kind kind;
    char *user_id; /* of reauthenticated: the new one */
    char *old_user_id;
    char *reference_id;
    char *provider;
    char *reason;
    char *widget_session_id;
    char *flow_id;
    char *scopes, *scopes_added, *scopes_removed; /* see scope_set.h */
    char *type, *status;                          /* as Terra wrote them */

    /* private */
    char *created_at;               /* of the user, as Terra wrote it: part of the identity */
    char *environment, *request_id; /* of a normalised event; its context points here */
};

enum auth_event_verdict {
    AUTH_EVENT_READ,
    AUTH_EVENT_NOT_AUTH, /* JSON, but of another type or of none: not for us */
    AUTH_EVENT_BAD,      /* cannot be understood: for the dead letters */
};

/* error: where it is BAD, why, in words, with none of the payload's values; at least
 * AUTH_EVENT_ERROR_SIZE bytes. Unless it is READ, there is nothing to release. */
enum auth_event_verdict auth_event_decode(
    struct auth_event *event, const void *bytes, size_t size, char *error);
void auth_event_release(struct auth_event *event);

/* How the request was found whose link led to the event. */
enum auth_event_match {
    AUTH_EVENT_MATCH_NONE,
    AUTH_EVENT_MATCH_SESSION,
    AUTH_EVENT_MATCH_USER,
    AUTH_EVENT_MATCH_REFERENCE,
};

/* What Terra does not say about the event. Texts belong to the caller. */
struct auth_event_context {
    const char *environment;      /* NULL: unknown */
    const char *request_id;       /* NULL: the link did not come from us */
    const char *offered_provider; /* where exactly one was: stands in for a missing provider */
    double seconds_since_link;    /* < 0: unknown */
    enum auth_event_match matched_by;
    int64_t published_wall_us; /* the raw record's timestamp */
};

/* Appends the normalised event. occurred_at is null: Terra gives no time of the event. */
void auth_event_encode(
    const struct auth_event *event, const struct auth_event_context *context, struct buf *json);

/*
 * What makes two events the same, for dropping repeats: the pointer's payload_reference when there
 * is one, else all that the event says, in its canonical form.
 *
 * Not part of it, since they may differ between the copies of one event: message (wording) and
 * version (only in old deliveries) are Terra's manner of speaking; last_webhook_update moves with
 * every delivery of data; active is a snapshot that is known to lag.
 */
void auth_event_identity(
    const struct auth_event *event, const char *payload_reference, char hex[DIGEST_HEX_SIZE]);

/* The key of its record: the reference_id, else the user_id, else the old one; NULL: none of them
 * is known. Only what Terra said: were it from memory, one event could have two keys. */
const char *auth_event_key(const struct auth_event *event);

/* The way back, for the connections flow. What a later version adds is passed over; an unknown kind
 * is NOT_AUTH. Sets all of *context but what was offered, which is in the event by then; its texts
 * live as long as the event. Both are empty unless it is READ. */
enum auth_event_verdict auth_event_decode_normalised(struct auth_event *event,
    struct auth_event_context *context, const void *bytes, size_t size, char *error);

#endif
