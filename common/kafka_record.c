/*
 * kafka_record: a record that arrived, as kafka_consumer.h shows it, over the event that brought
 * it.
 */
#include "common/kafka_common.h"
#include "common/kafka_consumer.h"
#include "common/memory.h"

struct kept_record {
    struct kafka_record record; /* first, so that the address of one is that of the other */
    const rd_kafka_message_t *message;
    rd_kafka_event_t *event; /* owns the message */
    void (*on_freed)(void *context);
    void *context;
};

struct kafka_record *kafka_record_new(
    rd_kafka_event_t *event, void (*on_freed)(void *context), void *context)
{
    const rd_kafka_message_t *message = rd_kafka_event_message_next(event);
    if (!message)
        return NULL;
    struct kept_record *kept = memory_new(sizeof(*kept));
    rd_kafka_timestamp_type_t type;
    kept->record = (struct kafka_record){
        .topic = rd_kafka_topic_name(message->rkt),
        .partition = message->partition,
        .offset = message->offset,
        .timestamp_ms = rd_kafka_message_timestamp(message, &type),
        .key = message->key,
        .key_size = message->key_len,
        .value = message->payload,
        .value_size = message->len,
    };
    kept->message = message;
    kept->event = event;
    kept->on_freed = on_freed;
    kept->context = context;
    return &kept->record;
}

static rd_kafka_headers_t *headers_of(const struct kafka_record *record)
{
    const struct kept_record *kept = (const struct kept_record *)record;
    rd_kafka_headers_t *headers;
    /* Parsed at the first look, and kept with the message. */
    if (rd_kafka_message_headers(kept->message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return NULL;
    return headers;
}

bool kafka_record_header(
    const struct kafka_record *record, const char *name, struct kafka_header *header)
{
    rd_kafka_headers_t *headers = headers_of(record);
    header->name = name;
    return headers && rd_kafka_header_get_last(headers, name, &header->value,
                          &header->value_size) == RD_KAFKA_RESP_ERR_NO_ERROR;
}

bool kafka_record_header_at(
    const struct kafka_record *record, size_t index, struct kafka_header *header)
{
    rd_kafka_headers_t *headers = headers_of(record);
    return headers && rd_kafka_header_get_all(headers, index, &header->name, &header->value,
                          &header->value_size) == RD_KAFKA_RESP_ERR_NO_ERROR;
}

void kafka_record_free(struct kafka_record *record)
{
    if (!record)
        return;
    struct kept_record *kept = (struct kept_record *)record;
    void (*on_freed)(void *context) = kept->on_freed;
    void *context = kept->context;
    rd_kafka_event_destroy(kept->event);
    free(kept);
    on_freed(context);
}
