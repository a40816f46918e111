/* gzip: see gzip.h; the format is that of RFC 1951 and RFC 1952. */
#include "support/gzip.h"

#define STORED_BYTES_MAX 65535

struct bit_writer {
    struct buf *buf;
    unsigned bits; /* the next one is the lowest */
    unsigned count;
};

static void append_head(struct buf *buf)
{
    static const unsigned char head[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};

    buf_append(buf, head, sizeof(head));
}

static void append_little_endian(struct buf *buf, uint32_t number, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        buf_append_char(buf, (char)(number >> (8 * i)));
}

static void append_stored_block(struct buf *buf, const void *bytes, size_t size, bool last)
{
    buf_append_char(buf, last ? 1 : 0);
    append_little_endian(buf, (uint32_t)size, 2);
    append_little_endian(buf, ~(uint32_t)size, 2);
    buf_append(buf, bytes, size);
}

static uint32_t crc32_of(const unsigned char *bytes, size_t size)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

void gzip_append_stored(struct buf *buf, const void *bytes, size_t size)
{
    const char *at = bytes;
    size_t left = size;

    append_head(buf);
    for (; left > STORED_BYTES_MAX; left -= STORED_BYTES_MAX, at += STORED_BYTES_MAX)
        append_stored_block(buf, at, STORED_BYTES_MAX, false);
    append_stored_block(buf, at, left, true);
    append_little_endian(buf, crc32_of(bytes, size), 4);
    append_little_endian(buf, (uint32_t)size, 4);
}

void gzip_append_nothing(struct buf *buf, size_t compressed_size)
{
    append_head(buf);
    for (size_t size = 0; size < compressed_size; size += 5)
        append_stored_block(buf, "", 0, false);
}

static void put_bits(struct bit_writer *writer, unsigned bits, unsigned count)
{
    writer->bits |= bits << writer->count;
    writer->count += count;
    for (; writer->count >= 8; writer->count -= 8, writer->bits >>= 8)
        buf_append_char(writer->buf, (char)writer->bits);
}

/* One zero, then matches of 258 bytes at distance 1, in the fixed code (whose words go out from
 * their highest bit on, so they stand here reversed): 11000101 for the length, 00000 for 1. */
void gzip_append_bomb(struct buf *buf, size_t size)
{
    struct bit_writer writer = {.buf = buf};

    append_head(buf);
    put_bits(&writer, 1 | 1 << 1, 3); /* the last block, with the fixed code */
    put_bits(&writer, 0x0c, 8);       /* the literal 0: 00110000 */
    for (size_t done = 1; done < size; done += 258)
        put_bits(&writer, 0xa3, 8 + 5);
}
