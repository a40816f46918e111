/*
 * watch_line: see watch_line.h.
 *
 * A line is put together as it is and masked as a whole at the end, so that nothing that goes into
 * it can be forgotten. Only what is no JSON is masked before, strictly.
 */
#include "worker/watch_line.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/text.h"
#include "common/utf8.h"
#include "worker/dead_letter.h"
#include "worker/plain_text.h"
#include "worker/secret_mask.h"

#define PATH_DEPTH_MAX 3
#define SEARCH_DEPTH_MAX 32
#define KEY_BYTES_MAX ((size_t)64 * 1024)
#define HEX_BYTES_MAX 32
#define ITEMS_MAX 20 /* of an array, in a line for people */

static const struct json_limits value_limits = {
    .bytes_max = WATCH_VALUE_BYTES_MAX, .depth_max = 64, .values_max = 200000};

/* What is worth a place in a line, in its order; of an array, its first item is meant. */
static const char *const fields[] = {"status", "kind", "type", "error.code", "error.message",
    "error.http_status", "error.retry_after_seconds", "reason", "message", "provider", "providers",
    "reference_id", "user_id", "old_user_id", "request_id", "environment", "user.user_id",
    "user.provider", "user.reference_id", "old_user.user_id", "new_user.user_id",
    "new_user.provider", "new_user.reference_id", "session_id", "widget_session_id", "flow_id",
    "link", "url", "link_expires_at", "expires_in", "timeout_seconds", "attempts", "cached",
    "matched_by", "seconds_since_link", "seconds_total", "scopes", "scopes_added", "scopes_removed",
    "since", "last_event", "last_event_at", "payload_reference", "warnings"};
static const char *const headers[] = {DEAD_LETTER_CODE, DEAD_LETTER_MESSAGE, DEAD_LETTER_SOURCE,
    DEAD_LETTER_SIZE, DEAD_LETTER_LEFT_OUT, "redriven-from"};
/* What a tombstone says about what has ended. */
static const char *const tombstone_headers[] = {"kind", "reference_id", "provider"};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

void watch_line_init(struct watch_line *line, const struct kafka_record *record, const char *name,
    bool (*header_at)(const struct kafka_record *record, size_t index, struct kafka_header *header))
{
    struct json_error error;
    *line = (struct watch_line){.record = record, .name = name, .header_at = header_at};
    if (record->value)
        line->value = json_parse(record->value, record->value_size, &value_limits, &error);
}

void watch_line_release(struct watch_line *line)
{
    json_free(line->value);
    line->value = NULL;
}

/* ---- whom it is about ---- */

static bool names(const json_value *value, const char *reference_id, unsigned depth)
{
    if (depth == SEARCH_DEPTH_MAX || json_is_string(value))
        return false;
    if (text_equal(json_text(json_field(value, "reference_id")), reference_id))
        return true;
    for (const json_value *child = json_first(value); child; child = json_next(child))
        if (names(child, reference_id, depth + 1))
            return true;
    return false;
}

bool watch_line_mentions(const struct watch_line *line, const char *reference_id)
{
    const struct kafka_record *record = line->record;
    if (record->key && record->key_size == strlen(reference_id) &&
        memcmp(record->key, reference_id, record->key_size) == 0)
        return true;
    return names(line->value, reference_id, 0);
}

/* ---- headers ---- */

static bool header_at(const struct watch_line *line, size_t index, struct kafka_header *header)
{
    return index < WATCH_HEADERS_MAX && line->header_at(line->record, index, header);
}

static bool find_header(const struct watch_line *line, const char *name, struct kafka_header *found)
{
    struct kafka_header header;
    bool any = false;
    for (size_t i = 0; header_at(line, i, &header); i++)
        if (text_equal(header.name, name)) {
            *found = header;
            any = true;
        }
    return any && found->value;
}

/* ---- for people ---- */

static void put_name(struct buf *text, const char *name)
{
    buf_append_char(text, ' ');
    buf_append_text(text, name);
    buf_append_char(text, '=');
}

static void put_scalar(struct buf *text, const json_value *value)
{
    struct json_writer writer;
    json_writer_init(&writer, text);
    if (json_is_string(value))
        plain_text_append_quoted(text, json_text(value), strlen(json_text(value)));
    else if (json_is_object(value) || json_is_array(value))
        buf_append_text(text, "…");
    else
        json_put_value(&writer, NULL, value);
}

static void put_value(struct buf *text, const json_value *value)
{
    if (!json_is_array(value)) {
        put_scalar(text, value);
        return;
    }
    unsigned count = 0;
    for (const json_value *item = json_first(value); item; item = json_next(item), count++) {
        if (count > 0)
            buf_append_char(text, ',');
        if (count == ITEMS_MAX) {
            buf_append_text(text, "…");
            break;
        }
        put_scalar(text, item);
    }
}

/* The field at a path such as "error.code"; NULL: none, or null. */
static const json_value *find_field(const json_value *value, const char *path)
{
    for (unsigned depth = 0; depth < PATH_DEPTH_MAX; depth++) {
        const char *dot = strchr(path, '.');
        char name[64];
        if (json_is_array(value))
            value = json_first(value);
        snprintf(name, sizeof name, "%.*s", dot ? (int)(dot - path) : (int)strlen(path), path);
        value = json_field(value, name);
        if (!dot || !value)
            break;
        path = dot + 1;
    }
    return value && !text_equal(json_type_name(value), "null") ? value : NULL;
}

static bool is_key(const struct watch_line *line, const json_value *value)
{
    const struct kafka_record *record = line->record;
    const char *text = json_text(value);
    return text && record->key && strlen(text) == record->key_size &&
           memcmp(text, record->key, record->key_size) == 0;
}

static void put_fields(const struct watch_line *line, struct buf *text)
{
    for (size_t i = 0; i < COUNT(fields); i++) {
        const json_value *value = find_field(line->value, fields[i]);
        /* The same link under Terra's name tells nothing more. */
        bool again = text_equal(fields[i], "url") && find_field(line->value, "link");
        bool empty = json_is_array(value) && json_count(value) == 0;
        if (!value || again || empty ||
            (text_equal(fields[i], "reference_id") && is_key(line, value)))
            continue;
        put_name(text, fields[i]);
        put_value(text, value);
    }
}

static void put_headers(
    const struct watch_line *line, const char *const *wanted, size_t count, struct buf *text)
{
    struct kafka_header header;
    for (size_t i = 0; i < count; i++) {
        if (!find_header(line, wanted[i], &header))
            continue;
        put_name(text, wanted[i]);
        plain_text_append_quoted(text, header.value, header.value_size);
    }
}

static void put_source(const struct watch_line *line, struct buf *text)
{
    struct kafka_header topic, partition, offset;
    if (!find_header(line, DEAD_LETTER_TOPIC, &topic) ||
        !find_header(line, DEAD_LETTER_PARTITION, &partition) ||
        !find_header(line, DEAD_LETTER_OFFSET, &offset))
        return;
    put_name(text, "from");
    plain_text_append(text, topic.value, topic.value_size);
    buf_append_char(text, '/');
    plain_text_append(text, partition.value, partition.value_size);
    buf_append_char(text, '/');
    plain_text_append(text, offset.value, offset.value_size);
}

static void write_text(const struct watch_line *line, struct buf *text)
{
    const struct kafka_record *record = line->record;
    char time[CLOCK_RFC3339_SIZE] = "-";
    if (record->timestamp_ms >= 0)
        clock_format_rfc3339(record->timestamp_ms * CLOCK_US_PER_MS, time);
    buf_printf(text, "%s %s %" PRId32 "/%" PRId64 " ", time, line->name, record->partition,
        record->offset);
    if (record->key)
        plain_text_append_quoted(text, record->key, record->key_size);
    else
        buf_append_char(text, '-');
    /* A reply's error stands in its value as well. */
    if (!find_field(line->value, "error.code"))
        put_headers(line, headers, COUNT(headers), text);
    put_source(line, text);
    put_fields(line, text);
    if (!record->value) {
        buf_append_text(text, " tombstone");
        put_headers(line, tombstone_headers, COUNT(tombstone_headers), text);
    } else if (!line->value) {
        buf_printf(text, " (%zu bytes, %s)", record->value_size,
            record->value_size > WATCH_VALUE_BYTES_MAX ? "too large to be shown" : "no JSON");
    }
}

static void mask_into(const struct buf *line, struct buf *text)
{
    secret_mask(buf_text(line), line->size, SECRET_MASK_KNOWN, text);
}

void watch_line_write_text(const struct watch_line *line, struct buf *text)
{
    struct buf bare;
    buf_init(&bare, WATCH_LINE_BYTES_MAX);
    write_text(line, &bare);
    mask_into(&bare, text);
    buf_release(&bare);
}

/* ---- as JSON ---- */

static bool is_text(const void *data, size_t size)
{
    return utf8_valid(data, size) && !memchr(data, '\0', size);
}

/* An integer in a header is four or eight bytes; a long one that is no text could be anything. */
static void put_hex(struct json_writer *writer, const struct kafka_header *header)
{
    char hex[2 + 2 * HEX_BYTES_MAX + 1] = "0x";
    const unsigned char *bytes = header->value;
    if (header->value_size > HEX_BYTES_MAX) {
        snprintf(hex, sizeof hex, "(%zu bytes)", header->value_size);
    } else {
        for (size_t i = 0; i < header->value_size; i++)
            snprintf(hex + 2 + 2 * i, 3, "%02x", bytes[i]);
    }
    json_put_text(writer, NULL, hex);
}

/* No later header has the name. */
static bool is_last_of_name(const struct watch_line *line, size_t index, const char *name)
{
    struct kafka_header later;
    while (header_at(line, ++index, &later))
        if (text_equal(later.name, name))
            return false;
    return true;
}

static void put_header(struct json_writer *writer, const struct kafka_header *header)
{
    /* The writer takes names as they are; this one comes from outside and is written as a text. */
    json_put_text(writer, NULL, header->name);
    buf_append_char(writer->buf, ':');
    writer->comma = false;
    if (!header->value)
        json_put_null(writer, NULL);
    else if (is_text(header->value, header->value_size))
        json_put_bytes(writer, NULL, header->value, header->value_size);
    else
        put_hex(writer, header);
}

static void put_all_headers(const struct watch_line *line, struct json_writer *writer)
{
    struct kafka_header header;
    size_t bytes = 0;
    json_open_object(writer, "headers");
    for (size_t i = 0; header_at(line, i, &header); i++) {
        size_t size = strlen(header.name) + header.value_size;
        if (size > WATCH_HEADERS_BYTES_MAX - bytes)
            break;
        bytes += size;
        if (is_last_of_name(line, i, header.name))
            put_header(writer, &header);
    }
    json_close_object(writer);
}

static void encode_base64(const unsigned char *bytes, size_t size, struct buf *encoded)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t at = 0; at < size; at += 3) {
        size_t count = size - at < 3 ? size - at : 3;
        unsigned group = (unsigned)bytes[at] << 16 |
                         (count > 1 ? (unsigned)bytes[at + 1] << 8 : 0) |
                         (count > 2 ? bytes[at + 2] : 0);
        char four[] = {digits[group >> 18], digits[group >> 12 & 63],
            (char)(count > 1 ? digits[group >> 6 & 63] : '='),
            (char)(count > 2 ? digits[group & 63] : '=')};
        buf_append(encoded, four, sizeof four);
    }
}

static void put_base64(struct json_writer *writer, const struct buf *bytes)
{
    struct buf encoded;
    buf_init(&encoded, 2 * bytes->bytes_max);
    encode_base64((const unsigned char *)bytes->data, bytes->size, &encoded);
    json_put_bytes(writer, "value_base64", buf_text(&encoded), encoded.size);
    buf_release(&encoded);
}

static void put_no_json(const struct kafka_record *record, struct json_writer *writer)
{
    struct buf masked;
    json_put_null(writer, "value");
    json_put_integer(writer, "value_size", (int64_t)record->value_size);
    if (record->value_size > WATCH_VALUE_BYTES_MAX)
        return;
    buf_init(&masked, 4 * WATCH_VALUE_BYTES_MAX);
    secret_mask(record->value, record->value_size, SECRET_MASK_STRICT, &masked);
    if (is_text(buf_text(&masked), masked.size))
        json_put_bytes(writer, "value_text", buf_text(&masked), masked.size);
    else
        put_base64(writer, &masked);
    buf_release(&masked);
}

static void write_json(const struct watch_line *line, struct buf *text)
{
    const struct kafka_record *record = line->record;
    struct json_writer writer;
    char time[CLOCK_RFC3339_SIZE];
    json_writer_init(&writer, text);
    json_open_object(&writer, NULL);
    json_put_text(&writer, "topic", record->topic);
    json_put_text(&writer, "name", line->name);
    json_put_integer(&writer, "partition", record->partition);
    json_put_integer(&writer, "offset", record->offset);
    if (record->timestamp_ms >= 0)
        clock_format_rfc3339(record->timestamp_ms * CLOCK_US_PER_MS, time);
    json_put_text(&writer, "timestamp", record->timestamp_ms >= 0 ? time : NULL);
    if (record->key)
        json_put_bytes(&writer, "key", record->key,
            record->key_size < KEY_BYTES_MAX ? record->key_size : KEY_BYTES_MAX);
    else
        json_put_null(&writer, "key");
    put_all_headers(line, &writer);
    if (line->value) {
        json_put_value(&writer, "value", line->value);
        json_put_integer(&writer, "value_size", (int64_t)record->value_size);
    } else if (record->value) {
        put_no_json(record, &writer);
    } else {
        json_put_null(&writer, "value");
        json_put_null(&writer, "value_size");
    }
    json_close_object(&writer);
}

void watch_line_write_json(const struct watch_line *line, struct buf *text)
{
    struct buf bare;
    buf_init(&bare, WATCH_LINE_BYTES_MAX);
    write_json(line, &bare);
    mask_into(&bare, text);
    buf_release(&bare);
}
