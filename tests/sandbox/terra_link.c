/* terra_link: the three endpoints that make a link; see terra.h for what Terra answers when. */
#include <ctype.h>

#include "common/clock.h"
#include "common/text.h"
#include "provider.h"
#include "terra_error.h"
#include "terra_parts.h"

#define WIDGET_EXPIRES_SECONDS 86400
#define LEGACY_EXPIRES_SECONDS 900
/* Terra names no life of an auth_url; its page has to go at some time. */
#define AUTH_URL_EXPIRES_SECONDS 3600

/* The fields of a body, NULL where absent. */
struct link_fields {
    const char *reference_id;
    const char *providers;
    const char *success_url;
    const char *failure_url;
    const char *language;
    const char *apple_app_url;
    const char *samsung_app_url;
    const char *sdk_app;
    bool avengers;
};

static void fail(struct terra_turn *turn, unsigned status, const char *detail)
{
    terra_error(turn->answer, turn->request, turn->call->endpoint, status, NULL, detail);
}

static bool reject_type(struct terra_turn *turn, const char *name, const char *type)
{
    char detail[128];
    snprintf(detail, sizeof(detail), "%s must be %s", name, type);
    fail(turn, 400, detail);
    return false;
}

static bool read_texts(struct terra_turn *turn, struct link_fields *fields)
{
    const struct {
        const char *name;
        const char **text;
    } texts[] = {
        {"reference_id", &fields->reference_id},
        {"providers", &fields->providers},
        {"auth_success_redirect_url", &fields->success_url},
        {"auth_failure_redirect_url", &fields->failure_url},
        {"language", &fields->language},
        {"apple_app_url", &fields->apple_app_url},
        {"samsung_app_url", &fields->samsung_app_url},
        {"sdk_app", &fields->sdk_app},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (json_get_text(turn->body, texts[i].name, texts[i].text) == JSON_WRONG_TYPE)
            return reject_type(turn, texts[i].name, "a string");
    return true;
}

static bool read_booleans(struct terra_turn *turn, struct link_fields *fields)
{
    static const char *const names[] = {"show_disconnect", "multi_auth", "bypass_feedback"};
    bool boolean;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (json_get_boolean(turn->body, names[i], &boolean) == JSON_WRONG_TYPE)
            return reject_type(turn, names[i], "a boolean");
    /* One of Terra's help pages advises the string. */
    const char *text = json_text(json_field(turn->body, "use_terra_avengers_app"));
    if (text_equal(text, "true"))
        fields->avengers = true;
    else if (json_get_boolean(turn->body, "use_terra_avengers_app", &fields->avengers) ==
             JSON_WRONG_TYPE)
        return reject_type(turn, "use_terra_avengers_app", "a boolean");
    return true;
}

static void put_unknown_uids(struct terra_turn *turn, const json_value *uids)
{
    answer_begin(turn->answer, 400, "application/json");
    struct json_writer writer;
    json_writer_init(&writer, &turn->answer->body);
    json_open_object(&writer, NULL);
    json_put_text(&writer, "message", "connected_uids names unknown users");
    json_put_text(&writer, "status", "error");
    json_open_array(&writer, "invalid_user_ids");
    for (const json_value *uid = json_first(uids); uid != NULL; uid = json_next(uid))
        if (users_find(&turn->terra->users, turn->credential->environment, json_text(uid)) == NULL)
            json_put_text(&writer, NULL, json_text(uid));
    json_close_array(&writer);
    json_close_object(&writer);
}

static bool check_connected_uids(struct terra_turn *turn)
{
    const json_value *uids = NULL;
    if (json_get_array(turn->body, "connected_uids", &uids) == JSON_WRONG_TYPE)
        return reject_type(turn, "connected_uids", "an array of strings");
    if (uids == NULL)
        return true;
    bool known = true;
    for (const json_value *uid = json_first(uids); uid != NULL; uid = json_next(uid)) {
        if (json_text(uid) == NULL)
            return reject_type(turn, "connected_uids", "an array of strings");
        if (users_find(&turn->terra->users, turn->credential->environment, json_text(uid)) == NULL)
            known = false;
    }
    if (!known)
        put_unknown_uids(turn, uids);
    return known;
}

/* False: refused, and the answer says so. */
static bool read_fields(struct terra_turn *turn, struct link_fields *fields)
{
    *fields = (struct link_fields){0};
    if (turn->body == NULL)
        return true;
    const json_value *array = NULL;
    if (json_get_array(turn->body, "providers", &array) == JSON_FOUND) {
        terra_error_html(turn->answer, 500);
        return false;
    }
    return read_texts(turn, fields) && read_booleans(turn, fields) && check_connected_uids(turn);
}

/* The answer's warnings: an array that is only there when something is in it. */
struct warnings {
    struct json_writer *writer;
    bool begun;
};

static void warn(struct warnings *warnings, const char *warning)
{
    if (!warnings->begun)
        json_open_array(warnings->writer, "warnings");
    warnings->begun = true;
    json_put_text(warnings->writer, NULL, warning);
}

/* One provider of the list, and what Terra says about it. */
static void warn_of_provider(
    struct warnings *warnings, const char *name, size_t size, const struct link_fields *fields)
{
    char warning[128];
    int shown = size < 64 ? (int)size : 64;
    const struct provider *provider = provider_find(name, size);
    const char *complaint = NULL;
    if (provider == NULL)
        complaint = "is unknown";
    else if (provider->kind == PROVIDER_NOT_ENABLED)
        complaint = "is not enabled";
    else if (provider->kind == PROVIDER_SDK && !fields->avengers && fields->apple_app_url == NULL &&
             fields->samsung_app_url == NULL)
        complaint = "needs a mobile app";
    if (complaint == NULL)
        return;
    snprintf(warning, sizeof(warning), "provider %.*s %s", shown, name, complaint);
    warn(warnings, warning);
}

static void warn_of_providers(struct warnings *warnings, const struct link_fields *fields)
{
    const char *list = fields->providers;
    if (text_empty(list) || text_equal(list, "ALL"))
        return;
    for (;;) {
        size_t size = strcspn(list, ",");
        warn_of_provider(warnings, list, size, fields);
        if (list[size] == '\0')
            return;
        list += size + 1;
    }
}

static const struct session *add_session(struct terra_turn *turn, const struct link_fields *fields,
    const char *providers_offered, bool widget, int64_t seconds)
{
    const struct session_terms terms = {
        .widget = widget,
        .environment = turn->credential->environment,
        .reference_id = fields->reference_id,
        .providers = providers_offered,
        .success_url = fields->success_url,
        .failure_url = fields->failure_url,
        .expires_wall_us = clock_wall_us() + seconds * CLOCK_US_PER_SECOND,
    };
    return sessions_add(turn->terra->sessions, &terms);
}

static void put_session(struct terra_turn *turn, const struct link_fields *fields,
    const struct session *session, int64_t expires_seconds)
{
    char url[512];
    snprintf(url, sizeof(url), "%s/session/%s", turn->terra->link_base, session->link_id);
    struct json_writer writer;
    json_writer_init(&writer, &turn->answer->body);
    json_open_object(&writer, NULL);
    json_put_text(&writer, "status", "success");
    json_put_text(&writer, "session_id", session->session_id);
    json_put_text(&writer, "url", url);
    json_put_integer(&writer, "expires_in", expires_seconds);
    struct warnings warnings = {.writer = &writer};
    if (turn->magic.kind == MAGIC_UNKNOWN)
        warn(&warnings, "reference_id begins with sandbox- but asks for nothing the sandbox knows");
    warn_of_providers(&warnings, fields);
    if (warnings.begun)
        json_close_array(&writer);
    json_close_object(&writer);
}

void terra_widget_session(struct terra_turn *turn)
{
    bool legacy = turn->call->endpoint == ENDPOINT_LEGACY_WIDGET;
    unsigned flags = turn->credential->flags;
    struct link_fields fields;
    if (legacy && (turn->terra->legacy_retired || (flags & CREDENTIAL_LEGACY_RETIRED) != 0)) {
        fail(turn, 410,
            "this endpoint is retired for this account; use "
            "POST https://access.tryterra.co/api/widget/session");
        return;
    }
    if (turn->body == NULL) {
        fail(turn, 400, "the body must be a JSON object");
        return;
    }
    if ((flags & CREDENTIAL_NO_SOURCES) != 0) {
        terra_error_html(turn->answer, 500);
        return;
    }
    if ((flags & CREDENTIAL_USER_LIMIT) != 0) {
        fail(turn, 403, "User Limit Reached");
        return;
    }
    if (!read_fields(turn, &fields))
        return;
    int64_t seconds = legacy ? LEGACY_EXPIRES_SECONDS : WIDGET_EXPIRES_SECONDS;
    const struct session *session = add_session(turn, &fields, fields.providers, true, seconds);
    turn->answer->status = legacy ? 200 : 201;
    put_session(turn, &fields, session, seconds);
}

/* False: refused, and the answer says so. */
static bool check_resource(struct terra_turn *turn, const struct provider **provider)
{
    const char *resource = request_query(turn->request, "resource");
    if (text_empty(resource)) {
        fail(turn, 400, "resource is missing");
        return false;
    }
    *provider = provider_find(resource, strlen(resource));
    if (*provider == NULL) {
        fail(turn, 404, "unknown resource");
        return false;
    }
    if ((*provider)->kind == PROVIDER_SDK && !text_equal((*provider)->name, "APPLE_HEALTH")) {
        fail(turn, 400, "this resource can only be connected with a mobile SDK");
        return false;
    }
    if ((*provider)->kind == PROVIDER_NOT_ENABLED) {
        fail(turn, 400, "this resource is not enabled");
        return false;
    }
    return true;
}

void terra_authenticate_user(struct terra_turn *turn)
{
    const struct provider *provider;
    struct link_fields fields;
    if (!check_resource(turn, &provider))
        return;
    if ((turn->credential->flags & CREDENTIAL_USER_LIMIT) != 0) {
        fail(turn, 403, "User Limit Reached");
        return;
    }
    if (!read_fields(turn, &fields))
        return;
    const struct session *session =
        add_session(turn, &fields, provider->name, false, AUTH_URL_EXPIRES_SECONDS);
    char url[512];
    snprintf(url, sizeof(url), "%s/oauth/%s?response_type=code&client_id=sandbox&state=%s",
        turn->terra->link_base, provider->name, session->link_id);
    struct json_writer writer;
    json_writer_init(&writer, &turn->answer->body);
    json_open_object(&writer, NULL);
    json_put_text(&writer, "status", "success");
    json_put_text(&writer, "user_id", session->user_id);
    json_put_text(&writer, "auth_url", url);
    json_close_object(&writer);
}
