#include "common/utf8.h"

#include <stdint.h>
#include <string.h>

static bool is_continuation(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

/* RFC 3629 §4: after some first bytes the second is narrower than 80..bf. */
static bool second_byte_fits(unsigned char first, unsigned char second)
{
    switch (first) {
    case 0xe0: /* below: overlong */
        return second >= 0xa0 && second <= 0xbf;
    case 0xed: /* above: surrogates */
        return second >= 0x80 && second <= 0x9f;
    case 0xf0: /* below: overlong */
        return second >= 0x90 && second <= 0xbf;
    case 0xf4: /* above: past U+10FFFF */
        return second >= 0x80 && second <= 0x8f;
    default:
        return is_continuation(second);
    }
}

size_t utf8_character(const void *data, size_t size)
{
    const unsigned char *bytes = data;

    if (size == 0)
        return 0;
    if (bytes[0] < 0x80)
        return 1;
    if (bytes[0] < 0xc2 || bytes[0] > 0xf4)
        return 0;
    size_t length = bytes[0] < 0xe0 ? 2 : bytes[0] < 0xf0 ? 3 : 4;
    if (size < length || !second_byte_fits(bytes[0], bytes[1]))
        return 0;
    for (size_t i = 2; i < length; i++) {
        if (!is_continuation(bytes[i]))
            return 0;
    }
    return length;
}

size_t utf8_valid_prefix(const void *data, size_t size)
{
    const unsigned char *bytes = data;
    size_t at = 0;

    while (at < size) {
        uint64_t word;
        while (size - at >= sizeof(word)) { /* eight ASCII bytes at a time */
            memcpy(&word, bytes + at, sizeof(word));
            if (word & UINT64_C(0x8080808080808080))
                break;
            at += sizeof(word);
        }
        size_t length = utf8_character(bytes + at, size - at);
        if (length == 0)
            break;
        at += length;
    }
    return at;
}

bool utf8_valid(const void *data, size_t size)
{
    return utf8_valid_prefix(data, size) == size;
}

bool utf8_has_control(const void *data, size_t size)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < size; i++) {
        if (bytes[i] < 0x20 || bytes[i] == 0x7f)
            return true;
    }
    return false;
}
