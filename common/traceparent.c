/* traceparent: see traceparent.h. */
#include "common/traceparent.h"

#include <stdbool.h>
#include <string.h>

/* 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 */
enum {
    VERSION_DIGITS = 2,
    TRACE_START = 3,
    TRACE_DIGITS = TRACE_ID_SIZE - 1,
    PARENT_START = TRACE_START + TRACE_DIGITS + 1,
    PARENT_DIGITS = 16,
    FLAGS_START = PARENT_START + PARENT_DIGITS + 1,
    FLAGS_DIGITS = 2,
    SIZE = FLAGS_START + FLAGS_DIGITS,
};

/* Lower case only, as the standard has it. */
static bool are_digits(const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if ((text[i] < '0' || text[i] > '9') && (text[i] < 'a' || text[i] > 'f'))
            return false;
    }
    return true;
}

static bool are_zeroes(const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (text[i] != '0')
            return false;
    }
    return true;
}

static bool has_form(const char *text, size_t size)
{
    return size >= SIZE && are_digits(text, VERSION_DIGITS) && text[TRACE_START - 1] == '-' &&
           are_digits(text + TRACE_START, TRACE_DIGITS) && text[PARENT_START - 1] == '-' &&
           are_digits(text + PARENT_START, PARENT_DIGITS) && text[FLAGS_START - 1] == '-' &&
           are_digits(text + FLAGS_START, FLAGS_DIGITS);
}

static bool is_usable(const char *text, size_t size)
{
    if (!has_form(text, size) || are_zeroes(text + TRACE_START, TRACE_DIGITS) ||
        are_zeroes(text + PARENT_START, PARENT_DIGITS) || memcmp(text, "ff", VERSION_DIGITS) == 0)
        return false;
    bool first_version = are_zeroes(text, VERSION_DIGITS);
    return size == SIZE || (!first_version && text[SIZE] == '-');
}

void traceparent_read(const void *value, size_t value_size, char trace_id[TRACE_ID_SIZE])
{
    const char *text = value;
    trace_id[0] = '\0';
    if (!text || !is_usable(text, value_size))
        return;
    memcpy(trace_id, text + TRACE_START, TRACE_DIGITS);
    trace_id[TRACE_DIGITS] = '\0';
}
