#include "common/buf.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

/* Most of what is built in a buf is a few hundred bytes: one allocation instead of four. */
#define FIRST_CAPACITY 256

void buf_init(struct buf *buf, size_t bytes_max)
{
    assert(bytes_max < SIZE_MAX); /* room for the NUL */
    *buf = (struct buf){.bytes_max = bytes_max};
}

void buf_release(struct buf *buf)
{
    free(buf->data);
    buf_init(buf, buf->bytes_max);
}

void buf_reset(struct buf *buf)
{
    buf->size = 0;
    buf->overflowed = false;
    if (buf->data != NULL)
        buf->data[0] = '\0';
}

/* The slow half of reserve. */
static bool grow(struct buf *buf, size_t more)
{
    if (buf->overflowed || more > buf->bytes_max - buf->size) {
        buf->overflowed = true;
        return false;
    }
    size_t needed = buf->size + more + 1, ceiling = buf->bytes_max + 1;
    size_t capacity = buf->capacity > 0 ? buf->capacity : FIRST_CAPACITY;
    while (capacity < needed)
        capacity = capacity <= ceiling / 2 ? capacity * 2 : ceiling;
    if (capacity > ceiling)
        capacity = ceiling;
    buf->data = memory_resize(buf->data, capacity);
    buf->capacity = capacity;
    return true;
}

/* Makes room for `more` bytes and the NUL; false when the ceiling is in the way. */
static inline bool reserve(struct buf *buf, size_t more)
{
    return (!buf->overflowed && more < buf->capacity - buf->size) || grow(buf, more);
}

bool buf_append(struct buf *buf, const void *data, size_t size)
{
    if (!reserve(buf, size))
        return false;
    if (size > 0)
        memcpy(buf->data + buf->size, data, size);
    buf->size += size;
    buf->data[buf->size] = '\0';
    return true;
}

bool buf_append_text(struct buf *buf, const char *text)
{
    return buf_append(buf, text, strlen(text));
}

bool buf_append_char(struct buf *buf, char character)
{
    if (!reserve(buf, 1))
        return false;
    buf->data[buf->size++] = character;
    buf->data[buf->size] = '\0';
    return true;
}

bool buf_append_integer(struct buf *buf, int64_t integer)
{
    char digits[24], *first = digits + sizeof(digits);
    uint64_t rest = integer < 0 ? -(uint64_t)integer : (uint64_t)integer;

    do {
        *--first = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (integer < 0)
        *--first = '-';
    return buf_append(buf, first, (size_t)(digits + sizeof(digits) - first));
}

bool buf_printf(struct buf *buf, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0) {
        buf->overflowed = true;
        return false;
    }
    if (!reserve(buf, (size_t)length))
        return false;
    va_start(arguments, format);
    vsnprintf(buf->data + buf->size, (size_t)length + 1, format, arguments);
    va_end(arguments);
    buf->size += (size_t)length;
    return true;
}

bool buf_append_number(struct buf *buf, double number)
{
    char text[32];

    assert(isfinite(number));
    if (fabs(number) <= 0x1p53 && number == trunc(number)) {
        snprintf(text, sizeof(text), "%.0f", number);
        return buf_append_text(buf, text);
    }
    for (int digits = 15; digits <= 17; digits++) { /* 17 always do */
        snprintf(text, sizeof(text), "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    return buf_append_text(buf, text);
}

const char *buf_text(const struct buf *buf)
{
    return buf->data != NULL ? buf->data : "";
}

char *buf_take(struct buf *buf, size_t *size)
{
    char *data = buf->data != NULL ? buf->data : memory_copy("", 0);

    if (size != NULL)
        *size = buf->size;
    buf_init(buf, buf->bytes_max);
    return data;
}
