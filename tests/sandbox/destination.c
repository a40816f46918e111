/* destination: Terra's Kafka destination; see destination.h. */
#include "destination.h"

#include <assert.h>
#include <stdio.h>
#include <utlist.h>

#include "common/clock.h"
#include "common/kafka_producer.h"
#include "common/memory.h"
#include "common/text.h"

#define IN_FLIGHT_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define TOPIC_RETRY_MS 200
#define POINTER_BYTES_MAX (32 * 1024)
#define ERROR_SIZE 256

/* A batch under way: event i is due i / per_second after the start. */
struct run {
    struct run *prev, *next;
    struct event_batch batch;
    size_t sent;
    int64_t start_us; /* monotonic */
    double per_second;
};

struct destination {
    struct destination_options options;
    uv_loop_t *loop;
    uv_timer_t timer;                /* the next event's time, or a new look for the topic */
    struct kafka_producer *producer; /* NULL: none was needed yet */
    struct kafka_topic_query query;
    bool asking;             /* the query is under way */
    int32_t partition_count; /* of the raw topic; 0: unknown */
    int32_t next_partition;
    bool closing;
    struct run *runs;
    struct event *events;    /* remembered, the oldest first */
    struct event *forgotten; /* but under way, so that their memory is still needed */
    uint64_t last_sequence;
    size_t event_count;
    size_t bytes;
    size_t in_flight_bytes;
    struct event_objects objects;
};

struct destination *destination_new(uv_loop_t *loop, const struct destination_options *options)
{
    struct destination *destination = memory_new(sizeof(*destination));
    destination->options = *options;
    destination->loop = loop;
    uv_timer_init(loop, &destination->timer);
    destination->timer.data = destination;
    return destination;
}

struct event_objects *destination_objects(struct destination *destination)
{
    return &destination->objects;
}

/* --- remembering --- */

static void forget(struct destination *destination, struct event *event)
{
    DL_DELETE(destination->events, event);
    destination->event_count--;
    destination->bytes -= event_bytes(event);
    event_objects_withdraw(&destination->objects, event->object);
    if (event->state != EVENT_SENT) {
        event_free(event);
        return;
    }
    event->forgotten = true;
    DL_APPEND(destination->forgotten, event);
}

static bool is_over(const struct event *event)
{
    return event->state == EVENT_DELIVERED || event->state == EVENT_FAILED;
}

/* The oldest make way, as far as they are over. */
static bool make_room(struct destination *destination, const struct event_batch *batch)
{
    while (destination->event_count + batch->count > EVENTS_MAX ||
           destination->bytes + batch->bytes > EVENTS_BYTES_MAX) {
        struct event *oldest = destination->events;
        if (oldest == NULL || !is_over(oldest))
            return false;
        forget(destination, oldest);
    }
    return true;
}

static void run_free(struct destination *destination, struct run *run)
{
    DL_DELETE(destination->runs, run);
    free(run->batch.events);
    free(run);
}

void destination_clear(struct destination *destination)
{
    while (destination->runs != NULL)
        run_free(destination, destination->runs);
    while (destination->events != NULL)
        forget(destination, destination->events);
}

/* --- writing records --- */

static void write_pointer(
    const struct destination *destination, const struct event *event, struct buf *value)
{
    const struct event_object *object = event->object;
    struct buf url;
    buf_init(&url, POINTER_BYTES_MAX);
    if (event->url != NULL)
        buf_append_text(&url, event->url);
    else
        event_object_write_url(object, destination->options.own_url, &url);
    struct json_writer writer;
    json_writer_init(&writer, value);
    json_open_object(&writer, NULL);
    json_put_text(&writer, "type", "s3_payload");
    if (!event->plain)
        json_put_text(&writer, "status", "success");
    json_put_text(&writer, "url", buf_text(&url));
    json_put_integer(&writer, "expires_in", object->expires_in);
    if (!event->plain && object->user_id != NULL)
        json_put_text(&writer, "user_id", object->user_id);
    if (!event->plain && object->reference_id != NULL)
        json_put_text(&writer, "reference_id", object->reference_id);
    if (!event->plain)
        json_put_text(&writer, "payload_reference", object->payload_reference);
    json_close_object(&writer);
    buf_release(&url);
}

static void on_timer(uv_timer_t *timer);

/* Has another look at what can go, in a turn of its own. */
static void plan(struct destination *destination, uint64_t delay_ms)
{
    if (!destination->closing && destination->runs != NULL)
        uv_timer_start(&destination->timer, on_timer, delay_ms, 0);
}

static void on_delivered(struct kafka_delivery *delivery, enum kafka_delivery_outcome outcome,
    int64_t offset, const char *reason)
{
    (void)reason;
    struct destination *destination = delivery->context;
    struct event *event = (struct event *)((char *)delivery - offsetof(struct event, delivery));
    destination->in_flight_bytes -= event->value.size;
    buf_release(&event->value);
    event->offset = offset;
    event->state = outcome == KAFKA_DELIVERED ? EVENT_DELIVERED : EVENT_FAILED;
    event->reason = outcome == KAFKA_DELIVERED ? NULL : kafka_delivery_outcome_name(outcome);
    if (event->forgotten) {
        DL_DELETE(destination->forgotten, event);
        event_free(event);
    }
    plan(destination, 0);
}

static void send_event(struct destination *destination, struct event *event)
{
    if (event->inside) {
        event_body_write(&event->object->body, &event->value);
    } else {
        if (event->url == NULL)
            event_objects_publish(&destination->objects, event->object);
        write_pointer(destination, event, &event->value);
    }
    if (event->partition < 0)
        event->partition = destination->next_partition++ % destination->partition_count;
    event->state = EVENT_SENT;
    event->sent_wall_us = clock_wall_us();
    event->delivery = (struct kafka_delivery){
        .topic = destination->options.topic,
        .partition = event->partition,
        .value = buf_text(&event->value),
        .value_size = event->value.size,
        .on_delivered = on_delivered,
        .context = destination,
    };
    destination->in_flight_bytes += event->value.size;
    kafka_producer_send(destination->producer, &event->delivery);
}

/* Sends what is due; how long until more is, or -1: until something is delivered. */
static int64_t run_send(struct destination *destination, struct run *run, int64_t now_us)
{
    while (run->sent < run->batch.count) {
        int64_t due_us = run->start_us;
        if (run->per_second > 0)
            due_us += (int64_t)((double)run->sent * (double)CLOCK_US_PER_SECOND / run->per_second);
        if (due_us > now_us)
            return due_us - now_us;
        if (destination->in_flight_bytes >= IN_FLIGHT_BYTES_MAX)
            return -1;
        send_event(destination, run->batch.events[run->sent++]);
    }
    run_free(destination, run);
    return -1;
}

static void send_due(struct destination *destination)
{
    int64_t now_us = clock_monotonic_us();
    int64_t wait_us = -1;
    struct run *run, *next;
    DL_FOREACH_SAFE (destination->runs, run, next) {
        int64_t run_wait_us = run_send(destination, run, now_us);
        if (run_wait_us >= 0 && (wait_us < 0 || run_wait_us < wait_us))
            wait_us = run_wait_us;
    }
    if (wait_us >= 0)
        plan(destination, (uint64_t)((wait_us + CLOCK_US_PER_MS - 1) / CLOCK_US_PER_MS));
}

/* --- the client --- */

static void on_producer_closed(void *context)
{
    struct destination *destination = context;
    destination->producer = NULL;
}

static void on_producer_fatal(void *context, const char *reason)
{
    (void)context;
    fprintf(stderr, "terra-sandbox: events can no longer be written: %s\n", reason);
}

static void start_producer(struct destination *destination)
{
    const struct kafka_property properties[] = {
        {"bootstrap.servers", destination->options.brokers},
        {"client.id", "terra-sandbox-destination"},
        {"message.max.bytes", "67108864"},
    };
    const struct kafka_producer_options options = {
        .properties = properties,
        .property_count = sizeof(properties) / sizeof(properties[0]),
        .topics = &destination->options.topic,
        .topic_count = 1,
        .on_fatal = on_producer_fatal,
        .on_closed = on_producer_closed,
        .context = destination,
    };
    char error[ERROR_SIZE];
    enum result result = kafka_producer_new(
        destination->loop, &options, &destination->producer, error, sizeof(error));
    assert(result == RESULT_OK); /* kafka_new has tried the only property of the caller's */
    (void)result;
}

static void on_topic(
    struct kafka_topic_query *query, enum kafka_topic_state state, int32_t partition_count)
{
    struct destination *destination = query->context;
    destination->asking = false;
    bool found = state == KAFKA_TOPIC_FOUND && partition_count > 0;
    if (found)
        destination->partition_count = partition_count;
    plan(destination, found ? 0 : TOPIC_RETRY_MS);
}

static void ask_for_topic(struct destination *destination)
{
    if (destination->asking)
        return;
    destination->asking = true;
    destination->query = (struct kafka_topic_query){
        .topic = destination->options.topic,
        .on_answer = on_topic,
        .context = destination,
    };
    kafka_producer_find_topic(destination->producer, &destination->query);
}

static void on_timer(uv_timer_t *timer)
{
    struct destination *destination = timer->data;
    if (destination->producer == NULL)
        start_producer(destination);
    if (destination->partition_count == 0)
        ask_for_topic(destination);
    else
        send_due(destination);
}

enum result destination_send(struct destination *destination, struct event_batch *batch,
    double per_second, struct event_range *range)
{
    if (!make_room(destination, batch))
        return RESULT_REJECT;
    range->first = destination->last_sequence + 1;
    for (size_t i = 0; i < batch->count; i++) {
        struct event *event = batch->events[i];
        event->sequence = ++destination->last_sequence;
        DL_APPEND(destination->events, event);
    }
    range->last = destination->last_sequence;
    destination->event_count += batch->count;
    destination->bytes += batch->bytes;
    struct run *run = memory_new(sizeof(*run));
    *run =
        (struct run){.batch = *batch, .start_us = clock_monotonic_us(), .per_second = per_second};
    DL_APPEND(destination->runs, run);
    event_batch_init(batch);
    plan(destination, 0);
    return RESULT_OK;
}

/* --- the end --- */

void destination_close(struct destination *destination)
{
    destination->closing = true;
    uv_close((uv_handle_t *)&destination->timer, NULL);
    if (destination->producer != NULL)
        kafka_producer_close(destination->producer);
}

void destination_free(struct destination *destination)
{
    if (destination == NULL)
        return;
    destination_clear(destination);
    free(destination);
}

/* --- asking --- */

static bool matches(const struct event *event, const struct event_filter *filter)
{
    return event->sequence > filter->since &&
           (filter->type == NULL || text_equal(event->type, filter->type)) &&
           (filter->reference_id == NULL ||
               text_equal(event->object->reference_id, filter->reference_id)) &&
           (filter->user_id == NULL || text_equal(event->object->user_id, filter->user_id));
}

static void write_event(
    const struct destination *destination, const struct event *event, struct json_writer *writer)
{
    static const char *const states[] = {"waiting", "sent", "delivered", "failed"};
    const struct event_object *object = event->object;
    json_open_object(writer, NULL);
    json_put_integer(writer, "sequence", (int64_t)event->sequence);
    json_put_text(writer, "type", event->type);
    json_put_text(writer, "delivery", event->inside ? "inline" : "pointer");
    json_put_text(writer, "user_id", object->user_id);
    json_put_text(writer, "reference_id", object->reference_id);
    json_put_text(writer, "payload_reference", event->inside ? NULL : object->payload_reference);
    json_put_integer(writer, "bytes", (int64_t)event_body_size(&object->body));
    json_put_text(writer, "state", states[event->state]);
    json_put_text(writer, "reason", event->reason);
    json_put_integer(writer, "partition", event->partition);
    json_put_integer(writer, "offset", event->offset);
    json_put_integer(writer, "sent_us", event->sent_wall_us);
    struct buf url;
    buf_init(&url, POINTER_BYTES_MAX);
    if (!event->inside && event->url == NULL && event->state != EVENT_WAITING)
        event_object_write_url(object, destination->options.own_url, &url);
    json_put_text(writer, "url", url.size > 0 ? buf_text(&url) : event->url);
    buf_release(&url);
    json_put_integer(writer, "fetches", (int64_t)object->fetches);
    json_close_object(writer);
}

void destination_write_events(const struct destination *destination,
    const struct event_filter *filter, size_t limit, struct json_writer *writer)
{
    uint64_t last = filter->since;
    size_t waiting = 0;
    bool more = false;
    const struct event *event;
    json_open_array(writer, "events");
    DL_FOREACH (destination->events, event) {
        if (event->sequence <= filter->since)
            continue;
        waiting += !is_over(event);
        if (more)
            continue;
        if (limit == 0) {
            more = true;
            continue;
        }
        last = event->sequence;
        if (!matches(event, filter))
            continue;
        write_event(destination, event, writer);
        limit--;
    }
    json_close_array(writer);
    json_put_integer(writer, "last", (int64_t)last);
    json_put_boolean(writer, "more", more);
    json_put_integer(writer, "waiting", (int64_t)waiting);
}
