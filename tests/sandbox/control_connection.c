/* control_connection: what becomes of sessions and users over the control endpoint; see control.h.
 */
#include "common/text.h"
#include "connection.h"
#include "control_parts.h"

/* The words by which a session or a user is found. */
struct selector {
    const char *session_id;
    const char *user_id;
    const char *reference_id;
    const char *provider;
};

/* One call: the script as given, and who is meant. */
struct matter {
    struct event_script script;
    struct selector selector;
    struct session *session;
    struct user *user;
};

/* False: something cannot be read, and the answer says so. */
static bool read_matter(struct control_turn *turn, struct matter *matter)
{
    static const char *const others[] = {"session_id", "order", NULL};
    char error[EVENT_ERROR_SIZE];
    *matter = (struct matter){0};
    event_script_init(&matter->script);
    if (!event_script_read(&matter->script, turn->body, others, error)) {
        control_fail(turn, 400, "%s", error);
        return false;
    }
    struct selector *selector = &matter->selector;
    if (json_get_text(turn->body, "session_id", &selector->session_id) == JSON_WRONG_TYPE) {
        control_fail(turn, 400, "session_id must be a text");
        return false;
    }
    selector->user_id = matter->script.texts[EVENT_USER_ID];
    selector->reference_id = matter->script.texts[EVENT_REFERENCE_ID];
    selector->provider = matter->script.texts[EVENT_PROVIDER];
    if (selector->session_id == NULL && selector->user_id == NULL &&
        selector->reference_id == NULL) {
        control_fail(turn, 400, "session_id, user_id or reference_id must say who is meant");
        return false;
    }
    return true;
}

static bool read_session_matter(struct control_turn *turn, struct matter *matter)
{
    if (!read_matter(turn, matter))
        return false;
    const struct selector *selector = &matter->selector;
    matter->session = sessions_search(turn->sandbox->terra.sessions, selector->session_id,
        selector->user_id, selector->reference_id);
    if (matter->session == NULL)
        control_fail(turn, 404, "there is no such session");
    return matter->session != NULL;
}

static bool read_user_matter(struct control_turn *turn, struct matter *matter)
{
    if (!read_matter(turn, matter))
        return false;
    const struct selector *selector = &matter->selector;
    if (selector->session_id != NULL) {
        control_fail(turn, 400, "a user is found by user_id or reference_id");
        return false;
    }
    matter->user = users_search(
        &turn->sandbox->terra.users, selector->user_id, selector->reference_id, selector->provider);
    if (matter->user == NULL)
        control_fail(turn, 404, "there is no such user");
    return matter->user != NULL;
}

static void answer(struct control_turn *turn, enum result result,
    const struct connection_change *change, const char *error)
{
    if (result != RESULT_OK) {
        control_fail(turn, 400, "%s", error);
        return;
    }
    json_put_text(&turn->writer, "user_id", *change->user_id != '\0' ? change->user_id : NULL);
    if (*change->old_user_id != '\0')
        json_put_text(&turn->writer, "old_user_id", change->old_user_id);
    control_put_range(turn, &change->events);
}

void control_complete_session(struct control_turn *turn)
{
    struct matter matter;
    struct connection_change change;
    char error[CONNECTION_ERROR_SIZE];
    if (read_session_matter(turn, &matter))
        answer(turn,
            connection_complete(
                &turn->sandbox->terra, matter.session, &matter.script, &change, error),
            &change, error);
}

void control_cancel_session(struct control_turn *turn)
{
    struct matter matter;
    struct connection_change change;
    char error[CONNECTION_ERROR_SIZE];
    if (read_session_matter(turn, &matter))
        answer(turn,
            connection_cancel(
                &turn->sandbox->terra, matter.session, &matter.script, &change, error),
            &change, error);
}

void control_reconnect_user(struct control_turn *turn)
{
    static const char *const orders[] = {
        [CONNECTION_REAUTH_FIRST] = "reauth_first",
        [CONNECTION_AUTH_FIRST] = "auth_first",
        [CONNECTION_AUTH_ONLY] = "auth_only",
    };
    struct matter matter;
    struct connection_change change;
    char error[CONNECTION_ERROR_SIZE];
    const char *word = orders[CONNECTION_REAUTH_FIRST];
    if (!read_user_matter(turn, &matter))
        return;
    (void)json_get_text(turn->body, "order", &word);
    for (int order = CONNECTION_REAUTH_FIRST; order <= CONNECTION_AUTH_ONLY; order++)
        if (text_equal(word, orders[order])) {
            answer(turn,
                connection_reconnect(&turn->sandbox->terra, matter.user, &matter.script,
                    (enum connection_order)order, &change, error),
                &change, error);
            return;
        }
    control_fail(turn, 400, "order must be reauth_first, auth_first or auth_only");
}

static void lose(struct control_turn *turn, enum connection_loss loss)
{
    struct matter matter;
    struct connection_change change;
    char error[CONNECTION_ERROR_SIZE];
    if (read_user_matter(turn, &matter))
        answer(turn,
            connection_lose(
                &turn->sandbox->terra, matter.user, &matter.script, loss, &change, error),
            &change, error);
}

void control_disconnect_user(struct control_turn *turn)
{
    lose(turn, CONNECTION_DISCONNECTED);
}

void control_revoke_user(struct control_turn *turn)
{
    lose(turn, CONNECTION_REVOKED);
}

void control_degrade_user(struct control_turn *turn)
{
    lose(turn, CONNECTION_DEGRADED);
}

void control_empty_user(struct control_turn *turn)
{
    lose(turn, CONNECTION_NO_DATASOURCE);
}

void control_permit_user(struct control_turn *turn)
{
    struct matter matter;
    struct connection_change change;
    char error[CONNECTION_ERROR_SIZE];
    if (read_user_matter(turn, &matter))
        answer(turn,
            connection_permit(&turn->sandbox->terra, matter.user, &matter.script, &change, error),
            &change, error);
}
