/*
 * json_scan: is this JSON, by all of RFC 8259's grammar and within limits; the first half of
 * json_parse, for json.c alone.
 *
 * One pass over the raw bytes, without recursion and without allocation. cJSON, which is more
 * lenient (01, +1, raw control characters, a byte order mark, any bytes behind the end), then only
 * builds the tree. Duplicate keys are not seen here: "a" and "\u0061" are the same key only once
 * decoded.
 */
#ifndef COMMON_JSON_SCAN_H
#define COMMON_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "common/json.h"

#define JSON_DEPTH_MAX 100

/* value_end: behind the outermost value, in front of any trailing blanks.
 * False with *error filled in. */
bool json_scan(const void *data, size_t size, const struct json_limits *limits,
    struct json_error *error, size_t *value_end);

/* Where the key'th key (from 1, in the order of the text) of a valid document begins. */
size_t json_scan_key_offset(
    const void *data, size_t size, const struct json_limits *limits, size_t key);

#endif
