/* gzip: bytes as one gzip stream; see gzip.h. */
#include "gzip.h"

#include <assert.h>
#include <string.h>
#define ZLIB_CONST /* its input is only read */
#include <zlib.h>

#define PIECE_BYTES 65536
#define GZIP_WINDOW_BITS (15 + 16) /* zlib's way to ask for a gzip header instead of its own */
#define MEMORY_LEVEL 8

static void deflate_piece(
    z_stream *stream, struct buf *out, const void *data, size_t size, int flush)
{
    static unsigned char packed[PIECE_BYTES];
    stream->next_in = data;
    stream->avail_in = (uInt)size;
    do {
        stream->next_out = packed;
        stream->avail_out = sizeof(packed);
        (void)deflate(stream, flush);
        buf_append(out, packed, sizeof(packed) - stream->avail_out);
    } while (stream->avail_out == 0);
}

void gzip_append(struct buf *out, const void *data, size_t size, uint64_t blanks)
{
    z_stream stream = {0};
    int error = deflateInit2(
        &stream, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW_BITS, MEMORY_LEVEL, Z_DEFAULT_STRATEGY);
    assert(error == Z_OK);
    (void)error;
    const char *next = data;
    for (size_t left = size; left > 0;) {
        size_t part = left < PIECE_BYTES ? left : PIECE_BYTES;
        deflate_piece(&stream, out, next, part, Z_NO_FLUSH);
        next += part;
        left -= part;
    }
    static char blank[PIECE_BYTES];
    memset(blank, ' ', sizeof(blank));
    for (uint64_t left = blanks; left > 0;) {
        size_t part = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
        deflate_piece(&stream, out, blank, part, Z_NO_FLUSH);
        left -= part;
    }
    deflate_piece(&stream, out, "", 0, Z_FINISH);
    deflateEnd(&stream);
}
