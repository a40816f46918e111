/*
 * control: what a test asks of the sandbox itself, as JSON over HTTP, under
 * /sandbox on the same port.
 *
 *   GET    /sandbox                 the list below, as text
 *   GET    /sandbox/calls           recorded calls, oldest first: see record.h. Filters: endpoint,
 *                                   reference_id, reference_id_prefix, environment, status, since
 *                                   (a sequence number), limit (default 1000, at most 10000)
 *   GET    /sandbox/calls/count     how many, by what, and the busiest second; the same filters
 *   DELETE /sandbox/calls           forgets them
 *   POST   /sandbox/faults          a script, or an array of them: see fault.h; answers
 *                                   {"ids": […]}
 *   GET    /sandbox/faults          the scripts, and what is left of each
 *   DELETE /sandbox/faults[?id=n]   one, or all
 *   POST   /sandbox/latency         {"milliseconds": n, "jitter_milliseconds": n}: of every answer
 *   POST   /sandbox/credentials     {"environment", "dev_id", "api_key", "flags": […]}: replaces
 *                                   the environment's, or adds; what is left out stays as it is;
 *                                   flags: see credential.h
 *   GET    /sandbox/credentials
 *   POST   /sandbox/users           {"user_id", "provider", "reference_id", "scopes",
 *                                   "environment"}: a connected user
 *   DELETE /sandbox/users
 *   POST   /sandbox/sessions/complete   a link that was handed out; session_id, user_id (of a
 *                                   direct link) or reference_id say which, the latest that fits.
 *                                   "provider": which of those offered. Terra's event comes, and
 *                                   the user is connected: see connection.h
 *   POST   /sandbox/sessions/cancel the same; "reason"; with "shape": "old" in the older shape
 *   POST   /sandbox/users/reconnect a connected user, by user_id or reference_id (and provider),
 *                                   comes back under another id; "order": reauth_first, auth_first,
 *                                   auth_only
 *   POST   /sandbox/users/disconnect, …/revoke, …/degrade, …/permissions ("scopes_added",
 *                                   "scopes_removed"), …/no_datasource
 *                                   All of these also take whatever event_script.h says of the
 *                                   shape and the delivery of their events, and answer {"user_id",
 *                                   "old_user_id", "first", "last"}: the range of the events
 *   POST   /sandbox/events          any events: one or an array, as event_script.h describes, or
 *                                   {"events": …, "shuffle": seed, "per_second": n}; answers
 *                                   {"first": n, "last": n}
 *   GET    /sandbox/events          what became of each, and how often its object was fetched: see
 *                                   destination.h. Filters: type, reference_id, user_id, since,
 *                                   limit
 *   DELETE /sandbox/events          forgets them and their objects; what waits is not written
 *   POST   /sandbox/kafka/errors    {"request": "Produce", "error": "NOT_LEADER_FOR_PARTITION",
 *                                   "count": n}
 *   DELETE /sandbox/kafka/errors
 *   POST   /sandbox/kafka/broker    {"up": false} cuts and refuses connections; {"rtt_ms": n}
 *                                   delays answers
 *   POST   /sandbox/kafka/topics    {"name": …, "partitions": n}
 *   POST   /sandbox/reset           faults, calls, users, events, latency, flaky ids, Kafka's
 *                                   faults: as at the start
 *
 * A success is 200 with a JSON object, a mistake 400 with {"error": …}.
 */
#ifndef SANDBOX_CONTROL_H
#define SANDBOX_CONTROL_H

#include "answer.h"
#include "request.h"
#include "sandbox.h"

void control_answer(struct sandbox *sandbox, const struct request *request, struct answer *answer);

/* The list above, for GET /sandbox and --help. */
extern const char control_help[];

#endif
