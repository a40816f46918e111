/* scope_set: see scope_set.h. */
#include "worker/scope_set.h"

#include "common/memory.h"
#include "common/text.h"
#include "common/utf8.h"

struct scope {
    const char *name;
    size_t size;
};

struct scopes {
    struct scope items[SCOPE_SET_MAX];
    size_t count;
    size_t bytes; /* with a comma each */
};

static int compare(const void *a, const void *b)
{
    const struct scope *left = a, *right = b;
    size_t size = left->size < right->size ? left->size : right->size;
    int order = memcmp(left->name, right->name, size);
    return order ? order : (left->size > right->size) - (left->size < right->size);
}

static bool holds(const struct scopes *scopes, const struct scope *scope)
{
    for (size_t i = 0; i < scopes->count; i++)
        if (compare(&scopes->items[i], scope) == 0)
            return true;
    return false;
}

static void add(struct scopes *scopes, const char *name, size_t size)
{
    const struct scope scope = {.name = name, .size = size};
    if (size == 0 || size > SCOPE_BYTES_MAX || utf8_has_control(name, size) ||
        scopes->count == SCOPE_SET_MAX || scopes->bytes + size > SCOPE_SET_BYTES_MAX ||
        holds(scopes, &scope))
        return;
    scopes->items[scopes->count++] = scope;
    scopes->bytes += size + 1;
}

static void add_each(struct scopes *scopes, const char *text)
{
    struct text_items items;
    text_items_begin(&items, text);
    while (text_items_next(&items))
        add(scopes, items.item, items.size);
}

static char *join(struct scopes *scopes)
{
    char *text = memory_new(scopes->bytes + 1), *at = text;
    qsort(scopes->items, scopes->count, sizeof scopes->items[0], compare);
    for (size_t i = 0; i < scopes->count; i++) {
        if (i > 0)
            *at++ = ',';
        at = mempcpy(at, scopes->items[i].name, scopes->items[i].size);
    }
    return text;
}

char *scope_set_read(const json_value *object, const char *name)
{
    struct scopes scopes = {.count = 0};
    const json_value *array;
    const char *text;
    if (json_get_text(object, name, &text) == JSON_FOUND)
        add_each(&scopes, text);
    else if (json_get_array(object, name, &array) != JSON_FOUND)
        return NULL;
    else
        for (const json_value *item = json_first(array); item; item = json_next(item))
            add_each(&scopes, json_is_string(item) ? json_text(item) : "");
    return join(&scopes);
}

void scope_set_put_json(const char *scopes, struct json_writer *writer, const char *name)
{
    json_put_items(writer, name, scopes);
}
