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
    char user_id[UUID_SIZE];    /* of the user being created; a direct link's answer names it */
    bool widget;                /* not a direct link */
    bool completed;             /* a user of that id has been connected */
    char *environment;
    char *reference_id; /* NULL: none */
    char *providers;    /* comma-separated, or the one; NULL: all */
    char *success_url;  /* NULL: none */
    char *failure_url;
    int64_t expires_wall_us;
};

struct sessions;

struct sessions *sessions_new(void);
void sessions_free(struct sessions *sessions);

/* What a new session is to be; NULL texts as in struct session. */
struct session_terms {
    bool widget;
    const char *environment;
    const char *reference_id;
    const char *providers;
    const char *success_url;
    const char *failure_url;
    int64_t expires_wall_us;
};

/* A session with fresh ids; texts are copied. Valid until SESSIONS_MAX more are made. */
struct session *sessions_add(struct sessions *sessions, const struct session_terms *terms);
struct session *sessions_find(const struct sessions *sessions, const char *link_id);

/* The latest that has all of these; NULL matches any. */
struct session *sessions_search(const struct sessions *sessions, const char *session_id,
    const char *user_id, const char *reference_id);

#endif
