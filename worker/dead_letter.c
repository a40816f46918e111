/* dead_letter: see dead_letter.h. */
#include "worker/dead_letter.h"

#include <inttypes.h>

#include "common/digest.h"

static void add_integer(struct cloud_event_headers *headers, const char *name, int64_t integer)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, integer);
    cloud_event_headers_add_text(headers, name, text);
}

void dead_letter_headers(struct cloud_event_headers *headers, const struct dead_letter *letter)
{
    const struct cloud_event event = {
        .kind = "dead-letter",
        .source = letter->source,
        .content_type = "application/octet-stream",
        .time_wall_us = letter->time_wall_us,
        .topic = letter->record->topic,
        .partition = letter->record->partition,
        .offset = letter->record->offset,
    };
    cloud_event_headers_init(headers, &event);
    cloud_event_headers_add_text(headers, "__dlq.errors.topic", letter->record->topic);
    add_integer(headers, "__dlq.errors.partition", letter->record->partition);
    add_integer(headers, "__dlq.errors.offset", letter->record->offset);
    cloud_event_headers_add_text(headers, "__dlq.errors.group", letter->group);
    cloud_event_headers_add_text(headers, "__dlq.errors.message", letter->message);
    cloud_event_headers_add_text(headers, "error-code", letter->code);
}

void dead_letter_headers_without_value(
    struct cloud_event_headers *headers, const struct dead_letter *letter)
{
    const struct kafka_record *record = letter->record;
    char sha256[DIGEST_HEX_SIZE];
    dead_letter_headers(headers, letter);
    digest_bytes(record->value ? record->value : "", record->value_size, sha256);
    add_integer(headers, "payload-size", (int64_t)record->value_size);
    cloud_event_headers_add_text(headers, "payload-sha256", sha256);
}
