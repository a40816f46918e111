/*
 * gzip: compressed bodies for the tests, made by hand so that they can be as honest or as hostile
 * as a test wants. Appends to a buf.
 */
#ifndef TESTS_SUPPORT_GZIP_H
#define TESTS_SUPPORT_GZIP_H

#include <stddef.h>

#include "common/buf.h"

/* The bytes as one gzip member, in blocks that are stored and not compressed. */
void gzip_append_stored(struct buf *buf, const void *bytes, size_t size);
/* A member that becomes so many zeros, by a factor of 158; it breaks off before its end. */
void gzip_append_bomb(struct buf *buf, size_t size);
/* A member of so many bytes that becomes none; it has no end either. */
void gzip_append_nothing(struct buf *buf, size_t compressed_size);

#endif
