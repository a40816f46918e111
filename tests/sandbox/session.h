/*
 * session: the links given out, so that their pages can be shown when a person opens one.
 *
 * The latest SESSIONS_MAX are remembered; an older link is then unknown, as an expired one is gone.
 */
#ifndef SANDBOX_SESSION_H
#define SANDBOX_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "uuid.h"

#define SESSIONS_MAX 10000

struct session {
    char link_id[UUID_SIZE];    /* the UUID inside the link; the table's key */
    char session_id[UUID_SIZE]; /* widget: what the answer names; as Terra's, not the link_id */
    char user_id[UUID_SIZE];    /* direct link: of the user being created */
    char *reference_id;         /* NULL: none */
    char *providers;            /* comma-separated, or the one; NULL: all */
    char *success_url;          /* NULL: none */
    char *failure_url;
    int64_t expires_wall_us;
};

struct sessions;

struct sessions *sessions_new(void);
void sessions_free(struct sessions *sessions);

/* A session with fresh ids; texts are copied. Valid until SESSIONS_MAX more are made. */
const struct session *sessions_add(struct sessions *sessions, const char *reference_id,
    const char *providers, const char *success_url, const char *failure_url,
    int64_t expires_wall_us);
const struct session *sessions_find(const struct sessions *sessions, const char *link_id);

#endif
