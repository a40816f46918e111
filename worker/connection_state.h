/*
 * connection_state: the latest state of one connection, that is of one user_id, and what an event
 * makes of it. Pure.
 *
 * A user_id is absent, connected (in one of its statuses), or over. Over is for good: Terra gives
 * a person who connects again a new id, so what still comes for the old one is late or a repeat.
 *
 *   connected, reauthenticated (the new id)    connected
 *   permissions_changed                        other scopes; connected, if nothing else is known
 *   no_data_source, degraded, revoked          that status; the record stays
 *   disconnected, reauthenticated (the old id) over
 *   connect_failed                             nothing: no connection came of it
 *
 * Invariants:
 *  - What is known in the end depends on the set of events, not on their order nor on how often
 *    each one came. Of two events the one published later has the say, field by field (a newer
 *    event that says no scopes leaves those of an older one); of two published in the same
 *    millisecond the one further down in the list above. An event that makes it over wins always;
 *    what came before it is of no interest then.
 *  - So a repeat that Terra publishes anew counts as what it is by its time: the newest word.
 *
 * Life cycle: {0} is absent; connection_state_decode or connection_state_apply fill it in;
 * connection_state_release empties it.
 *
 * The flow keeps the state (connection_state_save) only when the broker has the record, so that
 * after a crash between the two the same event brings the record again. Tombstones are the flow's.
 */
#ifndef WORKER_CONNECTION_STATE_H
#define WORKER_CONNECTION_STATE_H

#include "worker/auth_event.h"

/* What connection_state_encode and connection_state_save write has room in this. */
#define CONNECTION_STATE_JSON_BYTES_MAX (16 * 1024)

enum connection_status {
    CONNECTION_ABSENT,
    CONNECTION_CONNECTED,
    CONNECTION_NO_DATA_SOURCE,
    CONNECTION_DEGRADED,
    CONNECTION_REVOKED,
    CONNECTION_OVER,
    CONNECTION_STATUS_COUNT,
};

/* Something that was said about the connection, and when. */
struct connection_fact {
    char *text; /* NULL: never said */
    int64_t said_wall_us;
};

struct connection_state {
    enum connection_status status;
    int64_t status_wall_us; /* published_at of the event that the status is from */
    char *user_id;          /* NULL: absent */
    struct connection_fact reference_id, provider, environment;
    struct connection_fact scopes; /* see scope_set.h */
    int64_t since_wall_us;         /* published_at of the first event */
    int64_t last_event_wall_us;    /* of the latest one */
    enum auth_event_kind last_event;
};

enum connection_change {
    CONNECTION_UNCHANGED, /* nothing new */
    CONNECTION_CHANGED,   /* write the record, then save the state */
    CONNECTION_ENDED,     /* write a tombstone, then save the state */
};

/* Which of the two ids of a reauthenticated event this is the state of. Other kinds have only
 * CONNECTION_OF_USER; without that id there is nothing to change. */
enum connection_role { CONNECTION_OF_USER, CONNECTION_OF_OLD_USER };

/* The state must be absent or of that id. */
enum connection_change connection_state_apply(struct connection_state *state,
    const struct auth_event *event, const struct auth_event_context *context,
    enum connection_role role);

/* "connected", "no_data_source", "degraded", "revoked"; "absent" and "over" are in no record. */
const char *connection_status_name(enum connection_status status);

/* Appends the record's value, as schemas/connection-state.json; not of an absent one, or one that
 * is over. */
void connection_state_encode(const struct connection_state *state, struct buf *json);
/* The same with what else is needed to go on, and for one that is over, too. For our own use. */
void connection_state_save(const struct connection_state *state, struct buf *json);

/* Reads what either wrote, also a later version. False when it is neither; then the state is
 * absent. */
bool connection_state_decode(struct connection_state *state, const void *bytes, size_t size);
void connection_state_release(struct connection_state *state);

#endif
