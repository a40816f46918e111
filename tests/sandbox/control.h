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
 *   POST   /sandbox/users           {"user_id", "provider", "reference_id", "environment"}: a
 *                                   connected user
 *   DELETE /sandbox/users
 *   POST   /sandbox/kafka/errors    {"request": "Produce", "error": "NOT_LEADER_FOR_PARTITION",
 *                                   "count": n}
 *   DELETE /sandbox/kafka/errors
 *   POST   /sandbox/kafka/broker    {"up": false} cuts and refuses connections; {"rtt_ms": n}
 *                                   delays answers
 *   POST   /sandbox/kafka/topics    {"name": …, "partitions": n}
 *   POST   /sandbox/reset           faults, calls, users, latency, flaky ids, Kafka's faults: as at
 *                                   the start
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
