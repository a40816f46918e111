#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/utf8.h"

/* A line waits 4 × 5 ms for a reader that has stopped reading; then it is dropped. */
#define WAIT_MS 5
#define WAITS_MAX 4

/* Room kept free for what closes a line: "}\n". */
#define LINE_END_BYTES 2

struct line {
    char bytes[LOG_LINE_BYTES_MAX];
    size_t size;
    bool json;
    bool full; /* something did not fit; nothing more goes in, so that only the end is missing */
};

static enum log_level lowest_level = LOG_LEVEL_INFO;
static enum log_format line_format = LOG_FORMAT_AUTO;
static void (*line_sink)(const char *line, size_t size);

static atomic_uint_fast64_t dropped_lines; /* since the last line that was written */
static atomic_bool reader_stalled;         /* the last line was dropped: do not wait again */
static atomic_bool line_unfinished;        /* the last line was written in part */

static const char *level_name(enum log_level level)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};

    return names[level];
}

void log_configure(enum log_level level, enum log_format format)
{
    lowest_level = level;
    line_format = format;
}

bool log_enabled(enum log_level level)
{
    return level >= lowest_level;
}

void log_set_sink(void (*sink)(const char *line, size_t size))
{
    line_sink = sink;
}

static bool format_is_json(void)
{
    if (line_format == LOG_FORMAT_AUTO)
        return !isatty(STDERR_FILENO);
    return line_format == LOG_FORMAT_JSON;
}

/* Building a line. */

static void put_bytes(struct line *line, const char *bytes, size_t size)
{
    if (line->full || size > sizeof(line->bytes) - LINE_END_BYTES - line->size) {
        line->full = true;
        return;
    }
    memcpy(line->bytes + line->size, bytes, size);
    line->size += size;
}

static void put_text(struct line *line, const char *text)
{
    put_bytes(line, text, strlen(text));
}

/* C1 controls, U+0080 to U+009F: a terminal may obey them. */
static bool is_c1_control(const unsigned char *character, size_t length)
{
    return length == 2 && character[0] == 0xc2 && character[1] < 0xa0;
}

static void put_escaped_character(struct line *line, const unsigned char *character, size_t length)
{
    char escape[8];

    if (length == 0) {
        put_text(line, "\xef\xbf\xbd"); /* U+FFFD */
    } else if (character[0] == '"' || character[0] == '\\') {
        put_bytes(line, (char[]){'\\', (char)character[0]}, 2);
    } else if (character[0] == '\n') {
        put_text(line, "\\n");
    } else if (character[0] == '\r') {
        put_text(line, "\\r");
    } else if (character[0] == '\t') {
        put_text(line, "\\t");
    } else if (character[0] < 0x20 || character[0] == 0x7f || is_c1_control(character, length)) {
        snprintf(escape, sizeof(escape), "\\u%04x", (unsigned)character[length - 1]);
        put_text(line, escape);
    } else {
        put_bytes(line, (const char *)character, length);
    }
}

/* Where to cut: never in the middle of a character. */
static size_t cut_size(const unsigned char *bytes, size_t size)
{
    if (size <= LOG_VALUE_BYTES_MAX)
        return size;
    size_t cut = LOG_VALUE_BYTES_MAX;
    for (int i = 0; i < 3 && (bytes[cut] & 0xc0) == 0x80; i++)
        cut--;
    return cut;
}

/* logfmt leaves plain words bare; the rest is quoted and escaped as in JSON. */
static bool needs_quotes(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] <= ' ' || bytes[i] >= 0x7f || bytes[i] == '"' || bytes[i] == '=' ||
            bytes[i] == '\\')
            return true;
    }
    return size == 0;
}

static void put_value(struct line *line, const char *text, size_t text_size)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t size =
        cut_size(bytes, text_size == SIZE_MAX ? strnlen(text, LOG_VALUE_BYTES_MAX + 1) : text_size);
    bool quoted = line->json || needs_quotes(bytes, size);

    if (!quoted) {
        put_bytes(line, text, size);
        return;
    }
    put_bytes(line, "\"", 1);
    for (size_t at = 0; at < size;) {
        size_t length = utf8_character(bytes + at, size - at);
        put_escaped_character(line, bytes + at, length);
        at += length > 0 ? length : 1;
    }
    put_bytes(line, "\"", 1);
}

static void put_name(struct line *line, const char *name)
{
    if (line->json) {
        put_text(line, line->size > 1 ? ",\"" : "\""); /* 1: the opening brace */
        put_text(line, name);
        put_text(line, "\":");
    } else {
        put_text(line, line->size > 0 ? " " : "");
        put_text(line, name);
        put_text(line, "=");
    }
}

/* A field goes in whole or not at all. */
static void put_field(struct line *line, const struct log_field *field)
{
    char integer[24];
    size_t size_before = line->size;

    if (field->name == NULL || (field->type == LOG_FIELD_TEXT && field->text == NULL))
        return;
    put_name(line, field->name);
    switch (field->type) {
    case LOG_FIELD_TEXT:
        put_value(line, field->text, field->text_size);
        break;
    case LOG_FIELD_INTEGER:
        snprintf(integer, sizeof(integer), "%" PRId64, field->integer);
        put_text(line, integer);
        break;
    case LOG_FIELD_BOOLEAN:
        put_text(line, field->integer != 0 ? "true" : "false");
        break;
    }
    if (line->full)
        line->size = size_before;
}

static void put_context(struct line *line, const struct log_context *context)
{
    if (context == NULL)
        return;
    put_field(line, &LOG_TEXT("request_id", context->request_id));
    put_field(line, &LOG_TEXT("trace_id", context->trace_id));
    put_field(line, &LOG_TEXT("topic", context->topic));
    put_field(line, &LOG_INT("partition", context->partition));
    put_field(line, &LOG_INT("offset", context->offset));
}

static void put_count(struct line *line, const char *name, uint64_t count)
{
    if (count > 0)
        put_field(line, &LOG_INT(name, (int64_t)count));
}

static void begin_line(
    struct line *line, enum log_level level, const char *area, const char *message)
{
    char time[CLOCK_RFC3339_SIZE];

    line->size = 0;
    line->full = false;
    line->json = format_is_json();
    clock_format_rfc3339(clock_wall_us(), time);
    put_text(line, line->json ? "{" : "");
    put_field(line, &LOG_TEXT("time", time));
    put_field(line, &LOG_TEXT("level", level_name(level)));
    put_field(line, &LOG_TEXT("area", area));
    put_field(line, &LOG_TEXT("message", message));
}

static void end_line(struct line *line)
{
    if (line->json)
        line->bytes[line->size++] = '}';
    line->bytes[line->size++] = '\n';
}

/* Writing a line. */

/*
 * A full pipe or a stopped terminal would block the write, so poll asks first. It promises room for
 * PIPE_BUF bytes, so a longer line goes out in pieces. Gives back how much went out.
 */
static size_t write_with_patience(const char *bytes, size_t size)
{
    struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
    int wait_ms = reader_stalled ? 0 : WAIT_MS;
    size_t done = 0;

    for (int waits = 0; done < size && waits < WAITS_MAX; waits++) {
        if (poll(&room, 1, wait_ms) != 1)
            continue;
        size_t piece = size - done < PIPE_BUF ? size - done : PIPE_BUF;
        ssize_t written = write(STDERR_FILENO, bytes + done, piece);
        if (written > 0)
            done += (size_t)written;
        else if (errno != EINTR && errno != EAGAIN)
            break;
    }
    return done;
}

static void write_to_stderr(const struct line *line)
{
    /* Never glue a line to the half of another. */
    if (line_unfinished && write_with_patience("\n", 1) != 1) {
        dropped_lines++;
        return;
    }
    size_t done = write_with_patience(line->bytes, line->size);
    reader_stalled = done < line->size;
    line_unfinished = done > 0 && done < line->size;
    if (reader_stalled)
        dropped_lines++;
}

static void write_line(enum log_level level, const char *area, const char *message,
    uint64_t repeats, const struct log_field *fields, size_t field_count)
{
    struct line line;
    uint64_t dropped = atomic_exchange(&dropped_lines, 0);

    begin_line(&line, level, area, message);
    put_count(&line, "repeats", repeats);
    put_count(&line, "dropped_lines", dropped);
    for (size_t i = 0; i < field_count; i++) {
        put_context(&line, fields[i].context);
        put_field(&line, &fields[i]);
    }
    end_line(&line);
    if (line_sink != NULL) {
        line_sink(line.bytes, line.size);
        return;
    }
    write_to_stderr(&line);
    if (reader_stalled)
        dropped_lines += dropped;
}

void log_write(enum log_level level, const char *area, const char *message,
    const struct log_field *fields, size_t field_count)
{
    if (log_enabled(level))
        write_line(level, area, message, 0, fields, field_count);
}

void log_write_limited(struct log_limit *limit, int64_t interval_ms, enum log_level level,
    const char *area, const char *message, const struct log_field *fields, size_t field_count)
{
    int64_t now_us = clock_monotonic_us();

    if (!log_enabled(level))
        return;
    if (limit->last_us != 0 && now_us - limit->last_us < interval_ms * CLOCK_US_PER_MS) {
        limit->repeats++;
        return;
    }
    uint64_t repeats = limit->repeats;
    limit->repeats = 0;
    limit->last_us = now_us != 0 ? now_us : 1; /* 0 means never */
    write_line(level, area, message, repeats, fields, field_count);
}
