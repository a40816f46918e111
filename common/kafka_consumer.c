/*
 * kafka_consumer: see the header.
 *
 * Everything arrives as an event on the consumer's queue: records, rebalances, errors, log lines. A
 * turn (kafka_common.h) drains it. Between on_revoked and kafka_consumer_let_go the queue stands
 * still, as it does during the first KAFKA_CONSUMER_HOLD_PAUSE_MS of a hold.
 *
 * Rebalances are taken as events, not by a callback: the library waits for our (un)assign however
 * late it comes, with the whole assignment paused, so letting go later needs nothing special.
 *
 * Pausing throws away what was fetched and bumps the partition's version, so that no record from
 * before comes out of the queue any more; resuming fetches again from the last record looked at,
 * and that takes the library up to a second to begin. So some records are kept over a pause.
 * Resuming a partition that is not paused would drop records, hence the rule: all of `assigned` is
 * paused, or none.
 */
#include "common/kafka_consumer.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "common/kafka_common.h"
#include "common/kafka_consumer_conf.h"
#include "common/kafka_floor.h"
#include "common/kafka_lag.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/text.h"

static const char area[] = "kafka";

/* max.poll.interval.ms runs even when nothing arrives to wake us. */
#define POLL_INTERVAL_MS 1000
/* Leaving commits and tells the coordinator; when it cannot be reached the session ends by itself.
 */
#define LEAVE_TIMEOUT_MS 5000

enum consumer_state {
    CONSUMER_MEMBER,     /* of the group, or on the way there */
    CONSUMER_LEAVING,    /* closed; the library gives up the assignment, commits and leaves */
    CONSUMER_LEFT,       /* waits for what is still owed: let_go, records to be freed */
    CONSUMER_DESTROYING, /* the library's threads are being joined, on the thread pool */
    CONSUMER_CLOSING,    /* the loop's handles are being closed */
};

struct kafka_consumer {
    uv_loop_t *loop;
    struct kafka_consumer_options options; /* properties and topics are not kept */
    rd_kafka_t *handle;
    rd_kafka_queue_t *queue; /* the consumer's own; from close on one made for leaving */
    enum consumer_state state;
    bool joined;
    bool held;
    bool pausing;     /* what the queue holds is being kept; then comes the pause */
    bool paused;      /* all of `assigned` is */
    bool rest_untold; /* closed in the midst of a rebalance; on_revoked is owed for the rest */
    bool given_up;    /* leaving took too long */

    rd_kafka_topic_partition_list_t *assigned; /* those told of by on_assigned and not let go */
    rd_kafka_topic_partition_list_t *revoked;  /* let_go is owed for these; NULL: for none */

    struct kafka_floor floor;  /* for offsets_by_transactions */
    struct kafka_backlog kept; /* handed over before anything from the queue */
    size_t records_open;       /* handed over or kept, and not freed */
    struct kafka_reports reports;
    struct kafka_waker waker;
    uv_timer_t poll_timer;
    uv_timer_t hold_timer;
    uv_timer_t leave_timer;
    unsigned handles_open;
    uv_work_t destroy_work;
};

static void kick(struct kafka_consumer *consumer)
{
    kafka_waker_kick(&consumer->waker);
}

static bool stands_still(const struct kafka_consumer *consumer)
{
    if (consumer->revoked)
        return true;
    return consumer->state == CONSUMER_MEMBER && consumer->held && !consumer->pausing &&
           !consumer->paused;
}

static bool is_cooperative(const struct kafka_consumer *consumer)
{
    return text_equal(rd_kafka_rebalance_protocol(consumer->handle), "COOPERATIVE");
}

static void log_failure(rd_kafka_error_t *failure, const char *what)
{
    if (!failure)
        return;
    log_error(area, "the consumer's assignment could not be changed", LOG_TEXT("step", what),
        LOG_TEXT("reason", rd_kafka_error_string(failure)));
    rd_kafka_error_destroy(failure);
}

static void log_code(rd_kafka_resp_err_t code, const char *what)
{
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        log_failure(rd_kafka_error_new(code, "%s", rd_kafka_err2str(code)), what);
}

static struct kafka_partition *partitions_of(const rd_kafka_topic_partition_list_t *list)
{
    struct kafka_partition *partitions = memory_new(((size_t)list->cnt + 1) * sizeof(*partitions));
    for (int i = 0; i < list->cnt; i++)
        partitions[i] = (struct kafka_partition){list->elems[i].topic, list->elems[i].partition};
    return partitions;
}

/* Partitions. */

static void pause_assigned(struct kafka_consumer *consumer)
{
    consumer->pausing = false;
    consumer->paused = true;
    if (consumer->assigned->cnt > 0)
        log_code(rd_kafka_pause_partitions(consumer->handle, consumer->assigned), "pause");
}

static void resume_assigned(struct kafka_consumer *consumer)
{
    consumer->paused = false;
    if (consumer->assigned->cnt > 0)
        log_code(rd_kafka_resume_partitions(consumer->handle, consumer->assigned), "resume");
}

static void on_floor_stopped(void *context)
{
    kick(context);
}

static void take_assignment(struct kafka_consumer *consumer, rd_kafka_topic_partition_list_t *added)
{
    if (is_cooperative(consumer))
        log_failure(rd_kafka_incremental_assign(consumer->handle, added), "incremental assign");
    else
        log_code(rd_kafka_assign(consumer->handle, added), "assign");
    if (consumer->paused && added->cnt > 0)
        log_code(rd_kafka_pause_partitions(consumer->handle, added), "pause");
    if (consumer->options.offsets_by_transactions)
        kafka_floor_add(&consumer->floor, added);
    for (int i = 0; i < added->cnt; i++)
        rd_kafka_topic_partition_list_add(
            consumer->assigned, added->elems[i].topic, added->elems[i].partition);
    consumer->joined = true;
    kafka_reports_all_well(&consumer->reports);

    struct kafka_partition *partitions = partitions_of(added);
    consumer->options.on_assigned(consumer->options.context, partitions, (size_t)added->cnt);
    free(partitions);
}

/* The library is told; it commits what was stored for them, and the rebalance goes on. */
static void unassign(struct kafka_consumer *consumer, rd_kafka_topic_partition_list_t *list)
{
    if (consumer->state != CONSUMER_MEMBER && consumer->state != CONSUMER_LEAVING)
        return;
    /* The pause is the partition's, not the assignment's: it would outlast this one. */
    if (consumer->paused && list->cnt > 0)
        log_code(rd_kafka_resume_partitions(consumer->handle, list), "resume");
    if (consumer->options.offsets_by_transactions)
        kafka_floor_remove(&consumer->floor, list);
    if (is_cooperative(consumer))
        log_failure(rd_kafka_incremental_unassign(consumer->handle, list), "incremental unassign");
    else
        log_code(rd_kafka_assign(consumer->handle, NULL), "unassign");
}

static void tell_revoked(
    struct kafka_consumer *consumer, const rd_kafka_topic_partition_list_t *list, bool lost)
{
    for (int i = 0; i < list->cnt; i++)
        kafka_backlog_drop(&consumer->kept, list->elems[i].topic, list->elems[i].partition);
    consumer->revoked = rd_kafka_topic_partition_list_copy(list);
    /* The callee may let go at once, which frees the other lists. */
    rd_kafka_topic_partition_list_t *told = rd_kafka_topic_partition_list_copy(list);
    struct kafka_partition *partitions = partitions_of(told);
    consumer->options.on_revoked(consumer->options.context, partitions, (size_t)told->cnt, lost);
    free(partitions);
    rd_kafka_topic_partition_list_destroy(told);
}

static void take_rebalance(struct kafka_consumer *consumer, rd_kafka_event_t *event)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
    bool assign = rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;

    /* While it leaves, the library takes any answer to mean "unassign all". */
    if (consumer->state == CONSUMER_LEAVING)
        list = consumer->assigned;
    if (assign && consumer->state == CONSUMER_MEMBER)
        take_assignment(consumer, list);
    else if (list->cnt > 0)
        tell_revoked(consumer, list, rd_kafka_assignment_lost(consumer->handle) != 0);
    else
        unassign(consumer, list);
}

void kafka_consumer_let_go(struct kafka_consumer *consumer)
{
    assert(consumer->revoked);
    rd_kafka_topic_partition_list_t *list = consumer->revoked;
    consumer->revoked = NULL;
    for (int i = 0; i < list->cnt; i++)
        rd_kafka_topic_partition_list_del(
            consumer->assigned, list->elems[i].topic, list->elems[i].partition);
    /* Closed in the midst of a rebalance that took only some: the next turn tells of the others. */
    consumer->rest_untold = consumer->state == CONSUMER_LEAVING && consumer->assigned->cnt > 0;
    if (!consumer->rest_untold)
        unassign(consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    kick(consumer);
}

/* Records and offsets. */

static void on_record_freed(void *context)
{
    struct kafka_consumer *consumer = context;
    consumer->records_open--;
    if (consumer->records_open == 0 && consumer->state == CONSUMER_LEFT)
        kick(consumer);
}

static bool may_pass(struct kafka_consumer *consumer, const struct kafka_record *record)
{
    return !consumer->options.offsets_by_transactions ||
           kafka_floor_lets_through(
               &consumer->floor, record->topic, record->partition, record->offset);
}

static void take_record(struct kafka_consumer *consumer, rd_kafka_event_t *event)
{
    struct kafka_record *record = NULL;
    /* One that is not looked at stays to be fetched: it is looking that moves the position. */
    bool wanted = consumer->state == CONSUMER_MEMBER && (!consumer->held || consumer->pausing);
    if (wanted)
        record = kafka_record_new(event, on_record_freed, consumer);
    if (!record) {
        rd_kafka_event_destroy(event);
        return;
    }
    if (consumer->reports.in_trouble)
        kafka_reports_all_well(&consumer->reports);
    consumer->records_open++;
    if (!may_pass(consumer, record))
        kafka_record_free(record);
    else if (!consumer->pausing)
        consumer->options.on_record(consumer->options.context, record);
    else
        kafka_backlog_put(&consumer->kept, record);
}

void kafka_consumer_store(
    struct kafka_consumer *consumer, const char *topic, int32_t partition, int64_t next_offset)
{
    assert(!consumer->options.offsets_by_transactions);
    if (consumer->state != CONSUMER_MEMBER && consumer->state != CONSUMER_LEAVING)
        return;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = next_offset;
    rd_kafka_resp_err_t code = rd_kafka_offsets_store(consumer->handle, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        log_debug(area, "offset not stored: the partition is not ours", LOG_TEXT("topic", topic),
            LOG_INT("partition", partition), LOG_INT("offset", next_offset),
            LOG_TEXT("reason", rd_kafka_err2str(code)));
}

struct kafka_group_metadata *kafka_consumer_group_metadata(const struct kafka_consumer *consumer)
{
    return consumer->state == CONSUMER_MEMBER ? kafka_group_metadata_new(consumer->handle) : NULL;
}

/* Turns. */

static void take_report(struct kafka_consumer *consumer, rd_kafka_event_t *event)
{
    enum kafka_trouble trouble;
    const char *reason;
    if (kafka_reports_take(&consumer->reports, event, &trouble, &reason) &&
        consumer->state == CONSUMER_MEMBER)
        consumer->options.on_trouble(consumer->options.context, trouble, reason);
}

static void take_statistics(struct kafka_consumer *consumer, rd_kafka_event_t *event)
{
    const char *statistics = rd_kafka_event_stats(event);
    if (!consumer->options.on_lag)
        return;
    int64_t lag = kafka_lag_read(statistics, strlen(statistics), consumer->assigned,
        consumer->options.offsets_by_transactions);
    if (lag >= 0 && consumer->state == CONSUMER_MEMBER)
        consumer->options.on_lag(consumer->options.context, lag);
}

static void take_event(struct kafka_consumer *consumer, rd_kafka_event_t *event)
{
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_FETCH:
        take_record(consumer, event);
        return;
    case RD_KAFKA_EVENT_REBALANCE:
        take_rebalance(consumer, event);
        break;
    case RD_KAFKA_EVENT_STATS:
        take_statistics(consumer, event);
        break;
    default:
        take_report(consumer, event);
        break;
    }
    rd_kafka_event_destroy(event);
}

static void destroy_when_nothing_is_owed(struct kafka_consumer *consumer);

/* The queue is empty; is there work all the same? */
static bool ran_dry(struct kafka_consumer *consumer)
{
    if (consumer->pausing)
        pause_assigned(consumer);
    /* The event that ends leaving is swallowed by the poll. */
    return consumer->state == CONSUMER_LEAVING && rd_kafka_consumer_closed(consumer->handle);
}

static bool take_turn(void *context)
{
    struct kafka_consumer *consumer = context;
    if (consumer->state == CONSUMER_LEAVING && rd_kafka_consumer_closed(consumer->handle))
        consumer->state = CONSUMER_LEFT;
    if (consumer->state >= CONSUMER_LEFT) {
        destroy_when_nothing_is_owed(consumer);
        return false;
    }
    if (consumer->rest_untold) {
        consumer->rest_untold = false;
        tell_revoked(consumer, consumer->assigned, false);
    }
    for (unsigned taken = 0; taken < consumer->options.records_per_turn; taken++) {
        if (consumer->pausing && kafka_backlog_is_full(&consumer->kept))
            pause_assigned(consumer);
        if (stands_still(consumer))
            return false;
        if (!consumer->held && consumer->kept.count > 0) {
            consumer->options.on_record(
                consumer->options.context, kafka_backlog_take(&consumer->kept));
            continue;
        }
        rd_kafka_event_t *event = rd_kafka_queue_poll(consumer->queue, 0);
        if (!event)
            return ran_dry(consumer);
        take_event(consumer, event);
    }
    return true;
}

static void on_poll_timer(uv_timer_t *timer)
{
    kick(timer->data);
}

static void on_hold_timer(uv_timer_t *timer)
{
    struct kafka_consumer *consumer = timer->data;
    if (consumer->state != CONSUMER_MEMBER || !consumer->held || consumer->paused)
        return;
    consumer->pausing = true;
    kick(consumer);
}

void kafka_consumer_hold(struct kafka_consumer *consumer)
{
    if (consumer->held)
        return;
    consumer->held = true;
    uv_timer_start(&consumer->hold_timer, on_hold_timer, KAFKA_CONSUMER_HOLD_PAUSE_MS, 0);
}

void kafka_consumer_continue(struct kafka_consumer *consumer)
{
    if (!consumer->held)
        return;
    consumer->held = false;
    consumer->pausing = false;
    uv_timer_stop(&consumer->hold_timer);
    if (consumer->state != CONSUMER_MEMBER)
        return;
    if (consumer->paused)
        resume_assigned(consumer);
    /* The queue may hold records, and tells only of the first. */
    kick(consumer);
}

bool kafka_consumer_joined(const struct kafka_consumer *consumer)
{
    return consumer->joined;
}

/* The end. */

static void on_handle_closed(uv_handle_t *handle)
{
    struct kafka_consumer *consumer = handle->data;
    if (--consumer->handles_open > 0)
        return;
    void (*on_closed)(void *context) = consumer->options.on_closed;
    void *context = consumer->options.context;
    free(consumer);
    on_closed(context);
}

static void close_handles(struct kafka_consumer *consumer)
{
    consumer->state = CONSUMER_CLOSING;
    kafka_waker_close(&consumer->waker, on_handle_closed);
    uv_close((uv_handle_t *)&consumer->poll_timer, on_handle_closed);
    uv_close((uv_handle_t *)&consumer->hold_timer, on_handle_closed);
    uv_close((uv_handle_t *)&consumer->leave_timer, on_handle_closed);
}

static void destroy_on_pool(uv_work_t *work)
{
    struct kafka_consumer *consumer = work->data;
    rd_kafka_destroy_flags(
        consumer->handle, consumer->given_up ? RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE : 0);
}

static void on_destroyed(uv_work_t *work, int status)
{
    (void)status;
    close_handles(work->data);
}

static void destroy_when_nothing_is_owed(struct kafka_consumer *consumer)
{
    if (consumer->state != CONSUMER_LEFT || consumer->revoked)
        return;
    if (consumer->assigned->cnt > 0) {
        tell_revoked(consumer, consumer->assigned, true);
        return;
    }
    if (consumer->records_open > 0 || !kafka_floor_stop(&consumer->floor))
        return;
    kafka_floor_release(&consumer->floor);
    consumer->state = CONSUMER_DESTROYING;
    /* A list or queue that is still held makes the library's destroy wait for ever. */
    kafka_waker_unwatch(consumer->queue);
    rd_kafka_queue_destroy(consumer->queue);
    rd_kafka_topic_partition_list_destroy(consumer->assigned);
    consumer->destroy_work.data = consumer;
    int result =
        uv_queue_work(consumer->loop, &consumer->destroy_work, destroy_on_pool, on_destroyed);
    assert(result == 0);
    (void)result;
}

static void on_leave_timer(uv_timer_t *timer)
{
    struct kafka_consumer *consumer = timer->data;
    if (consumer->state != CONSUMER_LEAVING)
        return;
    if (consumer->revoked) {
        /* It is our caller who takes time; the library's begins when it has let go. */
        uv_timer_start(timer, on_leave_timer, LEAVE_TIMEOUT_MS, 0);
        return;
    }
    log_warn(area, "the consumer group could not be left in time; its other members will take "
                   "over when the session ends");
    consumer->given_up = true;
    consumer->state = CONSUMER_LEFT;
    kick(consumer);
}

void kafka_consumer_close(struct kafka_consumer *consumer)
{
    if (consumer->state != CONSUMER_MEMBER)
        return;
    consumer->state = CONSUMER_LEAVING;
    consumer->pausing = false;
    uv_timer_stop(&consumer->hold_timer);
    for (struct kafka_record *record; (record = kafka_backlog_take(&consumer->kept)) != NULL;)
        kafka_record_free(record);

    /* From here on the library sends to a queue of the caller's making. */
    rd_kafka_queue_t *queue = rd_kafka_queue_new(consumer->handle);
    kafka_waker_watch(&consumer->waker, queue);
    rd_kafka_error_t *failure = rd_kafka_consumer_close_queue(consumer->handle, queue);
    kafka_waker_unwatch(consumer->queue);
    rd_kafka_queue_destroy(consumer->queue);
    consumer->queue = queue;
    if (failure) {
        /* After a fatal error there is nothing to leave. */
        rd_kafka_error_destroy(failure);
        consumer->state = CONSUMER_LEFT;
    }
    uv_timer_start(&consumer->leave_timer, on_leave_timer, LEAVE_TIMEOUT_MS, 0);
    kick(consumer);
}

/* The beginning. */

static void start_on_loop(struct kafka_consumer *consumer)
{
    uv_timer_init(consumer->loop, &consumer->poll_timer);
    uv_timer_init(consumer->loop, &consumer->hold_timer);
    uv_timer_init(consumer->loop, &consumer->leave_timer);
    consumer->poll_timer.data = consumer;
    consumer->hold_timer.data = consumer;
    consumer->leave_timer.data = consumer;
    kafka_waker_init(&consumer->waker, consumer->loop, take_turn, consumer);
    consumer->handles_open = KAFKA_WAKER_HANDLES + 3;
    kafka_waker_watch(&consumer->waker, consumer->queue);
    uv_timer_start(&consumer->poll_timer, on_poll_timer, POLL_INTERVAL_MS, POLL_INTERVAL_MS);
}

static bool subscribe(rd_kafka_t *handle, const char *const *topics, size_t topic_count,
    char *error, size_t error_size)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)topic_count);
    for (size_t i = 0; i < topic_count; i++)
        rd_kafka_topic_partition_list_add(list, topics[i], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(handle, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return true;
    snprintf(error, error_size, "subscribing was refused: %s", rd_kafka_err2str(code));
    return false;
}

enum result kafka_consumer_new(uv_loop_t *loop, const struct kafka_consumer_options *options,
    struct kafka_consumer **consumer, char *error, size_t error_size)
{
    assert(options->records_per_turn > 0);
    *consumer = NULL;
    rd_kafka_conf_t *conf = kafka_consumer_conf_new(options, error, error_size);
    if (!conf)
        return RESULT_REJECT;
    rd_kafka_t *handle = kafka_handle_new(RD_KAFKA_CONSUMER, conf, error, error_size);
    if (!handle)
        return RESULT_REJECT;
    rd_kafka_poll_set_consumer(handle);
    if (options->topic_count > 0 &&
        !subscribe(handle, options->topics, options->topic_count, error, error_size)) {
        rd_kafka_destroy(handle);
        return RESULT_REJECT;
    }

    struct kafka_consumer *made = memory_new(sizeof(*made));
    made->loop = loop;
    made->options = *options;
    made->handle = handle;
    made->queue = rd_kafka_queue_get_consumer(handle);
    made->assigned = rd_kafka_topic_partition_list_new(0);
    made->floor = (struct kafka_floor){
        .loop = loop,
        .handle = handle,
        .on_stopped = on_floor_stopped,
        .context = made,
    };
    kafka_reports_init(&made->reports, "consumer");
    rd_kafka_set_log_queue(handle, made->queue);
    start_on_loop(made);
    *consumer = made;
    return RESULT_OK;
}

enum result kafka_consumer_join(struct kafka_consumer *consumer, const char *const *topics,
    size_t topic_count, char *error, size_t error_size)
{
    bool subscribed = subscribe(consumer->handle, topics, topic_count, error, error_size);
    return subscribed ? RESULT_OK : RESULT_FATAL;
}
