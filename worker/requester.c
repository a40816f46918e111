/*
 * requester: see requester.h.
 *
 * The reader comes first, and only when it knows its positions the producer: no reply is missed,
 * and a cluster that cannot be reached is complained of once.
 *
 * A call ends when the outcome of its delivery is known and, unless that is a failure, a reply has
 * come or its time is over, whichever is first.
 */
#include "worker/requester.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>

#include "common/clock.h"
#include "common/memory.h"

static const char correlation_header[] = "correlation-id";
static const char reply_header[] = "reply-to";

struct requester {
    uv_loop_t *loop;
    struct requester_options options;
    struct kafka_reader *reader;
    struct kafka_producer *producer; /* NULL until the reader is ready */
    struct requester_call *calls;    /* open, by correlation_id */
    char prefix[33];                 /* of our correlation ids: random */
    uint64_t sequence;
    uv_timer_t timer; /* for the earliest deadline */
    bool closing;
    unsigned open; /* reader, producer, timer: what is still to be closed */
};

/* Calls. */

static void finish(struct requester_call *call, enum requester_outcome outcome, const char *reason)
{
    struct kafka_record *reply = call->reply;
    HASH_DEL(call->requester->calls, call);
    /* The call may be gone after this. */
    call->on_done(
        call, outcome, reply ? reply->value : NULL, reply ? reply->value_size : 0, reason);
    kafka_record_free(reply);
}

static void settle(struct requester_call *call, const char *reason)
{
    if (!call->reported)
        return;
    if (call->reply)
        finish(call, REQUESTER_REPLIED, "");
    else if (call->lost)
        finish(call, call->requester->closing ? REQUESTER_CANCELLED : REQUESTER_NOT_SENT, reason);
    else if (call->expired)
        finish(call, REQUESTER_SILENT, "");
}

static void on_delivered(struct kafka_delivery *delivery, enum kafka_delivery_outcome outcome,
    int64_t offset, const char *reason)
{
    (void)offset;
    struct requester_call *call = delivery->context;
    call->reported = true;
    call->lost = outcome != KAFKA_DELIVERED;
    settle(call, reason);
}

static void on_record(void *context, struct kafka_record *record)
{
    struct requester *requester = context;
    struct kafka_header header;
    struct requester_call *call = NULL;
    if (kafka_record_header(record, correlation_header, &header) && header.value)
        HASH_FIND(hh, requester->calls, header.value, header.value_size, call);
    if (!call || call->reply || !record->value) {
        kafka_record_free(record);
        return;
    }
    call->reply = record;
    settle(call, "");
}

static void plan_timer(struct requester *requester);

static void on_timer(uv_timer_t *timer)
{
    struct requester *requester = timer->data;
    int64_t now_us = clock_monotonic_us();
    struct requester_call *call, *next;
    HASH_ITER (hh, requester->calls, call, next) {
        if (call->expired || call->deadline_us > now_us)
            continue;
        call->expired = true;
        settle(call, "");
    }
    if (!requester->closing)
        plan_timer(requester);
}

/* There are as many calls as the caller lets there be: a walk over them is cheap enough. */
static void plan_timer(struct requester *requester)
{
    int64_t earliest_us = INT64_MAX;
    struct requester_call *call, *next;
    HASH_ITER (hh, requester->calls, call, next) {
        if (!call->expired && call->deadline_us < earliest_us)
            earliest_us = call->deadline_us;
    }
    if (earliest_us == INT64_MAX)
        return;
    int64_t wait_us = earliest_us - clock_monotonic_us();
    uv_timer_start(&requester->timer, on_timer,
        wait_us > 0 ? (uint64_t)(wait_us / CLOCK_US_PER_MS) + 1 : 0, 0);
}

void requester_ask(struct requester *requester, struct requester_call *call)
{
    assert(requester->producer && !requester->closing);
    call->requester = requester;
    call->reported = call->lost = call->expired = false;
    call->reply = NULL;
    call->deadline_us = clock_monotonic_us() + call->timeout_us;
    int size = snprintf(call->correlation_id, sizeof(call->correlation_id), "%s-%" PRIu64,
        requester->prefix, ++requester->sequence);
    call->headers[0] =
        (struct kafka_header){correlation_header, call->correlation_id, (size_t)size};
    call->headers[1] = (struct kafka_header){
        reply_header, requester->options.replies_topic, strlen(requester->options.replies_topic)};
    call->delivery = (struct kafka_delivery){
        .topic = requester->options.requests_topic,
        .partition = KAFKA_PARTITION_BY_KEY,
        .key = call->key,
        .key_size = call->key ? strlen(call->key) : 0,
        .value = call->value,
        .value_size = call->value_size,
        .headers = call->headers,
        .header_count = 2,
        .on_delivered = on_delivered,
        .context = call,
    };
    HASH_ADD_KEYPTR(hh, requester->calls, call->correlation_id, (unsigned)size, call);
    /* A timer that runs is for an earlier deadline, mostly; it plans the next when it fires. */
    uint64_t due_ms = uv_timer_get_due_in(&requester->timer);
    if (!uv_is_active((uv_handle_t *)&requester->timer) ||
        (int64_t)due_ms * CLOCK_US_PER_MS > call->timeout_us)
        plan_timer(requester);
    kafka_producer_send(requester->producer, &call->delivery);
}

/* The end. */

static void count_closed(struct requester *requester)
{
    if (--requester->open > 0)
        return;
    struct requester_call *call, *next;
    HASH_ITER (hh, requester->calls, call, next) {
        finish(call, REQUESTER_CANCELLED, "");
    }
    void (*on_closed)(void *context) = requester->options.on_closed;
    void *context = requester->options.context;
    free(requester);
    on_closed(context);
}

static void on_part_closed(void *context)
{
    count_closed(context);
}

static void on_timer_closed(uv_handle_t *handle)
{
    count_closed(handle->data);
}

void requester_close(struct requester *requester)
{
    if (requester->closing)
        return;
    requester->closing = true;
    /* A reply that waits for its delivery's outcome would keep the reader open, but the producer
     * tells of every outcome as it closes. */
    kafka_reader_close(requester->reader);
    if (requester->producer)
        kafka_producer_close(requester->producer);
    uv_close((uv_handle_t *)&requester->timer, on_timer_closed);
}

/* The beginning. */

static void on_fatal(void *context, const char *reason)
{
    /* It has been logged; every call ends by its delivery. */
    (void)context;
    (void)reason;
}

static void on_reader_ready(void *context)
{
    struct requester *requester = context;
    const struct kafka_producer_options options = {
        .properties = requester->options.properties,
        .property_count = requester->options.property_count,
        .topics = &requester->options.requests_topic,
        .topic_count = 1,
        .on_fatal = on_fatal,
        .on_closed = on_part_closed,
        .context = requester,
    };
    char error[256] = "";
    if (kafka_producer_new(requester->loop, &options, &requester->producer, error, sizeof(error)) !=
        RESULT_OK) {
        requester->options.on_failed(requester->options.context, RESULT_REJECT, error);
        return;
    }
    requester->open++;
    requester->options.on_ready(requester->options.context);
}

static void on_trouble(void *context, enum kafka_trouble trouble, const char *reason)
{
    (void)trouble;
    struct requester *requester = context;
    /* Later trouble has been logged, and the reader goes on. */
    if (!requester->producer && !requester->closing)
        requester->options.on_failed(requester->options.context, RESULT_RETRY, reason);
}

static void make_prefix(char prefix[33])
{
    uint64_t random[2];
    ssize_t size = getrandom(random, sizeof(random), 0);
    assert(size == (ssize_t)sizeof(random)); /* so few bytes come whole, once the kernel is up */
    (void)size;
    snprintf(prefix, 33, "%016" PRIx64 "%016" PRIx64, random[0], random[1]);
}

enum result requester_new(uv_loop_t *loop, const struct requester_options *options,
    struct requester **requester, char *error, size_t error_size)
{
    struct requester *made = memory_new(sizeof(*made));
    made->loop = loop;
    made->options = *options;
    make_prefix(made->prefix);
    *requester = NULL;
    const struct kafka_reader_options reader_options = {
        .properties = options->properties,
        .property_count = options->property_count,
        .topics = &options->replies_topic,
        .topic_count = 1,
        .from = KAFKA_READER_FROM_END,
        .on_ready = on_reader_ready,
        .on_record = on_record,
        .on_trouble = on_trouble,
        .on_closed = on_part_closed,
        .context = made,
        .start_timeout_us = options->start_timeout_us,
    };
    if (kafka_reader_new(loop, &reader_options, &made->reader, error, error_size) != RESULT_OK) {
        free(made);
        return RESULT_REJECT;
    }
    uv_timer_init(loop, &made->timer);
    made->timer.data = made;
    made->open = 2;
    *requester = made;
    return RESULT_OK;
}
