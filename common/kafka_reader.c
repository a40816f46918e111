/*
 * kafka_reader: see the header.
 *
 * It is a consumer without a group.id, through the library's partition-wise interface
 * (rd_kafka_consume_start_queue): no coordinator is asked, so nobody needs a permission on a group
 * that has no members.
 *
 * The start, on the thread pool:  partitions of each topic ─▶ where each begins and ends ─▶ the
 * position. Then, on the loop: all of them are fetched from there, each by its absolute offset.
 */
#include "common/kafka_reader.h"

#include <assert.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "common/clock.h"
#include "common/kafka_common.h"
#include "common/memory.h"

#define RECORDS_PER_TURN 256
/* The start asks in slices, so that closing need not wait for an unreachable cluster. */
#define START_SLICE_MS 1000
#define START_PAUSE_NS 20000000

enum reader_state {
    READER_STARTING,   /* positions are being found, on the thread pool */
    READER_READING,    /* on_ready has come */
    READER_FAILED,     /* could not start, and has said so; waits to be closed */
    READER_CLOSED,     /* waits for the start to end and for records to be freed */
    READER_DESTROYING, /* the library's threads are being joined, on the thread pool */
    READER_CLOSING,    /* the loop's handles are being closed */
};

struct reader_topic {
    char *name;
    rd_kafka_topic_t *handle;
};

struct reader_partition {
    const struct reader_topic *topic;
    int32_t partition;
    int64_t position; /* where reading begins */
    int64_t end;      /* the offset that the next record had when reading began */
    bool caught_up;
};

/* Why the start came to nothing. */
struct start_failure {
    bool failed;
    enum kafka_trouble trouble;
    char reason[KAFKA_REASON_SIZE];
};

struct kafka_reader {
    uv_loop_t *loop;
    struct kafka_reader_options options; /* properties and topics are not kept */
    rd_kafka_t *handle;
    rd_kafka_queue_t *queue; /* the library's main one: records too */
    enum reader_state state;

    struct reader_topic *topics;
    size_t topic_count;
    /* Written by the start, on the pool; the loop looks when it has ended. */
    struct reader_partition *partitions;
    size_t partition_count;
    size_t behind; /* partitions not yet caught up */

    uv_work_t start_work;
    bool starting; /* start_work is under way */
    atomic_bool start_cancelled;
    int64_t start_deadline_us;
    struct start_failure found;    /* by the start itself, on the pool */
    struct start_failure reported; /* by the library meanwhile, on the loop: it knows more */

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

static void fail(struct start_failure *failure, enum kafka_trouble trouble, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void fail(struct start_failure *failure, enum kafka_trouble trouble, const char *format, ...)
{
    va_list arguments;
    failure->failed = true;
    failure->trouble = trouble;
    va_start(arguments, format);
    vsnprintf(failure->reason, sizeof(failure->reason), format, arguments);
    va_end(arguments);
}

/* The start: on the pool's thread, down to find_positions. */

/* Whether to ask again after `code`; false also when it was an answer. */
static bool ask_again(
    struct kafka_reader *reader, rd_kafka_resp_err_t code, const char *topic, const char *what)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return false;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
        fail(&reader->found, KAFKA_TROUBLE_TOPIC_MISSING, "topic %s does not exist", topic);
        return false;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
        fail(&reader->found, KAFKA_TROUBLE_NOT_AUTHORIZED,
            "topic %s: this client's principal may not read it", topic);
        return false;
    default:
        break;
    }
    if (atomic_load(&reader->start_cancelled) ||
        clock_monotonic_us() >= reader->start_deadline_us) {
        fail(&reader->found, KAFKA_TROUBLE_UNREACHABLE,
            "the cluster did not answer in time when asked for the %s of topic %s: %s", what, topic,
            rd_kafka_err2str(code));
        return false;
    }
    nanosleep(&(struct timespec){.tv_nsec = START_PAUSE_NS}, NULL);
    return true;
}

static void add_partitions(struct kafka_reader *reader, const struct reader_topic *topic, int count)
{
    size_t total = reader->partition_count + (size_t)count;
    reader->partitions = memory_resize(reader->partitions, total * sizeof(*reader->partitions));
    for (int i = 0; i < count; i++)
        reader->partitions[reader->partition_count++] =
            (struct reader_partition){.topic = topic, .partition = i};
}

static void find_partitions(struct kafka_reader *reader, const struct reader_topic *topic)
{
    rd_kafka_resp_err_t code;
    int count = 0;
    do {
        const struct rd_kafka_metadata *metadata;
        code = rd_kafka_metadata(reader->handle, 0, topic->handle, &metadata, START_SLICE_MS);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            continue;
        code = RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
        if (metadata->topic_cnt == 1) {
            code = metadata->topics[0].err;
            count = metadata->topics[0].partition_cnt;
            if (code == RD_KAFKA_RESP_ERR_NO_ERROR && count == 0)
                code = RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE; /* still being made */
        }
        rd_kafka_metadata_destroy(metadata);
    } while (ask_again(reader, code, topic->name, "partitions"));
    if (!reader->found.failed)
        add_partitions(reader, topic, count);
}

/* The first record at or after the time; -1: there is none. */
static rd_kafka_resp_err_t offset_of_time(
    struct kafka_reader *reader, const struct reader_partition *partition, int64_t *offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, partition->topic->name, partition->partition)->offset =
        reader->options.from;
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(reader->handle, list, START_SLICE_MS);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        code = list->elems[0].err;
    *offset = list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

static void find_position(struct kafka_reader *reader, struct reader_partition *partition)
{
    const char *topic = partition->topic->name;
    int64_t from = reader->options.from, beginning, end, offset = -1;
    rd_kafka_resp_err_t code;
    do {
        code = rd_kafka_query_watermark_offsets(
            reader->handle, topic, partition->partition, &beginning, &end, START_SLICE_MS);
        /* The end is known first: what comes in between is not skipped. */
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR && from >= 0)
            code = offset_of_time(reader, partition, &offset);
    } while (ask_again(reader, code, topic, "offsets"));
    if (reader->found.failed)
        return;
    partition->end = end;
    if (from == KAFKA_READER_FROM_BEGINNING)
        partition->position = beginning;
    else
        partition->position = offset >= 0 ? offset : end;
    partition->caught_up = partition->position >= end;
}

static void find_positions(uv_work_t *work)
{
    struct kafka_reader *reader = work->data;
    for (size_t i = 0; i < reader->topic_count && !reader->found.failed; i++)
        find_partitions(reader, &reader->topics[i]);
    for (size_t i = 0; i < reader->partition_count && !reader->found.failed; i++)
        find_position(reader, &reader->partitions[i]);
}

/* Reading. */

static void fetch_all(struct kafka_reader *reader)
{
    for (size_t i = 0; i < reader->partition_count; i++) {
        const struct reader_partition *partition = &reader->partitions[i];
        int result = rd_kafka_consume_start_queue(
            partition->topic->handle, partition->partition, partition->position, reader->queue);
        assert(result == 0); /* it refuses only what no broker can have said */
        (void)result;
        reader->behind += !partition->caught_up;
    }
}

static void tell_caught_up(struct kafka_reader *reader)
{
    if (reader->state == READER_READING && reader->options.on_caught_up)
        reader->options.on_caught_up(reader->options.context);
}

static void tell_failed(struct kafka_reader *reader)
{
    const struct start_failure *failure = &reader->found;
    /* "Timed out" is all that the start sees of a cluster that cannot be reached. */
    if (reader->reported.failed && failure->trouble == KAFKA_TROUBLE_UNREACHABLE)
        failure = &reader->reported;
    reader->state = READER_FAILED;
    reader->options.on_trouble(reader->options.context, failure->trouble, failure->reason);
}

static void on_positions_found(uv_work_t *work, int status)
{
    (void)status;
    struct kafka_reader *reader = work->data;
    reader->starting = false;
    if (reader->state == READER_CLOSED) {
        kick(reader);
        return;
    }
    if (reader->found.failed) {
        tell_failed(reader);
        return;
    }
    fetch_all(reader);
    reader->state = READER_READING;
    kafka_reports_all_well(&reader->reports);
    reader->options.on_ready(reader->options.context);
    if (reader->behind == 0)
        tell_caught_up(reader);
}

static void note_caught_up(struct kafka_reader *reader, struct reader_partition *partition)
{
    partition->caught_up = true;
    reader->behind--;
    if (reader->behind == 0)
        tell_caught_up(reader);
}

/* NULL unless it is still behind. */
static struct reader_partition *find_behind(
    struct kafka_reader *reader, const char *topic, int32_t number)
{
    if (reader->behind == 0)
        return NULL;
    for (size_t i = 0; i < reader->partition_count; i++) {
        struct reader_partition *partition = &reader->partitions[i];
        if (partition->partition == number && strcmp(partition->topic->name, topic) == 0)
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
    /* The callee may free the record, and close the reader. */
    struct reader_partition *partition = find_behind(reader, record->topic, record->partition);
    bool last = partition && record->offset + 1 >= partition->end;
    reader->options.on_record(reader->options.context, record);
    if (last)
        note_caught_up(reader, partition);
}

static void take_end_of_partition(struct kafka_reader *reader, rd_kafka_event_t *event)
{
    rd_kafka_topic_partition_t *place = rd_kafka_event_topic_partition(event);
    if (!place)
        return;
    struct reader_partition *partition = find_behind(reader, place->topic, place->partition);
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
    } else if (reader->state == READER_STARTING && !atomic_load(&reader->start_cancelled)) {
        fail(&reader->reported, trouble, "%s", reason);
        /* Not worth the whole start_timeout_us. */
        if (trouble == KAFKA_TROUBLE_CREDENTIALS || trouble == KAFKA_TROUBLE_FATAL)
            atomic_store(&reader->start_cancelled, true);
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
        rd_kafka_event_t *event = rd_kafka_queue_poll(reader->queue, 0);
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
    for (size_t i = 0; i < reader->topic_count; i++)
        free(reader->topics[i].name);
    free(reader->topics);
    free(reader->partitions);
    free(reader);
    on_closed(context);
}

static void destroy_on_pool(uv_work_t *work)
{
    struct kafka_reader *reader = work->data;
    for (size_t i = 0; i < reader->partition_count; i++)
        rd_kafka_consume_stop(reader->partitions[i].topic->handle, reader->partitions[i].partition);
    for (size_t i = 0; i < reader->topic_count; i++)
        rd_kafka_topic_destroy(reader->topics[i].handle);
    rd_kafka_destroy(reader->handle);
}

static void on_destroyed(uv_work_t *work, int status)
{
    (void)status;
    struct kafka_reader *reader = work->data;
    reader->state = READER_CLOSING;
    kafka_waker_close(&reader->waker, on_handle_closed);
}

static void destroy_when_nothing_is_owed(struct kafka_reader *reader)
{
    if (reader->state != READER_CLOSED || reader->starting || reader->records_open > 0)
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
    atomic_store(&reader->start_cancelled, true);
    kick(reader);
}

/* The beginning. */

static bool open_topics(struct kafka_reader *reader, const struct kafka_reader_options *options,
    char *error, size_t error_size)
{
    reader->topics = memory_new(options->topic_count * sizeof(*reader->topics));
    for (size_t i = 0; i < options->topic_count; i++) {
        rd_kafka_topic_t *handle = rd_kafka_topic_new(reader->handle, options->topics[i], NULL);
        if (!handle) {
            snprintf(error, error_size, "topic \"%.64s\" cannot be read: %s", options->topics[i],
                rd_kafka_err2str(rd_kafka_last_error()));
            return false;
        }
        reader->topics[reader->topic_count++] =
            (struct reader_topic){memory_copy_text(options->topics[i]), handle};
    }
    return true;
}

static void abandon(struct kafka_reader *reader)
{
    for (size_t i = 0; i < reader->topic_count; i++) {
        free(reader->topics[i].name);
        rd_kafka_topic_destroy(reader->topics[i].handle);
    }
    free(reader->topics);
    rd_kafka_destroy(reader->handle);
    free(reader);
}

static void start_on_loop(struct kafka_reader *reader)
{
    reader->queue = rd_kafka_queue_get_main(reader->handle);
    rd_kafka_set_log_queue(reader->handle, reader->queue);
    kafka_reports_init(&reader->reports, "reader");
    kafka_waker_init(&reader->waker, reader->loop, take_turn, reader);
    reader->handles_open = KAFKA_WAKER_HANDLES;
    kafka_waker_watch(&reader->waker, reader->queue);

    reader->start_deadline_us = clock_monotonic_us() + reader->options.start_timeout_us;
    reader->start_work.data = reader;
    reader->starting = true;
    int result =
        uv_queue_work(reader->loop, &reader->start_work, find_positions, on_positions_found);
    assert(result == 0);
    (void)result;
}

enum result kafka_reader_new(uv_loop_t *loop, const struct kafka_reader_options *options,
    struct kafka_reader **reader, char *error, size_t error_size)
{
    assert(options->topic_count > 0);
    assert(options->from >= KAFKA_READER_FROM_BEGINNING);
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
    if (!open_topics(made, options, error, error_size)) {
        abandon(made);
        return RESULT_REJECT;
    }
    start_on_loop(made);
    *reader = made;
    return RESULT_OK;
}
