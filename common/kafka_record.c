/*
 * kafka_record: a record that arrived, as kafka_consumer.h shows it, over the event that brought
 * it.
 */
#include <assert.h>

#include "common/kafka_common.h"
#include "common/kafka_consumer.h"
#include "common/memory.h"
#include "common/text.h"

struct kept_record {
    struct kafka_record record; /* first, so that the address of one is that of the other */
    const rd_kafka_message_t *message;
    rd_kafka_event_t *event; /* owns the message */
    bool headers_known;
    rd_kafka_headers_t *headers; /* NULL: none, or not looked at yet; the message's own */
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
    struct kept_record *kept = (struct kept_record *)record;
    /* The library parses them at the first look, and again at each where there are none. */
    if (!kept->headers_known &&
        rd_kafka_message_headers(kept->message, &kept->headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        kept->headers = NULL;
    kept->headers_known = true;
    return kept->headers;
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

struct log_context kafka_record_log_context(
    const struct kafka_record *record, char trace_id[TRACE_ID_SIZE])
{
    struct kafka_header header;
    bool traced = kafka_record_header(record, "traceparent", &header);
    traceparent_read(traced ? header.value : NULL, traced ? header.value_size : 0, trace_id);
    return (struct log_context){
        .trace_id = trace_id[0] ? trace_id : NULL,
        .topic = record->topic,
        .partition = record->partition,
        .offset = record->offset,
    };
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

bool kafka_backlog_is_full(const struct kafka_backlog *backlog)
{
    return backlog->count == KAFKA_BACKLOG_RECORDS_MAX;
}

void kafka_backlog_put(struct kafka_backlog *backlog, struct kafka_record *record)
{
    assert(!kafka_backlog_is_full(backlog));
    backlog->records[(backlog->first + backlog->count) % KAFKA_BACKLOG_RECORDS_MAX] = record;
    backlog->count++;
}

struct kafka_record *kafka_backlog_take(struct kafka_backlog *backlog)
{
    if (backlog->count == 0)
        return NULL;
    struct kafka_record *record = backlog->records[backlog->first];
    backlog->first = (backlog->first + 1) % KAFKA_BACKLOG_RECORDS_MAX;
    backlog->count--;
    return record;
}

void kafka_backlog_drop(struct kafka_backlog *backlog, const char *topic, int32_t partition)
{
    for (size_t left = backlog->count; left > 0; left--) {
        struct kafka_record *record = kafka_backlog_take(backlog);
        if (record->partition == partition && text_equal(record->topic, topic))
            kafka_record_free(record);
        else
            kafka_backlog_put(backlog, record);
    }
}
