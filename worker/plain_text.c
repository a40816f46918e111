/* plain_text: see plain_text.h. */
#include "worker/plain_text.h"

#include <string.h>

#include "common/utf8.h"

static void append(struct buf *text, const char *data, size_t size, bool quoted)
{
    bool cut = size > PLAIN_TEXT_BYTES_MAX;
    if (cut)
        size = PLAIN_TEXT_BYTES_MAX;
    for (size_t at = 0; at < size;) {
        size_t length = utf8_character(data + at, size - at);
        unsigned char first = (unsigned char)data[at];
        bool control = first < ' ' || first == 0x7f ||
                       (length == 2 && first == 0xc2 && (unsigned char)data[at + 1] < 0xa0);
        if (quoted && (first == '"' || first == '\\'))
            buf_append_char(text, '\\');
        if (length == 0 || control)
            buf_append_char(text, '?');
        else
            buf_append(text, data + at, length);
        at += length > 0 ? length : 1;
    }
    if (cut)
        buf_append_text(text, "…");
}

void plain_text_append(struct buf *text, const char *data, size_t size)
{
    append(text, data, size, false);
}

void plain_text_append_quoted(struct buf *text, const char *data, size_t size)
{
    bool quoted = size == 0 || memchr(data, ' ', size) || memchr(data, '"', size);
    if (quoted)
        buf_append_char(text, '"');
    append(text, data, size, quoted);
    if (quoted)
        buf_append_char(text, '"');
}
