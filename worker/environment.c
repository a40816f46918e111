/* environment: see environment.h. */
#include "worker/environment.h"

#include "common/buf.h"
#include "common/memory.h"
#include "common/text.h"
#include "common/url.h"
#include "worker/request_field.h"

#define FILE_BYTES_MAX (1024 * 1024)
#define DEFAULTS_BYTES_MAX (256 * 1024)
#define CREDENTIAL_BYTES_MAX 512
#define BURST_MAX 1000000
#define USER_INFO_PATH "/v2/userInfo"
#define SOURCES_PATH "/v2/integrations/detailed"

static const struct json_limits file_limits = {
    .bytes_max = FILE_BYTES_MAX, .depth_max = 8, .values_max = 20000};

static const struct {
    const char *path; /* goes behind the base URL */
    const char *name; /* of the whole URL, in messages */
} endpoints[TERRA_ENDPOINT_COUNT] = {
    [TERRA_WIDGET_SESSION] = {"/widget/session", "widget_session_url"},
    [TERRA_LEGACY_WIDGET] = {"/v2/auth/generateWidgetSession", "legacy_widget_url"},
    [TERRA_AUTHENTICATE_USER] = {"/v2/auth/authenticateUser", "authenticate_user_url"},
};

/* An environment as it is asked for, nothing checked or copied yet. */
struct definition {
    const char *name;
    const char *dev_id;
    const char *api_key;
    const char *api_key_file; /* NULL: given directly */
    const char *base_url;     /* NULL: the default one, and the default whole URLs with it */
    struct rate rate;
    int64_t burst;
    const json_value *request_defaults; /* NULL: none */
};

/* Fills in error: which environment, which field, what is wrong. */
static enum result reject(
    char error[ENVIRONMENT_ERROR_SIZE], const char *name, const char *field, const char *fault)
{
    snprintf(error, ENVIRONMENT_ERROR_SIZE, "environment \"%s\": %s %s", name, field, fault);
    return RESULT_REJECT;
}

/* NULL: a dev id or key that can stand in a header as it is. */
static const char *credential_fault(const char *text)
{
    if (text_empty(text))
        return "is missing or empty";
    size_t size = 0;
    for (; text[size]; size++) {
        if (text[size] <= ' ' || text[size] > '~')
            return "holds a blank, a control character or a character outside ASCII";
    }
    return size > CREDENTIAL_BYTES_MAX ? "is longer than 512 bytes" : NULL;
}

/* NULL: a place where a key may be sent to. */
static const char *url_fault(const char *text, bool plain_http_allowed)
{
    struct url url;
    if (!url_parse(text, &url))
        return "is not an absolute URL";
    bool plain = strcmp(url.scheme, "http") == 0;
    if (!plain && strcmp(url.scheme, "https") != 0)
        return "must begin with https://";
    if (plain && !plain_http_allowed && !url_host_is_loopback(&url))
        return "must begin with https:// (http would show the key to the network)";
    if (url.has_userinfo || url.query || url.has_fragment)
        return "must not hold a user name, a query or a fragment";
    return NULL;
}

static char *join_url(const char *base, const char *path)
{
    size_t size = strlen(base);
    while (size > 0 && base[size - 1] == '/')
        size--;
    struct buf url;
    buf_init(&url, 2 * URL_BYTES_MAX);
    buf_append(&url, base, size);
    buf_append_text(&url, path);
    return buf_take(&url, &size);
}

static enum result check_urls(const struct definition *definition,
    const struct environment_defaults *defaults, char error[ENVIRONMENT_ERROR_SIZE])
{
    const char *base = definition->base_url ? definition->base_url : defaults->base_url;
    const char *fault = url_fault(base, defaults->plain_http_allowed);
    if (fault)
        return reject(error, definition->name, "base_url", fault);
    for (int i = 0; i < TERRA_ENDPOINT_COUNT && !definition->base_url; i++) {
        const char *url = defaults->urls[i];
        fault = text_empty(url) ? NULL : url_fault(url, defaults->plain_http_allowed);
        if (fault)
            return reject(error, definition->name, endpoints[i].name, fault);
    }
    return RESULT_OK;
}

static void set_urls(struct environment *environment, const struct definition *definition,
    const struct environment_defaults *defaults)
{
    for (int i = 0; i < TERRA_ENDPOINT_COUNT; i++) {
        if (definition->base_url)
            environment->urls[i] = join_url(definition->base_url, endpoints[i].path);
        else if (text_empty(defaults->urls[i]))
            environment->urls[i] = join_url(defaults->base_url, endpoints[i].path);
        else
            environment->urls[i] = memory_copy_text(defaults->urls[i]);
    }
    const char *base = definition->base_url ? definition->base_url : defaults->base_url;
    environment->user_info_url = join_url(base, USER_INFO_PATH);
    environment->sources_url = join_url(base, SOURCES_PATH);
}

/* NULL when it is too large. */
static json_value *copy_json(const json_value *value)
{
    struct buf text;
    struct json_writer writer;
    struct json_error error;
    buf_init(&text, DEFAULTS_BYTES_MAX);
    json_writer_init(&writer, &text);
    json_put_value(&writer, NULL, value);
    json_value *copy =
        buf_ok(&text) ? json_parse(text.data, text.size, &file_limits, &error) : NULL;
    buf_release(&text);
    return copy;
}

static enum result check(const struct environments *environments,
    const struct definition *definition, const struct environment_defaults *defaults,
    char error[ENVIRONMENT_ERROR_SIZE])
{
    if (!request_field_is_environment(definition->name)) {
        snprintf(error, ENVIRONMENT_ERROR_SIZE,
            "the name of environment %zu must be 1 to 64 letters, digits, dots, underscores and "
            "dashes",
            environments->count + 1);
        return RESULT_REJECT;
    }
    if (environments->count == ENVIRONMENTS_MAX)
        return reject(error, definition->name, "is", "one too many: there is room for 64");
    if (environments_find(environments, definition->name, strlen(definition->name)))
        return reject(error, definition->name, "is", "configured twice");
    const char *fault = credential_fault(definition->dev_id);
    if (fault)
        return reject(error, definition->name, "dev_id", fault);
    fault = defaults->keys_unused ? NULL : credential_fault(definition->api_key);
    if (fault)
        return reject(error, definition->name,
            definition->api_key_file ? "the key in api_key_file" : "api_key", fault);
    return check_urls(definition, defaults, error);
}

static enum result add(struct environments *environments, const struct definition *definition,
    const struct environment_defaults *defaults, char error[ENVIRONMENT_ERROR_SIZE])
{
    enum result result = check(environments, definition, defaults, error);
    if (result != RESULT_OK)
        return result;
    json_value *request_defaults = NULL;
    if (definition->request_defaults) {
        request_defaults = copy_json(definition->request_defaults);
        if (!request_defaults)
            return reject(error, definition->name, "request_defaults", "are too large");
    }
    /* All the room at once, so that pointers into the list stay good. */
    if (!environments->items)
        environments->items = memory_new(ENVIRONMENTS_MAX * sizeof(*environments->items));
    struct environment *environment = &environments->items[environments->count];
    *environment = (struct environment){
        .index = (unsigned)environments->count++,
        .name = memory_copy_text(definition->name),
        .dev_id = memory_copy_text(definition->dev_id),
        .api_key = defaults->keys_unused ? NULL : memory_copy_text(definition->api_key),
        .api_key_file = memory_copy_text(definition->api_key_file),
        .rate = definition->rate,
        .burst = definition->burst,
        .request_defaults = request_defaults,
    };
    set_urls(environment, definition, defaults);
    return RESULT_OK;
}

static void forget_key(char *key)
{
    if (key)
        explicit_bzero(key, strlen(key));
    free(key);
}

void environments_init(struct environments *environments)
{
    *environments = (struct environments){0};
}

void environments_release(struct environments *environments)
{
    for (size_t i = 0; i < environments->count; i++) {
        struct environment *environment = &environments->items[i];
        free(environment->name);
        free(environment->dev_id);
        forget_key(environment->api_key);
        free(environment->api_key_file);
        for (int endpoint = 0; endpoint < TERRA_ENDPOINT_COUNT; endpoint++)
            free(environment->urls[endpoint]);
        free(environment->user_info_url);
        free(environment->sources_url);
        json_free(environment->request_defaults);
    }
    free(environments->items);
    environments_init(environments);
}

enum result environments_add(struct environments *environments, const char *name,
    const char *dev_id, const char *api_key, const struct environment_defaults *defaults,
    char error[ENVIRONMENT_ERROR_SIZE])
{
    const struct definition definition = {
        .name = name,
        .dev_id = dev_id,
        .api_key = api_key,
        .rate = defaults->rate,
        .burst = defaults->burst,
    };
    return add(environments, &definition, defaults, error);
}

void environments_set_key_file(
    struct environments *environments, unsigned index, const char *api_key_file)
{
    struct environment *environment = &environments->items[index];
    free(environment->api_key_file);
    environment->api_key_file = memory_copy_text(api_key_file);
}

const char *environments_key_fault(const char *api_key)
{
    return credential_fault(api_key);
}

enum result environments_set_key(struct environments *environments, unsigned index,
    const char *api_key, char error[ENVIRONMENT_ERROR_SIZE])
{
    struct environment *environment = &environments->items[index];
    const char *fault = credential_fault(api_key);
    if (fault)
        return reject(error, environment->name, "the new api_key", fault);
    forget_key(environment->api_key);
    environment->api_key = memory_copy_text(api_key);
    environment->key_generation++;
    return RESULT_OK;
}

/* One field of one environment in the file; NULL: taken, else what is wrong with it. */
typedef const char *take_field(const json_value *object, struct definition *definition);

static const char *take_text(const json_value *object, const char *name, const char **text)
{
    if (json_get_text(object, name, text) == JSON_WRONG_TYPE)
        return "must be a text";
    return *text && !**text ? "is empty" : NULL;
}

static const char *take_dev_id(const json_value *object, struct definition *definition)
{
    return take_text(object, "dev_id", &definition->dev_id);
}

static const char *take_api_key(const json_value *object, struct definition *definition)
{
    return take_text(object, "api_key", &definition->api_key);
}

static const char *take_api_key_file(const json_value *object, struct definition *definition)
{
    return take_text(object, "api_key_file", &definition->api_key_file);
}

static const char *take_base_url(const json_value *object, struct definition *definition)
{
    return take_text(object, "base_url", &definition->base_url);
}

static const char *take_rate_limit(const json_value *object, struct definition *definition)
{
    const char *text = NULL;
    const char *fault = take_text(object, "rate_limit", &text);
    if (!fault && text && !rate_parse(text, &definition->rate))
        return "must be a rate such as \"10/s\", \"600/m\", \"5000/h\", or \"0\" for no limit";
    return fault;
}

static const char *take_rate_burst(const json_value *object, struct definition *definition)
{
    double number = 0;
    enum json_get got = json_get_number(object, "rate_burst", &number);
    if (got == JSON_ABSENT)
        return NULL;
    if (got == JSON_WRONG_TYPE || !(number >= 1 && number <= BURST_MAX) ||
        number != (double)(int64_t)number)
        return "must be a whole number from 1 to 1000000";
    definition->burst = (int64_t)number;
    return NULL;
}

static const char *take_request_defaults(const json_value *object, struct definition *definition)
{
    if (json_get_object(object, "request_defaults", &definition->request_defaults) ==
        JSON_WRONG_TYPE)
        return "must be an object";
    return NULL;
}

static const struct {
    const char *name;
    take_field *take;
} file_fields[] = {
    {"dev_id", take_dev_id},
    {"api_key", take_api_key},
    {"api_key_file", take_api_key_file},
    {"base_url", take_base_url},
    {"rate_limit", take_rate_limit},
    {"rate_burst", take_rate_burst},
    {"request_defaults", take_request_defaults},
};
#define FILE_FIELD_COUNT (sizeof(file_fields) / sizeof(file_fields[0]))

/* An unknown field is refused: a slip in "rate_limit" would mean another limit, silently. */
static enum result check_names(
    const json_value *object, const char *name, char error[ENVIRONMENT_ERROR_SIZE])
{
    const char *known[FILE_FIELD_COUNT + 1] = {NULL};
    for (size_t i = 0; i < FILE_FIELD_COUNT; i++)
        known[i] = file_fields[i].name;
    for (const json_value *child = json_first(object); child; child = json_next(child)) {
        const char *field = json_name(child);
        const char *nearest = text_nearest(field, known, 3);
        if (text_equal(nearest, field))
            continue;
        char shown[REQUEST_FIELD_SHOWN_SIZE];
        snprintf(error, ENVIRONMENT_ERROR_SIZE, "environment \"%s\": unknown field %s%s%s%s", name,
            request_field_shown(field, shown), nearest ? "; did you mean \"" : "",
            nearest ? nearest : "", nearest ? "\"?" : "");
        return RESULT_REJECT;
    }
    return RESULT_OK;
}

static enum result read_definition(const json_value *object, struct definition *definition,
    bool keys_unused, char error[ENVIRONMENT_ERROR_SIZE])
{
    if (!json_is_object(object))
        return reject(error, definition->name, "must be", "an object");
    enum result result = check_names(object, definition->name, error);
    for (size_t i = 0; i < FILE_FIELD_COUNT && result == RESULT_OK; i++) {
        const char *fault = file_fields[i].take(object, definition);
        if (fault)
            result = reject(error, definition->name, file_fields[i].name, fault);
    }
    if (result != RESULT_OK)
        return result;
    if (!definition->api_key == !definition->api_key_file && !keys_unused)
        return reject(error, definition->name, "needs",
            "either api_key or api_key_file, and one of them only");
    char message[REQUEST_FIELD_MESSAGE_SIZE];
    if (definition->request_defaults &&
        !request_field_check_defaults(definition->request_defaults, message))
        return reject(error, definition->name, "request_defaults:", message);
    return RESULT_OK;
}

static enum result add_from_file(struct environments *environments, const json_value *object,
    const struct environment_defaults *defaults, environment_read_file *read_file,
    char error[ENVIRONMENT_ERROR_SIZE])
{
    struct definition definition = {
        .name = json_name(object), .rate = defaults->rate, .burst = defaults->burst};
    /* A name that is not fit to be shown is refused by add(), before all else. */
    if (!request_field_is_environment(definition.name))
        return add(environments, &definition, defaults, error);
    enum result result = read_definition(object, &definition, defaults->keys_unused, error);
    if (result != RESULT_OK)
        return result;
    char *key = NULL;
    if (definition.api_key_file && !defaults->keys_unused) {
        char reason[256] = "cannot be read";
        key = read_file(definition.api_key_file, reason, sizeof(reason));
        if (!key)
            return reject(error, definition.name, "api_key_file:", reason);
        definition.api_key = key;
    }
    result = add(environments, &definition, defaults, error);
    forget_key(key);
    return result;
}

enum result environments_add_json(struct environments *environments, const void *data, size_t size,
    const struct environment_defaults *defaults, environment_read_file *read_file,
    char error[ENVIRONMENT_ERROR_SIZE])
{
    struct json_error fault;
    json_value *tree = json_parse(data, size, &file_limits, &fault);
    if (!tree) {
        snprintf(error, ENVIRONMENT_ERROR_SIZE, "cannot be read: %s (at byte %zu)", fault.message,
            fault.offset);
        return RESULT_REJECT;
    }
    enum result result = RESULT_OK;
    if (!json_is_object(tree)) {
        snprintf(error, ENVIRONMENT_ERROR_SIZE, "must be a JSON object of environments by name");
        result = RESULT_REJECT;
    }
    const json_value *child = result == RESULT_OK ? json_first(tree) : NULL;
    for (; child && result == RESULT_OK; child = json_next(child))
        result = add_from_file(environments, child, defaults, read_file, error);
    json_free(tree);
    return result;
}

const struct environment *environments_find(
    const struct environments *environments, const char *name, size_t name_size)
{
    for (size_t i = 0; i < environments->count; i++) {
        const struct environment *environment = &environments->items[i];
        if (!name || (strlen(environment->name) == name_size &&
                         memcmp(environment->name, name, name_size) == 0))
            return environment;
    }
    return NULL;
}

void environments_list_names(const struct environments *environments, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < environments->count && used < size; i++) {
        int added =
            snprintf(text + used, size - used, "%s%s", i ? ", " : "", environments->items[i].name);
        used += (size_t)added;
    }
}
