/* connection: what becomes of links and users, and the events of it; see connection.h. */
#include "connection.h"

#include <string.h>

#include "common/clock.h"
#include "common/text.h"
#include "provider.h"
#include "uuid.h"

#define SCOPES_DEFAULT "daily,sleep"

static enum result reject(char error[CONNECTION_ERROR_SIZE], const char *reason)
{
    snprintf(error, CONNECTION_ERROR_SIZE, "%s", reason);
    return RESULT_REJECT;
}

/* --- events --- */

/* What the script leaves open. */
static void fill_in(struct event_script *script, enum event_text text, const char *value)
{
    if (script->texts[text] == NULL)
        script->texts[text] = value;
}

/* The user's own data, whatever the caller's words for finding them were. */
static struct event_script about_user(
    const struct event_script *script, const char *type, const struct user *user)
{
    struct event_script about = *script;
    about.texts[EVENT_TYPE] = type;
    about.texts[EVENT_USER_ID] = user->user_id;
    about.texts[EVENT_REFERENCE_ID] = user->reference_id;
    about.texts[EVENT_PROVIDER] = user->provider;
    fill_in(&about, EVENT_SCOPES, user->scopes);
    return about;
}

static enum result send_events(struct terra *terra, const struct event_script *scripts,
    size_t count, struct event_range *events, char error[CONNECTION_ERROR_SIZE])
{
    *events = (struct event_range){.first = 1, .last = 0};
    if (terra->destination == NULL)
        return RESULT_OK;
    struct event_batch batch;
    event_batch_init(&batch);
    bool fits = true;
    for (size_t i = 0; fits && i < count; i++)
        fits = event_batch_add(&batch, &scripts[i]);
    enum result result =
        fits ? destination_send(terra->destination, &batch, 0, events) : RESULT_REJECT;
    event_batch_release(&batch);
    return result == RESULT_OK ? result : reject(error, "there is no room for so many events");
}

static enum result put_user(struct terra *terra, const char *environment, const char *user_id,
    const char *provider, const char *reference_id, const char *scopes,
    char error[CONNECTION_ERROR_SIZE])
{
    if (users_put(&terra->users, environment, user_id, provider, reference_id, scopes) == RESULT_OK)
        return RESULT_OK;
    return reject(error, "there are too many users, or one of their texts is too long");
}

static void note_id(char id[USER_TEXT_BYTES_MAX + 1], const char *user_id)
{
    snprintf(id, USER_TEXT_BYTES_MAX + 1, "%s", user_id);
}

/* --- sessions --- */

bool connection_offered(const struct session *session, const struct provider *provider)
{
    const char *list = session->providers;
    if (text_empty(list) || text_equal(list, "ALL"))
        return provider->kind == PROVIDER_WEB;
    for (;;) {
        size_t size = strcspn(list, ",");
        if (provider_find(list, size) == provider)
            return true;
        if (list[size] == '\0')
            return false;
        list += size + 1;
    }
}

/* NULL: the session does not offer it, or none that the sandbox knows. */
static const struct provider *choose_provider(const struct session *session, const char *name)
{
    if (name != NULL) {
        const struct provider *provider = provider_find(name, strlen(name));
        return provider != NULL && connection_offered(session, provider) ? provider : NULL;
    }
    for (size_t i = 0; i < provider_count; i++)
        if (connection_offered(session, &providers[i]))
            return &providers[i];
    return NULL;
}

static bool has_expired(const struct session *session)
{
    return session->expires_wall_us < clock_wall_us();
}

enum result connection_complete(struct terra *terra, struct session *session,
    const struct event_script *script, struct connection_change *change,
    char error[CONNECTION_ERROR_SIZE])
{
    const struct provider *provider = choose_provider(session, script->texts[EVENT_PROVIDER]);
    if (has_expired(session))
        return reject(error, "this link has expired");
    if (provider == NULL)
        return reject(error, "this link does not offer that provider");
    char user_id[UUID_SIZE];
    snprintf(user_id, sizeof(user_id), "%s", session->user_id);
    if (session->completed)
        uuid_make(user_id);
    const char *scopes = script->texts[EVENT_SCOPES];
    if (put_user(terra, session->environment, user_id, provider->name, session->reference_id,
            scopes != NULL ? scopes : SCOPES_DEFAULT, error) != RESULT_OK)
        return RESULT_REJECT;
    struct user *user = users_find(&terra->users, session->environment, user_id);
    struct event_script auth = about_user(script, "auth", user);
    if (session->widget)
        fill_in(&auth, EVENT_WIDGET_SESSION_ID, session->session_id);
    *change = (struct connection_change){0};
    if (send_events(terra, &auth, 1, &change->events, error) != RESULT_OK) {
        users_remove(&terra->users, user);
        return RESULT_REJECT;
    }
    session->completed = true;
    note_id(change->user_id, user_id);
    return RESULT_OK;
}

enum result connection_cancel(struct terra *terra, const struct session *session,
    const struct event_script *script, struct connection_change *change,
    char error[CONNECTION_ERROR_SIZE])
{
    struct event_script cancelled = *script;
    bool old = script->shape != EVENT_SHAPE_NEW;
    cancelled.texts[EVENT_TYPE] = old ? "auth" : "auth_cancelled";
    cancelled.texts[EVENT_REFERENCE_ID] = session->reference_id;
    cancelled.texts[EVENT_USER_ID] = old || !session->widget ? session->user_id : NULL;
    if (old) {
        const struct provider *provider = choose_provider(session, script->texts[EVENT_PROVIDER]);
        cancelled.texts[EVENT_PROVIDER] = provider != NULL ? provider->name : NULL;
        fill_in(&cancelled, EVENT_STATUS, "error");
        if (session->widget)
            fill_in(&cancelled, EVENT_WIDGET_SESSION_ID, session->session_id);
    }
    *change = (struct connection_change){0};
    if (has_expired(session))
        return reject(error, "this link has expired");
    return send_events(terra, &cancelled, 1, &change->events, error);
}

/* --- users --- */

enum result connection_reconnect(struct terra *terra, struct user *user,
    const struct event_script *script, enum connection_order order,
    struct connection_change *change, char error[CONNECTION_ERROR_SIZE])
{
    char user_id[UUID_SIZE];
    uuid_make(user_id);
    const char *scopes = script->texts[EVENT_SCOPES];
    if (put_user(terra, user->environment, user_id, user->provider, user->reference_id,
            scopes != NULL ? scopes : user->scopes, error) != RESULT_OK)
        return RESULT_REJECT;
    struct user *new_user = users_find(&terra->users, user->environment, user_id);
    struct event_script reauth = about_user(script, "user_reauth", new_user);
    reauth.texts[EVENT_OLD_USER_ID] = user->user_id;
    struct event_script auth = about_user(script, "auth", new_user);
    const struct event_script both[] = {
        order == CONNECTION_REAUTH_FIRST ? reauth : auth,
        order == CONNECTION_REAUTH_FIRST ? auth : reauth,
    };
    *change = (struct connection_change){0};
    if (send_events(terra, both, order == CONNECTION_AUTH_ONLY ? 1 : 2, &change->events, error) !=
        RESULT_OK) {
        users_remove(&terra->users, new_user);
        return RESULT_REJECT;
    }
    note_id(change->user_id, user_id);
    note_id(change->old_user_id, user->user_id);
    users_remove(&terra->users, user);
    return RESULT_OK;
}

enum result connection_lose(struct terra *terra, struct user *user,
    const struct event_script *script, enum connection_loss loss, struct connection_change *change,
    char error[CONNECTION_ERROR_SIZE])
{
    static const char *const types[] = {
        [CONNECTION_DISCONNECTED] = "deauth",
        [CONNECTION_REVOKED] = "access_revoked",
        [CONNECTION_DEGRADED] = "connection_error",
        [CONNECTION_NO_DATASOURCE] = "google_no_datasource",
    };
    struct event_script lost = about_user(script, types[loss], user);
    bool over = loss == CONNECTION_DISCONNECTED || loss == CONNECTION_REVOKED;
    if (over)
        lost.active = false;
    *change = (struct connection_change){0};
    if (send_events(terra, &lost, 1, &change->events, error) != RESULT_OK)
        return RESULT_REJECT;
    note_id(change->user_id, user->user_id);
    if (loss == CONNECTION_DISCONNECTED)
        users_remove(&terra->users, user);
    else if (over)
        user->active = false;
    return RESULT_OK;
}

/* --- permissions --- */

static bool in_list(const char *list, const char *word, size_t size)
{
    while (!text_empty(list)) {
        size_t length = strcspn(list, ",");
        if (length == size && strncmp(list, word, size) == 0)
            return true;
        list += length + (list[length] == ',');
    }
    return false;
}

/* Appends the words of `words` that are in neither of two lists. */
static void append_words(
    struct buf *list, const char *words, const char *not_in, const char *nor_in)
{
    while (!text_empty(words)) {
        size_t size = strcspn(words, ",");
        if (size > 0 && !in_list(not_in, words, size) && !in_list(nor_in, words, size)) {
            if (list->size > 0)
                buf_append_char(list, ',');
            buf_append(list, words, size);
        }
        words += size + (words[size] == ',');
    }
}

enum result connection_permit(struct terra *terra, struct user *user,
    const struct event_script *script, struct connection_change *change,
    char error[CONNECTION_ERROR_SIZE])
{
    const char *added = script->texts[EVENT_SCOPES_ADDED];
    const char *removed = script->texts[EVENT_SCOPES_REMOVED];
    struct buf scopes;
    buf_init(&scopes, USER_TEXT_BYTES_MAX);
    append_words(&scopes, user->scopes, removed, NULL);
    append_words(&scopes, added, removed, user->scopes);
    struct event_script permitted = about_user(script, "permission_change", user);
    permitted.texts[EVENT_SCOPES] = buf_text(&scopes);
    *change = (struct connection_change){0};
    enum result result = buf_ok(&scopes) ? send_events(terra, &permitted, 1, &change->events, error)
                                         : reject(error, "the scopes are too long");
    if (result == RESULT_OK) {
        note_id(change->user_id, user->user_id);
        user_set_scopes(user, buf_text(&scopes));
    }
    buf_release(&scopes);
    return result;
}
