/*
 * utf8: is this text, and where does it stop being text. Strict (RFC 3629): no overlong forms, no
 * surrogates, nothing above U+10FFFF.
 */
#ifndef COMMON_UTF8_H
#define COMMON_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* How many leading bytes are valid; equal to size when all are. */
size_t utf8_valid_prefix(const void *data, size_t size);
bool utf8_valid(const void *data, size_t size);

/* How long the valid character is that `data` begins with, 1..4; 0 when it is broken or cut off. */
size_t utf8_character(const void *data, size_t size);

/* True when a control character (U+0000..U+001F, U+007F) is in it. */
bool utf8_has_control(const void *data, size_t size);

#endif
