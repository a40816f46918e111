/* terra_words: see terra_words.h. */
#include "worker/terra_words.h"

#include <stdbool.h>

#include "common/memory.h"

static bool is_blank(char character)
{
    return (unsigned char)character <= ' ' || character == 0x7f;
}

static bool is_key_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

static bool looks_like_url(const char *word)
{
    if (strstr(word, "//") || strcasestr(word, "www.") || strcasestr(word, "%2f") ||
        strcasestr(word, "%3a"))
        return true;
    return strchr(word, '/') ? strpbrk(word, ".?=:\\") != NULL
                             : strchr(word, '?') && strchr(word, '=');
}

/* Terra's keys are 32 to 40 letters, digits, _ and -; its longest plain words (field names) have 25
 * characters and no digit. */
static bool looks_like_key(const char *word)
{
    size_t run = 0;
    bool digit = false;
    for (; *word; word++) {
        run = is_key_character(*word) ? run + 1 : 0;
        digit = run > 0 && (digit || (*word >= '0' && *word <= '9'));
        if (run >= 28 || (run >= 20 && digit))
            return true;
    }
    return false;
}

void terra_words_clean(char *clean, size_t size, const char *text)
{
    char *word = memory_copy_text(text), *const copy = word;
    size_t used = 0;
    clean[0] = '\0';
    for (char *c = word; *c; c++)
        *c = is_blank(*c) ? ' ' : (unsigned char)*c > 0x7e ? '?' : *c;
    while (used < size - 1) {
        word += strspn(word, " ");
        size_t length = strcspn(word, " ");
        if (length == 0)
            break;
        bool last = word[length] == '\0';
        word[length] = '\0';
        bool secret = looks_like_url(word) || looks_like_key(word);
        int written = snprintf(
            clean + used, size - used, "%s%s", used > 0 ? " " : "", secret ? "[removed]" : word);
        used += (size_t)written;
        if (last)
            break;
        word += length + 1;
    }
    free(copy);
}
