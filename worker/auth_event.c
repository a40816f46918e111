/* auth_event: see auth_event.h. */
#include "worker/auth_event.h"

#include <stdarg.h>
#include <strings.h>

#include "common/memory.h"
#include "common/text.h"

/* ISO 8601 with microseconds and an offset has 32. */
#define TIME_BYTES_MAX 64

static const struct json_limits limits = {
    .bytes_max = AUTH_EVENT_BYTES_MAX, .depth_max = AUTH_EVENT_DEPTH_MAX, .values_max = 20000};

static const char *const kind_names[AUTH_EVENT_KIND_COUNT] = {
    [AUTH_EVENT_CONNECTED] = "connected",
    [AUTH_EVENT_CONNECT_FAILED] = "connect_failed",
    [AUTH_EVENT_DISCONNECTED] = "disconnected",
    [AUTH_EVENT_REVOKED] = "revoked",
    [AUTH_EVENT_DEGRADED] = "degraded",
    [AUTH_EVENT_REAUTHENTICATED] = "reauthenticated",
    [AUTH_EVENT_PERMISSIONS_CHANGED] = "permissions_changed",
    [AUTH_EVENT_NO_DATA_SOURCE] = "no_data_source",
};

static const struct {
    const char *type;
    enum auth_event_kind kind;
} types[] = {
    {"auth", AUTH_EVENT_CONNECTED}, /* or failed: its status says */
    {"auth_cancelled", AUTH_EVENT_CONNECT_FAILED},
    {"deauth", AUTH_EVENT_DISCONNECTED},
    {"access_revoked", AUTH_EVENT_REVOKED},
    {"connection_error", AUTH_EVENT_DEGRADED},
    {"user_reauth", AUTH_EVENT_REAUTHENTICATED},
    {"permission_change", AUTH_EVENT_PERMISSIONS_CHANGED},
    {"google_no_datasource", AUTH_EVENT_NO_DATA_SOURCE},
};

/* One decoding. */
struct reading {
    struct auth_event *event;
    const json_value *tree;
    const json_value *user, *old_user; /* NULL: not there */
    char *error;
    bool failed; /* error holds the first fault */
};

const char *auth_event_kind_name(enum auth_event_kind kind)
{
    return kind_names[kind];
}

bool auth_event_kind_find(const char *name, enum auth_event_kind *kind)
{
    for (int i = 0; i < AUTH_EVENT_KIND_COUNT; i++)
        if (strcmp(kind_names[i], name) == 0) {
            *kind = (enum auth_event_kind)i;
            return true;
        }
    return false;
}

__attribute__((format(printf, 2, 3))) static void fail(
    struct reading *reading, const char *format, ...)
{
    if (!reading->failed) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(reading->error, AUTH_EVENT_ERROR_SIZE, format, arguments);
        va_end(arguments);
    }
    reading->failed = true;
}

/* The event's JSON object, or NULL after fail(). */
static json_value *parse(struct reading *reading, const char *bytes, size_t size)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    struct json_error fault;
    if (size >= 3 && memcmp(bytes, byte_order_mark, 3) == 0) {
        bytes += 3;
        size -= 3;
    }
    json_value *tree = json_parse(bytes, size, &limits, &fault);
    if (json_is_object(tree))
        return tree;
    if (tree)
        fail(reading, "the event must be a JSON object, but is of type %s", json_type_name(tree));
    else
        fail(reading, "the event cannot be read: %s (at byte %zu)", fault.message, fault.offset);
    json_free(tree);
    return NULL;
}

static bool find_type(struct auth_event *event, const char *type)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].type, type) == 0) {
            event->kind = types[i].kind;
            event->type = memory_copy_text(type);
            return true;
        }
    return false;
}

/* A user: an object, or an array of one. NULL: not there, or after fail(). */
static const json_value *find_user(struct reading *reading, const char *name)
{
    const json_value *user = NULL;
    enum json_get found = json_get_object(reading->tree, name, &user);
    if (found != JSON_WRONG_TYPE)
        return user;
    if (json_get_array(reading->tree, name, &user) == JSON_FOUND) {
        if (json_count(user) == 0)
            return NULL;
        if (json_count(user) == 1 && json_is_object(json_first(user)))
            return json_first(user);
    }
    fail(reading, "field \"%s\" must be an object or an array of one", name);
    return NULL;
}

static void find_users(struct reading *reading)
{
    bool reauthenticated = reading->event->kind == AUTH_EVENT_REAUTHENTICATED;
    if (reauthenticated) {
        reading->user = find_user(reading, "new_user");
        reading->old_user = find_user(reading, "old_user");
    }
    if (!reading->user)
        reading->user = find_user(reading, "user");
}

/* An id that has to be right. False: not said. */
static bool take_id(struct reading *reading, const json_value *object, const char *name, char **id)
{
    enum json_get found = event_text_id(object, name, id);
    if (found == JSON_WRONG_TYPE)
        fail(reading,
            "field \"%s\" must be a text of at most %d bytes without control characters, but is %s",
            name, EVENT_ID_BYTES_MAX,
            json_is_string(json_field(object, name)) ? "another text"
                                                     : json_type_name(json_field(object, name)));
    return found == JSON_FOUND;
}

/* An id that only helps. */
static void take_hint(struct reading *reading, const char *name, char **id)
{
    (void)event_text_id(reading->tree, name, id);
}

static void take_ids(struct reading *reading)
{
    struct auth_event *event = reading->event;
    take_id(reading, reading->user, "user_id", &event->user_id);
    if (event->kind == AUTH_EVENT_REAUTHENTICATED &&
        !take_id(reading, reading->old_user, "user_id", &event->old_user_id))
        take_id(reading, reading->tree, "old_user_id", &event->old_user_id);
    if (event->old_user_id && text_equal(event->old_user_id, event->user_id)) {
        free(event->old_user_id);
        event->old_user_id = NULL;
    }
    if (!take_id(reading, reading->user, "reference_id", &event->reference_id) &&
        !take_id(reading, reading->tree, "reference_id", &event->reference_id))
        take_id(reading, reading->old_user, "reference_id", &event->reference_id);
    take_hint(reading, "widget_session_id", &event->widget_session_id);
    take_hint(reading, "flow_id", &event->flow_id);
}

static void take_provider(struct reading *reading)
{
    const json_value *const places[] = {reading->user, reading->tree, reading->old_user};
    char *provider = NULL;
    for (size_t i = 0; i < sizeof places / sizeof places[0] && !provider; i++)
        provider = event_text_words(places[i], "provider", AUTH_EVENT_PROVIDER_BYTES_MAX);
    reading->event->provider = provider;
    for (; provider && *provider; provider++)
        if (*provider >= 'a' && *provider <= 'z')
            *provider = (char)(*provider - 'a' + 'A');
}

static void take_words(struct reading *reading)
{
    struct auth_event *event = reading->event;
    const json_value *tree = reading->tree;
    take_provider(reading);
    event->status = event_text_words(tree, "status", AUTH_EVENT_STATUS_BYTES_MAX);
    event->reason = event_text_words(tree, "reason", AUTH_EVENT_REASON_BYTES_MAX);
    event->scopes = scope_set_read(reading->user, "scopes");
    event->scopes_added = scope_set_read(tree, "scopes_added");
    event->scopes_removed = scope_set_read(tree, "scopes_removed");
    event->created_at = event_text_words(reading->user, "created_at", TIME_BYTES_MAX);
}

/* Of the type auth: did it succeed? */
static void settle_kind(struct auth_event *event)
{
    if (event->kind != AUTH_EVENT_CONNECTED)
        return;
    bool connected = event->status ? strcasecmp(event->status, "success") == 0
                                   : event->user_id && !event->reason;
    if (!connected)
        event->kind = AUTH_EVENT_CONNECT_FAILED;
}

static void check_it_names_something(struct reading *reading)
{
    const struct auth_event *event = reading->event;
    if (!event->user_id && !event->old_user_id && !event->reference_id &&
        !event->widget_session_id && !event->flow_id)
        fail(reading, "the event names no user_id, reference_id, widget_session_id or flow_id");
}

enum auth_event_verdict auth_event_decode(
    struct auth_event *event, const void *bytes, size_t size, char *error)
{
    struct reading reading = {.event = event, .error = error};
    const char *type;
    *event = (struct auth_event){0};
    json_value *tree = parse(&reading, bytes, size);
    if (!tree)
        return AUTH_EVENT_BAD;
    bool ours = json_get_text(tree, "type", &type) == JSON_FOUND && find_type(event, type);
    if (ours) {
        reading.tree = tree;
        find_users(&reading);
        take_ids(&reading);
        take_words(&reading);
        settle_kind(event);
        check_it_names_something(&reading);
    }
    json_free(tree);
    if (!ours)
        return AUTH_EVENT_NOT_AUTH;
    if (!reading.failed)
        return AUTH_EVENT_READ;
    auth_event_release(event);
    return AUTH_EVENT_BAD;
}

void auth_event_release(struct auth_event *event)
{
    free(event->user_id);
    free(event->old_user_id);
    free(event->reference_id);
    free(event->provider);
    free(event->reason);
    free(event->widget_session_id);
    free(event->flow_id);
    free(event->scopes);
    free(event->scopes_added);
    free(event->scopes_removed);
    free(event->type);
    free(event->status);
    free(event->created_at);
    free(event->environment);
    free(event->request_id);
    *event = (struct auth_event){0};
}

void auth_event_identity(
    const struct auth_event *event, const char *payload_reference, char hex[DIGEST_HEX_SIZE])
{
    const char *const parts[] = {event->type, event->status, event->user_id, event->old_user_id,
        event->reference_id, event->provider, event->reason, event->widget_session_id,
        event->flow_id, event->scopes, event->scopes_added, event->scopes_removed,
        event->created_at};
    struct digest *digest = digest_begin();
    if (!text_empty(payload_reference)) {
        digest_part_text(digest, "payload");
        digest_part_text(digest, payload_reference);
    } else {
        digest_part_text(digest, "event");
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
            digest_part_text(digest, parts[i]);
    }
    digest_end(digest, hex);
}

const char *auth_event_key(const struct auth_event *event)
{
    if (event->reference_id)
        return event->reference_id;
    return event->user_id ? event->user_id : event->old_user_id;
}
