#include "common/json.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_scan.h"
#include "common/memory.h"
#include "common/text.h"
#include "common/utf8.h"

/*
 * Duplicate keys are looked for in the tree, where "a" and "\u0061" are the same. Small objects
 * compare each with each; large ones are sorted, since a sender chooses how many keys there are.
 */
#define COMPARE_EACH_MAX 16

struct key {
    const char *name;
    size_t place; /* among the keys of its object */
    const cJSON *child;
};

static const cJSON *duplicate_in_small(const cJSON *object)
{
    for (const cJSON *later = object->child->next; later != NULL; later = later->next) {
        for (const cJSON *earlier = object->child; earlier != later; earlier = earlier->next) {
            if (strcmp(earlier->string, later->string) == 0)
                return later;
        }
    }
    return NULL;
}

static int compare_keys(const void *a, const void *b)
{
    const struct key *left = a, *right = b;
    int order = strcmp(left->name, right->name);

    if (order != 0)
        return order;
    return left->place < right->place ? -1 : 1;
}

static const cJSON *duplicate_in_large(const cJSON *object, size_t count)
{
    struct key *keys = memory_new(count * sizeof(*keys));
    const cJSON *child = object->child, *duplicate = NULL;

    for (size_t i = 0; i < count; i++, child = child->next)
        keys[i] = (struct key){.name = child->string, .place = i, .child = child};
    qsort(keys, count, sizeof(*keys), compare_keys);
    for (size_t i = 1; i < count && duplicate == NULL; i++) {
        if (strcmp(keys[i - 1].name, keys[i].name) == 0)
            duplicate = keys[i].child;
    }
    free(keys);
    return duplicate;
}

/* A key that its object has already; recursion ends at JSON_DEPTH_MAX. */
static const cJSON *find_duplicate(const cJSON *container)
{
    const cJSON *duplicate = NULL;
    size_t count = 0;

    for (const cJSON *child = container->child; child != NULL; child = child->next) {
        count++;
        if (child->child != NULL && (duplicate = find_duplicate(child)) != NULL)
            return duplicate;
    }
    if (!cJSON_IsObject(container) || count < 2)
        return NULL;
    return count <= COMPARE_EACH_MAX ? duplicate_in_small(container)
                                     : duplicate_in_large(container, count);
}

/* Counts keys in the order of the text up to `wanted`; true when it was met. */
static bool count_keys(const cJSON *container, const cJSON *wanted, size_t *count)
{
    for (const cJSON *child = container->child; child != NULL; child = child->next) {
        *count += child->string != NULL;
        if (child == wanted || count_keys(child, wanted, count))
            return true;
    }
    return false;
}

json_value *json_parse(
    const void *data, size_t size, const struct json_limits *limits, struct json_error *error)
{
    size_t value_end = 0, key = 0;
    const char *parse_end = NULL;

    if (!json_scan(data, size, limits, error, &value_end))
        return NULL;
    cJSON *tree = cJSON_ParseWithLengthOpts(data, size, &parse_end, false);
    const cJSON *duplicate = tree != NULL ? find_duplicate(tree) : NULL;
    if (tree != NULL && duplicate == NULL && parse_end == (const char *)data + value_end)
        return tree;

    *error = (struct json_error){.message = "the JSON cannot be read"};
    if (duplicate != NULL) {
        /* The tree knows no offsets, so the text is scanned once more, for this refusal only. */
        (void)count_keys(tree, duplicate, &key);
        error->offset = json_scan_key_offset(data, size, limits, key);
        snprintf(error->message, sizeof(error->message), "a key is there twice in one object");
    }
    cJSON_Delete(tree);
    return NULL;
}

void json_free(json_value *value)
{
    cJSON_Delete(value);
}

/* Getters. */

bool json_is_object(const json_value *value)
{
    return cJSON_IsObject(value);
}

bool json_is_array(const json_value *value)
{
    return cJSON_IsArray(value);
}

bool json_is_string(const json_value *value)
{
    return cJSON_IsString(value);
}

const char *json_text(const json_value *value)
{
    return cJSON_IsString(value) ? value->valuestring : NULL;
}

const char *json_type_name(const json_value *value)
{
    if (cJSON_IsObject(value))
        return "object";
    if (cJSON_IsArray(value))
        return "array";
    if (cJSON_IsString(value))
        return "string";
    if (cJSON_IsNumber(value))
        return "number";
    if (cJSON_IsBool(value))
        return "boolean";
    return value != NULL ? "null" : "nothing";
}

const json_value *json_field(const json_value *object, const char *name)
{
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, name) : NULL;
}

static enum json_get get(const json_value *object, const char *name,
    cJSON_bool (*is_wanted)(const cJSON *value), const json_value **field)
{
    *field = json_field(object, name);
    if (*field == NULL || cJSON_IsNull(*field))
        return JSON_ABSENT;
    return is_wanted(*field) ? JSON_FOUND : JSON_WRONG_TYPE;
}

enum json_get json_get_text(const json_value *object, const char *name, const char **text)
{
    const json_value *field;
    enum json_get found = get(object, name, cJSON_IsString, &field);

    if (found == JSON_FOUND)
        *text = field->valuestring;
    return found;
}

enum json_get json_get_number(const json_value *object, const char *name, double *number)
{
    const json_value *field;
    enum json_get found = get(object, name, cJSON_IsNumber, &field);

    if (found == JSON_FOUND)
        *number = field->valuedouble;
    return found;
}

enum json_get json_get_boolean(const json_value *object, const char *name, bool *boolean)
{
    const json_value *field;
    enum json_get found = get(object, name, cJSON_IsBool, &field);

    if (found == JSON_FOUND)
        *boolean = cJSON_IsTrue(field);
    return found;
}

enum json_get json_get_object(const json_value *object, const char *name, const json_value **child)
{
    const json_value *field;
    enum json_get found = get(object, name, cJSON_IsObject, &field);

    if (found == JSON_FOUND)
        *child = field;
    return found;
}

enum json_get json_get_array(const json_value *object, const char *name, const json_value **child)
{
    const json_value *field;
    enum json_get found = get(object, name, cJSON_IsArray, &field);

    if (found == JSON_FOUND)
        *child = field;
    return found;
}

const json_value *json_first(const json_value *container)
{
    return container != NULL ? container->child : NULL;
}

const json_value *json_next(const json_value *child)
{
    return child->next;
}

const char *json_name(const json_value *child)
{
    return child->string;
}

size_t json_count(const json_value *container)
{
    return (size_t)cJSON_GetArraySize(container);
}

/* Writing. A put_ is a comma and a name, where they belong, and a write_,
 * which is the bare value. */
static void begin_value(struct json_writer *writer, const char *name)
{
    if (writer->comma)
        buf_append_char(writer->buf, ',');
    if (name != NULL) {
        buf_append_char(writer->buf, '"');
        buf_append_text(writer->buf, name);
        buf_append(writer->buf, "\":", 2);
    }
    writer->comma = true;
}

/* Bytes that stand for themselves in a string: ASCII but controls, the quote and the backslash. */
static const bool plain[256] = {
    [' ' ... '"' - 1] = true, ['"' + 1 ... '\\' - 1] = true, ['\\' + 1 ... 0x7f] = true};

/* One character that cannot stand as it is, or is not ASCII; gives back its length. */
static size_t write_special(struct buf *buf, const unsigned char *bytes, size_t size)
{
    size_t length = utf8_character(bytes, size);

    if (length > 1) {
        buf_append(buf, bytes, length);
        return length;
    }
    if (length == 0)
        buf_append_text(buf, "\xef\xbf\xbd"); /* U+FFFD */
    else if (bytes[0] == '"' || bytes[0] == '\\')
        buf_append(buf, (char[]){'\\', (char)bytes[0]}, 2);
    else if (bytes[0] == '\n')
        buf_append(buf, "\\n", 2);
    else if (bytes[0] == '\t')
        buf_append(buf, "\\t", 2);
    else if (bytes[0] == '\r')
        buf_append(buf, "\\r", 2);
    else
        buf_printf(buf, "\\u%04x", bytes[0]);
    return 1;
}

static void write_string(struct buf *buf, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    size_t at = 0;

    buf_append_char(buf, '"');
    while (at < size) {
        size_t run = at;
        while (run < size && plain[bytes[run]])
            run++;
        buf_append(buf, bytes + at, run - at);
        at = run;
        if (at < size)
            at += write_special(buf, bytes + at, size - at);
    }
    buf_append_char(buf, '"');
}

static void write_value(struct json_writer *writer, const cJSON *value)
{
    bool is_object = cJSON_IsObject(value);

    if (cJSON_IsString(value)) {
        write_string(writer->buf, value->valuestring, strlen(value->valuestring));
    } else if (cJSON_IsNumber(value)) {
        buf_append_number(writer->buf, value->valuedouble);
    } else if (!is_object && !cJSON_IsArray(value)) {
        buf_append_text(writer->buf, cJSON_IsTrue(value)    ? "true"
                                     : cJSON_IsFalse(value) ? "false"
                                                            : "null");
    } else {
        buf_append_char(writer->buf, is_object ? '{' : '[');
        for (const cJSON *child = value->child; child != NULL; child = child->next) {
            if (child != value->child)
                buf_append_char(writer->buf, ',');
            if (is_object) {
                write_string(writer->buf, child->string, strlen(child->string));
                buf_append_char(writer->buf, ':');
            }
            write_value(writer, child);
        }
        buf_append_char(writer->buf, is_object ? '}' : ']');
    }
}

void json_writer_init(struct json_writer *writer, struct buf *buf)
{
    *writer = (struct json_writer){.buf = buf};
}

static void open_container(struct json_writer *writer, const char *name, char opener)
{
    begin_value(writer, name);
    buf_append_char(writer->buf, opener);
    writer->comma = false;
}

static void close_container(struct json_writer *writer, char closer)
{
    buf_append_char(writer->buf, closer);
    writer->comma = true;
}

void json_open_object(struct json_writer *writer, const char *name)
{
    open_container(writer, name, '{');
}

void json_close_object(struct json_writer *writer)
{
    close_container(writer, '}');
}

void json_open_array(struct json_writer *writer, const char *name)
{
    open_container(writer, name, '[');
}

void json_close_array(struct json_writer *writer)
{
    close_container(writer, ']');
}

void json_put_text(struct json_writer *writer, const char *name, const char *text)
{
    json_put_bytes(writer, name, text, text != NULL ? strlen(text) : 0);
}

void json_put_bytes(struct json_writer *writer, const char *name, const void *data, size_t size)
{
    if (data == NULL) {
        json_put_null(writer, name);
        return;
    }
    begin_value(writer, name);
    write_string(writer->buf, data, size);
}

void json_put_items(struct json_writer *writer, const char *name, const char *list)
{
    struct text_items items;
    if (list == NULL) {
        json_put_null(writer, name);
        return;
    }
    json_open_array(writer, name);
    text_items_begin(&items, list);
    while (text_items_next(&items))
        json_put_bytes(writer, NULL, items.item, items.size);
    json_close_array(writer);
}

void json_put_integer(struct json_writer *writer, const char *name, int64_t integer)
{
    begin_value(writer, name);
    buf_append_integer(writer->buf, integer);
}

void json_put_number(struct json_writer *writer, const char *name, double number)
{
    begin_value(writer, name);
    buf_append_number(writer->buf, number);
}

void json_put_boolean(struct json_writer *writer, const char *name, bool boolean)
{
    begin_value(writer, name);
    buf_append_text(writer->buf, boolean ? "true" : "false");
}

void json_put_null(struct json_writer *writer, const char *name)
{
    begin_value(writer, name);
    buf_append_text(writer->buf, "null");
}

void json_put_value(struct json_writer *writer, const char *name, const json_value *value)
{
    begin_value(writer, name);
    write_value(writer, value);
}

const char *json_library_version(void)
{
    return cJSON_Version();
}
