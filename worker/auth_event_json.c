/* auth_event: the normalised event as JSON, there and back; see auth_event.h. */
#include <math.h>

#include "common/clock.h"
#include "common/text.h"
#include "worker/auth_event.h"

/* A later version may nest more and say more. */
static const struct json_limits limits = {
    .bytes_max = AUTH_EVENT_BYTES_MAX, .depth_max = AUTH_EVENT_DEPTH_MAX, .values_max = 20000};

static const char *const match_names[] = {
    [AUTH_EVENT_MATCH_NONE] = NULL,
    [AUTH_EVENT_MATCH_SESSION] = "session",
    [AUTH_EVENT_MATCH_USER] = "user",
    [AUTH_EVENT_MATCH_REFERENCE] = "reference",
};

static const char *either(const char *said, const char *offered)
{
    return said || text_empty(offered) ? said : offered;
}

static void put_what_terra_said(struct json_writer *writer, const struct auth_event *event)
{
    scope_set_put_json(event->scopes, writer, "scopes");
    scope_set_put_json(event->scopes_added, writer, "scopes_added");
    scope_set_put_json(event->scopes_removed, writer, "scopes_removed");
    json_put_text(writer, "widget_session_id", event->widget_session_id);
    json_put_text(writer, "flow_id", event->flow_id);
}

static void put_context(struct json_writer *writer, const struct auth_event_context *context)
{
    char published_at[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(context->published_wall_us, published_at);
    json_put_null(writer, "occurred_at");
    json_put_text(writer, "published_at", published_at);
    json_put_text(writer, "request_id", context->request_id);
    if (isfinite(context->seconds_since_link) && context->seconds_since_link >= 0)
        json_put_number(writer, "seconds_since_link", context->seconds_since_link);
    else
        json_put_null(writer, "seconds_since_link");
    json_put_text(writer, "matched_by", match_names[context->matched_by]);
}

void auth_event_encode(
    const struct auth_event *event, const struct auth_event_context *context, struct buf *json)
{
    struct json_writer writer;
    json_writer_init(&writer, json);
    json_open_object(&writer, NULL);
    json_put_text(&writer, "kind", auth_event_kind_name(event->kind));
    json_put_text(&writer, "user_id", event->user_id);
    json_put_text(&writer, "old_user_id", event->old_user_id);
    json_put_text(&writer, "reference_id", event->reference_id);
    json_put_text(&writer, "environment", context->environment);
    json_put_text(&writer, "provider", either(event->provider, context->offered_provider));
    json_put_text(&writer, "reason", event->reason);
    put_what_terra_said(&writer, event);
    put_context(&writer, context);
    json_put_text(&writer, "terra_type", event->type);
    json_put_text(&writer, "terra_status", event->status);
    json_close_object(&writer);
}

/* NULL, or the field that has to be right and is not. */
static const char *take_ids(struct auth_event *event, const json_value *tree)
{
    const struct {
        const char *name;
        char **id;
    } ids[] = {
        {"user_id", &event->user_id},
        {"old_user_id", &event->old_user_id},
        {"reference_id", &event->reference_id},
    };
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        if (event_text_id(tree, ids[i].name, ids[i].id) == JSON_WRONG_TYPE)
            return ids[i].name;
    return NULL;
}

static void take_words(struct auth_event *event, const json_value *tree)
{
    (void)event_text_id(tree, "widget_session_id", &event->widget_session_id);
    (void)event_text_id(tree, "flow_id", &event->flow_id);
    (void)event_text_id(tree, "request_id", &event->request_id);
    (void)event_text_id(tree, "environment", &event->environment);
    event->provider = event_text_words(tree, "provider", AUTH_EVENT_PROVIDER_BYTES_MAX);
    event->reason = event_text_words(tree, "reason", AUTH_EVENT_REASON_BYTES_MAX);
    event->scopes = scope_set_read(tree, "scopes");
    event->scopes_added = scope_set_read(tree, "scopes_added");
    event->scopes_removed = scope_set_read(tree, "scopes_removed");
    event->type = event_text_words(tree, "terra_type", AUTH_EVENT_STATUS_BYTES_MAX);
    event->status = event_text_words(tree, "terra_status", AUTH_EVENT_STATUS_BYTES_MAX);
}

/* NULL, or the field that has to be right and is not. */
static const char *take_context(
    struct auth_event_context *context, const struct auth_event *event, const json_value *tree)
{
    const char *published_at, *matched_by;
    *context = (struct auth_event_context){
        .environment = event->environment,
        .request_id = event->request_id,
        .seconds_since_link = -1,
    };
    (void)json_get_number(tree, "seconds_since_link", &context->seconds_since_link);
    if (json_get_text(tree, "matched_by", &matched_by) == JSON_FOUND)
        for (int i = 0; i <= AUTH_EVENT_MATCH_REFERENCE; i++)
            if (text_equal(match_names[i], matched_by))
                context->matched_by = (enum auth_event_match)i;
    if (json_get_text(tree, "published_at", &published_at) == JSON_FOUND &&
        clock_parse_rfc3339(published_at, &context->published_wall_us))
        return NULL;
    return "published_at";
}

static enum auth_event_verdict read_tree(struct auth_event *event,
    struct auth_event_context *context, const json_value *tree, char *error)
{
    const char *kind, *wrong = "kind";
    if (json_get_text(tree, "kind", &kind) == JSON_FOUND) {
        if (!auth_event_kind_find(kind, &event->kind))
            return AUTH_EVENT_NOT_AUTH;
        wrong = take_ids(event, tree);
    }
    if (!wrong) {
        take_words(event, tree);
        wrong = take_context(context, event, tree);
    }
    if (!wrong)
        return AUTH_EVENT_READ;
    snprintf(error, AUTH_EVENT_ERROR_SIZE, "field \"%s\" is %s, or not as it should be", wrong,
        json_type_name(json_field(tree, wrong)));
    return AUTH_EVENT_BAD;
}

enum auth_event_verdict auth_event_decode_normalised(struct auth_event *event,
    struct auth_event_context *context, const void *bytes, size_t size, char *error)
{
    struct json_error fault;
    *event = (struct auth_event){0};
    *context = (struct auth_event_context){0};
    json_value *tree = json_parse(bytes, size, &limits, &fault);
    if (!tree) {
        snprintf(error, AUTH_EVENT_ERROR_SIZE, "the event cannot be read: %s (at byte %zu)",
            fault.message, fault.offset);
        return AUTH_EVENT_BAD;
    }
    enum auth_event_verdict verdict = read_tree(event, context, tree, error);
    json_free(tree);
    if (verdict != AUTH_EVENT_READ) {
        auth_event_release(event);
        *context = (struct auth_event_context){0}; /* it points into the event */
    }
    return verdict;
}
