/* config: see config.h. */
#include "worker/config.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>

#include "common/certificate.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/memory.h"
#include "common/text.h"
#include "worker/config_value.h"

#define FIELD(field) offsetof(struct config, field)
#define MS CLOCK_US_PER_MS
#define SECOND CLOCK_US_PER_SECOND
#define HOUR (3600 * CLOCK_US_PER_SECOND)

static const char *const widget_choices[] = {
    [TERRA_WIDGET_AUTO] = "auto",
    [TERRA_WIDGET_PIN_SESSION] = "session",
    [TERRA_WIDGET_PIN_LEGACY] = "legacy",
    NULL,
};
static const char *const without_redis_choices[] = {
    [LIMIT_STOP] = "stop",
    [LIMIT_SHARE] = "share",
    [LIMIT_UNLIMITED] = "unlimited",
    NULL,
};
static const char *const delivery_choices[] = {
    [EVENTS_AT_LEAST_ONCE] = "at_least_once",
    [EVENTS_EXACTLY_ONCE] = "exactly_once",
    NULL,
};
static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const log_formats[] = {"auto", "logfmt", "json", NULL};

/* The one table. Help says what an operator decides with it, in one sentence. */
static const struct setting settings[] = {
    {"KAFKA_BOOTSTRAP_SERVERS", SETTING_TEXT, FIELD(kafka_bootstrap_servers), "", 0, 0, NULL,
        "Brokers to begin with, host:port, comma-separated. Required. Any other librdkafka "
        "property is set the same way: KAFKA_SASL_USERNAME is sasl.username; a secret one "
        "also from a file, KAFKA_SASL_PASSWORD_FILE"},
    {"KAFKA_GROUP_ID", SETTING_TEXT, FIELD(kafka_group_id), "terra-connect", 1, 200, NULL,
        "Consumer group: workers of one group share the requests; the other flows append -events "
        "and -connections"},
    {"CONNECT_REQUESTS_TOPIC", SETTING_TOPIC, FIELD(connect_requests_topic),
        "terra.connect.requests", 0, 0, NULL, "Where requests come from"},
    {"CONNECT_REPLIES_TOPIC", SETTING_TOPIC, FIELD(connect_replies_topic), "terra.connect.replies",
        0, 0, NULL, "Where replies go when the request names no topic; links are bearer secrets"},
    {"CONNECT_OUTCOMES_TOPIC", SETTING_TOPIC_OR_NONE, FIELD(connect_outcomes_topic),
        "terra.connect.outcomes", 0, 0, NULL,
        "Replies without any link, for analysts; empty turns it off"},
    {"RAW_EVENTS_TOPIC", SETTING_TOPIC, FIELD(raw_events_topic), "terra.events.raw", 0, 0, NULL,
        "Where Terra's Kafka destination writes"},
    {"AUTH_EVENTS_TOPIC", SETTING_TOPIC, FIELD(auth_events_topic), "terra.auth.events", 0, 0, NULL,
        "Where Terra's auth events go, clean and keyed"},
    {"CONNECTIONS_TOPIC", SETTING_TOPIC, FIELD(connections_topic), "terra.connections", 0, 0, NULL,
        "Where the latest state of each connection goes; a compacted topic"},
    {"DEAD_LETTERS_TOPIC", SETTING_TOPIC, FIELD(dead_letters_topic), "terra.dead-letters", 0, 0,
        NULL, "Where records go that cannot be read and that nobody can be answered about"},
    {"REPLY_TOPICS_ALLOWED", SETTING_TEXT, FIELD(reply_topics_allowed), "terra.connect.replies.*",
        0, 8192, NULL,
        "Topics that a request may name for its reply, comma-separated; a trailing * matches a "
        "prefix; the default reply topic is always allowed"},
    {"REDIRECT_URLS_ALLOWED", SETTING_TEXT, FIELD(redirect_urls_allowed), "", 0, 8192, NULL,
        "Where Terra may send the browser afterwards, comma-separated URLs: scheme, host and port "
        "equal, path on a segment boundary; empty: any https URL or app deep link"},
    {"REQUEST_DEADLINE", SETTING_DURATION, FIELD(request_deadline_us), "30s", SECOND, HOUR, NULL,
        "How long an answer is worth something when the request gives no timeout_seconds"},
    {"REQUESTS_IN_FLIGHT_MAX", SETTING_INTEGER, FIELD(requests_in_flight_max), "1024", 1, 100000,
        NULL,
        "Requests one worker has taken in and not yet answered, at most; where there are several "
        "environments, none holds more than half"},
    {"EVENTS_IN_FLIGHT_MAX", SETTING_INTEGER, FIELD(events_in_flight_max), "256", 1, 100000, NULL,
        "Events one worker has taken in and not yet published, at most, for each of the two event "
        "flows"},
    {"TERRA_DEV_ID", SETTING_TEXT, FIELD(terra_dev_id), "", 0, 256, NULL,
        "Terra's dev-id of the default environment. Required unless TERRA_ENVIRONMENTS_FILE is "
        "set"},
    {"TERRA_API_KEY", SETTING_SECRET, FIELD(terra_api_key), "", 0, 1024, NULL,
        "Terra's x-api-key of the default environment; TERRA_API_KEY_FILE reads it from a file"},
    {"TERRA_ENVIRONMENT", SETTING_TEXT, FIELD(terra_environment), "default", 1, 64, NULL,
        "Name of the default environment"},
    {"TERRA_ENVIRONMENTS_FILE", SETTING_TEXT, FIELD(terra_environments_file), "", 0, 4096, NULL,
        "JSON file with further environments by name: dev_id, api_key or api_key_file, and "
        "optionally rate_limit, rate_burst, base_url, request_defaults"},
    {"TERRA_BASE_URL", SETTING_TEXT, FIELD(terra_base_url), "https://access.tryterra.co/api", 1,
        2048, NULL, "Where Terra is; the three endpoints are found below it"},
    {"TERRA_WIDGET_SESSION_URL", SETTING_TEXT, FIELD(terra_widget_session_url), "", 0, 2048, NULL,
        "Whole URL of the widget session endpoint; empty: from the base URL"},
    {"TERRA_LEGACY_WIDGET_URL", SETTING_TEXT, FIELD(terra_legacy_widget_url), "", 0, 2048, NULL,
        "Whole URL of the older widget endpoint; empty: from the base URL"},
    {"TERRA_AUTHENTICATE_USER_URL", SETTING_TEXT, FIELD(terra_authenticate_user_url), "", 0, 2048,
        NULL, "Whole URL of the direct link endpoint; empty: from the base URL"},
    {"TERRA_WIDGET_ENDPOINT", SETTING_CHOICE, FIELD(terra_widget_endpoint), "auto", 0, 0,
        widget_choices,
        "auto asks the current endpoint and falls back to the older one; session and legacy pin "
        "one"},
    {"TERRA_ALLOW_HTTP", SETTING_BOOLEAN, FIELD(terra_allow_http), "0", 0, 0, NULL,
        "Allow plain http to Terra also beyond loopback; the key then travels readable"},
    {"TERRA_PROXY", SETTING_SECRET, FIELD(terra_proxy), "", 0, 2048, NULL,
        "Proxy for calls to Terra; the usual proxy variables are not looked at"},
    {"TERRA_CA_FILE", SETTING_TEXT, FIELD(terra_ca_file), "", 0, 4096, NULL,
        "Certificates that vouch for Terra; empty: the system's"},
    {"TERRA_HTTP2", SETTING_BOOLEAN, FIELD(terra_http2), "0", 0, 0, NULL,
        "Offer HTTP/2 to Terra; costs more CPU than HTTP/1.1 with kept connections"},
    {"TERRA_RATE_LIMIT", SETTING_RATE, FIELD(terra_rate_limit), "10/s", 0, 0, NULL,
        "Calls to Terra with the default credential, N/s, N/m or N/h; 0: no limit"},
    {"TERRA_RATE_BURST", SETTING_INTEGER, FIELD(terra_rate_burst), "10", 1, 1000000, NULL,
        "Calls that may start together after a rest; over any second never more than limit + "
        "burst"},
    {"TERRA_RATE_SHARE", SETTING_PERCENT, FIELD(terra_rate_share), "100%", 1, 100, NULL,
        "Part of the limit that the workers with the same share may use together: a deployment for "
        "backfills beside the usual one"},
    {"TERRA_COOLDOWN_MAX", SETTING_DURATION, FIELD(terra_cooldown_max_us), "1m", SECOND, HOUR, NULL,
        "How long the whole fleet pauses at most when Terra answers 429 or 503 with Retry-After"},
    {"LIMIT_WITHOUT_REDIS", SETTING_CHOICE, FIELD(limit_without_redis), "share", 0, 0,
        without_redis_choices,
        "While Redis is away: stop calls nobody, share keeps this worker's part of the limit (its "
        "partitions of all), unlimited lets all pass"},
    {"TERRA_TIMEOUT", SETTING_DURATION, FIELD(terra_timeout_us), "15s", 100 * MS, 120 * SECOND,
        NULL, "How long one call to Terra may take"},
    {"TERRA_ATTEMPTS_MAX", SETTING_INTEGER, FIELD(terra_attempts_max), "5", 1, 20, NULL,
        "Calls to Terra for one request, at most"},
    {"TERRA_CALLS_IN_FLIGHT_MAX", SETTING_INTEGER, FIELD(terra_calls_in_flight_max), "256", 1,
        10000, NULL, "Calls to Terra that one worker has open at once, at most"},
    {"REDIS_URL", SETTING_SECRET, FIELD(redis_url), "", 0, 4096, NULL,
        "redis://, rediss:// or unix:// of the Redis that the fleet shares; empty: each worker by "
        "itself"},
    {"REDIS_KEY_PREFIX", SETTING_TEXT, FIELD(redis_key_prefix), "terra-connect", 1, 100, NULL,
        "First part of every key in Redis"},
    {"REDIS_CA_FILE", SETTING_TEXT, FIELD(redis_ca_file), "", 0, 4096, NULL,
        "Certificates that vouch for a rediss:// server; empty: the system's"},
    {"REPLY_CACHE_TTL", SETTING_DURATION, FIELD(reply_cache_ttl_us), "10m", SECOND, 24 * HOUR, NULL,
        "How long a repeated request gets the link it was given first"},
    {"EVENT_MEMORY_TTL", SETTING_DURATION, FIELD(event_memory_ttl_us), "24h", SECOND,
        30 * 24 * HOUR, NULL,
        "How long the last event of each user is remembered, to drop its repeats"},
    {"LINK_MEMORY_TTL", SETTING_DURATION, FIELD(link_memory_ttl_us), "48h", SECOND, 30 * 24 * HOUR,
        NULL,
        "How long it is remembered which request a link answered, to tell it in the link's events"},
    {"EVENTS_DELIVERY", SETTING_CHOICE, FIELD(events_delivery), "at_least_once", 0, 0,
        delivery_choices,
        "at_least_once may repeat an event after a crash, under the same ce_id; exactly_once "
        "writes "
        "events in transactions"},
    {"EVENT_PAYLOAD_HOSTS_ALLOWED", SETTING_TEXT, FIELD(event_payload_hosts_allowed),
        ".amazonaws.com,storage.googleapis.com", 0, 8192, NULL,
        "Hosts that an event's pointer may lead to, comma-separated: .suffix, host, host:port, "
        "host/bucket"},
    {"EVENT_PAYLOAD_ALLOW_HTTP", SETTING_BOOLEAN, FIELD(event_payload_allow_http), "0", 0, 0, NULL,
        "For the sandbox: pointers may also be plain http and lead to loopback addresses"},
    {"EVENT_PAYLOAD_CA_FILE", SETTING_TEXT, FIELD(event_payload_ca_file), "", 0, 4096, NULL,
        "Certificates that vouch for the hosts that pointers lead to; empty: the system's"},
    {"HTTP_LISTEN", SETTING_TEXT, FIELD(http_listen), "127.0.0.1:9464", 0, 256, NULL,
        "Address and port of /metrics, /healthz and /readyz; port 0: any free one, which is "
        "logged; "
        "empty: none"},
    {"REVOKE_TIMEOUT", SETTING_DURATION, FIELD(revoke_timeout_us), "500ms", 0, 5 * SECOND, NULL,
        "How long a partition that goes to another worker is kept to finish what has begun"},
    {"SHUTDOWN_TIMEOUT", SETTING_DURATION, FIELD(shutdown_timeout_us), "25s", 0, HOUR, NULL,
        "How long calls in flight are awaited after SIGTERM"},
    {"LOG_LEVEL", SETTING_CHOICE, FIELD(log_level), "info", 0, 0, log_levels,
        "The least level that is written: debug, info, warn, error"},
    {"LOG_FORMAT", SETTING_CHOICE, FIELD(log_format), "auto", 0, 0, log_formats,
        "logfmt or json; auto: logfmt on a terminal"},
};
enum { SETTING_COUNT = sizeof settings / sizeof settings[0] };

/* Properties that would break what the worker promises about offsets, and one that loads code. */
static const char *const owned_properties[] = {"enable.auto.offset.store", "enable.auto.commit",
    "isolation.level", "transactional.id", "plugin.library.paths", "enable.idempotence",
    "log.queue", "bootstrap.servers", "group.id", NULL};

/* A wrong name that starts like this was meant for us; HTTP_, LOG_ and
 * REQUESTS_ belong to everybody. */
static const char *const our_prefixes[] = {"TERRA_", "CONNECT_", "REDIS_", "REPLY_TOPICS_",
    "REDIRECT_URLS_", "DEAD_LETTERS_", "LIMIT_WITHOUT_", "RAW_EVENTS_", "AUTH_EVENTS_",
    "EVENT_PAYLOAD_", "EVENT_MEMORY_", "LINK_MEMORY_", NULL};

static void *field_of(const struct config *config, const struct setting *setting)
{
    return (char *)config + setting->field;
}

static const char *environment_value(const char *const *variables, const char *name)
{
    size_t size = strlen(name);
    for (; *variables; variables++) {
        if (strncmp(*variables, name, size) == 0 && (*variables)[size] == '=')
            return *variables + size + 1;
    }
    return NULL;
}

/* A secret's value, from its file when NAME_FILE is set. The caller frees it. */
static char *find_value(const struct setting *setting, const char *const *variables,
    const char **source, struct buf *errors)
{
    char file_name[80], reason[160];
    const char *value = environment_value(variables, setting->name);
    *source = value ? "environment" : "default";
    if (setting->type != SETTING_SECRET)
        return memory_copy_text(value ? value : setting->fallback);

    snprintf(file_name, sizeof file_name, "%s_FILE", setting->name);
    const char *path = environment_value(variables, file_name);
    if (text_empty(path))
        return memory_copy_text(value ? value : setting->fallback);
    if (value) {
        buf_printf(errors, "%s and %s are both set: set one of them\n", setting->name, file_name);
        return memory_copy_text("");
    }
    *source = "file";
    char *content = config_value_read_file(path, reason, sizeof reason);
    if (!content)
        buf_printf(errors, "%s: cannot read %s: %s\n", file_name, path, reason);
    return content ? content : memory_copy_text("");
}

static void load_setting(
    struct config *config, size_t row, const char *const *variables, struct buf *errors)
{
    const struct setting *setting = &settings[row];
    char reason[200];
    char *text = find_value(setting, variables, &config->sources[row], errors);
    if (!config_value_parse(setting, text, field_of(config, setting), reason, sizeof reason)) {
        buf_printf(errors, "%s: %s\n", setting->name, reason);
        if (!config_value_parse(
                setting, setting->fallback, field_of(config, setting), reason, sizeof reason))
            abort(); /* a default of the table breaks its own bounds */
    }
    free(text);
}

static bool is_listed(const char *name, const char *const *list)
{
    for (; *list; list++) {
        if (text_equal(name, *list))
            return true;
    }
    return false;
}

static bool is_known(const char *name)
{
    for (size_t row = 0; row < SETTING_COUNT; row++) {
        size_t size = strlen(settings[row].name);
        if (text_equal(name, settings[row].name) ||
            (settings[row].type == SETTING_SECRET && strncmp(name, settings[row].name, size) == 0 &&
                text_equal(name + size, "_FILE")))
            return true;
    }
    return false;
}

/* What Kubernetes injects for a service called "kafka" or "redis": KAFKA_PORT=tcp://10.0.0.1:9092,
 * KAFKA_SERVICE_HOST, KAFKA_PORT_9092_TCP_ADDR, … */
static bool is_service_link(const char *name, const char *value)
{
    return strstr(name, "_SERVICE_HOST") || strstr(name, "_SERVICE_PORT") ||
           strstr(name, "_PORT_") ||
           (strlen(name) > 5 && text_equal(name + strlen(name) - 5, "_PORT") &&
               (strstr(value, "://") || isdigit((unsigned char)value[0])));
}

static bool is_secret_property(const char *name)
{
    return strstr(name, "password") || strstr(name, "secret") || strstr(name, "key.pem") ||
           strstr(name, "jaas") || strstr(name, "token") || strstr(name, "oauthbearer.config");
}

/* The value of a property, or what its file holds: sasl.password.file is cut to sasl.password.
 * NULL: there is none, or an error that was told. */
static char *find_property_value(
    char *property, const char *name, const char *value, struct buf *errors)
{
    static const char suffix[] = ".file";
    char *end = strstr(property, suffix), reason[160];
    if (!end || end[strlen(suffix)] != '\0' || !is_secret_property(property))
        return memory_copy_text(value);
    *end = '\0';
    if (text_empty(value))
        return NULL;
    char *content = config_value_read_file(value, reason, sizeof reason);
    if (!content)
        buf_printf(errors, "%s: cannot read %s: %s\n", name, value, reason);
    return content;
}

static bool has_property(const struct config *config, const char *property)
{
    for (size_t i = 0; i < config->kafka_property_count; i++) {
        if (text_equal(config->kafka_properties[i].name, property))
            return true;
    }
    return false;
}

static void load_kafka_property(
    struct config *config, const char *name, const char *value, struct buf *errors)
{
    char property[128];
    size_t size = strlen(name) - strlen("KAFKA_");
    if (size == 0 || size >= sizeof property)
        return;
    for (size_t i = 0; i <= size; i++) {
        char letter = name[strlen("KAFKA_") + i];
        property[i] = letter == '_' ? '.' : (char)tolower((unsigned char)letter);
    }
    if (is_listed(property, owned_properties)) {
        buf_printf(errors, "%s: %s belongs to the worker and cannot be set\n", name, property);
        return;
    }
    if (config->kafka_property_count == CONFIG_KAFKA_PROPERTIES_MAX) {
        buf_printf(
            errors, "%s: more than %d Kafka properties\n", name, CONFIG_KAFKA_PROPERTIES_MAX);
        return;
    }
    char *found = find_property_value(property, name, value, errors);
    if (found && has_property(config, property))
        buf_printf(
            errors, "%s: %s is set twice, also from a file: set one of them\n", name, property);
    if (found)
        config->kafka_properties[config->kafka_property_count++] =
            (struct kafka_property){.name = memory_copy_text(property), .value = found};
}

static const char *nearest_setting(const char *name)
{
    const char *names[SETTING_COUNT + 1] = {0};
    for (size_t row = 0; row < SETTING_COUNT; row++)
        names[row] = settings[row].name;
    return text_nearest(name, names, 2);
}

static bool has_our_prefix(const char *name)
{
    for (const char *const *prefix = our_prefixes; *prefix; prefix++) {
        if (text_starts_with(name, *prefix))
            return true;
    }
    return false;
}

/* One variable that is no setting of ours by name. */
static void load_other(struct config *config, const char *name, const char *value,
    struct buf *errors, struct buf *warnings)
{
    bool ours = has_our_prefix(name), kafka = text_starts_with(name, "KAFKA_");
    if (is_service_link(name, value))
        return;
    const char *nearest = nearest_setting(name);
    if (nearest)
        buf_printf(errors, "%s is not a setting; did you mean %s?\n", name, nearest);
    else if (kafka)
        load_kafka_property(config, name, value, errors);
    else if (ours)
        buf_printf(warnings, "%s is not a setting of this version and is ignored\n", name);
}

static void load_others(
    struct config *config, const char *const *variables, struct buf *errors, struct buf *warnings)
{
    for (; *variables; variables++) {
        const char *equals = strchr(*variables, '=');
        char name[128];
        size_t size = equals ? (size_t)(equals - *variables) : 0;
        if (size == 0 || size >= sizeof name)
            continue;
        memcpy(name, *variables, size);
        name[size] = '\0';
        if (!is_known(name))
            load_other(config, name, equals + 1, errors, warnings);
    }
}

/* What a flow wrote onto a topic that is read would come back as its input. The events flow's
 * output is the connections flow's input by design. */
static void check_topics(const struct config *config, struct buf *errors)
{
    const struct {
        const char *name, *topic;
    } read[] = {
        {"CONNECT_REQUESTS_TOPIC", config->connect_requests_topic},
        {"RAW_EVENTS_TOPIC", config->raw_events_topic},
        {"AUTH_EVENTS_TOPIC", config->auth_events_topic},
    };
    const struct {
        const char *name, *topic;
    } written[] = {
        {"CONNECT_REPLIES_TOPIC", config->connect_replies_topic},
        {"CONNECT_OUTCOMES_TOPIC", config->connect_outcomes_topic},
        {"AUTH_EVENTS_TOPIC", config->auth_events_topic},
        {"CONNECTIONS_TOPIC", config->connections_topic},
        {"DEAD_LETTERS_TOPIC", config->dead_letters_topic},
    };
    for (size_t i = 0; i < sizeof read / sizeof read[0]; i++) {
        for (size_t k = 0; k < sizeof written / sizeof written[0]; k++) {
            if (!text_equal(read[i].name, written[k].name) &&
                text_equal(read[i].topic, written[k].topic))
                buf_printf(errors, "%s cannot also be a topic we write to: it is %s too\n",
                    read[i].name, written[k].name);
        }
    }
}

/* Else it would show only when a server is called, as one that cannot be reached. */
static void check_certificates(const struct config *config, struct buf *errors)
{
    const struct {
        const char *name, *path;
    } files[] = {
        {"TERRA_CA_FILE", config->terra_ca_file},
        {"EVENT_PAYLOAD_CA_FILE", config->event_payload_ca_file},
        {"REDIS_CA_FILE", config->redis_ca_file},
    };
    char reason[160];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (!text_empty(files[i].path) &&
            !certificate_file_usable(files[i].path, reason, sizeof reason))
            buf_printf(errors, "%s: cannot use %s: %s\n", files[i].name, files[i].path, reason);
    }
}

/* What must be there for the job at hand, and what contradicts itself. */
static void check_whole(const struct config *config, enum config_need need, struct buf *errors)
{
    if (need >= CONFIG_NEED_KAFKA && text_empty(config->kafka_bootstrap_servers))
        buf_append_text(errors, "KAFKA_BOOTSTRAP_SERVERS is required, such as broker1:9092\n");
    check_topics(config, errors);
    check_certificates(config, errors);
    if (need < CONFIG_NEED_TERRA)
        return;
    bool dev_id = !text_empty(config->terra_dev_id), key = !text_empty(config->terra_api_key);
    if (dev_id != key)
        buf_append_text(errors,
            dev_id ? "TERRA_DEV_ID is set but TERRA_API_KEY (or TERRA_API_KEY_FILE) is not\n"
                   : "TERRA_API_KEY is set but TERRA_DEV_ID is not\n");
    else if (!dev_id && text_empty(config->terra_environments_file))
        buf_append_text(errors, "TERRA_DEV_ID and TERRA_API_KEY are required (or environments in "
                                "TERRA_ENVIRONMENTS_FILE)\n");
}

enum result config_load(struct config *config, const char *const *environ_, enum config_need need,
    struct buf *errors, struct buf *warnings)
{
    *config = (struct config){0};
    config->sources = memory_new(SETTING_COUNT * sizeof *config->sources);
    for (size_t row = 0; row < SETTING_COUNT; row++)
        load_setting(config, row, environ_, errors);
    const char *key_file = environment_value(environ_, "TERRA_API_KEY_FILE");
    config->terra_api_key_file = text_empty(key_file) ? NULL : memory_copy_text(key_file);
    load_others(config, environ_, errors, warnings);
    check_whole(config, need, errors);
    return errors->size > 0 ? RESULT_REJECT : RESULT_OK;
}

void config_release(struct config *config)
{
    for (size_t row = 0; row < SETTING_COUNT; row++) {
        if (setting_is_text(&settings[row]))
            free(*(char **)field_of(config, &settings[row]));
    }
    for (size_t i = 0; i < config->kafka_property_count; i++) {
        free((char *)config->kafka_properties[i].name);
        free((char *)config->kafka_properties[i].value);
    }
    free(config->terra_api_key_file);
    free(config->sources);
    *config = (struct config){0};
}

/* ---- printing ---- */

static const char *shown_value(
    const struct config *config, const struct setting *setting, char *text, size_t size)
{
    config_value_print(setting, field_of(config, setting), text, size);
    return setting->type == SETTING_SECRET && text[0] ? "********" : text;
}

void config_print(const struct config *config, struct buf *text)
{
    char value[CONFIG_VALUE_SIZE];
    for (size_t row = 0; row < SETTING_COUNT; row++) {
        const struct setting *setting = &settings[row];
        buf_printf(text, "%s=%s  # %s", setting->name,
            shown_value(config, setting, value, sizeof value), config->sources[row]);
        if (!text_equal(config->sources[row], "default"))
            buf_printf(text, ", default: %s", setting->fallback[0] ? setting->fallback : "none");
        buf_append_char(text, '\n');
    }
    for (size_t i = 0; i < config->kafka_property_count; i++) {
        const struct kafka_property *property = &config->kafka_properties[i];
        buf_printf(text, "%s=%s  # librdkafka\n", property->name,
            is_secret_property(property->name) ? "********" : property->value);
    }
}

void config_print_json(const struct config *config, struct buf *text)
{
    char value[CONFIG_VALUE_SIZE];
    struct json_writer writer;
    json_writer_init(&writer, text);
    json_open_object(&writer, NULL);
    json_open_array(&writer, "settings");
    for (size_t row = 0; row < SETTING_COUNT; row++) {
        const struct setting *setting = &settings[row];
        json_open_object(&writer, NULL);
        json_put_text(&writer, "name", setting->name);
        json_put_text(&writer, "value", shown_value(config, setting, value, sizeof value));
        json_put_text(&writer, "source", config->sources[row]);
        json_put_text(&writer, "default", setting->fallback);
        json_close_object(&writer);
    }
    json_close_array(&writer);
    json_open_array(&writer, "kafka_properties");
    for (size_t i = 0; i < config->kafka_property_count; i++) {
        const struct kafka_property *property = &config->kafka_properties[i];
        json_open_object(&writer, NULL);
        json_put_text(&writer, "name", property->name);
        json_put_text(
            &writer, "value", is_secret_property(property->name) ? "********" : property->value);
        json_close_object(&writer);
    }
    json_close_array(&writer);
    json_close_object(&writer);
    buf_append_char(text, '\n');
}

void config_print_markdown(struct buf *text)
{
    buf_append_text(text, "| Setting | Default | Values | What it decides |\n|---|---|---|---|\n");
    for (size_t row = 0; row < SETTING_COUNT; row++) {
        const struct setting *setting = &settings[row];
        char bounds[160];
        config_value_describe(setting, bounds, sizeof bounds);
        buf_printf(text, "| `%s` | ", setting->name);
        if (setting->fallback[0])
            buf_printf(text, "`%s`", setting->fallback);
        buf_printf(text, " | %s | %s |\n", bounds, setting->help);
    }
}
