/* event_text: see event_text.h. */
#include "worker/event_text.h"

#include <inttypes.h>
#include <math.h>

#include "common/memory.h"
#include "common/utf8.h"

/* Up to here each whole number has a double of its own. */
#define WHOLE_MAX 9007199254740991.0

static enum json_get number_id(const json_value *object, const char *name, char **id)
{
    char digits[24];
    double number;
    if (json_get_number(object, name, &number) != JSON_FOUND || !(number >= 0) ||
        number > WHOLE_MAX || number != floor(number))
        return JSON_WRONG_TYPE;
    snprintf(digits, sizeof digits, "%" PRIu64, (uint64_t)number);
    *id = memory_copy_text(digits);
    return JSON_FOUND;
}

enum json_get event_text_id(const json_value *object, const char *name, char **id)
{
    const char *text = NULL;
    switch (json_get_text(object, name, &text)) {
    case JSON_ABSENT:
        return JSON_ABSENT;
    case JSON_WRONG_TYPE:
        return number_id(object, name, id);
    case JSON_FOUND:
        break;
    }
    size_t size = strlen(text);
    if (size == 0)
        return JSON_ABSENT;
    if (size > EVENT_ID_BYTES_MAX || utf8_has_control(text, size))
        return JSON_WRONG_TYPE;
    *id = memory_copy_text(text);
    return JSON_FOUND;
}

char *event_text_words(const json_value *object, const char *name, size_t bytes_max)
{
    const char *text;
    if (json_get_text(object, name, &text) != JSON_FOUND)
        return NULL;
    size_t size = strlen(text);
    if (size > bytes_max)
        size = utf8_valid_prefix(text, bytes_max);
    char *words = memory_copy(text, size);
    for (char *c = words; *c; c++)
        if (utf8_has_control(c, 1))
            *c = ' ';
    if (words[strspn(words, " ")])
        return words;
    free(words);
    return NULL;
}
