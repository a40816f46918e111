/*
 * kafka_reader: see the header.
 *
 * It is a consumer without a group.id, through the library's partition-wise interface
 * (rd_kafka_consume_start_queue): no coordinator is asked, so nobody needs a permission on a group
 * that has no members.
 *
 * The start, on the thread pool:  partitions of each topic ─▶ where each begins and ends ─▶ the
 * position (kafka_positions.c). Then, on the loop: all of them are fetched from there, each by its
 * absolute offset. The same again later for topics that were absent.
 */
#include "common/kafka_reader.h"

#include <assert.h>

#include "common/clock.h"
#include "common/kafka_common.h"
#include "common/kafka_positions.h"
#include "common/memory.h"
#include "common/text.h"

#define RECORDS_PER_TURN 256

enum reader_state {
    READER_STARTING,   /* positions are being found, on the thread pool */
    READER_READING,    /* on_ready has come */
    READER_FAILED,     /* could not start, and has said so; waits to be closed */
    READER_CLOSED,     /* waits for the pool and for records to be freed */
    READER_DESTROYING, /* the library's threads are being joined, on the thread pool */
    READER_CLOSING,    /* the loop's handles are being closed */
};

struct kafka_reader {
    uv_loop_t *loop;
    struct kafka_reader_options options; /* properties and topics are not kept */
    rd_kafka_t *handle;
    rd_kafka_queue_t *queue; /* the library's main one: records too */
    enum reader_state state;

    struct kafka_positions positions; /* the pool's while `looking` */
    struct kafka_reader_partition *partitions;
    size_t partition_count;
    size_t behind; /* partitions not yet caught up */
    bool held;

    uv_work_t look_work;
    bool looking; /* look_work is under way */
    uv_timer_t look_timer;
    struct kafka_failure reported; /* by the library, at the start: it knows more */

    size_t records_open; /* handed over and not freed */
    struct kafka_reports reports;
    struct kafka_waker waker;
    unsigned handles_open;
    uv_work_t destroy_work;
};

static const struct kafka_pin pins[] = {
    {"group.id", NULL, KAFKA_PIN_OWNED},
    {"enable.auto.commit", "false", KAFKA_PIN_OWNED},
    {"enable.auto.offset.store", "false", KAFKA_PIN_OWNED},
    {"isolation.level", "read_committed", KAFKA_PIN_OWNED},
    /* Where a partition ends in a transaction's mark there is no last record to know it by. */
    {"enable.partition.eof", "true", KAFKA_PIN_OWNED},
    /* When records are deleted before they were read: on with the oldest. */
    {"auto.offset.reset", "earliest", KAFKA_PIN_DEFAULT},
    /* A broker answers a fetch at once when it has a record; this is how long it waits for one. */
    {"fetch.wait.max.ms", "100", KAFKA_PIN_DEFAULT},
    {"fetch.error.backoff.ms", "100", KAFKA_PIN_DEFAULT},
    {"fetch.queue.backoff.ms", "10", KAFKA_PIN_IF_KNOWN},
    {"queued.max.messages.kbytes", "1024", KAFKA_PIN_DEFAULT},
    {"queued.min.messages", "1000", KAFKA_PIN_DEFAULT},
};

static void kick(struct kafka_reader *reader)
{
    kafka_waker_kick(&reader->waker);
}

/* Looking for topics: on the pool. */

static void find_positions(uv_work_t *work)
{
    struct kafka_reader *reader = work->data;
    kafka_positions_find(&reader->positions);
}

static void on_positions_found(uv_work_t *work, int status);

static void look(struct kafka_reader *reader)
{
    reader->positions.deadline_us = clock_monotonic_us() + reader->options.start_timeout_us;
    reader->look_work.data = reader;
    reader->looking = true;
    int result =
        uv_queue_work(reader->loop, &reader->look_work, find_positions, on_positions_found);
    assert(result == 0);
    (void)result;
}

static void on_look_timer(uv_timer_t *timer)
{
    look(timer->data);
}

static void tell_absent(struct kafka_reader *reader)
{
    bool absent = false;
    for (size_t i = 0; i < reader->positions.topic_count; i++) {
        struct kafka_reader_topic *topic = &reader->positions.topics[i];
        absent |= !topic->found;
        if (reader->state == READER_CLOSED || topic->told_absent || !topic->absence.failed)
            continue;
        topic->told_absent = true;
        reader->options.on_absent(reader->options.context, topic->name, topic->absence.reason);
    }
    if (absent && !reader->options.until_end && reader->state != READER_CLOSED)
        uv_timer_start(&reader->look_timer, on_look_timer, KAFKA_READER_LOOK_MS, 0);
}

/* Reading. */

/* Takes over the partitions that were found. */
static void fetch_found(struct kafka_reader *reader)
{
    struct kafka_positions *found = &reader->positions;
    size_t total = reader->partition_count + found->partition_count;
    reader->partitions = memory_resize(reader->partitions, total * sizeof(*reader->partitions));
    for (size_t i = 0; i < found->partition_count; i++) {
        struct kafka_reader_partition *partition = &reader->partitions[reader->partition_count++];
        *partition = found->partitions[i];
        int result = rd_kafka_consume_start_queue(found->topics[partition->topic].handle,
            partition->partition, partition->position, reader->queue);
        assert(result == 0); /* it refuses only what no broker can have said */
        (void)result;
        /* Of a topic that came later nothing was there when reading began. */
        if (reader->state == READER_READING)
            partition->caught_up = true;
        reader->behind += !partition->caught_up;
    }
    found->partition_count = 0;
}

static void tell_caught_up(struct kafka_reader *reader)
{
    if (reader->state == READER_READING && reader->options.on_caught_up)
        reader->options.on_caught_up(reader->options.context);
}

static void tell_failed(struct kafka_reader *reader)
{
    const struct kafka_failure *failure = &reader->positions.failure;
    /* "Timed out" is all that the start sees of a cluster that cannot be reached. */
    if (reader->reported.failed && failure->trouble == KAFKA_TROUBLE_UNREACHABLE)
        failure = &reader->reported;
    reader->state = READER_FAILED;
    reader->options.on_trouble(reader->options.context, failure->trouble, failure->reason);
}

static void begin_reading(struct kafka_reader *reader)
{
    fetch_found(reader);
    reader->state = READER_READING;
    kafka_reports_all_well(&reader->reports);
    tell_absent(reader);
    if (reader->state == READER_READING)
        reader->options.on_ready(reader->options.context);
    if (reader->behind == 0)
        tell_caught_up(reader);
}

static void on_positions_found(uv_work_t *work, int status)
{
    (void)status;
    struct kafka_reader *reader = work->data;
    reader->looking = false;
    if (reader->state == READER_CLOSED) {
        kick(reader);
    } else if (reader->state == READER_READING) {
        /* A failure passes, or it is reported otherwise. */
        fetch_found(reader);
        tell_absent(reader);
    } else if (reader->positions.failure.failed) {
        tell_failed(reader);
    } else {
        begin_reading(reader);
    }
}

static void note_caught_up(struct kafka_reader *reader, struct kafka_reader_partition *partition)
{
    partition->caught_up = true;
    reader->behind--;
    if (reader->behind == 0)
        tell_caught_up(reader);
}

/* NULL unless it is still behind. */
static struct kafka_reader_partition *find_behind(
    struct kafka_reader *reader, const char *topic, int32_t number)
{
    if (reader->behind == 0)
        return NULL;
    for (size_t i = 0; i < reader->partition_count; i++) {
        struct kafka_reader_partition *partition = &reader->partitions[i];
        if (partition->partition == number &&
            text_equal(reader->positions.topics[partition->topic].name, topic))
            return partition->caught_up ? NULL : partition;
    }
    return NULL;
}

static void on_record_freed(void *context)
{
    struct kafka_reader *reader = context;
    reader->records_open--;
    if (reader->records_open == 0 && reader->state == READER_CLOSED)
        kick(reader);
}

static void take_record(struct kafka_reader *reader, rd_kafka_event_t *event)
{
    struct kafka_record *record = kafka_record_new(event, on_record_freed, reader);
    if (!record) {
        rd_kafka_event_destroy(event);
        return;
    }
    if (reader->reports.in_trouble)
        kafka_reports_all_well(&reader->reports);
    reader->records_open++;
    struct kafka_reader_partition *partition =
        find_behind(reader, record->topic, record->partition);
    bool last = partition && record->offset + 1 >= partition->end;
    /* The callee may free the record, and close the reader. */
    if (reader->options.until_end && (!partition || record->offset >= partition->end))
        kafka_record_free(record);
    else
        reader->options.on_record(reader->options.context, record);
    if (last)
        note_caught_up(reader, partition);
}

static void take_end_of_partition(struct kafka_reader *reader, rd_kafka_event_t *event)
{
    rd_kafka_topic_partition_t *place = rd_kafka_event_topic_partition(event);
    if (!place)
        return;
    struct kafka_reader_partition *partition = find_behind(reader, place->topic, place->partition);
    rd_kafka_topic_partition_destroy(place);
    if (partition)
        note_caught_up(reader, partition);
}

static void take_report(struct kafka_reader *reader, rd_kafka_event_t *event)
{
    enum kafka_trouble trouble;
    const char *reason;
    if (!kafka_reports_take(&reader->reports, event, &trouble, &reason))
        return;
    if (reader->state == READER_READING) {
        reader->options.on_trouble(reader->options.context, trouble, reason);
    } else if (reader->state == READER_STARTING && !atomic_load(&reader->positions.cancelled)) {
        kafka_failure_set(&reader->reported, trouble, "%s", reason);
        /* Not worth the whole start_timeout_us. */
        if (trouble == KAFKA_TROUBLE_TLS || trouble == KAFKA_TROUBLE_CREDENTIALS ||
            trouble == KAFKA_TROUBLE_FATAL)
            atomic_store(&reader->positions.cancelled, true);
    }
}

static void take_event(struct kafka_reader *reader, rd_kafka_event_t *event)
{
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_FETCH) {
        take_record(reader, event);
        return;
    }
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR &&
        rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__PARTITION_EOF)
        take_end_of_partition(reader, event);
    else
        take_report(reader, event);
    rd_kafka_event_destroy(event);
}

static void destroy_when_nothing_is_owed(struct kafka_reader *reader);

static bool take_turn(void *context)
{
    struct kafka_reader *reader = context;
    for (unsigned taken = 0; taken < RECORDS_PER_TURN; taken++) {
        if (reader->state >= READER_CLOSED) {
            destroy_when_nothing_is_owed(reader);
            return false;
        }
        rd_kafka_event_t *event = reader->held ? NULL : rd_kafka_queue_poll(reader->queue, 0);
        if (!event)
            return false;
        take_event(reader, event);
    }
    return true;
}

/* The end. */

static void on_handle_closed(uv_handle_t *handle)
{
    struct kafka_reader *reader = handle->data;
    if (--reader->handles_open > 0)
        return;
    void (*on_closed)(void *context) = reader->options.on_closed;
    void *context = reader->options.context;
    kafka_positions_release(&reader->positions);
    free(reader->partitions);
    free(reader);
    on_closed(context);
}

static void destroy_on_pool(uv_work_t *work)
{
    struct kafka_reader *reader = work->data;
    for (size_t i = 0; i < reader->partition_count; i++) {
        const struct kafka_reader_partition *partition = &reader->partitions[i];
        rd_kafka_consume_stop(
            reader->positions.topics[partition->topic].handle, partition->partition);
    }
    kafka_positions_close_handles(&reader->positions);
    rd_kafka_destroy(reader->handle);
}

static void on_destroyed(uv_work_t *work, int status)
{
    (void)status;
    struct kafka_reader *reader = work->data;
    reader->state = READER_CLOSING;
    kafka_waker_close(&reader->waker, on_handle_closed);
    uv_close((uv_handle_t *)&reader->look_timer, on_handle_closed);
}

static void destroy_when_nothing_is_owed(struct kafka_reader *reader)
{
    if (reader->state != READER_CLOSED || reader->looking || reader->records_open > 0)
        return;
    reader->state = READER_DESTROYING;
    kafka_waker_unwatch(reader->queue);
    rd_kafka_queue_destroy(reader->queue);
    reader->destroy_work.data = reader;
    int result = uv_queue_work(reader->loop, &reader->destroy_work, destroy_on_pool, on_destroyed);
    assert(result == 0);
    (void)result;
}

void kafka_reader_close(struct kafka_reader *reader)
{
    if (reader->state >= READER_CLOSED)
        return;
    reader->state = READER_CLOSED;
    atomic_store(&reader->positions.cancelled, true);
    uv_timer_stop(&reader->look_timer);
    kick(reader);
}

void kafka_reader_hold(struct kafka_reader *reader)
{
    reader->held = true;
}

void kafka_reader_continue(struct kafka_reader *reader)
{
    if (!reader->held)
        return;
    reader->held = false;
    kick(reader);
}

/* The beginning. */

static bool open_topics(struct kafka_reader *reader, const struct kafka_reader_options *options,
    char *error, size_t error_size)
{
    for (size_t i = 0; i < options->topic_count; i++) {
        if (!kafka_positions_add_topic(&reader->positions, options->topics[i], error, error_size))
            return false;
    }
    return true;
}

static void abandon(struct kafka_reader *reader)
{
    kafka_positions_close_handles(&reader->positions);
    kafka_positions_release(&reader->positions);
    rd_kafka_destroy(reader->handle);
    free(reader);
}

static void start_on_loop(struct kafka_reader *reader)
{
    reader->queue = rd_kafka_queue_get_main(reader->handle);
    rd_kafka_set_log_queue(reader->handle, reader->queue);
    kafka_reports_init(&reader->reports, "reader");
    kafka_waker_init(&reader->waker, reader->loop, take_turn, reader);
    uv_timer_init(reader->loop, &reader->look_timer);
    reader->look_timer.data = reader;
    reader->handles_open = KAFKA_WAKER_HANDLES + 1;
    kafka_waker_watch(&reader->waker, reader->queue);
    look(reader);
}

enum result kafka_reader_new(uv_loop_t *loop, const struct kafka_reader_options *options,
    struct kafka_reader **reader, char *error, size_t error_size)
{
    assert(options->topic_count > 0);
    assert(
        options->from >= KAFKA_READER_FROM_BEGINNING || options->from <= KAFKA_READER_FROM_LAST(1));
    *reader = NULL;
    rd_kafka_conf_t *conf = kafka_conf_new(pins, sizeof(pins) / sizeof(pins[0]),
        options->properties, options->property_count, error, error_size);
    if (!conf)
        return RESULT_REJECT;
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_ERROR);
    rd_kafka_t *handle = kafka_handle_new(RD_KAFKA_CONSUMER, conf, error, error_size);
    if (!handle)
        return RESULT_REJECT;

    struct kafka_reader *made = memory_new(sizeof(*made));
    made->loop = loop;
    made->options = *options;
    made->handle = handle;
    made->positions.handle = handle;
    made->positions.from = options->from;
    made->positions.let_absent_be = options->on_absent != NULL;
    if (!open_topics(made, options, error, error_size)) {
        abandon(made);
        return RESULT_REJECT;
    }
    start_on_loop(made);
    *reader = made;
    return RESULT_OK;
}
