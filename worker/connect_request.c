/* connect_request: see connect_request.h. */
#include "worker/connect_request.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>

#include "common/clock.h"
#include "common/text.h"
#include "common/utf8.h"
#include "worker/request_field.h"

/* Room for all made texts: joined providers, the largest, then ids and the small ones. */
#define MADE_BYTES_MAX (PROVIDERS_MAX * (PROVIDER_BYTES_MAX + 1) + 2 * CONNECT_ID_BYTES_MAX + 256)
#define MADE_MAX 4
/* The warnings have a ceiling; unknown fields leave room for those that matter more. */
#define UNKNOWN_FIELDS_NAMED_MAX 8

static const struct json_limits limits = {
    .bytes_max = CONNECT_REQUEST_BYTES_MAX, .depth_max = 16, .values_max = 2000};

/* One decoding. */
struct decoding {
    struct connect_request *request;
    const struct connect_request_rules *rules;
    struct connect_error *error;
    bool failed; /* error holds the first fault in the order of the table */
    enum request_link link;
    const json_value *given[REQUEST_FIELD_COUNT]; /* in the request, not null */
    unsigned unknown_fields;
    bool names_fitbit;

    /* request->text moves while it grows, so texts made in it become pointers at the end. */
    struct {
        const char **where;
        size_t offset;
    } made[MADE_MAX];
    size_t made_count;
};

/* From now to finish_made_text, what is appended to request->text becomes *where. */
static struct buf *begin_made_text(struct decoding *decoding, const char **where)
{
    struct buf *text = &decoding->request->text;
    assert(decoding->made_count < MADE_MAX);
    decoding->made[decoding->made_count].where = where;
    decoding->made[decoding->made_count++].offset = text->size;
    return text;
}

static void finish_made_text(struct buf *text)
{
    buf_append_char(text, '\0');
}

static void place_made_texts(struct decoding *decoding)
{
    assert(buf_ok(&decoding->request->text));
    for (size_t i = 0; i < decoding->made_count; i++)
        *decoding->made[i].where = decoding->request->text.data + decoding->made[i].offset;
}

static void fail(struct decoding *decoding, enum connect_code code, const char *message)
{
    if (!decoding->failed)
        connect_error_set(decoding->error, code, "%s", message);
    decoding->failed = true;
}

static void fail_field(struct decoding *decoding, enum request_field_id id, const char *found)
{
    char message[REQUEST_FIELD_MESSAGE_SIZE];
    request_field_refuse(id, found, message);
    fail(decoding, CONNECT_INVALID_REQUEST, message);
}

/* The request's JSON object, or NULL after fail(). */
static json_value *parse(struct decoding *decoding, const struct connect_request_source *source)
{
    char message[CONNECT_MESSAGE_SIZE];
    struct json_error fault;
    json_value *tree = NULL;
    if (!source->value || source->value_size == 0) {
        snprintf(message, sizeof(message), "the request has %s; it must be a JSON object",
            source->value ? "an empty value" : "no value (null)");
    } else if (source->value_size > CONNECT_REQUEST_BYTES_MAX) {
        snprintf(message, sizeof(message), "the request has %zu bytes, more than the %d allowed",
            source->value_size, CONNECT_REQUEST_BYTES_MAX);
    } else if (!(tree = json_parse(source->value, source->value_size, &limits, &fault))) {
        snprintf(message, sizeof(message), "the request cannot be read: %s (at byte %zu)",
            fault.message, fault.offset);
    } else if (json_is_object(tree)) {
        return tree;
    } else {
        snprintf(message, sizeof(message), "the request must be a JSON object, but is of type %s",
            json_type_name(tree));
    }
    json_free(tree);
    fail(decoding, CONNECT_INVALID_REQUEST, message);
    return NULL;
}

/* Which known fields are there. */
static void survey(struct decoding *decoding)
{
    for (const json_value *child = json_first(decoding->request->tree); child;
         child = json_next(child)) {
        enum request_field_id id;
        if (!request_field_find(json_name(child), &id))
            decoding->unknown_fields++;
        else if (!request_field_is_null(child))
            decoding->given[id] = child;
    }
}

static bool has_default(const struct decoding *decoding, enum request_field_id id)
{
    const json_value *defaults = decoding->request->environment->request_defaults;
    const json_value *value = defaults ? json_field(defaults, request_field_name(id)) : NULL;
    return value && !request_field_is_null(value);
}

/* The environment comes before all else, since its defaults count for the other fields. That it is
 * unknown is said when the field's turn comes. */
static void choose_environment(struct decoding *decoding)
{
    struct connect_request *request = decoding->request;
    const char *name = json_text(decoding->given[FIELD_ENVIRONMENT]);
    if (!name || !request_field_is_environment(name))
        return;
    const struct environment *environment =
        environments_find(decoding->rules->environments, name, strlen(name));
    if (environment)
        request->environment = environment;
    request->environment_name = name;
}

/* provider and providers are one choice: where the request makes it, no default has a say. */
static void choose_link(struct decoding *decoding)
{
    bool provider = decoding->given[FIELD_PROVIDER];
    if (!provider && !decoding->given[FIELD_PROVIDERS])
        provider = has_default(decoding, FIELD_PROVIDER);
    decoding->link = provider ? REQUEST_PROVIDER : REQUEST_WIDGET;
}

static bool is_printable(const void *data, size_t size)
{
    return utf8_valid(data, size) && !utf8_has_control(data, size);
}

/* Without a request_id of its own, a request is known by the correlation
 * header, or by where it lies. */
static void make_request_id(struct decoding *decoding, const struct connect_request_source *source)
{
    struct buf *text = begin_made_text(decoding, &decoding->request->request_id);
    const unsigned char *correlation = source->correlation;
    size_t size = correlation ? source->correlation_size : 0;
    if (size == 0)
        buf_printf(
            text, "%s-%" PRId32 "-%" PRId64, source->topic, source->partition, source->offset);
    else if (size <= CONNECT_ID_BYTES_MAX && is_printable(correlation, size))
        buf_append(text, correlation, size);
    else
        for (size_t i = 0; i < size && i < CONNECT_ID_BYTES_MAX / 2; i++)
            buf_printf(text, "%02x", correlation[i]);
    finish_made_text(text);
}

static void check_environment_is_known(struct decoding *decoding, const char *name)
{
    if (strcmp(decoding->request->environment->name, name) == 0)
        return;
    char shown[REQUEST_FIELD_SHOWN_SIZE], names[256], message[CONNECT_MESSAGE_SIZE];
    environments_list_names(decoding->rules->environments, names, sizeof(names));
    snprintf(message, sizeof(message),
        "environment %s is not configured in this worker; there are: %s",
        request_field_shown(name, shown), names);
    fail(decoding, CONNECT_UNKNOWN_ENVIRONMENT, message);
}

/* Gives the URL where it may be used. A default is the operator's word and has been
 * judged when it was loaded. */
static const char *judge_redirect(
    struct decoding *decoding, enum request_field_id id, const char *url, bool is_default)
{
    char message[CONNECT_MESSAGE_SIZE];
    if (id == FIELD_SUCCESS_URL && request_field_is_multi_auth(url)) {
        if (decoding->link == REQUEST_WIDGET)
            return url;
        if (!is_default)
            text_list_add(&decoding->request->warnings,
                "field \"%s\": \"multi-auth\" is not used for a link to one provider",
                request_field_name(id));
        return NULL;
    }
    if (is_default)
        return url;
    switch (redirect_rules_judge(decoding->rules->redirects, url)) {
    case REDIRECT_ALLOWED:
        return url;
    case REDIRECT_MALFORMED:
        fail_field(decoding, id, "is none");
        return NULL;
    case REDIRECT_FORBIDDEN:
        break;
    }
    snprintf(message, sizeof(message),
        "field \"%s\" is not allowed: it must be an https URL or an app deep link that the "
        "operator's REDIRECT_URLS_ALLOWED permits",
        request_field_name(id));
    fail(decoding, CONNECT_REDIRECT_NOT_ALLOWED, message);
    return NULL;
}

static void take_provider(struct decoding *decoding, const char *name)
{
    char upper[PROVIDER_BYTES_MAX + 1];
    request_field_provider(name, upper);
    decoding->names_fitbit = strcmp(upper, "FITBIT") == 0;
    struct buf *text = begin_made_text(decoding, &decoding->request->provider);
    buf_append_text(text, upper);
    finish_made_text(text);
}

/* Whether the name is one of those joined by commas. */
static bool is_among(const char *joined, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = joined; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, size) == 0 && (at[size] == ',' || !at[size]))
            return true;
    }
    return false;
}

/* Joined as Terra wants them; one that comes again is dropped. */
static void take_providers(struct decoding *decoding, const json_value *names)
{
    struct buf *text = begin_made_text(decoding, &decoding->request->providers);
    size_t begin = text->size;
    for (const json_value *item = json_first(names); item; item = json_next(item)) {
        char upper[PROVIDER_BYTES_MAX + 1];
        request_field_provider(json_text(item), upper);
        bool first = text->size == begin;
        if (!first && is_among(text->data + begin, upper))
            continue;
        if (!first)
            buf_append_char(text, ',');
        buf_append_text(text, upper);
        decoding->names_fitbit |= strcmp(upper, "FITBIT") == 0;
    }
    finish_made_text(text);
}

static void take_language(struct decoding *decoding, const char *language)
{
    char lower[LANGUAGE_BYTES_MAX + 1];
    request_field_language(language, lower);
    struct buf *text = begin_made_text(decoding, &decoding->request->language);
    buf_append_text(text, lower);
    finish_made_text(text);
}

static enum connect_choice choice(bool boolean)
{
    return boolean ? CONNECT_YES : CONNECT_NO;
}

/* A field's checked value goes into the request. */
static void take(struct decoding *decoding, enum request_field_id id,
    const struct request_field_value *value, bool is_default)
{
    struct connect_request *request = decoding->request;
    switch (id) {
    case FIELD_REQUEST_ID:
        request->request_id = value->text;
        request->identified = true;
        break;
    case FIELD_REFERENCE_ID:
        request->reference_id = value->text;
        request->identified = true;
        break;
    case FIELD_ENVIRONMENT:
        check_environment_is_known(decoding, value->text);
        break;
    case FIELD_ACTION:
    case REQUEST_FIELD_COUNT:
        break;
    case FIELD_TIMEOUT_SECONDS:
        request->timeout_us = (int64_t)ceil(value->number * CLOCK_US_PER_SECOND);
        break;
    case FIELD_PROVIDER:
        take_provider(decoding, value->text);
        break;
    case FIELD_PROVIDERS:
        take_providers(decoding, value->array);
        break;
    case FIELD_LANGUAGE:
        take_language(decoding, value->text);
        break;
    case FIELD_SUCCESS_URL:
        request->auth_success_redirect_url = judge_redirect(decoding, id, value->text, is_default);
        break;
    case FIELD_FAILURE_URL:
        request->auth_failure_redirect_url = judge_redirect(decoding, id, value->text, is_default);
        break;
    case FIELD_SHOW_DISCONNECT:
        request->show_disconnect = choice(value->boolean);
        break;
    case FIELD_MULTI_AUTH:
        request->multi_auth = choice(value->boolean);
        break;
    case FIELD_BYPASS_FEEDBACK:
        request->bypass_feedback = choice(value->boolean);
        break;
    case FIELD_USE_TERRA_AVENGERS_APP:
        request->use_terra_avengers_app = choice(value->boolean);
        break;
    case FIELD_CONNECTED_UIDS:
        request->connected_uids = value->array;
        break;
    case FIELD_APPLE_APP_URL:
        request->apple_app_url = value->text;
        break;
    case FIELD_SAMSUNG_APP_URL:
        request->samsung_app_url = value->text;
        break;
    case FIELD_SDK_APP:
        request->sdk_app = value->text;
        break;
    }
}

/* A field of the request: checked in any case, taken when this kind of link uses it. */
static void take_given(struct decoding *decoding, enum request_field_id id)
{
    struct request_field_value value;
    char message[REQUEST_FIELD_MESSAGE_SIZE];
    if (!request_field_get(decoding->request->tree, id, &value, message))
        fail(decoding, CONNECT_INVALID_REQUEST, message);
    else if (id == FIELD_PROVIDERS && decoding->given[FIELD_PROVIDER])
        fail(decoding, CONNECT_INVALID_REQUEST,
            "fields \"provider\" and \"providers\" exclude each other: a link to one provider, or "
            "a page to choose from several");
    else if (request_field_serves(id, decoding->link))
        take(decoding, id, &value, false);
    else
        text_list_add(&decoding->request->warnings, "field \"%s\" is not used for %s",
            request_field_name(id),
            decoding->link == REQUEST_WIDGET ? "a widget session" : "a link to one provider");
}

/* A default the chosen kind of link does not use is passed over in silence:
 * nobody asked for it here. */
static void take_default(struct decoding *decoding, enum request_field_id id)
{
    struct request_field_value value;
    char message[REQUEST_FIELD_MESSAGE_SIZE];
    if (request_field_serves(id, decoding->link) && has_default(decoding, id) &&
        request_field_get(decoding->request->environment->request_defaults, id, &value, message))
        take(decoding, id, &value, true);
}

static void take_fields(struct decoding *decoding)
{
    bool defaults = decoding->request->environment->request_defaults;
    for (int i = 0; i < REQUEST_FIELD_COUNT; i++) {
        enum request_field_id id = (enum request_field_id)i;
        if (decoding->given[id])
            take_given(decoding, id);
        else if (id == FIELD_REFERENCE_ID)
            fail_field(decoding, id, "is missing");
        else if (defaults)
            take_default(decoding, id);
    }
}

/* sdk_app chooses the app that the link to Apple Health opens, and nothing else. */
static void settle_sdk_app(struct decoding *decoding)
{
    struct connect_request *request = decoding->request;
    if (!request->sdk_app || text_equal(request->provider, "APPLE_HEALTH"))
        return;
    request->sdk_app = NULL;
    if (decoding->given[FIELD_SDK_APP])
        text_list_add(
            &request->warnings, "field \"sdk_app\" is only used with the provider APPLE_HEALTH");
}

static void warn_of_unknown_field(struct text_list *warnings, const char *name)
{
    char shown[REQUEST_FIELD_SHOWN_SIZE];
    const char *nearest = request_field_nearest(name);
    if (nearest)
        text_list_add(warnings, "unknown field %s is ignored; did you mean \"%s\"?",
            request_field_shown(name, shown), nearest);
    else
        text_list_add(warnings, "unknown field %s is ignored", request_field_shown(name, shown));
}

static void warn_of_unknown_fields(struct decoding *decoding)
{
    struct text_list *warnings = &decoding->request->warnings;
    unsigned left = decoding->unknown_fields, named = 0;
    for (const json_value *child = json_first(decoding->request->tree);
         left && named < UNKNOWN_FIELDS_NAMED_MAX; child = json_next(child)) {
        enum request_field_id id;
        if (request_field_find(json_name(child), &id))
            continue;
        warn_of_unknown_field(warnings, json_name(child));
        left--;
        named++;
    }
    if (left)
        text_list_add(warnings, "%u more unknown fields are ignored", left);
}

static void warn(struct decoding *decoding)
{
    if (decoding->names_fitbit)
        text_list_add(&decoding->request->warnings,
            "FITBIT: the Fitbit Web API is closed; its successor is the provider GOOGLE_HEALTH");
    warn_of_unknown_fields(decoding);
}

bool connect_request_decode(struct connect_request *request,
    const struct connect_request_source *source, const struct connect_request_rules *rules,
    struct connect_error *error)
{
    const struct environment *environment = environments_find(rules->environments, NULL, 0);
    assert(environment);
    *request = (struct connect_request){
        .environment = environment,
        .environment_name = environment->name,
        .timeout_us = rules->default_timeout_us,
    };
    buf_init(&request->text, MADE_BYTES_MAX);
    struct decoding decoding = {.request = request, .rules = rules, .error = error};
    request->tree = parse(&decoding, source);
    if (request->tree) {
        survey(&decoding);
        choose_environment(&decoding);
        choose_link(&decoding);
        take_fields(&decoding);
    }
    if (!request->request_id)
        make_request_id(&decoding, source);
    place_made_texts(&decoding);
    if (request->tree) {
        settle_sdk_app(&decoding);
        warn(&decoding);
    }
    return !decoding.failed;
}

void connect_request_release(struct connect_request *request)
{
    json_free(request->tree);
    buf_release(&request->text);
    text_list_release(&request->warnings);
}

void connect_request_digest(const struct connect_request *request, char hex[DIGEST_HEX_SIZE])
{
    const char *const texts[] = {request->environment->name, request->request_id,
        request->reference_id, request->provider, request->providers, request->language,
        request->auth_success_redirect_url, request->auth_failure_redirect_url,
        request->apple_app_url, request->samsung_app_url, request->sdk_app};
    const char choices[] = {(char)request->show_disconnect, (char)request->multi_auth,
        (char)request->bypass_feedback, (char)request->use_terra_avengers_app};
    struct digest *digest = digest_begin();
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        digest_part_text(digest, texts[i]);
    digest_part(digest, choices, sizeof(choices));
    /* Last, since their number varies. */
    const json_value *uid = request->connected_uids ? json_first(request->connected_uids) : NULL;
    for (; uid; uid = json_next(uid))
        digest_part_text(digest, json_text(uid));
    digest_end(digest, hex);
}
