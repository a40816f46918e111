#include "common/json_scan.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"

/* cJSON reads a number through a buffer of 64 bytes and stumbles over a longer one. */
#define NUMBER_BYTES_MAX 63

struct scan {
    const unsigned char *start, *at, *end;
    const unsigned char *value_end; /* behind the outermost value, once it was seen */
    const struct json_limits *limits;
    struct json_error *error;
    unsigned values;
    unsigned depth;
    char closers[JSON_DEPTH_MAX]; /* what closes each open container */
    bool opened; /* the last value was a container's start; its first item comes next */
    size_t keys;
    size_t key_wanted; /* note where this key (from 1) begins; 0: none */
    size_t key_offset;
};

__attribute__((format(printf, 3, 4))) static bool fail(
    struct scan *scan, const unsigned char *at, const char *format, ...)
{
    va_list arguments;

    scan->error->offset = (size_t)(at - scan->start);
    va_start(arguments, format);
    vsnprintf(scan->error->message, sizeof(scan->error->message), format, arguments);
    va_end(arguments);
    return false;
}

/* At a byte that the grammar has no place for; some of them deserve a word of their own. */
static bool fail_unexpected(struct scan *scan, const char *expected)
{
    if (scan->at == scan->end)
        return fail(scan, scan->at, "the JSON ends too early: %s", expected);
    if (*scan->at == '\0')
        return fail(scan, scan->at, "a NUL byte");
    if (utf8_character(scan->at, (size_t)(scan->end - scan->at)) == 0)
        return fail(scan, scan->at, "broken UTF-8");
    return fail(scan, scan->at, "not JSON: %s", expected);
}

static void skip_space(struct scan *scan)
{
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\t' || *scan->at == '\r'))
        scan->at++;
}

static bool at_byte(const struct scan *scan, char byte)
{
    return scan->at < scan->end && *scan->at == (unsigned char)byte;
}

static bool at_digit(const struct scan *scan)
{
    return scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9';
}

static int hex_digit(unsigned char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    if (byte >= 'a' && byte <= 'f')
        return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F')
        return byte - 'A' + 10;
    return -1;
}

/* At a backslash: the UTF-16 unit of \uXXXX, or -1. */
static int peek_unit(const struct scan *scan)
{
    int unit = 0;

    if (scan->end - scan->at < 6 || scan->at[0] != '\\' || scan->at[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        int digit = hex_digit(scan->at[i]);
        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

static bool scan_unicode_escape(struct scan *scan)
{
    const unsigned char *escape = scan->at;
    int unit = peek_unit(scan);

    if (unit < 0)
        return fail(scan, escape, "\\u is not followed by four hex digits");
    if (unit == 0)
        return fail(scan, escape, "an escaped NUL (\\u0000)");
    scan->at += 6;
    if (unit < 0xd800 || unit > 0xdfff)
        return true;
    int low = unit <= 0xdbff ? peek_unit(scan) : -1;
    if (low < 0xdc00 || low > 0xdfff)
        return fail(scan, escape, "half of a surrogate pair (\\ud800 to \\udfff)");
    scan->at += 6;
    return true;
}

static bool scan_escape(struct scan *scan)
{
    if (scan->end - scan->at >= 2) {
        unsigned char escaped = scan->at[1];
        if (escaped == 'u')
            return scan_unicode_escape(scan);
        if (escaped != '\0' && strchr("\"\\/bfnrt", escaped) != NULL) {
            scan->at += 2;
            return true;
        }
    }
    return fail(scan, scan->at, "an unknown escape in a string");
}

enum string_byte { PLAIN, QUOTE, ESCAPE, CONTROL, WIDE };

static const unsigned char string_bytes[256] = {
    [0x00 ... 0x1f] = CONTROL,
    ['"'] = QUOTE,
    ['\\'] = ESCAPE,
    [0x80 ... 0xff] = WIDE,
};

static bool scan_wide(struct scan *scan)
{
    size_t length = utf8_character(scan->at, (size_t)(scan->end - scan->at));

    if (length == 0)
        return fail(scan, scan->at, "broken UTF-8");
    scan->at += length;
    return true;
}

/* At the opening quote. */
static bool scan_string(struct scan *scan)
{
    const unsigned char *opening = scan->at++;

    for (;;) {
        while (scan->at < scan->end && string_bytes[*scan->at] == PLAIN)
            scan->at++;
        if (scan->at == scan->end)
            return fail(scan, opening, "a string is not closed");
        switch ((enum string_byte)string_bytes[*scan->at]) {
        case ESCAPE:
            if (!scan_escape(scan))
                return false;
            break;
        case WIDE:
            if (!scan_wide(scan))
                return false;
            break;
        case CONTROL:
            return fail(scan, scan->at,
                *scan->at == '\0' ? "a NUL byte" : "a control character in a string, not escaped");
        case QUOTE:
        case PLAIN:
            scan->at++;
            return true;
        }
    }
}

static bool scan_digits(struct scan *scan)
{
    if (!at_digit(scan))
        return fail_unexpected(scan, "a digit is expected here");
    while (at_digit(scan))
        scan->at++;
    return true;
}

static bool scan_exponent(struct scan *scan, const unsigned char *number)
{
    char text[NUMBER_BYTES_MAX + 1];

    scan->at++;
    if (at_byte(scan, '+') || at_byte(scan, '-'))
        scan->at++;
    if (!scan_digits(scan))
        return false;
    size_t size = (size_t)(scan->at - number);
    if (size > NUMBER_BYTES_MAX)
        return true; /* refused by the caller */
    memcpy(text, number, size);
    text[size] = '\0';
    if (isinf(strtod(text, NULL)))
        return fail(scan, number, "a number too large for a double");
    return true;
}

static bool scan_number(struct scan *scan)
{
    const unsigned char *number = scan->at;

    if (at_byte(scan, '-'))
        scan->at++;
    const unsigned char *first_digit = scan->at;
    if (!scan_digits(scan))
        return false;
    if (*first_digit == '0' && scan->at - first_digit > 1)
        return fail(scan, number, "a number with a leading zero");
    if (at_byte(scan, '.')) {
        scan->at++;
        if (!scan_digits(scan))
            return false;
    }
    if ((at_byte(scan, 'e') || at_byte(scan, 'E')) && !scan_exponent(scan, number))
        return false;
    if (scan->at - number > NUMBER_BYTES_MAX)
        return fail(scan, number, "a number of more than %d characters", NUMBER_BYTES_MAX);
    return true;
}

static bool scan_word(struct scan *scan, const char *word)
{
    size_t size = strlen(word);

    if ((size_t)(scan->end - scan->at) < size || memcmp(scan->at, word, size) != 0)
        return fail_unexpected(scan, "a value is expected here");
    scan->at += size;
    return true;
}

/* At a key; goes to the value behind its colon. */
static bool scan_key(struct scan *scan)
{
    skip_space(scan);
    if (!at_byte(scan, '"'))
        return fail_unexpected(scan, "a key in double quotes is expected here");
    if (++scan->keys == scan->key_wanted)
        scan->key_offset = (size_t)(scan->at - scan->start);
    if (!scan_string(scan))
        return false;
    skip_space(scan);
    if (!at_byte(scan, ':'))
        return fail_unexpected(scan, "a colon is expected here");
    scan->at++;
    return true;
}

static bool scan_opening(struct scan *scan, char closer)
{
    if (scan->depth == scan->limits->depth_max)
        return fail(scan, scan->at, "nested more than %u deep", scan->limits->depth_max);
    scan->at++;
    skip_space(scan);
    if (at_byte(scan, closer)) {
        scan->at++;
        return true;
    }
    scan->closers[scan->depth++] = closer;
    scan->opened = true;
    return closer == '}' ? scan_key(scan) : true;
}

/* A whole scalar or empty container, or the start of a container up to its first value. */
static bool scan_value(struct scan *scan)
{
    skip_space(scan);
    scan->opened = false;
    if (scan->at == scan->end)
        return fail_unexpected(scan, "a value is expected here");
    if (++scan->values > scan->limits->values_max)
        return fail(scan, scan->at, "more than %u values", scan->limits->values_max);
    switch (*scan->at) {
    case '{':
        return scan_opening(scan, '}');
    case '[':
        return scan_opening(scan, ']');
    case '"':
        return scan_string(scan);
    case 't':
        return scan_word(scan, "true");
    case 'f':
        return scan_word(scan, "false");
    case 'n':
        return scan_word(scan, "null");
    default:
        if (*scan->at == '-' || at_digit(scan))
            return scan_number(scan);
        return fail_unexpected(scan, "a value is expected here");
    }
}

/* Closes what a finished value lets close, then goes to the next value, if one must come. */
static bool scan_behind_value(struct scan *scan)
{
    while (scan->depth > 0) {
        char closer = scan->closers[scan->depth - 1];
        skip_space(scan);
        if (at_byte(scan, ',')) {
            scan->at++;
            return closer == '}' ? scan_key(scan) : true;
        }
        if (!at_byte(scan, closer))
            return fail_unexpected(scan,
                closer == '}' ? "a comma or } is expected here" : "a comma or ] is expected here");
        scan->at++;
        scan->depth--;
    }
    scan->value_end = scan->at;
    skip_space(scan);
    return scan->at == scan->end || fail_unexpected(scan, "nothing is expected behind the value");
}

static bool scan_document(struct scan *scan)
{
    size_t size = (size_t)(scan->end - scan->start);

    if (size > scan->limits->bytes_max)
        return fail(scan, scan->start + scan->limits->bytes_max, "more than %zu bytes",
            scan->limits->bytes_max);
    if (size >= 3 && memcmp(scan->start, "\xef\xbb\xbf", 3) == 0)
        return fail(scan, scan->start, "a byte order mark in front of the JSON");
    skip_space(scan);
    if (scan->at == scan->end)
        return fail(scan, scan->start, "empty, no JSON value in it");
    while (scan->value_end == NULL) {
        if (!scan_value(scan))
            return false;
        if (!scan->opened && !scan_behind_value(scan))
            return false;
    }
    return true;
}

static struct scan scan_of(
    const void *data, size_t size, const struct json_limits *limits, struct json_error *error)
{
    const unsigned char *start = size > 0 ? data : (const unsigned char *)"";

    assert(limits->depth_max >= 1 && limits->depth_max <= JSON_DEPTH_MAX);
    return (struct scan){
        .start = start, .at = start, .end = start + size, .limits = limits, .error = error};
}

bool json_scan(const void *data, size_t size, const struct json_limits *limits,
    struct json_error *error, size_t *value_end)
{
    struct scan scan = scan_of(data, size, limits, error);

    if (!scan_document(&scan))
        return false;
    *value_end = (size_t)(scan.value_end - scan.start);
    return true;
}

size_t json_scan_key_offset(
    const void *data, size_t size, const struct json_limits *limits, size_t key)
{
    struct json_error error;
    struct scan scan = scan_of(data, size, limits, &error);

    scan.key_wanted = key;
    return scan_document(&scan) ? scan.key_offset : 0;
}
