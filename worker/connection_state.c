/* connection_state: see connection_state.h. */
#include "worker/connection_state.h"

#include <assert.h>

#include "common/clock.h"
#include "common/memory.h"
#include "common/text.h"

static const struct json_limits limits = {
    .bytes_max = 64 * 1024, .depth_max = 16, .values_max = 2000};

static const char *const status_names[CONNECTION_STATUS_COUNT] = {
    [CONNECTION_ABSENT] = "absent",
    [CONNECTION_CONNECTED] = "connected",
    [CONNECTION_NO_DATA_SOURCE] = "no_data_source",
    [CONNECTION_DEGRADED] = "degraded",
    [CONNECTION_REVOKED] = "revoked",
    [CONNECTION_OVER] = "over",
};

/* Before any time there is: a status that no event has said yet. */
#define NEVER_US INT64_MIN

const char *connection_status_name(enum connection_status status)
{
    return status_names[status];
}

/* What the kind says about the status of the id in that role. ABSENT: nothing. */
static enum connection_status status_said(enum auth_event_kind kind, enum connection_role role)
{
    switch (kind) {
    case AUTH_EVENT_CONNECTED:
        return CONNECTION_CONNECTED;
    case AUTH_EVENT_REAUTHENTICATED:
        return role == CONNECTION_OF_USER ? CONNECTION_CONNECTED : CONNECTION_OVER;
    case AUTH_EVENT_NO_DATA_SOURCE:
        return CONNECTION_NO_DATA_SOURCE;
    case AUTH_EVENT_DEGRADED:
        return CONNECTION_DEGRADED;
    case AUTH_EVENT_REVOKED:
        return CONNECTION_REVOKED;
    case AUTH_EVENT_DISCONNECTED:
        return CONNECTION_OVER;
    case AUTH_EVENT_PERMISSIONS_CHANGED:
    case AUTH_EVENT_CONNECT_FAILED:
    case AUTH_EVENT_KIND_COUNT:
        break;
    }
    return CONNECTION_ABSENT;
}

/* Which of two events of the same time counts as the later one. */
static size_t rank(enum auth_event_kind kind)
{
    static const enum auth_event_kind order[] = {AUTH_EVENT_CONNECTED, AUTH_EVENT_REAUTHENTICATED,
        AUTH_EVENT_PERMISSIONS_CHANGED, AUTH_EVENT_NO_DATA_SOURCE, AUTH_EVENT_DEGRADED,
        AUTH_EVENT_REVOKED, AUTH_EVENT_DISCONNECTED};
    size_t place = 0;
    while (place < sizeof order / sizeof order[0] && order[place] != kind)
        place++;
    return place;
}

static bool set_text(char **text, const char *said)
{
    if (text_equal(*text, said))
        return false;
    free(*text);
    *text = memory_copy_text(said);
    return true;
}

/* The later word counts; of two at the same time, the greater text, whichever came first. */
static bool learn(struct connection_fact *fact, const char *said, int64_t at_us)
{
    if (!said)
        return false;
    if (fact->text && at_us < fact->said_wall_us)
        return false;
    if (fact->text && at_us == fact->said_wall_us && strcmp(said, fact->text) <= 0)
        return false;
    bool changed = at_us != fact->said_wall_us;
    fact->said_wall_us = at_us;
    return set_text(&fact->text, said) || changed;
}

static bool learn_status(struct connection_state *state, enum connection_status said, int64_t at_us)
{
    if (said == CONNECTION_ABSENT || at_us < state->status_wall_us ||
        (at_us == state->status_wall_us && said <= state->status))
        return false;
    state->status = said;
    state->status_wall_us = at_us;
    return true;
}

static bool learn_last_event(
    struct connection_state *state, enum auth_event_kind kind, int64_t at_us)
{
    if (at_us < state->last_event_wall_us ||
        (at_us == state->last_event_wall_us && rank(kind) <= rank(state->last_event)))
        return false;
    state->last_event = kind;
    state->last_event_wall_us = at_us;
    return true;
}

static bool learn_since(struct connection_state *state, int64_t at_us)
{
    if (at_us >= state->since_wall_us)
        return false;
    state->since_wall_us = at_us;
    return true;
}

static void begin(struct connection_state *state, const char *user_id)
{
    *state = (struct connection_state){
        .status = CONNECTION_CONNECTED,
        .status_wall_us = NEVER_US,
        .user_id = memory_copy_text(user_id),
        .since_wall_us = INT64_MAX,
        .last_event_wall_us = NEVER_US,
        .last_event = AUTH_EVENT_CONNECTED,
    };
}

static bool learn_facts(struct connection_state *state, const struct auth_event *event,
    const struct auth_event_context *context, enum connection_role role)
{
    int64_t at_us = context->published_wall_us;
    bool changed = learn(&state->reference_id, event->reference_id, at_us);
    changed |= learn(&state->provider, event->provider, at_us);
    changed |= learn(&state->environment, context->environment, at_us);
    if (role == CONNECTION_OF_USER) /* the scopes are those of the new id */
        changed |= learn(&state->scopes, event->scopes, at_us);
    return changed;
}

enum connection_change connection_state_apply(struct connection_state *state,
    const struct auth_event *event, const struct auth_event_context *context,
    enum connection_role role)
{
    const char *user_id = role == CONNECTION_OF_USER ? event->user_id : event->old_user_id;
    int64_t at_us = context->published_wall_us;
    enum connection_status said = status_said(event->kind, role);
    if (!user_id || event->kind == AUTH_EVENT_CONNECT_FAILED || state->status == CONNECTION_OVER)
        return CONNECTION_UNCHANGED;
    if (state->status == CONNECTION_ABSENT)
        begin(state, user_id);
    assert(strcmp(state->user_id, user_id) == 0);
    bool changed = learn_facts(state, event, context, role);
    changed |= learn_since(state, at_us);
    if (said == CONNECTION_OVER) {
        state->status = CONNECTION_OVER;
        state->status_wall_us = state->last_event_wall_us = at_us;
        state->last_event = event->kind;
        return CONNECTION_ENDED;
    }
    changed |= learn_status(state, said, at_us);
    changed |= learn_last_event(state, event->kind, at_us);
    return changed ? CONNECTION_CHANGED : CONNECTION_UNCHANGED;
}

static void put_time(struct json_writer *writer, const char *name, int64_t wall_us)
{
    char text[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(wall_us, text);
    json_put_text(writer, name, text);
}

static void put_record(struct json_writer *writer, const struct connection_state *state)
{
    json_put_text(writer, "user_id", state->user_id);
    json_put_text(writer, "status", connection_status_name(state->status));
    json_put_text(writer, "provider", state->provider.text);
    json_put_text(writer, "reference_id", state->reference_id.text);
    json_put_text(writer, "environment", state->environment.text);
    put_time(writer, "since", state->since_wall_us);
    json_open_object(writer, "last_event");
    json_put_text(writer, "kind", auth_event_kind_name(state->last_event));
    put_time(writer, "at", state->last_event_wall_us);
    json_close_object(writer);
    scope_set_put_json(state->scopes.text, writer, "scopes");
}

void connection_state_encode(const struct connection_state *state, struct buf *json)
{
    struct json_writer writer;
    assert(state->status != CONNECTION_ABSENT && state->status != CONNECTION_OVER);
    json_writer_init(&writer, json);
    json_open_object(&writer, NULL);
    put_record(&writer, state);
    json_close_object(&writer);
}

static void put_said_at(struct json_writer *writer, const char *name, int64_t wall_us, bool said)
{
    if (said)
        put_time(writer, name, wall_us);
}

static void put_fact_said_at(
    struct json_writer *writer, const char *name, const struct connection_fact *fact)
{
    put_said_at(writer, name, fact->said_wall_us, fact->text);
}

void connection_state_save(const struct connection_state *state, struct buf *json)
{
    struct json_writer writer;
    assert(state->status != CONNECTION_ABSENT);
    json_writer_init(&writer, json);
    json_open_object(&writer, NULL);
    put_record(&writer, state);
    json_open_object(&writer, "said_at");
    put_said_at(&writer, "status", state->status_wall_us, state->status_wall_us != NEVER_US);
    put_fact_said_at(&writer, "provider", &state->provider);
    put_fact_said_at(&writer, "reference_id", &state->reference_id);
    put_fact_said_at(&writer, "environment", &state->environment);
    put_fact_said_at(&writer, "scopes", &state->scopes);
    json_close_object(&writer);
    json_close_object(&writer);
}

static bool read_time(const json_value *object, const char *name, int64_t *wall_us)
{
    const char *text;
    return json_get_text(object, name, &text) == JSON_FOUND && clock_parse_rfc3339(text, wall_us);
}

/* When each thing was said is in a saved state; a record has it all from its last event. */
static void read_said_at(struct connection_state *state, const json_value *tree)
{
    const json_value *said_at = NULL;
    bool saved = json_get_object(tree, "said_at", &said_at) == JSON_FOUND;
    const struct {
        const char *name;
        int64_t *wall_us;
    } times[] = {
        {"status", &state->status_wall_us},
        {"provider", &state->provider.said_wall_us},
        {"reference_id", &state->reference_id.said_wall_us},
        {"environment", &state->environment.said_wall_us},
        {"scopes", &state->scopes.said_wall_us},
    };
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        if (!read_time(said_at, times[i].name, times[i].wall_us))
            *times[i].wall_us = saved ? NEVER_US : state->last_event_wall_us;
}

/* A later version may know more of either; what it calls alive is alive. */
static enum connection_status status_of(const char *name)
{
    for (int i = CONNECTION_CONNECTED; i < CONNECTION_STATUS_COUNT; i++)
        if (strcmp(status_names[i], name) == 0)
            return (enum connection_status)i;
    return CONNECTION_CONNECTED;
}

static enum auth_event_kind kind_of(const json_value *last_event)
{
    enum auth_event_kind kind = AUTH_EVENT_CONNECTED;
    const char *name;
    if (json_get_text(last_event, "kind", &name) == JSON_FOUND)
        (void)auth_event_kind_find(name, &kind);
    return kind;
}

static bool read_record(struct connection_state *state, const json_value *tree)
{
    const json_value *last_event = NULL;
    const char *status;
    if (event_text_id(tree, "user_id", &state->user_id) != JSON_FOUND ||
        json_get_text(tree, "status", &status) != JSON_FOUND ||
        !read_time(tree, "since", &state->since_wall_us) ||
        json_get_object(tree, "last_event", &last_event) != JSON_FOUND ||
        !read_time(last_event, "at", &state->last_event_wall_us))
        return false;
    state->status = status_of(status);
    state->last_event = kind_of(last_event);
    (void)event_text_id(tree, "reference_id", &state->reference_id.text);
    (void)event_text_id(tree, "environment", &state->environment.text);
    state->provider.text = event_text_words(tree, "provider", AUTH_EVENT_PROVIDER_BYTES_MAX);
    state->scopes.text = scope_set_read(tree, "scopes");
    read_said_at(state, tree);
    return true;
}

bool connection_state_decode(struct connection_state *state, const void *bytes, size_t size)
{
    struct json_error error;
    *state = (struct connection_state){0};
    json_value *tree = json_parse(bytes, size, &limits, &error);
    bool read = read_record(state, tree);
    json_free(tree);
    if (!read)
        connection_state_release(state);
    return read;
}

void connection_state_release(struct connection_state *state)
{
    free(state->user_id);
    free(state->reference_id.text);
    free(state->provider.text);
    free(state->environment.text);
    free(state->scopes.text);
    *state = (struct connection_state){0};
}
