/*
 * digest: SHA-256 of parts, so that the same fields always give the same name.
 *
 * Each part goes in with its length, so ("ab","c") and ("a","bc") differ, and an absent part (NULL)
 * differs from an empty one.
 *
 *   struct digest *digest = digest_begin();
 *   digest_part(digest, id, strlen(id));
 *   digest_end(digest, hex);
 *
 * digest_begin hands out one shared context: one digest at a time, begun and ended in one function.
 */
#ifndef COMMON_DIGEST_H
#define COMMON_DIGEST_H

#include <stddef.h>

#define DIGEST_HEX_SIZE 65 /* 64 lower-case hex digits and the NUL */

struct digest;

struct digest *digest_begin(void);
void digest_part(struct digest *digest, const void *data, size_t size);
void digest_part_text(struct digest *digest, const char *text);
void digest_end(struct digest *digest, char hex[DIGEST_HEX_SIZE]);

/* Plain SHA-256 of one run of bytes, comparable with sha256sum. */
void digest_bytes(const void *data, size_t size, char hex[DIGEST_HEX_SIZE]);

/* Of OpenSSL, at run time: "3.5.1". */
const char *digest_library_version(void);

#endif
