/*
 * log: one event per line on stderr, as logfmt on a terminal and as JSON elsewhere.
 *
 *   log_info("intake", "partitions assigned", LOG_TEXT("topic", topic), LOG_INT("partition", 3));
 *
 * logfmt:
 *   time=2026-11-21T07:04:32.123Z level=info area=intake message="partitions assigned" topic=…
 * JSON:
 *   {"time":"…","level":"info","area":"intake","message":"partitions assigned","topic":"…",…}
 *
 * Never pass a key, a token, a link, a payload or a URL with a query to it. Any bytes may be passed
 * otherwise: a value is escaped, broken UTF-8 is replaced, and it is cut at LOG_VALUE_BYTES_MAX.
 *
 * A line is written with one write(2), a line of more than PIPE_BUF (4096) bytes with a few.
 * Nothing here blocks for long or fails visibly: when stderr is a pipe that nobody reads, lines are
 * dropped after 20 ms, and the next line that is written carries dropped_lines=<number>. A line
 * that would be longer than LOG_LINE_BYTES_MAX loses fields at its end.
 *
 * Lines about a job: LOG_CONTEXT(context) stands for the fields that tell which job; NULL for none.
 * Who owns the job owns its context; a stage that works for it borrows the pointer with its ticket.
 *
 * Repeats: a call that may come once per record uses the _limited form with a static struct
 * log_limit of its own; it writes at most one line per `interval_ms` and the next line that is
 * written carries repeats=<number left out>; of a context it tells its own.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_VALUE_BYTES_MAX 1024
#define LOG_LINE_BYTES_MAX 8192

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };

/* A job that came as a record. */
struct log_context {
    const char *request_id; /* NULL: not known, or not yet */
    const char *trace_id;   /* NULL: it belongs to no trace */
    const char *topic;
    int32_t partition;
    int64_t offset;
};

struct log_field {
    const char *name; /* NULL: no field */
    enum { LOG_FIELD_TEXT, LOG_FIELD_INTEGER, LOG_FIELD_BOOLEAN } type;
    const char *text; /* may be NULL: the field is left out */
    size_t text_size; /* SIZE_MAX: NUL-terminated */
    int64_t integer;
    const struct log_context *context; /* NULL: none; else it stands for several fields */
};

#define LOG_TEXT(name_, text_)                                                                     \
    ((struct log_field){                                                                           \
        .name = (name_), .type = LOG_FIELD_TEXT, .text = (text_), .text_size = SIZE_MAX})
#define LOG_BYTES(name_, data_, size_)                                                             \
    ((struct log_field){                                                                           \
        .name = (name_), .type = LOG_FIELD_TEXT, .text = (data_), .text_size = (size_)})
#define LOG_INT(name_, integer_)                                                                   \
    ((struct log_field){.name = (name_), .type = LOG_FIELD_INTEGER, .integer = (integer_)})
#define LOG_BOOL(name_, boolean_)                                                                  \
    ((struct log_field){.name = (name_), .type = LOG_FIELD_BOOLEAN, .integer = (boolean_)})

#define LOG_CONTEXT(context_) ((struct log_field){.context = (context_)})

struct log_limit {
    int64_t last_us;  /* monotonic; 0: never written */
    uint64_t repeats; /* left out since */
};

/* Before the first line; the defaults are info and auto. */
void log_configure(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);

/* Where lines go; NULL: stderr. A test collects lines with it. */
void log_set_sink(void (*sink)(const char *line, size_t size));

void log_write(enum log_level level, const char *area, const char *message,
    const struct log_field *fields, size_t field_count);
void log_write_limited(struct log_limit *limit, int64_t interval_ms, enum log_level level,
    const char *area, const char *message, const struct log_field *fields, size_t field_count);

#define LOG_FIELDS(...)                                                                            \
    (const struct log_field[]){{0}, ##__VA_ARGS__},                                                \
        sizeof((const struct log_field[]){{0}, ##__VA_ARGS__}) / sizeof(struct log_field)

#define log_debug(area, message, ...)                                                              \
    do {                                                                                           \
        if (log_enabled(LOG_LEVEL_DEBUG))                                                          \
            log_write(LOG_LEVEL_DEBUG, area, message, LOG_FIELDS(__VA_ARGS__));                    \
    } while (0)
#define log_info(area, message, ...)                                                               \
    log_write(LOG_LEVEL_INFO, area, message, LOG_FIELDS(__VA_ARGS__))
#define log_warn(area, message, ...)                                                               \
    log_write(LOG_LEVEL_WARN, area, message, LOG_FIELDS(__VA_ARGS__))
#define log_error(area, message, ...)                                                              \
    log_write(LOG_LEVEL_ERROR, area, message, LOG_FIELDS(__VA_ARGS__))
#define log_limited(limit, interval_ms, level, area, message, ...)                                 \
    log_write_limited(limit, interval_ms, level, area, message, LOG_FIELDS(__VA_ARGS__))

#endif
