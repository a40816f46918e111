/*
 * terra_keys: the files that API keys come from, read again while the worker runs. Used by
 * terra_health alone.
 *
 * The files are read as a whole, every second and at once when asked, and their content is
 * compared. That sees a file written over, one renamed into place, and the symbolic links that
 * Kubernetes swaps, on every kind of file system; watching for events or for times sees only some
 * of them. Reading happens on libuv's thread pool, one round at a time.
 *
 * A key is taken when two readings a tenth of a second apart agree on it, so that a half-written
 * one is not. A file that is empty, unreadable, or holds what cannot be a key is left alone: the
 * old key stays, and the log says so once.
 *
 * Life cycle: terra_keys_new; terra_keys_close, run the loop dry; terra_keys_free.
 */
#ifndef WORKER_TERRA_KEYS_H
#define WORKER_TERRA_KEYS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "worker/environment.h"

struct terra_keys;

struct terra_keys_options {
    struct environments *environments; /* their keys are replaced; must outlive */
    environment_read_file *read_file;  /* runs on another thread */
    /* The environment has another key. */
    void (*on_key)(void *context, const struct environment *environment);
    void *context;
};

struct terra_keys *terra_keys_new(uv_loop_t *loop, const struct terra_keys_options *options);
void terra_keys_close(struct terra_keys *keys);
void terra_keys_free(struct terra_keys *keys);

/* Reads at once. Nothing happens when no environment has a file. */
void terra_keys_read(struct terra_keys *keys);
/* Reads five times a second while a key is known to be refused. */
void terra_keys_hurry(struct terra_keys *keys, bool hurry);

/* True when a reading that began at that time (monotonic) or later found the key of the
 * environment to be the one that it has; also when it has no file. */
bool terra_keys_read_since(
    const struct terra_keys *keys, const struct environment *environment, int64_t since_us);

#endif
