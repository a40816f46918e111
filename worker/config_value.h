/*
 * config_value: one setting's type: its text to a value, checked against its bounds, and back.
 * Durations are written 500ms, 30s, 10m, 2h and kept in microseconds.
 */
#ifndef WORKER_CONFIG_VALUE_H
#define WORKER_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_VALUE_SIZE 8300

enum setting_type {
    SETTING_TEXT,          /* char *; minimum and maximum bytes, 0 maximum: no bound */
    SETTING_SECRET,        /* char *, never shown; also from NAME_FILE */
    SETTING_TOPIC,         /* char *: a Kafka topic name */
    SETTING_TOPIC_OR_NONE, /* the same, or empty */
    SETTING_INTEGER,       /* int64_t */
    SETTING_DURATION,      /* int64_t microseconds */
    SETTING_BOOLEAN,       /* bool: 0 or 1, also true, false, yes, no, on, off */
    SETTING_PERCENT,       /* int64_t: "20%" is 20 */
    SETTING_RATE,          /* struct rate */
    SETTING_CHOICE,        /* int64_t: index into choices */
};

struct setting {
    const char *name;
    enum setting_type type;
    size_t field;         /* offset in struct config */
    const char *fallback; /* the default, as text */
    int64_t minimum, maximum;
    const char *const *choices; /* ends with NULL */
    const char *help;
};

bool setting_is_text(const struct setting *setting);

/* False with a reason for the operator, which never holds a secret's value. */
bool config_value_parse(
    const struct setting *setting, const char *text, void *field, char *reason, size_t reason_size);
void config_value_print(const struct setting *setting, const void *field, char *text, size_t size);
/* The values allowed, in words: "1 to 100000", "auto, session, legacy". */
void config_value_describe(const struct setting *setting, char *text, size_t size);

/* A file's content without trailing newlines, at most 64 KiB; NULL and a reason when it cannot be
 * read. The caller frees it. Shaped as environment_read_file. */
char *config_value_read_file(const char *path, char *reason, size_t reason_size);

#endif
