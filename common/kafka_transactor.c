/*
 * kafka_transactor: see the header.
 *
 *   run ─▶ job on the thread pool: init_transactions (until it has succeeded once)
 *             ─▶ begin ─▶ produce ─▶ flush ─▶ send offsets ─▶ commit, or from begin on ─▶ abort
 *       ─▶ on_job_done, on the loop ─▶ on_ended
 *
 * Two threads. The library's queue (reports of failed deliveries, errors, log lines) is read on the
 * loop, while the job waits inside the library; its flush, commit and abort count on that. The two
 * share only the flags that ask the job to stop. `job` is the job's own while one runs, all else is
 * the loop's.
 *
 * Calls that may be resumed are made in slices, so that the flags are seen. Sending the offsets is
 * not one of them.
 *
 * The library does not copy values: the job does not end before it has given all of them back.
 */
#include "common/kafka_transactor.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/kafka_common.h"
#include "common/memory.h"

#define SLICE_MS 100
/* How long a commit or abort may go on when the transactor has been closed. */
#define PATIENCE_US CLOCK_US_PER_SECOND
#define METADATA_TIMEOUT_MS 1000
#define REPORTS_PER_TURN 1024

enum transactor_state {
    TRANSACTOR_OPEN,
    TRANSACTOR_ENDING,     /* closed; what runs is being aborted */
    TRANSACTOR_DESTROYING, /* the library's threads are being joined, on the thread pool */
    TRANSACTOR_CLOSING,    /* the loop's handles are being closed */
};

/* What became of a transaction, or why a record stopped it. */
struct ending {
    enum kafka_transaction_outcome outcome;
    size_t culprit;
    char reason[KAFKA_REASON_SIZE];
};

struct kafka_transactor {
    uv_loop_t *loop;
    struct kafka_transactor_options options; /* properties and topics are not kept */
    rd_kafka_t *handle;
    rd_kafka_queue_t *queue;
    /* Open, so that the library keeps watch over them. */
    struct opened_topic {
        rd_kafka_topic_t *handle;
    } * topics;
    size_t topic_count;
    enum transactor_state state;
    bool fatal;

    struct kafka_transaction *transaction; /* run and not ended; NULL: none */
    bool running;                          /* the job is; else the transaction was refused */
    bool refused;                          /* a record of it was, as `refusal` says */
    struct ending refusal;

    atomic_bool cancelled;
    atomic_bool closed;
    struct {
        bool initialised;  /* init_transactions has succeeded */
        bool topics_stale; /* one was missing: ask again, or the library takes it to stay so */
        int64_t give_up_us;
        struct ending ending;
    } job;

    struct kafka_reports reports;
    struct kafka_waker waker;
    unsigned handles_open;
    uv_work_t work;
};

static const struct kafka_pin pins[] = {
    {"transactional.id", NULL, KAFKA_PIN_OWNED}, /* the options say it */
    /* The library refuses any other value of these two in transactions. */
    {"enable.idempotence", "true", KAFKA_PIN_DEFAULT},
    {"acks", "all", KAFKA_PIN_DEFAULT},
    /* The loop has no work with what is delivered well. */
    {"delivery.report.only.error", "true", KAFKA_PIN_OWNED},
    /* For so long does a process that was killed inside a transaction hold up readers. What must
     * not last longer, message.timeout.ms and socket.timeout.ms, the library takes from it. */
    {"transaction.timeout.ms", "10000", KAFKA_PIN_DEFAULT},
    /* A flush ends the linger. */
    {"linger.ms", "5", KAFKA_PIN_DEFAULT},
    /* As kafka_producer has them, for the reasons given there. */
    {"partitioner", "murmur2_random", KAFKA_PIN_DEFAULT},
    {"compression.type", "none", KAFKA_PIN_DEFAULT},
    {"queue.buffering.max.messages", "10000", KAFKA_PIN_DEFAULT},
    {"queue.buffering.max.kbytes", "65536", KAFKA_PIN_DEFAULT},
    {"message.max.bytes", "4194304", KAFKA_PIN_DEFAULT},
    {"batch.size", "524288", KAFKA_PIN_DEFAULT},
    {"topic.metadata.propagation.max.ms", "2000", KAFKA_PIN_DEFAULT},
};

const char *kafka_transaction_outcome_name(enum kafka_transaction_outcome outcome)
{
    static const char *const names[] = {
        [KAFKA_COMMITTED] = "committed",
        [KAFKA_ABORTED] = "aborted",
        [KAFKA_TRANSACTION_TOO_LARGE_RECORD] = "too_large_record",
        [KAFKA_TRANSACTION_REFUSED_RECORD] = "refused_record",
        [KAFKA_TRANSACTION_NO_SUCH_TOPIC] = "no_such_topic",
        [KAFKA_TRANSACTION_NOT_AUTHORIZED] = "not_authorized",
        [KAFKA_TRANSACTION_FATAL] = "fatal",
        [KAFKA_TRANSACTION_CLOSED] = "closed",
    };
    return names[outcome];
}

static void set_ending(
    struct ending *ending, enum kafka_transaction_outcome outcome, const char *reason)
{
    ending->outcome = outcome;
    snprintf(ending->reason, sizeof(ending->reason), "%s", reason);
}

/* What a record's failure makes of its transaction. KAFKA_ABORTED: it is not the record's fault. */
static enum kafka_transaction_outcome outcome_of(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
        return KAFKA_TRANSACTION_NO_SUCH_TOPIC;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
        return KAFKA_TRANSACTION_NOT_AUTHORIZED;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
        return KAFKA_TRANSACTION_TOO_LARGE_RECORD;
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
        return KAFKA_TRANSACTION_REFUSED_RECORD;
    default:
        return KAFKA_ABORTED;
    }
}

static size_t size_of(const struct kafka_transaction_record *record)
{
    return record->key_size + record->value_size;
}

/* The job, on the pool's thread. */

static bool stops(struct kafka_transactor *transactor)
{
    if (atomic_load(&transactor->closed))
        set_ending(&transactor->job.ending, KAFKA_TRANSACTION_CLOSED, "the transactor was closed");
    else if (atomic_load(&transactor->cancelled))
        set_ending(&transactor->job.ending, KAFKA_ABORTED, "cancelled");
    else
        return false;
    return true;
}

static bool patience_is_over(struct kafka_transactor *transactor)
{
    if (!atomic_load(&transactor->closed))
        return false;
    int64_t now_us = clock_monotonic_us();
    if (transactor->job.give_up_us == 0)
        transactor->job.give_up_us = now_us + PATIENCE_US;
    return now_us >= transactor->job.give_up_us;
}

/* Takes the error; false when there is one. */
static bool went_well(struct kafka_transactor *transactor, rd_kafka_error_t *error)
{
    if (!error)
        return true;
    enum kafka_transaction_outcome outcome = KAFKA_ABORTED;
    if (rd_kafka_error_is_fatal(error))
        outcome = KAFKA_TRANSACTION_FATAL;
    else if (outcome_of(rd_kafka_error_code(error)) == KAFKA_TRANSACTION_NOT_AUTHORIZED)
        outcome = KAFKA_TRANSACTION_NOT_AUTHORIZED;
    set_ending(&transactor->job.ending, outcome, rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return false;
}

/* Until it succeeds, fails for good, or `enough`; then false. */
static bool call_in_slices(struct kafka_transactor *transactor,
    rd_kafka_error_t *(*call)(rd_kafka_t *handle, int timeout_ms),
    bool (*enough)(struct kafka_transactor *transactor))
{
    for (;;) {
        rd_kafka_error_t *error = call(transactor->handle, SLICE_MS);
        if (!error || !rd_kafka_error_is_retriable(error))
            return went_well(transactor, error);
        /* Another reason to try again may have come at once. */
        if (rd_kafka_error_code(error) != RD_KAFKA_RESP_ERR__TIMED_OUT)
            uv_sleep(SLICE_MS);
        went_well(transactor, error);
        if (enough(transactor))
            return false;
    }
}

static void refresh_topics(struct kafka_transactor *transactor)
{
    const struct rd_kafka_metadata *metadata;
    if (rd_kafka_metadata(transactor->handle, 0, NULL, &metadata, METADATA_TIMEOUT_MS) ==
        RD_KAFKA_RESP_ERR_NO_ERROR)
        rd_kafka_metadata_destroy(metadata);
}

static bool begin(struct kafka_transactor *transactor)
{
    if (!transactor->job.initialised) {
        if (stops(transactor) || !call_in_slices(transactor, rd_kafka_init_transactions, stops))
            return false;
        transactor->job.initialised = true;
    }
    if (transactor->job.topics_stale)
        refresh_topics(transactor);
    return !stops(transactor) &&
           went_well(transactor, rd_kafka_begin_transaction(transactor->handle));
}

static bool refuse_record(
    struct kafka_transactor *transactor, size_t index, rd_kafka_resp_err_t code)
{
    set_ending(&transactor->job.ending, outcome_of(code), rd_kafka_err2str(code));
    if (transactor->job.ending.outcome != KAFKA_ABORTED)
        transactor->job.ending.culprit = index;
    return false;
}

static rd_kafka_resp_err_t hand_over(
    struct kafka_transactor *transactor, const struct kafka_transaction_record *record)
{
    rd_kafka_headers_t *headers;
    if (!kafka_headers_new(record->headers, record->header_count, &headers))
        return RD_KAFKA_RESP_ERR_INVALID_RECORD;
    rd_kafka_resp_err_t code = rd_kafka_producev(transactor->handle,
        RD_KAFKA_V_TOPIC(record->topic), RD_KAFKA_V_PARTITION(RD_KAFKA_PARTITION_UA),
        RD_KAFKA_V_MSGFLAGS(0), RD_KAFKA_V_KEY(record->key, record->key_size),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)record->value, record->value_size),
        RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE((void *)(uintptr_t)record), RD_KAFKA_V_END);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && headers)
        rd_kafka_headers_destroy(headers);
    return code;
}

static bool produce(struct kafka_transactor *transactor)
{
    const struct kafka_transaction *transaction = transactor->transaction;
    for (size_t i = 0; i < transaction->record_count;) {
        rd_kafka_resp_err_t code = hand_over(transactor, &transaction->records[i]);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            i++;
            continue;
        }
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            return refuse_record(transactor, i, code);
        if (rd_kafka_outq_len(transactor->handle) == 0) /* it does not fit even by itself */
            return refuse_record(transactor, i, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
        if (stops(transactor))
            return false;
        rd_kafka_flush(transactor->handle, SLICE_MS);
    }
    return true;
}

/* Each ends in a delivery or a failure, at the latest by message.timeout.ms. Of failures the next
 * call to the library tells. */
static bool await_deliveries(struct kafka_transactor *transactor)
{
    do {
        if (stops(transactor))
            return false;
    } while (rd_kafka_flush(transactor->handle, SLICE_MS) != RD_KAFKA_RESP_ERR_NO_ERROR);
    return !stops(transactor);
}

static bool send_offsets(struct kafka_transactor *transactor)
{
    const struct kafka_transaction *transaction = transactor->transaction;
    if (transaction->offset_count == 0)
        return true;
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)transaction->offset_count);
    for (size_t i = 0; i < transaction->offset_count; i++) {
        const struct kafka_offset *offset = &transaction->offsets[i];
        rd_kafka_topic_partition_list_add(list, offset->topic, offset->partition)->offset =
            offset->next_offset;
    }
    rd_kafka_error_t *error = rd_kafka_send_offsets_to_transaction(transactor->handle, list,
        transaction->metadata->metadata, KAFKA_TRANSACTOR_OFFSETS_TIMEOUT_MS);
    rd_kafka_topic_partition_list_destroy(list);
    return went_well(transactor, error) && !stops(transactor);
}

static bool commit(struct kafka_transactor *transactor)
{
    if (call_in_slices(transactor, rd_kafka_commit_transaction, patience_is_over)) {
        set_ending(&transactor->job.ending, KAFKA_COMMITTED, "");
        return true;
    }
    return false;
}

/* The ending stays as it is, except when this fails too; the library refuses it at once when a
 * commit was given up half-way. */
static bool take_back(struct kafka_transactor *transactor)
{
    struct ending ending = transactor->job.ending;
    if (call_in_slices(transactor, rd_kafka_abort_transaction, patience_is_over)) {
        transactor->job.ending = ending;
        return true;
    }
    if (!atomic_load(&transactor->closed))
        transactor->job.ending.outcome = KAFKA_TRANSACTION_FATAL;
    return false;
}

/* What an abort does first, where there is none. It needs no broker. */
static void get_records_back(struct kafka_transactor *transactor)
{
    rd_kafka_purge(transactor->handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    while (rd_kafka_flush(transactor->handle, SLICE_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
        ;
}

static void run_on_pool(uv_work_t *work)
{
    struct kafka_transactor *transactor = work->data;
    if (!begin(transactor))
        return;
    if (produce(transactor) && await_deliveries(transactor) && send_offsets(transactor) &&
        commit(transactor))
        return;
    if (transactor->job.ending.outcome == KAFKA_TRANSACTION_FATAL || !take_back(transactor))
        get_records_back(transactor);
}

/* The loop. */

static void go_fatal(struct kafka_transactor *transactor, const char *reason)
{
    if (transactor->fatal)
        return;
    transactor->fatal = true;
    transactor->options.on_fatal(transactor->options.context, reason);
}

static void end(struct kafka_transactor *transactor, const struct ending *ending)
{
    struct kafka_transaction *transaction = transactor->transaction;
    transactor->transaction = NULL;
    transaction->culprit = ending->culprit;
    transaction->on_ended(transaction, ending->outcome, ending->reason);
}

/* The library's own words, when a record was refused, say only that one was. */
static bool is_about_the_record(
    const struct kafka_transactor *transactor, const struct ending *ending)
{
    return transactor->refused && !atomic_load(&transactor->cancelled) &&
           (ending->outcome == KAFKA_ABORTED ||
               ending->outcome == KAFKA_TRANSACTION_NOT_AUTHORIZED);
}

static void on_job_done(uv_work_t *work, int status)
{
    (void)status;
    struct kafka_transactor *transactor = work->data;
    struct ending ending = transactor->job.ending;
    transactor->running = false;
    if (atomic_load(&transactor->closed) && ending.outcome != KAFKA_COMMITTED)
        ending.outcome = KAFKA_TRANSACTION_CLOSED;
    else if (is_about_the_record(transactor, &ending))
        ending = transactor->refusal;
    if (ending.outcome == KAFKA_COMMITTED && transactor->reports.in_trouble)
        kafka_reports_all_well(&transactor->reports);
    if (ending.outcome == KAFKA_TRANSACTION_FATAL)
        go_fatal(transactor, ending.reason);
    transactor->job.topics_stale = ending.outcome == KAFKA_TRANSACTION_NO_SUCH_TOPIC;
    kafka_waker_kick(&transactor->waker); /* a close may wait for this */
    end(transactor, &ending);
}

static void queue_work(struct kafka_transactor *transactor, uv_work_cb run, uv_after_work_cb done)
{
    transactor->work.data = transactor;
    int result = uv_queue_work(transactor->loop, &transactor->work, run, done);
    assert(result == 0);
    (void)result;
}

void kafka_transactor_run(
    struct kafka_transactor *transactor, struct kafka_transaction *transaction)
{
    assert(!transactor->transaction);
    assert(transaction->offset_count == 0 || transaction->metadata);
    transactor->transaction = transaction;
    transactor->refused = false;
    if (transactor->fatal || transactor->state != TRANSACTOR_OPEN) {
        kafka_waker_kick(&transactor->waker);
        return;
    }
    atomic_store(&transactor->cancelled, false);
    transactor->job.give_up_us = 0;
    transactor->job.ending = (struct ending){.culprit = transaction->record_count};
    transactor->running = true;
    queue_work(transactor, run_on_pool, on_job_done);
}

void kafka_transactor_cancel(struct kafka_transactor *transactor)
{
    atomic_store(&transactor->cancelled, true);
}

static void end_refused(struct kafka_transactor *transactor)
{
    struct ending ending = {.culprit = transactor->transaction->record_count};
    if (transactor->state != TRANSACTOR_OPEN)
        set_ending(&ending, KAFKA_TRANSACTION_CLOSED, "the transactor was closed");
    else
        set_ending(&ending, KAFKA_TRANSACTION_FATAL, "the transactor had a fatal error earlier");
    end(transactor, &ending);
}

/* The first refused record counts; of those that are too large together, the largest. */
static void note_refused(struct kafka_transactor *transactor, const rd_kafka_message_t *message)
{
    enum kafka_transaction_outcome outcome = outcome_of(message->err);
    if (outcome == KAFKA_ABORTED || !transactor->running)
        return;
    const struct kafka_transaction_record *records = transactor->transaction->records;
    const struct kafka_transaction_record *record = message->_private;
    struct ending *refusal = &transactor->refusal;
    if (transactor->refused &&
        !(outcome == KAFKA_TRANSACTION_TOO_LARGE_RECORD && refusal->outcome == outcome &&
            size_of(record) > size_of(&records[refusal->culprit])))
        return;
    transactor->refused = true;
    refusal->culprit = (size_t)(record - records);
    set_ending(refusal, outcome, rd_kafka_err2str(message->err));
}

static void take_event(struct kafka_transactor *transactor, rd_kafka_event_t *event)
{
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR) {
        for (const rd_kafka_message_t *message; (message = rd_kafka_event_message_next(event));)
            note_refused(transactor, message);
        return;
    }
    enum kafka_trouble trouble;
    const char *reason;
    if (kafka_reports_take(&transactor->reports, event, &trouble, &reason) &&
        trouble == KAFKA_TROUBLE_FATAL)
        go_fatal(transactor, reason);
}

static void destroy(struct kafka_transactor *transactor);

static bool take_turn(void *context)
{
    struct kafka_transactor *transactor = context;
    if (transactor->state >= TRANSACTOR_DESTROYING)
        return false;
    if (transactor->transaction && !transactor->running)
        end_refused(transactor);
    for (unsigned taken = 0; taken < REPORTS_PER_TURN; taken++) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(transactor->queue, 0);
        if (!event) {
            if (transactor->state == TRANSACTOR_ENDING && !transactor->transaction)
                destroy(transactor);
            return false;
        }
        take_event(transactor, event);
        rd_kafka_event_destroy(event);
    }
    return true;
}

/* The end. */

static void on_handle_closed(uv_handle_t *handle)
{
    struct kafka_transactor *transactor = handle->data;
    if (--transactor->handles_open > 0)
        return;
    if (transactor->transaction)
        end_refused(transactor);
    void (*on_closed)(void *context) = transactor->options.on_closed;
    void *context = transactor->options.context;
    free(transactor);
    if (on_closed)
        on_closed(context);
}

static void destroy_on_pool(uv_work_t *work)
{
    struct kafka_transactor *transactor = work->data;
    rd_kafka_destroy(transactor->handle);
}

static void on_destroyed(uv_work_t *work, int status)
{
    (void)status;
    struct kafka_transactor *transactor = work->data;
    transactor->state = TRANSACTOR_CLOSING;
    kafka_waker_close(&transactor->waker, on_handle_closed);
}

static void destroy(struct kafka_transactor *transactor)
{
    transactor->state = TRANSACTOR_DESTROYING;
    for (size_t i = 0; i < transactor->topic_count; i++)
        rd_kafka_topic_destroy(transactor->topics[i].handle);
    free(transactor->topics);
    kafka_waker_unwatch(transactor->queue);
    rd_kafka_queue_destroy(transactor->queue);
    queue_work(transactor, destroy_on_pool, on_destroyed);
}

void kafka_transactor_close(struct kafka_transactor *transactor)
{
    if (transactor->state != TRANSACTOR_OPEN)
        return;
    transactor->state = TRANSACTOR_ENDING;
    atomic_store(&transactor->closed, true);
    kafka_waker_kick(&transactor->waker);
}

/* The beginning. */

static void open_topics(
    struct kafka_transactor *transactor, const char *const *topics, size_t topic_count)
{
    transactor->topics = memory_new((topic_count + 1) * sizeof(*transactor->topics));
    for (size_t i = 0; i < topic_count; i++) {
        rd_kafka_topic_t *topic = rd_kafka_topic_new(transactor->handle, topics[i], NULL);
        if (topic) /* else its name is none, which producing says too */
            transactor->topics[transactor->topic_count++].handle = topic;
    }
}

static rd_kafka_conf_t *configure(
    const struct kafka_transactor_options *options, char *error, size_t error_size)
{
    rd_kafka_conf_t *conf = kafka_conf_new(pins, sizeof(pins) / sizeof(pins[0]),
        options->properties, options->property_count, error, error_size);
    if (!conf)
        return NULL;
    char reason[KAFKA_REASON_SIZE];
    if (rd_kafka_conf_set(conf, "transactional.id", options->transactional_id, reason,
            sizeof(reason)) != RD_KAFKA_CONF_OK) {
        snprintf(error, error_size, "the transactional id was refused: %s", reason);
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
    return conf;
}

enum result kafka_transactor_new(uv_loop_t *loop, const struct kafka_transactor_options *options,
    struct kafka_transactor **transactor, char *error, size_t error_size)
{
    *transactor = NULL;
    rd_kafka_conf_t *conf = configure(options, error, error_size);
    if (!conf)
        return RESULT_REJECT;
    rd_kafka_t *handle = kafka_handle_new(RD_KAFKA_PRODUCER, conf, error, error_size);
    if (!handle)
        return RESULT_REJECT;
    struct kafka_transactor *made = memory_new(sizeof(*made));
    made->loop = loop;
    made->options = *options;
    made->handle = handle;
    made->queue = rd_kafka_queue_get_main(handle);
    kafka_reports_init(&made->reports, "transactor");
    rd_kafka_set_log_queue(handle, made->queue);
    open_topics(made, options->topics, options->topic_count);
    kafka_waker_init(&made->waker, loop, take_turn, made);
    made->handles_open = KAFKA_WAKER_HANDLES;
    kafka_waker_watch(&made->waker, made->queue);
    *transactor = made;
    return RESULT_OK;
}
