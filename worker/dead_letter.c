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

static void add_originals(struct cloud_event_headers *headers, const struct dead_letter *letter)
{
    struct kafka_header header;
    size_t kept = 0, bytes = 0, index = 0;
    for (; letter->header_at(letter->record, index, &header); index++) {
        size_t size = strlen(DEAD_LETTER_ORIGINAL) + strlen(header.name) + header.value_size;
        if (kept == DEAD_LETTER_HEADERS_MAX || kept < index ||
            size > DEAD_LETTER_HEADERS_BYTES_MAX - bytes)
            continue; /* and so for those behind it: the order stays whole */
        if (!cloud_event_headers_add_prefixed(
                headers, DEAD_LETTER_ORIGINAL, header.name, header.value, header.value_size))
            continue;
        bytes += size;
        kept++;
    }
    if (kept < index)
        add_integer(headers, DEAD_LETTER_LEFT_OUT, (int64_t)(index - kept));
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
    cloud_event_headers_add_text(headers, DEAD_LETTER_TOPIC, letter->record->topic);
    add_integer(headers, DEAD_LETTER_PARTITION, letter->record->partition);
    add_integer(headers, DEAD_LETTER_OFFSET, letter->record->offset);
    cloud_event_headers_add_text(headers, DEAD_LETTER_GROUP, letter->group);
    cloud_event_headers_add_text(headers, DEAD_LETTER_MESSAGE, letter->message);
    cloud_event_headers_add_text(headers, DEAD_LETTER_CODE, letter->code);
    if (letter->fetched)
        cloud_event_headers_add_text(headers, DEAD_LETTER_SOURCE, DEAD_LETTER_FETCHED);
    if (letter->header_at)
        add_originals(headers, letter);
}

void dead_letter_headers_without_value(
    struct cloud_event_headers *headers, const struct dead_letter *letter)
{
    const struct kafka_record *record = letter->record;
    const void *value = letter->fetched ? letter->fetched : record->value;
    size_t size = letter->fetched ? letter->fetched_size : record->value_size;
    char sha256[DIGEST_HEX_SIZE];
    dead_letter_headers(headers, letter);
    digest_bytes(value ? value : "", size, sha256);
    add_integer(headers, DEAD_LETTER_SIZE, (int64_t)size);
    cloud_event_headers_add_text(headers, DEAD_LETTER_SHA256, sha256);
}
