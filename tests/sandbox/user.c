/* user: the connected users of the simulated Terra; see user.h. */
#include "user.h"

#include <utlist.h>

#include "common/memory.h"
#include "common/text.h"

static void user_free(struct user *user)
{
    free(user->user_id);
    free(user->provider);
    free(user->reference_id);
    free(user->environment);
    free(user->scopes);
    free(user);
}

void users_clear(struct users *users)
{
    struct user *user, *next;
    DL_FOREACH_SAFE (users->list, user, next)
        user_free(user);
    *users = (struct users){0};
}

void users_release(struct users *users)
{
    users_clear(users);
}

void users_remove(struct users *users, struct user *user)
{
    DL_DELETE(users->list, user);
    users->count--;
    user_free(user);
}

static bool text_fits(const char *text)
{
    return !text_empty(text) && strlen(text) <= USER_TEXT_BYTES_MAX;
}

enum result users_put(struct users *users, const char *environment, const char *user_id,
    const char *provider, const char *reference_id, const char *scopes)
{
    if (!text_fits(environment) || !text_fits(user_id) || !text_fits(provider) ||
        (reference_id != NULL && !text_fits(reference_id)) ||
        (scopes != NULL && !text_fits(scopes)))
        return RESULT_REJECT;
    struct user *known, *next;
    DL_FOREACH_SAFE (users->list, known, next)
        if (text_equal(known->user_id, user_id))
            users_remove(users, known);
    if (users->count == USERS_MAX)
        return RESULT_REJECT;
    struct user *user = memory_new(sizeof(*user));
    user->environment = memory_copy_text(environment);
    user->user_id = memory_copy_text(user_id);
    user->provider = memory_copy_text(provider);
    user->reference_id = memory_copy_text(reference_id);
    user->scopes = memory_copy_text(scopes);
    user->active = true;
    DL_APPEND(users->list, user);
    users->count++;
    return RESULT_OK;
}

struct user *users_find(const struct users *users, const char *environment, const char *user_id)
{
    struct user *user;
    DL_FOREACH (users->list, user)
        if (text_equal(user->user_id, user_id) && text_equal(user->environment, environment))
            return user;
    return NULL;
}

struct user *users_search(
    const struct users *users, const char *user_id, const char *reference_id, const char *provider)
{
    struct user *found = NULL;
    struct user *user;
    DL_FOREACH (users->list, user)
        if ((user_id == NULL || text_equal(user->user_id, user_id)) &&
            (reference_id == NULL || text_equal(user->reference_id, reference_id)) &&
            (provider == NULL || text_equal(user->provider, provider)))
            found = user;
    return found;
}

void user_set_scopes(struct user *user, const char *scopes)
{
    free(user->scopes);
    user->scopes = memory_copy_text(scopes);
}

void user_write(const struct user *user, const char *name, struct json_writer *writer)
{
    json_open_object(writer, name);
    json_put_text(writer, "user_id", user->user_id);
    json_put_text(writer, "provider", user->provider);
    json_put_text(writer, "reference_id", user->reference_id);
    json_put_null(writer, "last_webhook_update");
    json_put_text(writer, "scopes", user->scopes);
    json_put_boolean(writer, "active", user->active);
    json_close_object(writer);
}
