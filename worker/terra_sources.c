/* terra_sources: see terra_sources.h. */
#include "worker/terra_sources.h"

#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "worker/terra_words.h"

#define NAME_SIZE 48

static const struct json_limits limits = {
    .bytes_max = TERRA_SOURCES_ANSWER_BYTES_MAX, .depth_max = 16, .values_max = 100000};

/* A name that does not fit any more ends the list with an ellipsis. */
static void add_name(struct terra_sources *sources, const char *name)
{
    static const char more[] = ", ...";
    char clean[NAME_SIZE];
    size_t size = strlen(sources->names);
    if (size >= sizeof more && strcmp(sources->names + size + 1 - sizeof more, more) == 0)
        return;
    terra_words_clean(clean, sizeof clean, name);
    if (size + strlen(clean) + 2 * sizeof more > sizeof sources->names)
        snprintf(sources->names + size, sizeof sources->names - size, "%s", more);
    else
        snprintf(sources->names + size, sizeof sources->names - size, "%s%s", size > 0 ? ", " : "",
            clean);
}

bool terra_sources_read(struct terra_sources *sources, const void *body, size_t size)
{
    struct json_error error;
    const json_value *list;
    *sources = (struct terra_sources){0};
    json_value *tree = json_parse(body, size, &limits, &error);
    bool told =
        tree && json_is_object(tree) && json_get_array(tree, "providers", &list) == JSON_FOUND;
    const json_value *item = told ? json_first(list) : NULL;
    for (; item; item = json_next(item)) {
        const char *name;
        bool enabled = false;
        if (!json_is_object(item) || json_get_text(item, "provider", &name) != JSON_FOUND)
            continue;
        sources->all++;
        if (json_get_boolean(item, "enabled", &enabled) != JSON_FOUND || !enabled)
            continue;
        sources->enabled++;
        add_name(sources, name);
    }
    json_free(tree);
    return told;
}
