/*
 * user: the connected users of the simulated Terra: whom userInfo and subscriptions show and
 * connected_uids may name. At start there are none; the control endpoint adds them, and sessions
 * that are completed (connection.h).
 */
#ifndef SANDBOX_USER_H
#define SANDBOX_USER_H

#include "common/json.h"
#include "common/result.h"

#define USERS_MAX 10000
#define USER_TEXT_BYTES_MAX 256

struct user {
    struct user *prev, *next;
    char *user_id;
    char *provider;
    char *reference_id; /* NULL: none */
    char *environment;
    char *scopes; /* comma-separated; NULL: unknown */
    bool active;
};

struct users {
    struct user *list; /* in order of addition */
    unsigned count;
};

void users_release(struct users *users);
void users_clear(struct users *users);

/* Active; replaces one of the same id. REJECT: an empty or overlong text, or USERS_MAX are
 * there. */
enum result users_put(struct users *users, const char *environment, const char *user_id,
    const char *provider, const char *reference_id, const char *scopes) MUST_CHECK;
struct user *users_find(const struct users *users, const char *environment, const char *user_id);
/* The latest that has all of these, in any environment; NULL matches any. */
struct user *users_search(
    const struct users *users, const char *user_id, const char *reference_id, const char *provider);
void users_remove(struct users *users, struct user *user); /* and frees it */
void user_set_scopes(struct user *user, const char *scopes);

/* As Terra's TerraUser. */
void user_write(const struct user *user, const char *name, struct json_writer *writer);

#endif
