/* publisher_letter: see publisher_letter.h. */
#include "worker/publisher_letter.h"

#include <stdlib.h>

#include "common/kafka_consumer.h"
#include "common/memory.h"

struct publisher_letter {
    struct dead_letter letter;
    const struct log_context *log;
    const char *topic;
    struct publisher *publisher;
    struct publication publication;
    struct cloud_event_headers headers;
    void (*on_buried)(void *context, bool persisted);
    void *context;
};

static void send_letter(struct publisher_letter *letter, bool with_value);

static void on_published(
    struct publication *publication, enum publication_outcome outcome, const char *reason)
{
    struct publisher_letter *letter = publication->context;
    if (outcome == PUBLISHED_NOT_TOO_LARGE && publication->delivery.value) {
        send_letter(letter, false);
        return;
    }
    if (outcome != PUBLISHED && outcome != PUBLISHED_NOT_CANCELLED)
        log_error("publisher", "a dead letter cannot be written", LOG_CONTEXT(letter->log),
            LOG_TEXT("reason", reason));
    letter->on_buried(letter->context, outcome == PUBLISHED);
    cloud_event_headers_release(&letter->headers);
    free(letter);
}

static void send_letter(struct publisher_letter *letter, bool with_value)
{
    const struct kafka_record *record = letter->letter.record;
    cloud_event_headers_release(&letter->headers);
    if (with_value)
        dead_letter_headers(&letter->headers, &letter->letter);
    else
        dead_letter_headers_without_value(&letter->headers, &letter->letter);
    letter->publication = (struct publication){
        .delivery =
            {
                .topic = letter->topic,
                .partition = KAFKA_PARTITION_BY_KEY,
                .key = record->key,
                .key_size = record->key_size,
                .value = with_value ? record->value : NULL,
                .value_size = with_value ? record->value_size : 0,
                .headers = letter->headers.headers,
                .header_count = letter->headers.count,
            },
        .on_published = on_published,
        .context = letter,
        .log = letter->log,
    };
    publisher_send(letter->publisher, &letter->publication);
}

void publisher_bury(struct publisher *publisher, const char *topic,
    const struct dead_letter *letter, const struct log_context *log,
    void (*on_buried)(void *context, bool persisted), void *context)
{
    struct publisher_letter *sent = memory_new(sizeof *sent);
    sent->letter = *letter;
    sent->letter.header_at = kafka_record_header_at;
    sent->log = log;
    sent->topic = topic;
    sent->publisher = publisher;
    sent->on_buried = on_buried;
    sent->context = context;
    send_letter(sent, true);
}
