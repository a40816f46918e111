/*
 * buf: growable bytes with a ceiling.
 *
 * Invariants:
 *  - size <= bytes_max; the ceiling is given once, at init, and never exceeded;
 *  - data is NUL-terminated whenever it is not NULL, the NUL not counted in size or ceiling, so
 *    text built in a buf can be handed to C functions;
 *  - an append that would pass the ceiling adds nothing and sets `overflowed`, and every later
 *    append adds nothing too: a sequence of appends needs one check, at its end (buf_ok).
 *
 * Out of memory ends the process.
 *
 * Life cycle: buf_init (no allocation), any use, buf_release. buf_reset empties it for another
 * round and keeps the memory. buf_take hands the memory to the caller, who frees it with free().
 */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data;       /* NULL until the first append */
    size_t size;      /* bytes in use */
    size_t capacity;  /* bytes allocated, the NUL included */
    size_t bytes_max; /* the ceiling */
    bool overflowed;  /* an append did not fit; sticks until buf_reset */
};

void buf_init(struct buf *buf, size_t bytes_max);
void buf_release(struct buf *buf);
void buf_reset(struct buf *buf);

/* False when the ceiling was in the way, now or earlier. */
bool buf_append(struct buf *buf, const void *data, size_t size);
bool buf_append_text(struct buf *buf, const char *text);
bool buf_append_char(struct buf *buf, char character);
bool buf_append_integer(struct buf *buf, int64_t integer); /* in decimal, without printf's cost */
bool buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A finite number as the shortest decimal that reads back as the same double; integers up to 2^53
 * have neither a dot nor an exponent. */
bool buf_append_number(struct buf *buf, double number);

static inline bool buf_ok(const struct buf *buf)
{
    return !buf->overflowed;
}

/* The content as C text, "" when empty; valid until the next append. */
const char *buf_text(const struct buf *buf);

/* The memory goes to the caller (free()); the buf is as after buf_init. Never NULL. */
char *buf_take(struct buf *buf, size_t *size);

#endif
