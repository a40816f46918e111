/* event_pointer: see event_pointer.h. */
#include "worker/event_pointer.h"

#include <stdlib.h>

#include "common/address.h"
#include "common/clock.h"
#include "common/memory.h"
#include "common/text.h"
#include "common/url.h"

#define RULES_MAX 64
#define DEPTH_MAX 8
#define VALUES_MAX 256

/* One entry; the texts of `parsed` point into `text`, which has a scheme put in front of it. */
struct host_rule {
    char *text;
    struct url parsed; /* port -1: the scheme's usual one */
    bool suffix;
};

struct event_pointer_rules {
    struct host_rule items[RULES_MAX];
    size_t count;
    bool allow_http;
};

/* ---- reading the rules ---- */

/* What is wrong with the entry; NULL: nothing. */
static const char *read_rule(struct host_rule *rule, const char *entry, size_t size)
{
    static const char scheme[] = "entry://"; /* one without a usual port, to see if one is named */
    const struct url *parsed = &rule->parsed;

    rule->suffix = size > 0 && entry[0] == '.';
    if (rule->suffix) {
        entry++;
        size--;
    }
    rule->text = memory_new(sizeof(scheme) + size);
    memcpy(rule->text, scheme, strlen(scheme));
    memcpy(rule->text + strlen(scheme), entry, size);
    if (!url_parse(rule->text, &rule->parsed) || !parsed->host[0] || parsed->has_userinfo ||
        parsed->query || parsed->has_fragment)
        return "is not a host, such as .example.org, example.org:8443 or example.org/bucket";
    if (parsed->host[strlen(parsed->host) - 1] == '.')
        return "ends in a dot";
    if (rule->suffix && parsed->path_size > 0)
        return "names a bucket behind a suffix, where buckets of anybody may be";
    if (parsed->path_size == 1 ||
        (parsed->path_size > 1 && memchr(parsed->path + 1, '/', parsed->path_size - 1)))
        return "must end with the name of a bucket, or with the host";
    if (url_path_has_dot_segment(parsed->path, parsed->path_size))
        return "has a \".\" or \"..\" for a bucket";
    return NULL;
}

struct event_pointer_rules *event_pointer_rules_new(
    const char *hosts_allowed, bool allow_http, char *error, size_t error_size)
{
    struct event_pointer_rules *rules = memory_new(sizeof(*rules));
    struct text_items items;

    rules->allow_http = allow_http;
    text_items_begin(&items, hosts_allowed);
    while (text_items_next(&items)) {
        const char *fault = rules->count == RULES_MAX
                                ? "is one more than there is room for"
                                : read_rule(&rules->items[rules->count++], items.item, items.size);
        if (fault) {
            int shown = items.size < 100 ? (int)items.size : 100;
            snprintf(error, error_size, "\"%.*s\" %s", shown, items.item, fault);
            event_pointer_rules_free(rules);
            return NULL;
        }
    }
    return rules;
}

void event_pointer_rules_free(struct event_pointer_rules *rules)
{
    for (size_t i = 0; rules && i < rules->count; i++)
        free(rules->items[i].text);
    free(rules);
}

/* ---- judging by the rules ---- */

/* An IPv6 literal, or what some resolvers take for an IPv4 address (10.0.0.1, 167772161, 0xa000001,
 * 10.1): no top-level domain begins with a digit. */
static bool is_address(const char *host)
{
    const char *dot = strrchr(host, '.');
    const char *last = dot ? dot + 1 : host;

    return host[0] == '[' || (last[0] >= '0' && last[0] <= '9');
}

static bool host_matches(const struct host_rule *rule, const struct url *url)
{
    size_t size = strlen(url->host);
    size_t suffix_size = strlen(rule->parsed.host);

    if (!rule->suffix)
        return strcmp(url->host, rule->parsed.host) == 0;
    return size > suffix_size + 1 && url->host[size - suffix_size - 1] == '.' &&
           strcmp(url->host + size - suffix_size, rule->parsed.host) == 0 && !is_address(url->host);
}

static bool port_matches(const struct host_rule *rule, const struct url *url)
{
    int usual = strcmp(url->scheme, "https") == 0 ? 443 : 80;

    return url->port == (rule->parsed.port < 0 ? usual : rule->parsed.port);
}

static bool bucket_matches(const struct host_rule *rule, const struct url *url)
{
    size_t size = rule->parsed.path_size;

    if (size == 0)
        return true;
    return url->path_size > size && memcmp(url->path, rule->parsed.path, size) == 0 &&
           url->path[size] == '/' && !url_path_has_dot_segment(url->path, url->path_size);
}

/* Sets error where it may not be followed. */
static enum event_pointer_verdict judge_url(
    const struct event_pointer_rules *rules, const char *text, char *error)
{
    struct url url;
    bool host_known = false;

    if (!url_parse_sized(text, EVENT_POINTER_URL_BYTES_MAX, &url)) {
        snprintf(error, EVENT_POINTER_ERROR_SIZE, "its url is not an absolute URL in plain form");
        return EVENT_POINTER_BAD;
    }
    bool secure = strcmp(url.scheme, "https") == 0;
    if (!secure && !(rules->allow_http && strcmp(url.scheme, "http") == 0)) {
        snprintf(error, EVENT_POINTER_ERROR_SIZE, "its url is not https");
        return EVENT_POINTER_FORBIDDEN;
    }
    if (url.has_userinfo) {
        snprintf(error, EVENT_POINTER_ERROR_SIZE, "its url has userinfo in it");
        return EVENT_POINTER_FORBIDDEN;
    }
    for (size_t i = 0; i < rules->count; i++) {
        const struct host_rule *rule = &rules->items[i];
        if (!host_matches(rule, &url))
            continue;
        host_known = true;
        if (port_matches(rule, &url) && bucket_matches(rule, &url))
            return EVENT_POINTER_FOLLOW;
    }
    snprintf(error, EVENT_POINTER_ERROR_SIZE, "its url's %s not allowed (host %s)",
        host_known ? "port or bucket is" : "host is", url.host);
    return EVENT_POINTER_FORBIDDEN;
}

/* ---- reading a pointer ---- */

static const char *read_hint(const json_value *tree, const char *name)
{
    const char *text;

    if (json_get_text(tree, name, &text) != JSON_FOUND || !text[0] ||
        strlen(text) > EVENT_POINTER_HINT_BYTES_MAX)
        return NULL;
    return text;
}

static int64_t read_life_us(const json_value *tree)
{
    double seconds;

    if (json_get_number(tree, "expires_in", &seconds) != JSON_FOUND || !(seconds > 0))
        return EVENT_POINTER_LIFE_US;
    if (seconds >= (double)(EVENT_POINTER_LIFE_MAX_US / CLOCK_US_PER_SECOND))
        return EVENT_POINTER_LIFE_MAX_US;
    return (int64_t)(seconds * (double)CLOCK_US_PER_SECOND);
}

static enum event_pointer_verdict refuse(char *error, const char *reason)
{
    snprintf(error, EVENT_POINTER_ERROR_SIZE, "%s", reason);
    return EVENT_POINTER_BAD;
}

enum event_pointer_verdict event_pointer_read(struct event_pointer *pointer, const void *bytes,
    size_t size, const struct event_pointer_rules *rules, char error[EVENT_POINTER_ERROR_SIZE])
{
    static const struct json_limits limits = {
        .bytes_max = EVENT_POINTER_BYTES_MAX, .depth_max = DEPTH_MAX, .values_max = VALUES_MAX};
    struct json_error json_error;
    const char *type;

    *pointer = (struct event_pointer){.life_us = EVENT_POINTER_LIFE_US};
    error[0] = '\0';
    pointer->tree = json_parse(bytes, size, &limits, &json_error);
    if (!pointer->tree) {
        snprintf(error, EVENT_POINTER_ERROR_SIZE, "it is not JSON as it should be, at byte %zu: %s",
            json_error.offset, json_error.message);
        return EVENT_POINTER_BAD;
    }
    if (!json_is_object(pointer->tree))
        return refuse(error, "it is not a JSON object");
    if (json_get_text(pointer->tree, "type", &type) != JSON_FOUND ||
        strcmp(type, "s3_payload") != 0)
        return refuse(error, "its type is not \"s3_payload\"");
    if (json_get_text(pointer->tree, "url", &pointer->url) != JSON_FOUND)
        return refuse(error, "it has no url, or one that is not text");
    pointer->life_us = read_life_us(pointer->tree);
    pointer->user_id = read_hint(pointer->tree, "user_id");
    pointer->reference_id = read_hint(pointer->tree, "reference_id");
    pointer->payload_reference = read_hint(pointer->tree, "payload_reference");
    return judge_url(rules, pointer->url, error);
}

void event_pointer_release(struct event_pointer *pointer)
{
    json_free(pointer->tree);
    *pointer = (struct event_pointer){0};
}

bool event_pointer_address_allowed(
    const struct event_pointer_rules *rules, const struct sockaddr *address)
{
    enum address_scope scope = address_scope_of(address);

    return scope == ADDRESS_PUBLIC || (scope == ADDRESS_LOOPBACK && rules->allow_http);
}
