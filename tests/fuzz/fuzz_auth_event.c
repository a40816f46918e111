/*
 * fuzz_auth_event: any bytes as Terra's event, as our own, and as a connection's state. Whatever
 * comes, there is an event or a fault in words; what was read can be written, and what was written
 * reads back as the same.
 */
#include "common/clock.h"
#include "common/utf8.h"
#include "fuzz.h"
#include "worker/auth_event.h"
#include "worker/connection_state.h"

static void require_said(enum auth_event_verdict verdict, const char *error)
{
    require(verdict != AUTH_EVENT_BAD || (error[0] && utf8_valid(error, strlen(error))));
}

/* Saving what was saved gives the same. */
static void require_state_same_again(const struct connection_state *state)
{
    struct buf first, second;
    struct connection_state again;
    buf_init(&first, CONNECTION_STATE_JSON_BYTES_MAX);
    buf_init(&second, CONNECTION_STATE_JSON_BYTES_MAX);
    connection_state_save(state, &first);
    require(buf_ok(&first) && connection_state_decode(&again, first.data, first.size));
    require(again.status == state->status);
    connection_state_save(&again, &second);
    require(strcmp(buf_text(&first), buf_text(&second)) == 0);
    connection_state_release(&again);
    buf_release(&first);
    buf_release(&second);
}

static void require_connection(const struct auth_event *event,
    const struct auth_event_context *context, enum connection_role role)
{
    struct connection_state state = {.status = CONNECTION_ABSENT};
    if (connection_state_apply(&state, event, context, role) != CONNECTION_UNCHANGED) {
        require(connection_state_apply(&state, event, context, role) == CONNECTION_UNCHANGED);
        require_state_same_again(&state);
    }
    connection_state_release(&state);
}

static void require_event_same_again(
    const struct auth_event *event, const struct auth_event_context *context)
{
    struct buf first, second;
    struct auth_event again;
    struct auth_event_context context_again;
    char error[AUTH_EVENT_ERROR_SIZE], identity[DIGEST_HEX_SIZE];
    auth_event_identity(event, NULL, identity);
    buf_init(&first, AUTH_EVENT_JSON_BYTES_MAX);
    buf_init(&second, AUTH_EVENT_JSON_BYTES_MAX);
    auth_event_encode(event, context, &first);
    require(buf_ok(&first) && utf8_valid(first.data, first.size));
    require(auth_event_decode_normalised(&again, &context_again, first.data, first.size, error) ==
            AUTH_EVENT_READ);
    auth_event_encode(&again, &context_again, &second);
    require(strcmp(buf_text(&first), buf_text(&second)) == 0);
    require_connection(&again, &context_again, CONNECTION_OF_USER);
    require_connection(&again, &context_again, CONNECTION_OF_OLD_USER);
    auth_event_release(&again);
    buf_release(&first);
    buf_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct auth_event event;
    struct auth_event_context context = {.seconds_since_link = -1};
    struct connection_state state;
    char error[AUTH_EVENT_ERROR_SIZE] = "";
    enum auth_event_verdict verdict = auth_event_decode(&event, data, size, error);
    require_said(verdict, error);
    if (verdict == AUTH_EVENT_READ) {
        require(event.type && (event.user_id || event.old_user_id || event.reference_id ||
                                  event.widget_session_id || event.flow_id));
        require_event_same_again(&event, &context);
        auth_event_release(&event);
    }
    error[0] = '\0';
    verdict = auth_event_decode_normalised(&event, &context, data, size, error);
    require_said(verdict, error);
    if (verdict == AUTH_EVENT_READ) {
        require_event_same_again(&event, &context);
        auth_event_release(&event);
    }
    if (connection_state_decode(&state, data, size))
        require_state_same_again(&state);
    connection_state_release(&state);
    return 0;
}
