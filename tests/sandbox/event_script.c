/* event_script: what a control call says about events; see event_script.h. */
#include "event_script.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/text.h"

#define EXPIRES_SECONDS_MAX 1e6
#define TTL_MS_MAX 1e9
#define PARTITION_MAX 100000

static const char *const text_names[EVENT_TEXT_COUNT] = {
    [EVENT_TYPE] = "type",
    [EVENT_STATUS] = "status",
    [EVENT_MESSAGE] = "message",
    [EVENT_USER_ID] = "user_id",
    [EVENT_OLD_USER_ID] = "old_user_id",
    [EVENT_REFERENCE_ID] = "reference_id",
    [EVENT_PROVIDER] = "provider",
    [EVENT_SCOPES] = "scopes",
    [EVENT_SCOPES_ADDED] = "scopes_added",
    [EVENT_SCOPES_REMOVED] = "scopes_removed",
    [EVENT_REASON] = "reason",
    [EVENT_WIDGET_SESSION_ID] = "widget_session_id",
    [EVENT_FLOW_ID] = "flow_id",
    [EVENT_PAYLOAD_REFERENCE] = "payload_reference",
    [EVENT_URL] = "url",
};

void event_script_init(struct event_script *script)
{
    *script = (struct event_script){
        .active = true,
        .expires_in = EVENT_EXPIRES_SECONDS_DEFAULT,
        .ttl_us = EVENT_EXPIRES_SECONDS_DEFAULT * CLOCK_US_PER_SECOND,
        .partition = -1,
        .count = 1,
    };
    script->texts[EVENT_TYPE] = "auth";
}

static bool say(char error[EVENT_ERROR_SIZE], const char *name, const char *wanted)
{
    snprintf(error, EVENT_ERROR_SIZE, "%s must be %s", name, wanted);
    return false;
}

static bool listed(const char *const *names, const char *name)
{
    while (names != NULL && *names != NULL)
        if (text_equal(*names++, name))
            return true;
    return false;
}

static bool check_names(
    const json_value *object, const char *const *others, char error[EVENT_ERROR_SIZE])
{
    static const char *const known[] = {"shape", "active", "bytes", "type_last", "fields",
        "without", "body", "delivery", "pointer", "expires_in", "ttl_ms", "encoding", "partition",
        "count", "repeat", "repeat_as", NULL};
    for (const json_value *field = json_first(object); field; field = json_next(field)) {
        const char *name = json_name(field);
        bool found = listed(known, name) || listed(others, name);
        for (int i = 0; !found && i < EVENT_TEXT_COUNT; i++)
            found = text_equal(text_names[i], name);
        if (!found)
            return say(error, name, "left out: the sandbox does not know it");
    }
    return true;
}

static bool read_texts(
    struct event_script *script, const json_value *object, char error[EVENT_ERROR_SIZE])
{
    for (int i = 0; i < EVENT_TEXT_COUNT; i++)
        if (json_get_text(object, text_names[i], &script->texts[i]) == JSON_WRONG_TYPE ||
            (script->texts[i] != NULL && strlen(script->texts[i]) > EVENT_TEXT_BYTES_MAX)) {
            snprintf(error, EVENT_ERROR_SIZE, "%s must be a text of at most %d bytes",
                text_names[i], EVENT_TEXT_BYTES_MAX);
            return false;
        }
    return true;
}

/* One of some words, or absent. *choice: its index. */
static bool read_choice(const json_value *object, const char *name, const char *const *words,
    int *choice, char error[EVENT_ERROR_SIZE])
{
    const char *word = NULL;
    enum json_get get = json_get_text(object, name, &word);
    if (get == JSON_ABSENT)
        return true;
    for (int i = 0; get == JSON_FOUND && words[i] != NULL; i++)
        if (text_equal(words[i], word)) {
            *choice = i;
            return true;
        }
    return say(error, name, "one of the words that the manual names");
}

static bool read_choices(
    struct event_script *script, const json_value *object, char error[EVENT_ERROR_SIZE])
{
    static const char *const shapes[] = {"new", "old", "oldest", NULL};
    static const char *const deliveries[] = {"pointer", "inline", NULL};
    static const char *const pointers[] = {"full", "plain", NULL};
    static const char *const encodings[] = {"identity", "gzip", NULL};
    static const char *const repeats[] = {"record", "payload", "event", NULL};
    int shape = (int)script->shape;
    int inside = script->inside;
    int plain = script->plain;
    int gzip = script->gzip;
    int repeat_as = (int)script->repeat_as;
    if (!read_choice(object, "shape", shapes, &shape, error) ||
        !read_choice(object, "delivery", deliveries, &inside, error) ||
        !read_choice(object, "pointer", pointers, &plain, error) ||
        !read_choice(object, "encoding", encodings, &gzip, error) ||
        !read_choice(object, "repeat_as", repeats, &repeat_as, error))
        return false;
    script->shape = (enum event_shape)shape;
    script->inside = inside == 1;
    script->plain = plain == 1;
    script->gzip = gzip == 1;
    script->repeat_as = (enum event_repeat)repeat_as;
    if (json_get_boolean(object, "active", &script->active) == JSON_WRONG_TYPE ||
        json_get_boolean(object, "type_last", &script->type_last) == JSON_WRONG_TYPE)
        return say(error, "active and type_last", "booleans");
    return true;
}

static bool read_numbers(
    struct event_script *script, const json_value *object, char error[EVENT_ERROR_SIZE])
{
    double bytes = (double)script->bytes;
    double expires_in = (double)script->expires_in;
    double ttl_ms = -1;
    double partition = script->partition;
    double count = script->count;
    double repeat = script->repeat;
    const struct {
        const char *name;
        double *number;
        double minimum, maximum;
    } numbers[] = {
        {"bytes", &bytes, 0, EVENT_BYTES_MAX},
        {"expires_in", &expires_in, 0, EXPIRES_SECONDS_MAX},
        {"ttl_ms", &ttl_ms, 0, TTL_MS_MAX},
        {"partition", &partition, 0, PARTITION_MAX},
        {"count", &count, 0, EVENT_COUNT_MAX},
        {"repeat", &repeat, 0, EVENT_COUNT_MAX},
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        double number = -1;
        enum json_get get = json_get_number(object, numbers[i].name, &number);
        if (get == JSON_ABSENT)
            continue;
        if (get == JSON_WRONG_TYPE || number != floor(number) || number < numbers[i].minimum ||
            number > numbers[i].maximum) {
            snprintf(error, EVENT_ERROR_SIZE, "%s must be a whole number from %.0f to %.0f",
                numbers[i].name, numbers[i].minimum, numbers[i].maximum);
            return false;
        }
        *numbers[i].number = number;
    }
    script->bytes = (size_t)bytes;
    script->expires_in = (int64_t)expires_in;
    script->ttl_us =
        ttl_ms >= 0 ? (int64_t)ttl_ms * CLOCK_US_PER_MS : script->expires_in * CLOCK_US_PER_SECOND;
    script->partition = (int32_t)partition;
    script->count = (unsigned)count;
    script->repeat = (unsigned)repeat;
    return true;
}

static bool read_values(
    struct event_script *script, const json_value *object, char error[EVENT_ERROR_SIZE])
{
    if (json_get_object(object, "fields", &script->fields) == JSON_WRONG_TYPE)
        return say(error, "fields", "an object");
    if (json_get_array(object, "without", &script->without) == JSON_WRONG_TYPE)
        return say(error, "without", "an array of names");
    if (json_field(object, "body") != NULL)
        script->body = json_field(object, "body");
    return true;
}

bool event_script_read(struct event_script *script, const json_value *object,
    const char *const *others, char error[EVENT_ERROR_SIZE])
{
    if (object == NULL || !json_is_object(object))
        return say(error, "an event", "an object");
    return check_names(object, others, error) && read_texts(script, object, error) &&
           read_choices(script, object, error) && read_numbers(script, object, error) &&
           read_values(script, object, error);
}
