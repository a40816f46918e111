/*
 * connection: what becomes of a link that was handed out, and of a user who is connected; and the
 * event that Terra writes of it.
 *
 *   a session   completed: a user is connected; `auth`
 *               cancelled: `auth_cancelled`, or in the older shapes `auth` with status "error"
 *   a user      reconnected under another id: `user_reauth` and `auth`, in either order; the old id
 *               is gone
 *               disconnected: `deauth`; the user is gone
 *               revoked: `access_revoked`; the user is no longer active
 *               degraded: `connection_error`
 *               with other permissions: `permission_change`
 *               without a data source: `google_no_datasource`
 *
 * Without a Kafka the users change, and nothing is written.
 *
 * Every function takes a script (event_script.h) for the shape and the delivery of its events; it
 * fills in their content where the script has none.
 */
#ifndef SANDBOX_CONNECTION_H
#define SANDBOX_CONNECTION_H

#include "event_script.h"
#include "provider.h"
#include "session.h"
#include "terra.h"
#include "user.h"

#define CONNECTION_ERROR_SIZE 192

struct connection_change {
    char user_id[USER_TEXT_BYTES_MAX + 1];     /* of whom it is now; "" after a cancellation */
    char old_user_id[USER_TEXT_BYTES_MAX + 1]; /* reconnected: of whom it was */
    struct event_range events;
};

/* Terra promises no order between the two. */
enum connection_order { CONNECTION_REAUTH_FIRST, CONNECTION_AUTH_FIRST, CONNECTION_AUTH_ONLY };

enum connection_loss {
    CONNECTION_DISCONNECTED,
    CONNECTION_REVOKED,
    CONNECTION_DEGRADED,
    CONNECTION_NO_DATASOURCE,
};

/* All: RESULT_REJECT with the reason in error, and nothing has changed. */

/* With the script's provider, else with the first that the session offers. A session may be
 * completed again: the next user has another id. */
enum result connection_complete(struct terra *terra, struct session *session,
    const struct event_script *script, struct connection_change *change,
    char error[CONNECTION_ERROR_SIZE]) MUST_CHECK;
enum result connection_cancel(struct terra *terra, const struct session *session,
    const struct event_script *script, struct connection_change *change,
    char error[CONNECTION_ERROR_SIZE]) MUST_CHECK;
/* `user` is gone afterwards. */
enum result connection_reconnect(struct terra *terra, struct user *user,
    const struct event_script *script, enum connection_order order,
    struct connection_change *change, char error[CONNECTION_ERROR_SIZE]) MUST_CHECK;
/* After CONNECTION_DISCONNECTED `user` is gone. */
enum result connection_lose(struct terra *terra, struct user *user,
    const struct event_script *script, enum connection_loss loss, struct connection_change *change,
    char error[CONNECTION_ERROR_SIZE]) MUST_CHECK;
/* The script's scopes_added and scopes_removed. */
enum result connection_permit(struct terra *terra, struct user *user,
    const struct event_script *script, struct connection_change *change,
    char error[CONNECTION_ERROR_SIZE]) MUST_CHECK;

/* Whether the session's page offers this provider. */
bool connection_offered(const struct session *session, const struct provider *provider);

#endif
