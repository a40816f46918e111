/* event_body: Terra's JSON for an event of any type; see event_body.h. */
#include "event_body.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/text.h"

#define TEXT_BYTES_MAX (2 * 1024 * 1024)
#define FIELDS_TOP_MAX 32
#define OLD_VERSION "2022-03-16"
#define CREATED_AT "2026-11-18T08:14:09.120000+00:00"

static const char *const data_types[] = {"activity", "athlete", "body", "daily", "menstruation",
    "nutrition", "sleep", "planned_workout", "route", "hormone", "health_observation", NULL};

/* One body being written. */
struct draft {
    const struct event_script *script;
    struct json_writer writer;
    const char *written[FIELDS_TOP_MAX]; /* names at the top level that have had their turn */
    size_t written_count;
    size_t filler_at;
};

static const char *text_of(const struct draft *draft, enum event_text text)
{
    return draft->script->texts[text];
}

/* --- fields at the top level, of which the script may have a word of its own --- */

static bool left_out(const struct draft *draft, const char *name)
{
    const json_value *without = draft->script->without;
    for (const json_value *item = without ? json_first(without) : NULL; item;
         item = json_next(item))
        if (text_equal(json_text(item), name))
            return true;
    return false;
}

/* True: the script has left it out, or given another value for it, which is written. */
static bool script_has_put(struct draft *draft, const char *name)
{
    if (draft->written_count < FIELDS_TOP_MAX)
        draft->written[draft->written_count++] = name;
    if (left_out(draft, name))
        return true;
    const json_value *fields = draft->script->fields;
    const json_value *value = fields != NULL ? json_field(fields, name) : NULL;
    if (value == NULL)
        return false;
    json_put_value(&draft->writer, name, value);
    return true;
}

static void put_text(struct draft *draft, const char *name, const char *text)
{
    if (!script_has_put(draft, name))
        json_put_text(&draft->writer, name, text);
}

static void put_integer(struct draft *draft, const char *name, int64_t integer)
{
    if (!script_has_put(draft, name))
        json_put_integer(&draft->writer, name, integer);
}

static void put_user(
    struct draft *draft, const char *name, const char *user_id, const char *scopes, bool active)
{
    if (script_has_put(draft, name))
        return;
    struct json_writer *writer = &draft->writer;
    bool oldest = draft->script->shape == EVENT_SHAPE_OLDEST;
    if (oldest)
        json_open_array(writer, name);
    json_open_object(writer, oldest ? NULL : name);
    json_put_text(writer, "user_id", user_id);
    json_put_text(writer, "provider", text_of(draft, EVENT_PROVIDER));
    if (draft->script->shape == EVENT_SHAPE_NEW)
        json_put_text(writer, "created_at", CREATED_AT);
    json_put_null(writer, "last_webhook_update");
    json_put_text(writer, "scopes", scopes);
    json_put_text(writer, "reference_id", text_of(draft, EVENT_REFERENCE_ID));
    if (oldest)
        json_put_text(writer, "active", active ? "true" : "false");
    else
        json_put_boolean(writer, "active", active);
    json_close_object(writer);
    if (oldest)
        json_close_array(writer);
}

static void put_the_user(struct draft *draft)
{
    put_user(draft, "user", text_of(draft, EVENT_USER_ID), text_of(draft, EVENT_SCOPES),
        draft->script->active);
}

static void put_rest_of_fields(struct draft *draft)
{
    const json_value *fields = draft->script->fields;
    for (const json_value *field = fields ? json_first(fields) : NULL; field;
         field = json_next(field)) {
        bool written = false;
        for (size_t i = 0; i < draft->written_count; i++)
            written = written || text_equal(draft->written[i], json_name(field));
        if (!written)
            json_put_value(&draft->writer, json_name(field), field);
    }
}

/* --- the types --- */

static const char *or_else(const char *text, const char *otherwise)
{
    return text != NULL ? text : otherwise;
}

static void put_status(struct draft *draft, const char *ordinary, const char *message)
{
    put_text(draft, "status", or_else(text_of(draft, EVENT_STATUS), ordinary));
    if (message != NULL || text_of(draft, EVENT_MESSAGE) != NULL)
        put_text(draft, "message", or_else(text_of(draft, EVENT_MESSAGE), message));
}

static void put_version(struct draft *draft)
{
    if (draft->script->shape != EVENT_SHAPE_NEW)
        put_text(draft, "version", OLD_VERSION);
}

static void put_auth(struct draft *draft)
{
    bool failed = text_equal(text_of(draft, EVENT_STATUS), "error");
    put_status(draft, "success",
        failed ? "User failed to authenticate and has been deleted"
               : "User has successfully authenticated");
    if (failed)
        put_text(draft, "reason", or_else(text_of(draft, EVENT_REASON), "auth_cancelled"));
    if (failed || draft->script->shape != EVENT_SHAPE_NEW)
        put_text(draft, "reference_id", text_of(draft, EVENT_REFERENCE_ID));
    else
        put_text(draft, "flow_id", text_of(draft, EVENT_FLOW_ID));
    put_text(draft, "widget_session_id", text_of(draft, EVENT_WIDGET_SESSION_ID));
    if (failed)
        put_user(draft, "user", text_of(draft, EVENT_USER_ID), NULL, false);
    else
        put_the_user(draft);
    put_version(draft);
}

static void put_auth_cancelled(struct draft *draft)
{
    put_status(draft, "error", NULL);
    put_text(draft, "flow_id", text_of(draft, EVENT_FLOW_ID));
    put_text(draft, "reason", or_else(text_of(draft, EVENT_REASON), "access_denied"));
    put_text(draft, "reference_id", text_of(draft, EVENT_REFERENCE_ID));
}

static void put_user_reauth(struct draft *draft)
{
    put_status(draft, "warning", "User has reauthenticated and old ID has been deleted");
    put_version(draft);
    put_user(
        draft, "old_user", text_of(draft, EVENT_OLD_USER_ID), text_of(draft, EVENT_SCOPES), false);
    put_user(draft, "new_user", text_of(draft, EVENT_USER_ID), text_of(draft, EVENT_SCOPES), true);
}

static void put_deauth(struct draft *draft)
{
    put_status(draft, "success", "User has deauthenticated");
    put_the_user(draft);
    put_version(draft);
}

static void put_access_revoked(struct draft *draft)
{
    put_status(draft, "warning", "User revoked access");
    put_the_user(draft);
    put_version(draft);
}

static void put_connection_error(struct draft *draft)
{
    put_status(draft, "warning",
        draft->script->shape == EVENT_SHAPE_NEW
            ? "The provider rejected the token of this user; the user has to connect again"
            : "User connection degraded");
    put_the_user(draft);
    put_version(draft);
}

static void put_google_no_datasource(struct draft *draft)
{
    put_status(draft, "warning", "User has no data source in Google Fit");
    put_the_user(draft);
    put_version(draft);
}

static void put_permission_change(struct draft *draft)
{
    put_status(draft, "warning", "User permissions have been modified");
    put_text(draft, "version", OLD_VERSION);
    put_text(draft, "scopes_added", or_else(text_of(draft, EVENT_SCOPES_ADDED), ""));
    put_text(draft, "scopes_removed", or_else(text_of(draft, EVENT_SCOPES_REMOVED), ""));
    put_the_user(draft);
}

static void put_healthcheck(struct draft *draft)
{
    put_status(draft, "success", NULL);
    put_text(draft, "creation_timestamp", CREATED_AT);
    put_integer(draft, "trend_percentage", 0);
    put_integer(draft, "sent_webhooks_last_hour", 1);
}

static void put_s3_payload(struct draft *draft)
{
    put_status(draft, "success", NULL);
    put_text(draft, "url", "https://storage.sandbox.invalid/payloads/nowhere?X-Signature=none");
    put_integer(draft, "expires_in", EVENT_EXPIRES_SECONDS_DEFAULT);
}

static void put_lab_report(struct draft *draft)
{
    put_text(draft, "event_id", "lab-1");
    put_status(draft, "success", NULL);
}

/* The filler goes between the brackets. */
static void put_data(struct draft *draft)
{
    put_the_user(draft);
    if (!script_has_put(draft, "data")) {
        json_open_array(&draft->writer, "data");
        draft->filler_at = draft->writer.buf->size;
        json_close_array(&draft->writer);
    }
    put_text(draft, "version", OLD_VERSION);
}

static void put_other(struct draft *draft)
{
    put_status(draft, "success", NULL);
    put_the_user(draft);
}

static const struct {
    const char *type;
    void (*put)(struct draft *draft);
} types[] = {
    {"auth", put_auth},
    {"auth_cancelled", put_auth_cancelled},
    {"user_reauth", put_user_reauth},
    {"deauth", put_deauth},
    {"access_revoked", put_access_revoked},
    {"connection_error", put_connection_error},
    {"permission_change", put_permission_change},
    {"google_no_datasource", put_google_no_datasource},
    {"healthcheck", put_healthcheck},
    {"s3_payload", put_s3_payload},
};

static void (*find_put(const struct event_script *script))(struct draft *draft)
{
    const char *type = script->texts[EVENT_TYPE];
    if (script->bytes > 0)
        return put_data;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (text_equal(type, types[i].type))
            return types[i].put;
    for (const char *const *data_type = data_types; *data_type != NULL; data_type++)
        if (text_equal(type, *data_type))
            return put_data;
    return text_starts_with(type, "lab_report.") ? put_lab_report : put_other;
}

static void put_all(struct draft *draft)
{
    const char *type = text_of(draft, EVENT_TYPE);
    json_open_object(&draft->writer, NULL);
    if (!draft->script->type_last)
        put_text(draft, "type", type);
    find_put(draft->script)(draft);
    put_rest_of_fields(draft);
    if (draft->script->type_last)
        put_text(draft, "type", type);
    json_close_object(&draft->writer);
}

/* --- the body --- */

void event_body_init(struct event_body *body, const struct event_script *script)
{
    struct buf text;
    buf_init(&text, TEXT_BYTES_MAX);
    struct draft draft = {.script = script};
    json_writer_init(&draft.writer, &text);
    if (script->body == NULL)
        put_all(&draft);
    else if (json_text(script->body) != NULL)
        buf_append_text(&text, json_text(script->body));
    else
        json_put_value(&draft.writer, NULL, script->body);
    assert(buf_ok(&text)); /* a control call's body is a part of that */
    *body = (struct event_body){.filler_at = draft.filler_at};
    if (draft.filler_at > 0 && script->bytes > text.size)
        body->filler_size = script->bytes - text.size;
    body->text = buf_take(&text, &body->size);
}

void event_body_copy(struct event_body *body, const struct event_body *other)
{
    *body = *other;
    body->text = memory_copy(other->text, other->size);
}

void event_body_release(struct event_body *body)
{
    free(body->text);
}

size_t event_body_size(const struct event_body *body)
{
    return body->size + body->filler_size;
}

/* Samples as a data event has them; blanks where no further one fits. */
static void write_filler(struct buf *buf, size_t size)
{
    size_t end = buf->size + size;
    char sample[96];
    for (unsigned i = 0;; i++) {
        int sample_size = snprintf(sample, sizeof(sample),
            "%s{\"timestamp\":\"2026-11-18T08:%02u:%02u.000000+00:00\",\"bpm\":%u}",
            i > 0 ? "," : "", i / 60 % 60, i % 60, 50 + i * 7919 % 97);
        if (end - buf->size < (size_t)sample_size)
            break;
        buf_append(buf, sample, (size_t)sample_size);
    }
    while (buf->size < end && buf_append_char(buf, ' '))
        ;
}

void event_body_write(const struct event_body *body, struct buf *buf)
{
    buf_append(buf, body->text, body->filler_at);
    if (body->filler_size > 0)
        write_filler(buf, body->filler_size);
    buf_append(buf, body->text + body->filler_at, body->size - body->filler_at);
}
