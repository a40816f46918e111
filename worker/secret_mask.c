/*
 * secret_mask: see secret_mask.h.
 *
 * A cursor goes through the text once, copying. At the beginning of a word it looks whether the
 * word is a name with a secret behind it, and at "://" it looks at the URL.
 */
#include "worker/secret_mask.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define NAME_BYTES_MAX 64

struct cursor {
    const char *at, *end;
    enum secret_mask_mode mode;
    struct buf *masked;
};

static bool is_word(char character)
{
    return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
           (character >= '0' && character <= '9') || character == '_' || character == '-';
}

static bool is_blank(char character)
{
    return character == ' ' || character == '\t' || character == '\n' || character == '\r';
}

bool secret_mask_hides(const char *name, size_t size)
{
    static const char *const whole[] = {"link", "url", "auth_url"};
    static const char *const parts[] = {"token", "secret", "password", "authorization", "api_key",
        "apikey", "signature", "credential"};
    char lower[NAME_BYTES_MAX + 1];
    if (size > NAME_BYTES_MAX) { /* the end is what tells: …_access_token */
        name += size - NAME_BYTES_MAX;
        size = NAME_BYTES_MAX;
    }
    for (size_t i = 0; i < size; i++)
        lower[i] = (char)(name[i] == '-' ? '_' : tolower((unsigned char)name[i]));
    lower[size] = '\0';
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++)
        if (strcmp(lower, whole[i]) == 0)
            return true;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strstr(lower, parts[i]))
            return true;
    return false;
}

static void copy_to(struct cursor *cursor, const char *to)
{
    buf_append(cursor->masked, cursor->at, (size_t)(to - cursor->at));
    cursor->at = to;
}

static const char *skip_blanks(const struct cursor *cursor, const char *at)
{
    while (at < cursor->end && is_blank(*at))
        at++;
    return at;
}

/* ---- URLs ---- */

/* Behind the URL: at what cannot be part of one. What a backslash escapes belongs to it. */
static const char *end_of_url(const struct cursor *cursor, const char *at)
{
    while (at < cursor->end) {
        if (*at == '\\' && at + 1 < cursor->end && at[1] != '"')
            at += 2;
        else if ((unsigned char)*at <= ' ' || strchr("\\\"<>", *at))
            break;
        else
            at++;
    }
    return at;
}

/* The cursor is behind "://". `all`: whatever the URL is like. */
static void mask_url(struct cursor *cursor, bool all)
{
    const char *end = end_of_url(cursor, cursor->at);
    const char *host = cursor->at, *path = cursor->at;
    while (path < end && !strchr("/?#\\", *path)) {
        if (*path++ == '@')
            host = path;
    }
    bool secret = all || host > cursor->at;
    for (const char *at = path; at < end && !secret; at++)
        secret = *at == '?' || *at == '#' || *at == '\\';
    if (!secret || path == end || (path + 1 == end && *path == '/')) {
        cursor->at = host;
        copy_to(cursor, end);
        return;
    }
    cursor->at = host;
    copy_to(cursor, path);
    buf_append_text(cursor->masked, "/" SECRET_MASK);
    cursor->at = end;
}

/* Copies "://", or as some write it in JSON, ":\/\/". */
static bool take_url_mark(struct cursor *cursor)
{
    static const char *const marks[] = {"://", ":\\/\\/"};
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        size_t size = strlen(marks[i]);
        if ((size_t)(cursor->end - cursor->at) < size || memcmp(cursor->at, marks[i], size) != 0)
            continue;
        copy_to(cursor, cursor->at + size);
        return true;
    }
    return false;
}

/* ---- values ---- */

/* How long "http" or "https" is at the beginning; 0: it is neither. */
static size_t scheme_size(const char *at, const char *end)
{
    static const char *const schemes[] = {"https", "http"};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t size = strlen(schemes[i]);
        if ((size_t)(end - at) > size && strncasecmp(at, schemes[i], size) == 0 && at[size] == ':')
            return size;
    }
    return 0;
}

static bool ends_masked(const struct buf *masked)
{
    size_t size = strlen(SECRET_MASK);
    return masked->size >= size &&
           memcmp(masked->data + masked->size - size, SECRET_MASK, size) == 0;
}

/* Everything up to `end`; a URL keeps its host. */
static void mask_text(struct cursor *cursor, const char *end)
{
    const char *whole_end = cursor->end;
    size_t scheme = scheme_size(cursor->at, end);
    cursor->end = end;
    copy_to(cursor, cursor->at + scheme);
    if (scheme > 0 && take_url_mark(cursor))
        mask_url(cursor, true);
    if (cursor->at < end && !ends_masked(cursor->masked))
        buf_append_text(cursor->masked, SECRET_MASK);
    cursor->at = end;
    cursor->end = whole_end;
}

/* The closing quote, or the backslash before it when the quotes are escaped. */
static const char *end_of_string(const struct cursor *cursor, const char *at, bool escaped)
{
    for (; at < cursor->end; at++) {
        if (*at == '\\' && escaped && at + 1 < cursor->end && at[1] == '"')
            return at;
        if (*at == '"')
            return at;
        if (*at == '\\' && !escaped)
            at++;
    }
    return cursor->end;
}

/* Behind an object or array: its brackets are balanced, but for those in strings. */
static const char *end_of_nested(const struct cursor *cursor, const char *at)
{
    unsigned depth = 0;
    for (; at < cursor->end; at++) {
        if (*at == '"') {
            at = end_of_string(cursor, at + 1, false);
            if (at == cursor->end)
                break;
        } else if (*at == '{' || *at == '[') {
            depth++;
        } else if ((*at == '}' || *at == ']') && --depth == 0) {
            return at + 1;
        }
    }
    return cursor->end;
}

/* A URL goes on behind an ampersand or a comma. */
static const char *end_of_bare(const struct cursor *cursor, const char *at)
{
    const char *end = at;
    while (end < cursor->end && !is_blank(*end) && !strchr(",;&}])\"\\", *end))
        end++;
    return memmem(at, (size_t)(end - at), "://", 3) ? end_of_url(cursor, at) : end;
}

/* Of `"name": 5` the value becomes a string, so that JSON stays JSON. */
static void mask_bare(struct cursor *cursor, bool quoted)
{
    const char *end = end_of_bare(cursor, cursor->at);
    if (end == cursor->at || (end - cursor->at == 4 && memcmp(cursor->at, "null", 4) == 0)) {
        copy_to(cursor, end);
        return;
    }
    if (!quoted) {
        mask_text(cursor, end);
        return;
    }
    buf_append_text(cursor->masked, "\"" SECRET_MASK "\"");
    cursor->at = end;
}

/* The cursor is at a value. `quoted`: its name was in quotes. */
static void mask_value(struct cursor *cursor, bool quoted)
{
    const char *at = cursor->at;
    bool escaped = at + 1 < cursor->end && at[0] == '\\' && at[1] == '"';
    if (at < cursor->end && (*at == '"' || escaped)) {
        copy_to(cursor, at + 1 + escaped);
        const char *end = end_of_string(cursor, cursor->at, escaped);
        if (end > cursor->at)
            mask_text(cursor, end);
    } else if (at < cursor->end && (*at == '{' || *at == '[')) {
        buf_append_text(cursor->masked, "\"" SECRET_MASK "\"");
        cursor->at = end_of_nested(cursor, at);
    } else {
        mask_bare(cursor, quoted);
    }
}

/* ---- names ---- */

/* At the value of the name that ends at `at`; NULL when none follows. */
static const char *value_behind(const struct cursor *cursor, const char *at, bool *quoted)
{
    const char *behind = at;
    if (behind < cursor->end && *behind == '\\')
        behind++;
    *quoted = behind < cursor->end && (*behind == '"' || *behind == '\'');
    if (*quoted)
        behind++;
    else if (behind > at)
        return NULL;
    behind = skip_blanks(cursor, behind);
    if (behind == cursor->end)
        return NULL;
    bool is_url = cursor->end - behind > 2 && behind[1] == '/' && behind[2] == '/';
    bool colon = *behind == ':' && !is_url && (*quoted || cursor->mode == SECRET_MASK_STRICT);
    return colon || *behind == '=' ? skip_blanks(cursor, behind + 1) : NULL;
}

static void take_word(struct cursor *cursor)
{
    const char *end = cursor->at;
    while (end < cursor->end && is_word(*end))
        end++;
    bool quoted;
    const char *value = value_behind(cursor, end, &quoted);
    if (value && secret_mask_hides(cursor->at, (size_t)(end - cursor->at))) {
        copy_to(cursor, value);
        mask_value(cursor, quoted);
    } else {
        copy_to(cursor, end);
    }
}

void secret_mask(const char *text, size_t size, enum secret_mask_mode mode, struct buf *masked)
{
    struct cursor cursor = {text, text + size, mode, masked};
    while (cursor.at < cursor.end) {
        if (is_word(*cursor.at))
            take_word(&cursor);
        else if (take_url_mark(&cursor))
            mask_url(&cursor, mode == SECRET_MASK_STRICT);
        else
            copy_to(&cursor, cursor.at + 1);
    }
}
