/* config_value: see config_value.h. */
#include "worker/config_value.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/memory.h"
#include "common/text.h"
#include "worker/rate.h"
#include "worker/reply_address.h"

enum { FILE_BYTES_MAX = 64 * 1024 };

static const struct {
    const char *name;
    int64_t us;
} units[] = {
    {"ms", CLOCK_US_PER_MS},
    {"s", CLOCK_US_PER_SECOND},
    {"m", 60 * CLOCK_US_PER_SECOND},
    {"h", 3600 * CLOCK_US_PER_SECOND},
};
enum { UNIT_COUNT = sizeof units / sizeof units[0] };

bool setting_is_text(const struct setting *setting)
{
    return setting->type == SETTING_TEXT || setting->type == SETTING_SECRET ||
           setting->type == SETTING_TOPIC || setting->type == SETTING_TOPIC_OR_NONE;
}

static bool parse_number(const char *text, int64_t *number, const char **end)
{
    char *stop;
    if (!isdigit((unsigned char)text[0]))
        return false;
    errno = 0;
    *number = strtoll(text, &stop, 10);
    *end = stop;
    return errno == 0;
}

static bool parse_duration(const char *text, int64_t *us)
{
    const char *unit;
    int64_t number;
    if (!parse_number(text, &number, &unit))
        return false;
    for (size_t i = 0; i < UNIT_COUNT; i++) {
        if (text_equal(unit, units[i].name))
            return !__builtin_mul_overflow(number, units[i].us, us);
    }
    return number == 0 && unit[0] == '\0' && (*us = 0, true);
}

static void print_duration(int64_t us, char *text, size_t size)
{
    size_t i = UNIT_COUNT - 1;
    while (i > 0 && (us == 0 || us % units[i].us != 0))
        i--;
    snprintf(text, size, "%" PRId64 "%s", us / units[i].us, units[i].name);
}

static bool parse_boolean(const char *text, bool *value)
{
    static const char *const yes[] = {"1", "true", "yes", "on"};
    static const char *const no[] = {"0", "false", "no", "off"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        if (text_equal(text, yes[i]) || text_equal(text, no[i])) {
            *value = text_equal(text, yes[i]);
            return true;
        }
    }
    return false;
}

static bool is_topic(const char *text)
{
    size_t size = strlen(text);
    return size > 0 && size < KAFKA_TOPIC_NAME_SIZE && !text_equal(text, ".") &&
           !text_equal(text, "..") &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
               size;
}

static bool is_text_allowed(const struct setting *setting, const char *text)
{
    size_t size = strlen(text);
    switch (setting->type) {
    case SETTING_TOPIC:
        return is_topic(text);
    case SETTING_TOPIC_OR_NONE:
        return size == 0 || is_topic(text);
    default:
        return size >= (size_t)setting->minimum &&
               (setting->maximum == 0 || size <= (size_t)setting->maximum);
    }
}

static bool parse_choice(const struct setting *setting, const char *text, int64_t *index)
{
    for (*index = 0; setting->choices[*index]; ++*index) {
        if (text_equal(text, setting->choices[*index]))
            return true;
    }
    return false;
}

static bool parse_integer(const char *text, int64_t *number)
{
    const char *end;
    return parse_number(text, number, &end) && *end == '\0';
}

static bool parse_percent(const char *text, int64_t *number)
{
    const char *end;
    return parse_number(text, number, &end) && text_equal(end, "%");
}

static bool within(const struct setting *setting, int64_t number)
{
    return number >= setting->minimum && number <= setting->maximum;
}

bool config_value_parse(
    const struct setting *setting, const char *text, void *field, char *reason, size_t reason_size)
{
    char expected[160];
    int64_t number = 0;
    bool usable = false;
    switch (setting->type) {
    case SETTING_TEXT:
    case SETTING_SECRET:
    case SETTING_TOPIC:
    case SETTING_TOPIC_OR_NONE:
        usable = is_text_allowed(setting, text);
        if (usable) {
            free(*(char **)field);
            *(char **)field = memory_copy_text(text);
        }
        break;
    case SETTING_INTEGER:
        usable = parse_integer(text, &number) && within(setting, number);
        break;
    case SETTING_PERCENT:
        usable = parse_percent(text, &number) && within(setting, number);
        break;
    case SETTING_DURATION:
        usable = parse_duration(text, &number) && within(setting, number);
        break;
    case SETTING_CHOICE:
        usable = parse_choice(setting, text, &number);
        break;
    case SETTING_BOOLEAN:
        usable = parse_boolean(text, field);
        break;
    case SETTING_RATE:
        usable = rate_parse(text, field);
        break;
    }
    if (!usable) {
        config_value_describe(setting, expected, sizeof expected);
        if (setting->type == SETTING_SECRET)
            snprintf(reason, reason_size, "the value is not usable: expected %s", expected);
        else
            snprintf(reason, reason_size, "\"%.40s\" is not usable: expected %s", text, expected);
        return false;
    }
    if (setting->type == SETTING_INTEGER || setting->type == SETTING_PERCENT ||
        setting->type == SETTING_DURATION || setting->type == SETTING_CHOICE)
        *(int64_t *)field = number;
    return true;
}

void config_value_print(const struct setting *setting, const void *field, char *text, size_t size)
{
    switch (setting->type) {
    case SETTING_TEXT:
    case SETTING_SECRET:
    case SETTING_TOPIC:
    case SETTING_TOPIC_OR_NONE:
        snprintf(text, size, "%s", *(char *const *)field);
        break;
    case SETTING_INTEGER:
        snprintf(text, size, "%" PRId64, *(const int64_t *)field);
        break;
    case SETTING_PERCENT:
        snprintf(text, size, "%" PRId64 "%%", *(const int64_t *)field);
        break;
    case SETTING_DURATION:
        print_duration(*(const int64_t *)field, text, size);
        break;
    case SETTING_CHOICE:
        snprintf(text, size, "%s", setting->choices[*(const int64_t *)field]);
        break;
    case SETTING_BOOLEAN:
        snprintf(text, size, "%d", *(const bool *)field);
        break;
    case SETTING_RATE:
        rate_print(field, text, size);
        break;
    }
}

static void describe_choices(const struct setting *setting, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (const char *const *choice = setting->choices; *choice && used < size; choice++)
        used += (size_t)snprintf(
            text + used, size - used, "%s%s", choice == setting->choices ? "" : ", ", *choice);
}

void config_value_describe(const struct setting *setting, char *text, size_t size)
{
    char minimum[40], maximum[40];
    switch (setting->type) {
    case SETTING_TEXT:
    case SETTING_SECRET:
        if (setting->maximum == 0)
            snprintf(text, size, "text");
        else
            snprintf(text, size, "text of %" PRId64 " to %" PRId64 " bytes", setting->minimum,
                setting->maximum);
        break;
    case SETTING_TOPIC:
        snprintf(text, size, "a topic name");
        break;
    case SETTING_TOPIC_OR_NONE:
        snprintf(text, size, "a topic name, or empty");
        break;
    case SETTING_INTEGER:
        snprintf(text, size, "%" PRId64 " to %" PRId64, setting->minimum, setting->maximum);
        break;
    case SETTING_PERCENT:
        snprintf(text, size, "%" PRId64 "%% to %" PRId64 "%%", setting->minimum, setting->maximum);
        break;
    case SETTING_DURATION:
        print_duration(setting->minimum, minimum, sizeof minimum);
        print_duration(setting->maximum, maximum, sizeof maximum);
        snprintf(text, size, "%s to %s", minimum, maximum);
        break;
    case SETTING_CHOICE:
        describe_choices(setting, text, size);
        break;
    case SETTING_BOOLEAN:
        snprintf(text, size, "0 or 1");
        break;
    case SETTING_RATE:
        snprintf(text, size, "N/s, N/m, N/h, or 0");
        break;
    }
}

char *config_value_read_file(const char *path, char *reason, size_t reason_size)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        snprintf(reason, reason_size, "%s", strerror(errno));
        return NULL;
    }
    char *content = memory_new(FILE_BYTES_MAX + 2);
    size_t size = fread(content, 1, FILE_BYTES_MAX + 1, file);
    bool failed = ferror(file) != 0;
    fclose(file);
    if (failed || size > FILE_BYTES_MAX) {
        snprintf(reason, reason_size, failed ? "it cannot be read" : "it is over 64 KiB");
        free(content);
        return NULL;
    }
    while (size > 0 && (content[size - 1] == '\n' || content[size - 1] == '\r'))
        size--;
    content[size] = '\0';
    return content;
}
