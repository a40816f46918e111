/*
 * watch_line: a record as a line that people read, or as a line of JSON. Pure.
 *
 *   2026-11-21T07:04:32.123Z replies 3/42 u1 status=success request_id=r1 link=…
 *
 * For people: time, the topic's short name, partition/offset, the key ("-": none), and those fields
 * of the value that say what it is about, wherever they are; on a dead letter also why it is one
 * and where it came from. Texts are as in plain_text.h.
 *
 * As JSON, one object:
 *   topic, name        the topic, and its short name
 *   partition, offset
 *   timestamp          RFC 3339, or null
 *   key                text, or null
 *   headers            an object of texts; of equal names the last; bytes that are no text as hex,
 *                      or only their number where they are many. The first WATCH_HEADERS_MAX and
 *                      WATCH_HEADERS_BYTES_MAX count, here and elsewhere
 *   value              the JSON, or null: a tombstone, or no JSON
 *   value_size         in bytes; null: a tombstone
 *   value_text, value_base64   only of a value that is no JSON: the text, or the bytes; neither
 *                      where there are more than WATCH_VALUE_BYTES_MAX
 *
 * Links and tokens are masked in either: see secret_mask.h.
 */
#ifndef WORKER_WATCH_LINE_H
#define WORKER_WATCH_LINE_H

#include "common/json.h"
#include "common/kafka_message.h"

#define WATCH_HEADERS_MAX 256
#define WATCH_HEADERS_BYTES_MAX ((size_t)64 * 1024)
#define WATCH_VALUE_BYTES_MAX ((size_t)1024 * 1024)
/* No line is longer. */
#define WATCH_LINE_BYTES_MAX ((size_t)24 * 1024 * 1024)

struct watch_line {
    const struct kafka_record *record;
    const char *name; /* the topic's short one */
    /* The record's headers in order; false past the end. */
    bool (*header_at)(const struct kafka_record *record, size_t index, struct kafka_header *header);

    /* private */
    json_value *value; /* NULL: no JSON, or too large */
};

/* Everything given is used until the release. */
void watch_line_init(struct watch_line *line, const struct kafka_record *record, const char *name,
    bool (*header_at)(
        const struct kafka_record *record, size_t index, struct kafka_header *header));
void watch_line_release(struct watch_line *line);

/* It has that key, or somewhere in its value that reference_id. */
bool watch_line_mentions(const struct watch_line *line, const char *reference_id);

/* Appends the line, without a newline. */
void watch_line_write_text(const struct watch_line *line, struct buf *text);
void watch_line_write_json(const struct watch_line *line, struct buf *text);

#endif
