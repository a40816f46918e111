/*
 * terra_health: what is known to be wrong with Terra or with a credential, so that requests need
 * not find it out one by one.
 *
 * Each environment stands for itself (terra_standing.h says what counts as refused and as down).
 * While there is trouble, or a suspicion of it, this process probes with the neutral GET
 * (terra_api.h), one at a time per environment and every one to three seconds; these are no calls
 * under the limit. The first success ends the trouble.
 *
 * Refusal is remembered per key and in this process alone, never in Redis: a worker with a wrong
 * key must not stop those with the right one. Keys from files are read again when the files change
 * (terra_keys.h), and at once when a key is refused.
 *
 * At start every credential is tried before the group is joined: on_admitted comes, once, when all
 * have been tried and at least one was not refused. Terra being away does not hold it up for longer
 * than one probe takes.
 *
 * Callbacks come in a later turn of the loop than what led to them.
 *
 * Life cycle: terra_health_new, terra_health_start; terra_health_close before the caller it probes
 * with is closed, run the loop dry; terra_health_free.
 */
#ifndef WORKER_TERRA_HEALTH_H
#define WORKER_TERRA_HEALTH_H

#include <uv.h>

#include "worker/terra_call.h"
#include "worker/terra_standing.h"

struct terra_health;

struct terra_health_options {
    struct environments *environments; /* keys are replaced in it; must outlive */
    struct terra_caller *terra;
    environment_read_file *read_file; /* runs on another thread */
    /* Some environment stands otherwise than before, or has another key. */
    void (*on_change)(void *context);
    void (*on_admitted)(void *context);
    void *context;
};

struct terra_health *terra_health_new(uv_loop_t *loop, const struct terra_health_options *options);
void terra_health_start(struct terra_health *health);
void terra_health_close(struct terra_health *health);
void terra_health_free(struct terra_health *health);

/* What came of a call; request: its digest. */
void terra_health_note(struct terra_health *health, const struct terra_call *call,
    const char request[DIGEST_HEX_SIZE], const struct terra_answer *answer);

enum terra_health_state terra_health_state(
    const struct terra_health *health, const struct environment *environment);
/* The reply's error while the environment is in trouble. */
void terra_health_error(const struct terra_health *health, const struct environment *environment,
    struct connect_error *error);

/* A reading of the key's file that began at that time (monotonic) or later found no other key; also
 * when the key has no file. */
bool terra_health_key_read_since(
    const struct terra_health *health, const struct environment *environment, int64_t since_us);
/* A probe that began then or later was accepted with the key that the environment has now. */
bool terra_health_key_accepted_since(
    const struct terra_health *health, const struct environment *environment, int64_t since_us);

/* For readiness: on_admitted has come. A later refusal does not undo it. */
bool terra_health_admitted(const struct terra_health *health);

#endif
