/*
 * gzip: bytes as one gzip stream (zlib), whole, in memory.
 */
#ifndef SANDBOX_GZIP_H
#define SANDBOX_GZIP_H

#include "common/buf.h"

/* Appends to `out` the stream that unpacks to `size` bytes of data and `blanks` blanks behind them.
 * The blanks cost next to no memory. What does not fit shows in the buf. */
void gzip_append(struct buf *out, const void *data, size_t size, uint64_t blanks);

#endif
