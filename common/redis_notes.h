/*
 * redis_notes: values written to Redis that nobody waits for.
 *
 * Each note is one SET with a time to live, copied at once. At most REDIS_NOTES_MAX wait for their
 * answer; one too many is lost, and so is one that Redis does not take in time: counted, logged
 * once in a while, never repeated. Notes and commands of one client reach Redis in the order they
 * were made, so a GET behind a note sees it.
 *
 * Life cycle: the client is closed, the loop run dry, then redis_notes_free: until the client has
 * told the last note's end, the memory is needed.
 */
#ifndef COMMON_REDIS_NOTES_H
#define COMMON_REDIS_NOTES_H

#include "common/metrics.h"
#include "common/redis_client.h"

#define REDIS_NOTES_MAX 4096

struct redis_notes;

struct redis_notes_options {
    struct redis_client *client;
    const char *area; /* of the log lines; a literal */
    struct metric *kept_total, *lost_total;
    /* Redis has the note; NULL: nobody wants to know. */
    void (*on_kept)(void *context, const char *key, const char *value);
    void *context;
};

struct redis_notes *redis_notes_new(const struct redis_notes_options *options);
void redis_notes_free(struct redis_notes *notes);

/* keep_us: less than a millisecond counts as one. */
void redis_notes_set(
    struct redis_notes *notes, const char *key, const char *value, int64_t keep_us);

#endif
