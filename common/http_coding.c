/* http_coding: see http_coding.h. */
#include "common/http_coding.h"

#include <string.h>
#include <strings.h>

static bool is_word(const char *text, size_t size, const char *word)
{
    return size == strlen(word) && strncasecmp(text, word, size) == 0;
}

static bool count_word(const char *word, size_t size, unsigned *layers)
{
    if (is_word(word, size, "gzip") || is_word(word, size, "x-gzip") ||
        is_word(word, size, "deflate")) {
        ++*layers;
        return true;
    }
    return size == 0 || is_word(word, size, "chunked") || is_word(word, size, "identity");
}

/* The value of one of the two headers; NULL: another header. */
static const char *find_value(const char *line, size_t size)
{
    static const char *const names[] = {"Content-Encoding:", "Transfer-Encoding:"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t name_size = strlen(names[i]);
        if (size >= name_size && strncasecmp(line, names[i], name_size) == 0)
            return line + name_size;
    }
    return NULL;
}

bool http_coding_count(const char *line, size_t size, unsigned *layers)
{
    const char *end = line + size;
    const char *at = find_value(line, size);

    if (at == NULL)
        return size == 0 || (line[0] != ' ' && line[0] != '\t');
    while (at < end) {
        size_t word_size = 0;
        while (at + word_size < end && strchr(", \t\r\n", at[word_size]) == NULL)
            word_size++;
        if (!count_word(at, word_size, layers))
            return false;
        at += word_size + 1;
    }
    return true;
}
