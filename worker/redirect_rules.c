/* redirect_rules: see redirect_rules.h. */
#include "worker/redirect_rules.h"

#include <stdbool.h>

#include "common/memory.h"
#include "common/text.h"
#include "common/url.h"

#define RULES_MAX 64

/* One rule; `parsed` points into `text`. */
struct rule {
    char *text;
    struct url parsed;
};

struct redirect_rules {
    struct rule items[RULES_MAX];
    size_t count;
};

/* Schemes that run code, open local files or reach other apps by more than a link of their own, and
 * such as a browser cannot follow. */
static bool is_never_allowed(const struct url *url)
{
    static const char *const schemes[] = {
        "javascript", "data", "file", "intent", "vbscript", "blob", "about", "ws", "wss", "ftp"};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (strcmp(url->scheme, schemes[i]) == 0)
            return true;
    }
    return url->has_userinfo || (strcmp(url->scheme, "http") == 0 && !url_host_is_loopback(url));
}

/* A lone "/" names no place within the host. */
static bool has_path(const struct url *rule)
{
    return rule->path_size > 1 || (rule->path_size == 1 && rule->path[0] != '/');
}

static bool path_matches(const struct url *rule, const struct url *url)
{
    if (!has_path(rule))
        return true;
    if (url->path_size < rule->path_size || memcmp(url->path, rule->path, rule->path_size) != 0 ||
        url_path_has_dot_segment(url->path, url->path_size))
        return false;
    return url->path_size == rule->path_size || rule->path[rule->path_size - 1] == '/' ||
           url->path[rule->path_size] == '/';
}

static bool rule_matches(const struct url *rule, const struct url *url)
{
    return strcmp(rule->scheme, url->scheme) == 0 && strcmp(rule->host, url->host) == 0 &&
           rule->port == url->port && path_matches(rule, url);
}

/* What is wrong with the rule; NULL: nothing. Takes over its text. */
static const char *add_rule(struct redirect_rules *rules, char *text)
{
    if (rules->count == RULES_MAX) {
        free(text);
        return "is the last one there is room for";
    }
    struct rule *rule = &rules->items[rules->count++];
    rule->text = text;
    if (!url_parse(text, &rule->parsed))
        return "is not an absolute URL";
    if (is_never_allowed(&rule->parsed))
        return "has a scheme or userinfo that is never allowed";
    if (rule->parsed.query || rule->parsed.has_fragment)
        return "must end with its path";
    if (url_path_has_dot_segment(rule->parsed.path, rule->parsed.path_size))
        return "has a \".\" or \"..\" in its path";
    return NULL;
}

struct redirect_rules *redirect_rules_new(const char *text, char *error, size_t error_size)
{
    struct redirect_rules *rules = memory_new(sizeof(*rules));
    struct text_items items;
    text_items_begin(&items, text);
    while (text_items_next(&items)) {
        const char *fault = add_rule(rules, memory_copy(items.item, items.size));
        if (fault) {
            snprintf(error, error_size, "rule %zu %s", rules->count, fault);
            redirect_rules_free(rules);
            return NULL;
        }
    }
    return rules;
}

void redirect_rules_free(struct redirect_rules *rules)
{
    for (size_t i = 0; rules && i < rules->count; i++)
        free(rules->items[i].text);
    free(rules);
}

enum redirect_verdict redirect_rules_judge(const struct redirect_rules *rules, const char *url)
{
    struct url parsed;
    if (!url_parse(url, &parsed))
        return REDIRECT_MALFORMED;
    if (is_never_allowed(&parsed))
        return REDIRECT_FORBIDDEN;
    if (!rules || !rules->count)
        return strcmp(parsed.scheme, "http") == 0 ? REDIRECT_FORBIDDEN : REDIRECT_ALLOWED;
    for (size_t i = 0; i < rules->count; i++) {
        if (rule_matches(&rules->items[i].parsed, &parsed))
            return REDIRECT_ALLOWED;
    }
    return REDIRECT_FORBIDDEN;
}
