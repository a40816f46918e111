/* request_field: see request_field.h. */
#include "worker/request_field.h"

#include "common/text.h"
#include "common/url.h"
#include "common/utf8.h"
#include "worker/redirect_rules.h"

#define FOUND_SIZE 96
#define CONNECTED_UIDS_MAX 100
/* A longer name is nobody's slip of the pen, and looking for its neighbours costs. */
#define SIMILAR_NAME_BYTES_MAX 40

struct field;

/* Fills in value, or says in `found` what is there instead ("is a number"). */
typedef bool field_check(const json_value *object, const struct field *field,
    struct request_field_value *value, char found[FOUND_SIZE]);

struct field {
    const char *name;
    const char *expected; /* follows "must be " */
    field_check *check;
    unsigned links; /* of enum request_link */
    bool may_be_default;
};

static field_check check_id, check_environment, check_action, check_timeout, check_provider,
    check_providers, check_language, check_redirect, check_boolean, check_uids, check_app_url,
    check_sdk_app;

#define EXPECTED_ID "1 to 256 bytes of text without control characters"
#define EXPECTED_REDIRECT "an absolute URL of at most 2048 bytes, percent-encoded where need be"
#define EXPECTED_APP_URL "an https URL or app deep link of at most 2048 bytes"
#define EXPECTED_PROVIDER "a provider name of 2 to 40 letters, digits and underscores"
#define BOTH (REQUEST_WIDGET | REQUEST_PROVIDER)

static const struct field fields[REQUEST_FIELD_COUNT] = {
    [FIELD_REQUEST_ID] = {"request_id", EXPECTED_ID, check_id, BOTH, false},
    [FIELD_REFERENCE_ID] = {"reference_id", EXPECTED_ID, check_id, BOTH, false},
    [FIELD_ENVIRONMENT] = {"environment",
        "a name of 1 to 64 letters, digits, dots, underscores and dashes", check_environment, BOTH,
        false},
    [FIELD_ACTION] = {"action", "\"connect\"", check_action, BOTH, false},
    [FIELD_TIMEOUT_SECONDS] = {"timeout_seconds", "a number above 0 and at most 3600",
        check_timeout, BOTH, true},
    [FIELD_PROVIDER] = {"provider", EXPECTED_PROVIDER, check_provider, REQUEST_PROVIDER, true},
    [FIELD_PROVIDERS] = {"providers", "an array of provider names", check_providers, REQUEST_WIDGET,
        true},
    [FIELD_LANGUAGE] = {"language", "a language such as fr or zh_cn", check_language, BOTH, true},
    [FIELD_SUCCESS_URL] = {"auth_success_redirect_url", EXPECTED_REDIRECT, check_redirect, BOTH,
        true},
    [FIELD_FAILURE_URL] = {"auth_failure_redirect_url", EXPECTED_REDIRECT, check_redirect, BOTH,
        true},
    [FIELD_SHOW_DISCONNECT] = {"show_disconnect", "true or false", check_boolean, REQUEST_WIDGET,
        true},
    [FIELD_MULTI_AUTH] = {"multi_auth", "true or false", check_boolean, REQUEST_WIDGET, true},
    [FIELD_BYPASS_FEEDBACK] = {"bypass_feedback", "true or false", check_boolean, REQUEST_WIDGET,
        true},
    [FIELD_USE_TERRA_AVENGERS_APP] = {"use_terra_avengers_app", "true or false", check_boolean,
        REQUEST_WIDGET, true},
    [FIELD_CONNECTED_UIDS] = {"connected_uids", "an array of 1 to 100 of Terra's user ids",
        check_uids, REQUEST_WIDGET, true},
    [FIELD_APPLE_APP_URL] = {"apple_app_url", EXPECTED_APP_URL, check_app_url, REQUEST_WIDGET,
        true},
    [FIELD_SAMSUNG_APP_URL] = {"samsung_app_url", EXPECTED_APP_URL, check_app_url, REQUEST_WIDGET,
        true},
    [FIELD_SDK_APP] = {"sdk_app", "\"avengers\" or \"grip\"", check_sdk_app, REQUEST_PROVIDER,
        true},
};

static bool is_printable_ascii(const char *text)
{
    for (; *text; text++) {
        if (*text < ' ' || *text > '~')
            return false;
    }
    return true;
}

const char *request_field_shown(const char *text, char shown[REQUEST_FIELD_SHOWN_SIZE])
{
    if (!is_printable_ascii(text))
        return "text that cannot be shown";
    bool cut = strlen(text) > REQUEST_FIELD_SHOWN_MAX;
    snprintf(shown, REQUEST_FIELD_SHOWN_SIZE, "\"%.*s%s\"", REQUEST_FIELD_SHOWN_MAX, text,
        cut ? "…" : "");
    return shown;
}

/* "an array", "a string"; null needs no article. */
static const char *type_with_article(const json_value *value, char *text, size_t size)
{
    const char *type = json_type_name(value);
    const char *article = strcmp(type, "null") == 0 ? "" : strchr("aeiou", type[0]) ? "an " : "a ";
    snprintf(text, size, "%s%s", article, type);
    return text;
}

static bool is_wrong_type(const json_value *value, char found[FOUND_SIZE])
{
    char type[24];
    snprintf(found, FOUND_SIZE, "is %s", type_with_article(value, type, sizeof(type)));
    return false;
}

/* True when it was found; else says what is there instead. */
static bool was_found(
    enum json_get got, const json_value *object, const struct field *field, char found[FOUND_SIZE])
{
    if (got == JSON_WRONG_TYPE)
        return is_wrong_type(json_field(object, field->name), found);
    if (got == JSON_ABSENT)
        snprintf(found, FOUND_SIZE, "is missing");
    return got == JSON_FOUND;
}

static bool get_text(
    const json_value *object, const struct field *field, const char **text, char found[FOUND_SIZE])
{
    return was_found(json_get_text(object, field->name, text), object, field, found);
}

static bool get_array(const json_value *object, const struct field *field, const json_value **array,
    size_t items_max, char found[FOUND_SIZE])
{
    if (!was_found(json_get_array(object, field->name, array), object, field, found))
        return false;
    size_t count = json_count(*array);
    if (count == 0)
        snprintf(found, FOUND_SIZE, "is empty (leave it out instead)");
    else if (count > items_max)
        snprintf(found, FOUND_SIZE, "has %zu items, more than %zu", count, items_max);
    return count >= 1 && count <= items_max;
}

static bool is_sized(const char *text, size_t bytes_max, char found[FOUND_SIZE])
{
    size_t size = strlen(text);
    if (size >= 1 && size <= bytes_max)
        return true;
    if (size == 0)
        snprintf(found, FOUND_SIZE, "is empty");
    else
        snprintf(found, FOUND_SIZE, "is %zu bytes long", size);
    return false;
}

static bool is_id(const char *text, char found[FOUND_SIZE])
{
    if (!is_sized(text, REQUEST_ID_BYTES_MAX, found))
        return false;
    if (!utf8_has_control(text, strlen(text)))
        return true;
    snprintf(found, FOUND_SIZE, "holds a control character");
    return false;
}

static bool is_unfit(const char *text, char found[FOUND_SIZE])
{
    char shown[REQUEST_FIELD_SHOWN_SIZE];
    snprintf(found, FOUND_SIZE, "is %s", *text ? request_field_shown(text, shown) : "empty");
    return false;
}

static bool check_id(const json_value *object, const struct field *field,
    struct request_field_value *value, char found[FOUND_SIZE])
{
    return get_text(object, field, &value->text, found) && is_id(value->text, found);
}

static bool check_environment(const json_value *object, const struct field *field,
    struct request_field_value *value, char found[FOUND_SIZE])
{
    if (!get_text(object, field, &value->text, found))
        return false;
    return request_field_is_environment(value->text) || is_unfit(value->text, found);
}

static bool check_action(const json_value *object, const struct field *field,
    struct request_field_value *value, char found[FOUND_SIZE])
{
    if (!get_text(object, field, &value->text, found))
        return false;
    return strcmp(value->text, "connect") == 0 || is_unfit(value->text, found);
}

static bool check_timeout(const json_value *object, const struct field *field,
    struct request_field_value *value, char found[FOUND_SIZE])
{
    if (!was_found(json_get_number(object, field->name, &value->number), object, field, found))
        return false;
    if (value->number > 0 && value->number <= TIMEOUT_SECONDS_MAX)
        return true;
    snprintf(found, FOUND_SIZE, "is %g", value->number);
    return false;
}

static bool check_provider(const json_value *object, const struct field *field,
    struct request_field_value *value, char found[FOUND_SIZE])
{
    char upper[PROVIDER_BYTES_MAX + 1];
    if (!get_text(object, field, &value->text, found))
        return false;
    return request_field_provider(value->text, upper) || is_unfit(value->text, found);
}

static bool check_providers(const json_value *object, const struct field *field,
    struct request_field_value *value, char found[FOUND_SIZE])
{
    if (!get_array(object, field, &value->array, PROVIDERS_MAX, found))
        return false;
    size_t place = 1;
    for (const json_value *item = json_first(value->array); item; item = json_next(item), place++) {
        char upper[PROVIDER_BYTES_MAX + 1], text[REQUEST_FIELD_SHOWN_SIZE];
        const char *name = json_text(item);
        if (name && request_field_provider(name, upper))
            continue;
        snprintf(found, FOUND_SIZE, "its item %zu is %s", place,
            name ? request_field_shown(name, text) : type_with_article(item, text, sizeof(text)));
        return false;
    }
    return true;
}

static bool check_language(const json_value *object, const struct field *field,
    struct request_field_value *value, char found[FOUND_SIZE])
{
    char lower[LANGUAGE_BYTES_MAX + 1];
    if (!get_text(object, field, &value->text, found))
        return false;
    return request_field_language(value->text, lower) || is_unfit(value->text, found);
}

/* Whether it is a URL, and one that is allowed, is for the redirect rules to judge, which read it
 * anyway. URLs are never shown: they may carry the sender's secrets. */
static bool check_redirect(const json_value *object, const struct field *field,
    struct request_field_value *value, char found[FOUND_SIZE])
{
    return get_text(object, field, &value->text, found) &&
           is_sized(value->text, URL_BYTES_MAX, found);
}

static bool check_app_url(const json_value *object, const struct field *field,
    struct request_field_value *value, char found[FOUND_SIZE])
{
    if (!check_redirect(object, field, value, found))
        return false;
    if (redirect_rules_judge(NULL, value->text) == REDIRECT_ALLOWED)
        return true;
    snprintf(found, FOUND_SIZE, "is none");
    return false;
}

static bool check_boolean(const json_value *object, const struct field *field,
    struct request_field_value *value, char found[FOUND_SIZE])
{
    return was_found(json_get_boolean(object, field->name, &value->boolean), object, field, found);
}

static bool check_uids(const json_value *object, const struct field *field,
    struct request_field_value *value, char found[FOUND_SIZE])
{
    if (!get_array(object, field, &value->array, CONNECTED_UIDS_MAX, found))
        return false;
    size_t place = 1;
    for (const json_value *item = json_first(value->array); item; item = json_next(item), place++) {
        char fault[FOUND_SIZE] = "";
        const char *text = json_text(item);
        if (text ? is_id(text, fault) : is_wrong_type(item, fault))
            continue;
        snprintf(found, FOUND_SIZE, "its item %zu %.64s", place, fault);
        return false;
    }
    return true;
}

static bool check_sdk_app(const json_value *object, const struct field *field,
    struct request_field_value *value, char found[FOUND_SIZE])
{
    if (!get_text(object, field, &value->text, found))
        return false;
    return strcmp(value->text, "avengers") == 0 || strcmp(value->text, "grip") == 0 ||
           is_unfit(value->text, found);
}

bool request_field_is_null(const json_value *value)
{
    return strcmp(json_type_name(value), "null") == 0;
}

const char *request_field_name(enum request_field_id id)
{
    return fields[id].name;
}

bool request_field_serves(enum request_field_id id, enum request_link link)
{
    return fields[id].links & link;
}

void request_field_refuse(
    enum request_field_id id, const char *found, char message[REQUEST_FIELD_MESSAGE_SIZE])
{
    snprintf(message, REQUEST_FIELD_MESSAGE_SIZE, "field \"%s\" must be %s, but %s",
        fields[id].name, fields[id].expected, found);
}

bool request_field_get(const json_value *object, enum request_field_id id,
    struct request_field_value *value, char message[REQUEST_FIELD_MESSAGE_SIZE])
{
    char found[FOUND_SIZE];
    if (fields[id].check(object, &fields[id], value, found))
        return true;
    request_field_refuse(id, found, message);
    return false;
}

bool request_field_find(const char *name, enum request_field_id *id)
{
    for (int i = 0; i < REQUEST_FIELD_COUNT; i++) {
        if (strcmp(fields[i].name, name) == 0) {
            *id = (enum request_field_id)i;
            return true;
        }
    }
    return false;
}

const char *request_field_nearest(const char *name)
{
    const char *names[REQUEST_FIELD_COUNT + 1];
    for (int i = 0; i < REQUEST_FIELD_COUNT; i++)
        names[i] = fields[i].name;
    names[REQUEST_FIELD_COUNT] = NULL;
    size_t size = strlen(name);
    /* A third of the name, so that authSuccessRedirectUrl still finds its like. */
    return size <= SIMILAR_NAME_BYTES_MAX ? text_nearest(name, names, (unsigned)(size / 3)) : NULL;
}

static bool check_default(
    const json_value *defaults, const char *name, char message[REQUEST_FIELD_MESSAGE_SIZE])
{
    enum request_field_id id;
    struct request_field_value value;
    char shown[REQUEST_FIELD_SHOWN_SIZE];
    if (!request_field_find(name, &id) || !fields[id].may_be_default) {
        snprintf(message, REQUEST_FIELD_MESSAGE_SIZE, "there is no default for a field %s",
            request_field_shown(name, shown));
        return false;
    }
    if (!request_field_get(defaults, id, &value, message))
        return false;
    if (fields[id].check != check_redirect ||
        (id == FIELD_SUCCESS_URL && request_field_is_multi_auth(value.text)) ||
        redirect_rules_judge(NULL, value.text) == REDIRECT_ALLOWED)
        return true;
    request_field_refuse(id, "is none that may be followed", message);
    return false;
}

static bool is_given(const json_value *object, enum request_field_id id)
{
    const json_value *value = json_field(object, fields[id].name);
    return value && !request_field_is_null(value);
}

bool request_field_check_defaults(
    const json_value *defaults, char message[REQUEST_FIELD_MESSAGE_SIZE])
{
    for (const json_value *child = json_first(defaults); child; child = json_next(child)) {
        if (!request_field_is_null(child) && !check_default(defaults, json_name(child), message))
            return false;
    }
    if (!is_given(defaults, FIELD_PROVIDER) || !is_given(defaults, FIELD_PROVIDERS))
        return true;
    snprintf(message, REQUEST_FIELD_MESSAGE_SIZE,
        "fields \"provider\" and \"providers\" exclude each other");
    return false;
}

bool request_field_is_environment(const char *name)
{
    size_t size = 0;
    for (; name[size]; size++) {
        char c = name[size];
        bool allowed = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '.' || c == '_' || c == '-';
        if (!allowed || size == ENVIRONMENT_NAME_BYTES_MAX)
            return false;
    }
    return size >= 1;
}

bool request_field_is_multi_auth(const char *success_url)
{
    return strcmp(success_url, "multi-auth") == 0;
}

bool request_field_provider(const char *text, char upper[PROVIDER_BYTES_MAX + 1])
{
    size_t size = 0;
    for (; text[size]; size++) {
        char c = text[size];
        if (size == PROVIDER_BYTES_MAX)
            return false;
        if (c >= 'a' && c <= 'z')
            c = (char)(c - ('a' - 'A'));
        else if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
        upper[size] = c;
    }
    upper[size] = '\0';
    return size >= 2;
}

/* Copies as many letters as there are, in lower case. */
static size_t copy_letters(const char *text, char *lower, size_t most)
{
    size_t size = 0;
    for (; size < most; size++) {
        char c = text[size];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c + ('a' - 'A'));
        if (c < 'a' || c > 'z')
            break;
        lower[size] = c;
    }
    return size;
}

bool request_field_language(const char *text, char lower[LANGUAGE_BYTES_MAX + 1])
{
    size_t language = copy_letters(text, lower, 3);
    size_t size = language;
    if (text[size] == '-' || text[size] == '_') {
        lower[size++] = '_';
        size_t region = copy_letters(text + size, lower + size, 4);
        if (region < 2)
            return false;
        size += region;
    }
    lower[size] = '\0';
    return language >= 2 && !text[size];
}
