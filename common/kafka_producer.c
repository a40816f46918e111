/*
 * kafka_producer: see the header.
 *
 * Where a delivery is:  send ─▶ topic's `waiting` (its topic is being looked up)
 *                            ─▶ `sent` (the library has it) ─▶ on_delivered
 *                            ─▶ `waiting` (the library's queue is full) ─▶ sent
 *                            ─▶ `refused` (its outcome is known; told in a later turn) ─▶
 * on_delivered
 *
 * The library does not copy values: after the delivery report it touches them no more, and what has
 * no report when the producer closes is kept until the library is destroyed.
 */
#include "common/kafka_producer.h"

#include <assert.h>
#include <utlist.h>

#include "common/kafka_common.h"
#include "common/kafka_topics.h"
#include "common/memory.h"

#define REPORTS_PER_TURN 1024
/* How long purged records may take to come back before the library is destroyed with them. */
#define PURGE_TIMEOUT_MS 1000

static const char closed_reason[] = "the producer was closed";
static const char fatal_reason[] = "the producer had a fatal error earlier";

enum producer_state {
    PRODUCER_OPEN,
    PRODUCER_PURGING,    /* closed; waits for what the library gives back, and for the lookup */
    PRODUCER_DESTROYING, /* the library's threads are being joined, on the thread pool */
    PRODUCER_CLOSING,    /* the loop's handles are being closed */
};

struct kafka_producer {
    uv_loop_t *loop;
    struct kafka_producer_options options; /* properties and topics are not kept */
    rd_kafka_t *handle;
    rd_kafka_queue_t *queue;
    enum producer_state state;
    bool fatal;
    bool purge_timed_out;

    struct kafka_topics topics;
    struct kafka_delivery *sent;
    struct kafka_delivery *waiting;
    struct kafka_delivery *refused;
    size_t in_flight;
    rd_kafka_event_t *reading; /* delivery reports of which some are not yet told */

    struct kafka_reports reports;
    struct kafka_waker waker;
    uv_timer_t purge_timer;
    unsigned handles_open;
    uv_work_t destroy_work;
};

static const struct kafka_pin pins[] = {
    {"delivery.report.only.error", "false", KAFKA_PIN_OWNED},
    /* Needs calls that this module does not make. */
    {"transactional.id", NULL, KAFKA_PIN_OWNED},
    {"acks", "all", KAFKA_PIN_DEFAULT},
    /* Order between records is not promised, and 2.0.2 has fatal sequence errors after timeouts. */
    {"enable.idempotence", "false", KAFKA_PIN_DEFAULT},
    /* The Java client's choice of partition; the library's default is another. */
    {"partitioner", "murmur2_random", KAFKA_PIN_DEFAULT},
    /* Whoever reads must be able to decode, and clients differ in what they can: kafkajs, alone,
     * reads gzip only. Records are small; a topic's own compression.type does it at the broker. */
    {"compression.type", "none", KAFKA_PIN_DEFAULT},
    /* A record goes out at once while fewer than so many requests are unanswered; when the broker
     * is busier, records gather meanwhile. A linger time costs its length at low rates, and without
     * either there is a request for each record, which costs ten times the CPU. */
    {"linger.ms", "0", KAFKA_PIN_DEFAULT},
    {"max.in.flight.requests.per.connection", "5", KAFKA_PIN_DEFAULT},
    {"message.timeout.ms", "30000", KAFKA_PIN_DEFAULT},
    {"queue.buffering.max.messages", "10000", KAFKA_PIN_DEFAULT},
    {"queue.buffering.max.kbytes", "65536", KAFKA_PIN_DEFAULT},
    /* A record is measured before compression, here, and after it by the broker. Leave the refusal
     * to the broker, but keep batches of several records well below its usual 1 MB. */
    {"message.max.bytes", "4194304", KAFKA_PIN_DEFAULT},
    {"batch.size", "524288", KAFKA_PIN_DEFAULT},
    /* How long after its first use a topic that is not there may still be on its way through the
     * cluster; then what was sent to it fails, long before message.timeout.ms. */
    {"topic.metadata.propagation.max.ms", "2000", KAFKA_PIN_DEFAULT},
};

static void kick(struct kafka_producer *producer)
{
    kafka_waker_kick(&producer->waker);
}

static void finish(struct kafka_producer *producer, struct kafka_delivery *delivery,
    enum kafka_delivery_outcome outcome, int64_t offset, const char *reason)
{
    producer->in_flight--;
    delivery->on_delivered(delivery, outcome, offset, reason);
}

/* The outcome is told in a later turn. `reason` is a constant. */
static void refuse(struct kafka_producer *producer, struct kafka_delivery *delivery,
    enum kafka_delivery_outcome outcome, const char *reason)
{
    delivery->local_outcome = outcome;
    delivery->local_reason = reason;
    DL_APPEND2(producer->refused, delivery, previous, next);
    kick(producer);
}

static void refuse_all(struct kafka_producer *producer, struct kafka_delivery **list,
    enum kafka_delivery_outcome outcome, const char *reason)
{
    while (*list) {
        struct kafka_delivery *delivery = *list;
        DL_DELETE2(*list, delivery, previous, next);
        refuse(producer, delivery, outcome, reason);
    }
}

static enum kafka_delivery_outcome outcome_of(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return KAFKA_DELIVERED;
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
        return KAFKA_NO_SUCH_TOPIC;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
        return KAFKA_NOT_AUTHORIZED;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
        return KAFKA_TOO_LARGE;
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
    case RD_KAFKA_RESP_ERR__DESTROY:
        return KAFKA_CANCELLED;
    case RD_KAFKA_RESP_ERR__FATAL:
        return KAFKA_FATAL;
    /* Passing trouble that the library retried for as long as it may. */
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
    case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
        return KAFKA_TIMED_OUT;
    default:
        return KAFKA_REFUSED;
    }
}

const char *kafka_delivery_outcome_name(enum kafka_delivery_outcome outcome)
{
    static const char *const names[] = {
        [KAFKA_DELIVERED] = "delivered",
        [KAFKA_TIMED_OUT] = "timed_out",
        [KAFKA_NO_SUCH_TOPIC] = "no_such_topic",
        [KAFKA_NOT_AUTHORIZED] = "not_authorized",
        [KAFKA_TOO_LARGE] = "too_large",
        [KAFKA_REFUSED] = "refused",
        [KAFKA_FATAL] = "fatal",
        [KAFKA_CANCELLED] = "cancelled",
    };
    return names[outcome];
}

/* Sending. */

/* The library takes a topic that failed so for failed until it has seen new metadata, which a
 * lookup brings. */
static void note_failure(
    struct kafka_producer *producer, const char *name, rd_kafka_resp_err_t code)
{
    bool denied = code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    bool missing =
        code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    if (!denied && !missing)
        return;
    struct kafka_topic *topic = kafka_topics_find(&producer->topics, name);
    if (topic)
        kafka_topic_saw(topic, denied ? KAFKA_TOPIC_NOT_AUTHORIZED : KAFKA_TOPIC_MISSING);
}

/* False when the library's queue is full. */
static bool hand_over(
    struct kafka_producer *producer, struct kafka_topic *topic, struct kafka_delivery *delivery)
{
    rd_kafka_headers_t *headers;
    if (!kafka_headers_new(delivery->headers, delivery->header_count, &headers)) {
        refuse(producer, delivery, KAFKA_REFUSED, "a header is malformed");
        return true;
    }
    rd_kafka_resp_err_t code = rd_kafka_producev(producer->handle, RD_KAFKA_V_RKT(topic->handle),
        RD_KAFKA_V_PARTITION(delivery->partition), RD_KAFKA_V_MSGFLAGS(0),
        RD_KAFKA_V_KEY(delivery->key, delivery->key_size),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)delivery->value, delivery->value_size),
        RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(delivery), RD_KAFKA_V_END);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        DL_APPEND2(producer->sent, delivery, previous, next);
        return true;
    }
    if (headers)
        rd_kafka_headers_destroy(headers);
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        if (producer->sent || producer->reading)
            return false;
        code = RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE; /* it does not fit even by itself */
    }
    note_failure(producer, delivery->topic, code);
    refuse(producer, delivery, outcome_of(code), rd_kafka_err2str(code));
    return true;
}

static void refuse_for_topic(struct kafka_producer *producer, const struct kafka_topic *topic,
    struct kafka_delivery *delivery)
{
    if (topic->state == KAFKA_TOPIC_NOT_AUTHORIZED)
        refuse(producer, delivery, KAFKA_NOT_AUTHORIZED, "writing to the topic is not permitted");
    else
        refuse(producer, delivery, KAFKA_NO_SUCH_TOPIC, "the topic does not exist");
}

/* Hands it over, refuses it, or lets it wait for a lookup. False when the library's queue is full.
 */
static bool route(struct kafka_producer *producer, struct kafka_delivery *delivery)
{
    struct kafka_topic *topic = kafka_topics_use(&producer->topics, delivery->topic);
    if (kafka_topic_is_open(topic))
        return hand_over(producer, topic, delivery);
    if (kafka_topic_is_known(topic)) {
        refuse_for_topic(producer, topic, delivery);
        return true;
    }
    DL_APPEND2(topic->waiting, delivery, previous, next);
    if (!topic->looking)
        kafka_topics_look_up(&producer->topics, topic);
    return true;
}

void kafka_producer_send(struct kafka_producer *producer, struct kafka_delivery *delivery)
{
    producer->in_flight++;
    if (producer->state != PRODUCER_OPEN)
        refuse(producer, delivery, KAFKA_CANCELLED, closed_reason);
    else if (producer->fatal)
        refuse(producer, delivery, KAFKA_FATAL, fatal_reason);
    else if (producer->waiting || !route(producer, delivery))
        DL_APPEND2(producer->waiting, delivery, previous, next);
}

static void send_waiting(struct kafka_producer *producer)
{
    while (producer->waiting) {
        struct kafka_delivery *delivery = producer->waiting;
        DL_DELETE2(producer->waiting, delivery, previous, next);
        if (!route(producer, delivery)) {
            DL_PREPEND2(producer->waiting, delivery, previous, next);
            return;
        }
    }
}

size_t kafka_producer_in_flight(const struct kafka_producer *producer)
{
    return producer->in_flight;
}

/* Topics. */

static void answer_queries(struct kafka_producer *producer, struct kafka_topic *topic)
{
    enum kafka_topic_state state =
        producer->state == PRODUCER_OPEN ? topic->state : KAFKA_TOPIC_UNKNOWN;
    int32_t partition_count = topic->partition_count;
    /* What is asked from a callback has its own answer later. */
    struct kafka_topic_query *queries = topic->queries;
    topic->queries = NULL;
    topic->answer_due = false;
    while (queries) {
        struct kafka_topic_query *query = queries;
        DL_DELETE2(queries, query, previous, next);
        query->on_answer(query, state, partition_count);
    }
}

static void answer_due_queries(struct kafka_producer *producer)
{
    struct kafka_topic *topic = producer->topics.list;
    while (topic) {
        if (!topic->answer_due) {
            topic = topic->next;
            continue;
        }
        answer_queries(producer, topic);
        /* The callbacks may have changed the list. */
        topic = producer->topics.list;
    }
}

void kafka_producer_find_topic(struct kafka_producer *producer, struct kafka_topic_query *query)
{
    struct kafka_topic *topic = kafka_topics_use(&producer->topics, query->topic);
    query->producer = producer;
    DL_APPEND2(topic->queries, query, previous, next);
    if (producer->state != PRODUCER_OPEN || kafka_topic_is_known(topic)) {
        topic->answer_due = true;
        kick(producer);
    } else if (!topic->looking) {
        kafka_topics_look_up(&producer->topics, topic);
    }
}

static void on_looked_up(void *context, struct kafka_topic *topic)
{
    struct kafka_producer *producer = context;
    if (producer->state != PRODUCER_OPEN)
        return;
    while (topic->waiting) {
        struct kafka_delivery *delivery = topic->waiting;
        DL_DELETE2(topic->waiting, delivery, previous, next);
        /* Where the cluster could not be asked the library keeps the record until it can be, or
         * until message.timeout.ms. */
        if (!topic->handle ||
            !(topic->state == KAFKA_TOPIC_FOUND || topic->state == KAFKA_TOPIC_UNKNOWN))
            refuse_for_topic(producer, topic, delivery);
        else if (producer->waiting || !hand_over(producer, topic, delivery))
            DL_APPEND2(producer->waiting, delivery, previous, next);
    }
    answer_queries(producer, topic);
}

static void on_lookup_ended(void *context)
{
    kick(context);
}

/* Turns. */

/* One delivery report of those being read; false when there is none left. */
static bool tell_delivered(struct kafka_producer *producer)
{
    const rd_kafka_message_t *message = rd_kafka_event_message_next(producer->reading);
    if (!message)
        return false;
    struct kafka_delivery *delivery = message->_private;
    DL_DELETE2(producer->sent, delivery, previous, next);
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (producer->reports.in_trouble)
            kafka_reports_all_well(&producer->reports);
        finish(producer, delivery, KAFKA_DELIVERED, message->offset, "");
    } else {
        note_failure(producer, delivery->topic, message->err);
        finish(producer, delivery, outcome_of(message->err), -1, rd_kafka_err2str(message->err));
    }
    return true;
}

static void take_report(struct kafka_producer *producer, rd_kafka_event_t *event)
{
    enum kafka_trouble trouble;
    const char *reason;
    if (!kafka_reports_take(&producer->reports, event, &trouble, &reason) ||
        trouble != KAFKA_TROUBLE_FATAL || producer->fatal)
        return;
    producer->fatal = true;
    refuse_all(producer, &producer->waiting, KAFKA_FATAL, fatal_reason);
    producer->options.on_fatal(producer->options.context, reason);
}

/* False when nothing is left in the library's queue. */
static bool take_events(struct kafka_producer *producer)
{
    for (unsigned taken = 0; taken < REPORTS_PER_TURN; taken++) {
        if (producer->reading && tell_delivered(producer))
            continue;
        if (producer->reading)
            rd_kafka_event_destroy(producer->reading);
        producer->reading = rd_kafka_queue_poll(producer->queue, 0);
        if (!producer->reading)
            return false;
        if (rd_kafka_event_type(producer->reading) != RD_KAFKA_EVENT_DR)
            take_report(producer, producer->reading);
    }
    return true;
}

/* What is refused from a callback waits for the turn after. */
static void tell_refused(struct kafka_producer *producer)
{
    struct kafka_delivery *list = producer->refused;
    producer->refused = NULL;
    while (list) {
        struct kafka_delivery *delivery = list;
        DL_DELETE2(list, delivery, previous, next);
        finish(producer, delivery, delivery->local_outcome, -1, delivery->local_reason);
    }
}

static void destroy_when_nothing_is_owed(struct kafka_producer *producer);

static bool take_turn(void *context)
{
    struct kafka_producer *producer = context;
    if (producer->state >= PRODUCER_DESTROYING)
        return false;
    tell_refused(producer);
    answer_due_queries(producer);
    bool more = take_events(producer);
    send_waiting(producer);
    if (producer->state == PRODUCER_PURGING)
        destroy_when_nothing_is_owed(producer);
    return more || producer->refused;
}

/* The end. */

/* What is still open, or was sent since the close, ends here. */
static void settle(struct kafka_producer *producer)
{
    refuse_all(producer, &producer->sent, KAFKA_CANCELLED, closed_reason);
    while (producer->refused)
        tell_refused(producer);
    answer_due_queries(producer);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct kafka_producer *producer = handle->data;
    if (--producer->handles_open > 0)
        return;
    settle(producer);
    kafka_topics_release(&producer->topics);
    void (*on_closed)(void *context) = producer->options.on_closed;
    void *context = producer->options.context;
    free(producer);
    on_closed(context);
}

static void destroy_on_pool(uv_work_t *work)
{
    struct kafka_producer *producer = work->data;
    rd_kafka_destroy(producer->handle);
}

static void on_destroyed(uv_work_t *work, int status)
{
    (void)status;
    struct kafka_producer *producer = work->data;
    producer->state = PRODUCER_CLOSING;
    settle(producer);
    kafka_waker_close(&producer->waker, on_handle_closed);
    uv_close((uv_handle_t *)&producer->purge_timer, on_handle_closed);
}

static void destroy_when_nothing_is_owed(struct kafka_producer *producer)
{
    if (producer->topics.lookup.running || (producer->sent && !producer->purge_timed_out))
        return;
    producer->state = PRODUCER_DESTROYING;
    uv_timer_stop(&producer->purge_timer);
    kafka_topics_close_handles(&producer->topics);
    if (producer->reading)
        rd_kafka_event_destroy(producer->reading);
    kafka_waker_unwatch(producer->queue);
    rd_kafka_queue_destroy(producer->queue);
    producer->destroy_work.data = producer;
    int result =
        uv_queue_work(producer->loop, &producer->destroy_work, destroy_on_pool, on_destroyed);
    assert(result == 0);
    (void)result;
}

static void on_purge_timer(uv_timer_t *timer)
{
    struct kafka_producer *producer = timer->data;
    producer->purge_timed_out = true;
    kick(producer);
}

void kafka_producer_close(struct kafka_producer *producer)
{
    if (producer->state != PRODUCER_OPEN)
        return;
    producer->state = PRODUCER_PURGING;
    kafka_topics_stop(&producer->topics);
    refuse_all(producer, &producer->waiting, KAFKA_CANCELLED, closed_reason);
    struct kafka_topic *topic;
    DL_FOREACH (producer->topics.list, topic) {
        refuse_all(producer, &topic->waiting, KAFKA_CANCELLED, closed_reason);
        topic->answer_due = true;
    }
    rd_kafka_purge(producer->handle,
        RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
    uv_timer_start(&producer->purge_timer, on_purge_timer, PURGE_TIMEOUT_MS, 0);
    kick(producer);
}

/* The beginning. */

enum result kafka_producer_new(uv_loop_t *loop, const struct kafka_producer_options *options,
    struct kafka_producer **producer, char *error, size_t error_size)
{
    *producer = NULL;
    rd_kafka_conf_t *conf = kafka_conf_new(pins, sizeof(pins) / sizeof(pins[0]),
        options->properties, options->property_count, error, error_size);
    if (!conf)
        return RESULT_REJECT;
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
    rd_kafka_t *handle = kafka_handle_new(RD_KAFKA_PRODUCER, conf, error, error_size);
    if (!handle)
        return RESULT_REJECT;

    struct kafka_producer *made = memory_new(sizeof(*made));
    made->loop = loop;
    made->options = *options;
    made->handle = handle;
    made->queue = rd_kafka_queue_get_main(handle);
    made->topics = (struct kafka_topics){.loop = loop,
        .handle = handle,
        .on_looked_up = on_looked_up,
        .on_lookup_ended = on_lookup_ended,
        .context = made};
    kafka_reports_init(&made->reports, "producer");
    rd_kafka_set_log_queue(handle, made->queue);
    uv_timer_init(loop, &made->purge_timer);
    made->purge_timer.data = made;
    kafka_waker_init(&made->waker, loop, take_turn, made);
    made->handles_open = KAFKA_WAKER_HANDLES + 1;
    kafka_waker_watch(&made->waker, made->queue);
    for (size_t i = 0; i < options->topic_count; i++)
        kafka_topics_pin(&made->topics, options->topics[i]);
    *producer = made;
    return RESULT_OK;
}

const char *kafka_library_version(void)
{
    return rd_kafka_version_str();
}
