/*
 * json: reading hostile JSON through cJSON, and writing JSON straight into a buf.
 *
 * Reading. cJSON alone takes "abc\u0000evil" for "abc", lets the first of two equal keys win, and
 * passes trailing bytes and broken UTF-8. json_parse therefore scans the raw bytes first (see
 * json_scan.h) and refuses, with an offset and a reason that can be shown to the sender:
 *   - empty input, and input past bytes_max;
 *   - a byte order mark, NUL bytes (raw or as \u0000), broken UTF-8 (overlong forms, surrogates and
 *     lone \ud800 escapes included);
 *   - nesting past depth_max, more than values_max values;
 *   - duplicate keys within one object, anything after the end, all else that RFC 8259 forbids;
 *   - numbers that no double can hold (1e999), or of more than 63 characters.
 *
 * The tree belongs to the caller: json_free. Strings got from it live as long as the tree.
 *
 * Getters take the object and a name and tell three things apart: the field is absent (or JSON
 * null, which counts as absent), it has the wrong type, or here it is.
 *
 * Writing. A writer puts commas and quotes where they belong; the caller opens and closes. Invalid
 * UTF-8 in a string is replaced by U+FFFD, so the output is always valid JSON; overflow shows in
 * the buf. Names are string literals and are not escaped.
 *
 *   struct json_writer writer;
 *   json_writer_init(&writer, &buf);
 *   json_open_object(&writer, NULL);
 *   json_put_text(&writer, "status", "success");
 *   json_close_object(&writer);
 */
#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

typedef struct cJSON json_value; /* opaque here: an object, array, string, number, boolean, null */

struct json_limits {
    size_t bytes_max;
    unsigned depth_max;  /* 1: no nesting; at most 100 */
    unsigned values_max; /* keys not counted */
};

struct json_error {
    size_t offset;     /* byte in the input */
    char message[160]; /* for the sender: what is wrong; never holds the input's own text */
};

/* NULL with *error filled in when refused. */
json_value *json_parse(
    const void *data, size_t size, const struct json_limits *limits, struct json_error *error);
void json_free(json_value *value);

/* Of cJSON, at run time: "1.7.18". */
const char *json_library_version(void);

enum json_get {
    JSON_FOUND,
    JSON_ABSENT,     /* no such field, or null */
    JSON_WRONG_TYPE, /* present, but not what was asked for */
};

bool json_is_object(const json_value *value);
bool json_is_array(const json_value *value);
bool json_is_string(const json_value *value);
const char *json_text(const json_value *value); /* NULL unless a string */
/* "object", "array", "string", "number", "boolean" or "null", for messages; NULL: "nothing". */
const char *json_type_name(const json_value *value);

/* Fields of an object by exact, case-sensitive name. */
const json_value *json_field(const json_value *object, const char *name); /* null counts as there */
enum json_get json_get_text(const json_value *object, const char *name, const char **text);
enum json_get json_get_number(const json_value *object, const char *name, double *number);
enum json_get json_get_boolean(const json_value *object, const char *name, bool *boolean);
enum json_get json_get_object(const json_value *object, const char *name, const json_value **child);
enum json_get json_get_array(const json_value *object, const char *name, const json_value **child);

/* Children of an object or array in order: for (c = json_first(v); c; c = json_next(c)). */
const json_value *json_first(const json_value *container);
const json_value *json_next(const json_value *child);
const char *json_name(const json_value *child); /* the key, for a child of an object */
size_t json_count(const json_value *container);

struct json_writer {
    struct buf *buf;
    bool comma; /* the next value needs one */
};

/* `name` is NULL for an array's items and for the outermost value. */
void json_writer_init(struct json_writer *writer, struct buf *buf);
void json_open_object(struct json_writer *writer, const char *name);
void json_close_object(struct json_writer *writer);
void json_open_array(struct json_writer *writer, const char *name);
void json_close_array(struct json_writer *writer);
void json_put_text(struct json_writer *writer, const char *name, const char *text); /* NULL: null */
void json_put_bytes(struct json_writer *writer, const char *name, const void *data, size_t size);
/* A comma-separated list (text_items of text.h) as an array of texts; NULL as null. */
void json_put_items(struct json_writer *writer, const char *name, const char *list);
void json_put_integer(struct json_writer *writer, const char *name, int64_t integer);
void json_put_number(struct json_writer *writer, const char *name, double number); /* finite */
void json_put_boolean(struct json_writer *writer, const char *name, bool boolean);
void json_put_null(struct json_writer *writer, const char *name);
void json_put_value(struct json_writer *writer, const char *name, const json_value *value);

#endif
