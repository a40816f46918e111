/* connect_outbox: see connect_outbox.h. */
#include "worker/connect_outbox.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/metrics.h"
#include "worker/publisher_letter.h"

enum { ECHOED_BYTES_MAX = 8192 }; /* of the caller's headers in one reply */

static const char *const echoed_headers[] = {
    "kafka_correlationId", "correlation-id", "traceparent", "tracestate"};

struct connect_outbox {
    struct connect_outbox_options options;
    struct metric *replies_total[CONNECT_CODE_COUNT + 1]; /* the last one: success */
    struct metric *dead_letters_total, *reply_seconds, *waiting_seconds;
};

static void send_reply(struct connect_job *job);
static void send_outcome(struct connect_job *job);

static void end(struct connect_job *job, bool persisted)
{
    job->outbox->options.on_sent(job, persisted);
}

static struct connect_result result_of(const struct connect_job *job)
{
    return (struct connect_result){
        .request = &job->request,
        .link = job->has_link ? &job->link : NULL,
        .error = job->has_link ? NULL : &job->error,
        .attempts = job->attempts,
        .cached = job->cached,
        .requested_wall_us = job->requested_wall_us,
        .answered_wall_us = clock_wall_us(),
        .waiting_us = job->waiting_us,
        .calling_us = job->calling_us,
    };
}

static void begin_headers(struct connect_job *job, const char *kind)
{
    cloud_event_headers_release(&job->headers);
    cloud_event_headers_init(&job->headers, &(struct cloud_event){
                                                .kind = kind,
                                                .source = job->outbox->options.source,
                                                .subject = job->request.reference_id,
                                                .time_wall_us = clock_wall_us(),
                                                .topic = job->record->topic,
                                                .partition = job->record->partition,
                                                .offset = job->record->offset,
                                            });
    if (!job->has_link) {
        const char *code = connect_code_name(job->error.code);
        cloud_event_headers_add(&job->headers, "error-code", code, strlen(code));
    }
    size_t echoed = 0;
    for (size_t i = 0; i < sizeof echoed_headers / sizeof echoed_headers[0]; i++) {
        struct kafka_header header;
        if (!kafka_record_header(job->record, echoed_headers[i], &header) || !header.value)
            continue;
        echoed += strlen(header.name) + header.value_size;
        if (echoed > ECHOED_BYTES_MAX)
            break;
        cloud_event_headers_add(&job->headers, echoed_headers[i], header.value, header.value_size);
    }
}

/* The record is keyed by reference_id; where that could not be read, as the request was. */
static void publish(struct connect_job *job, struct publisher *publisher, const char *topic,
    int32_t partition, bool addressed,
    void (*on_published)(struct publication *, enum publication_outcome, const char *))
{
    const char *reference_id = job->request.reference_id;
    job->publication = (struct publication){
        .delivery =
            {
                .topic = topic,
                .partition = partition,
                .key = reference_id ? reference_id : job->record->key,
                .key_size = reference_id ? strlen(reference_id) : job->record->key_size,
                .value = buf_text(&job->json),
                .value_size = job->json.size,
                .headers = job->headers.headers,
                .header_count = job->headers.count,
            },
        .addressed = addressed,
        .on_published = on_published,
        .context = job,
        .log = &job->log,
    };
    publisher_send(publisher, &job->publication);
}

/* Terra's events about this link will be told whose it was. */
static void remember_link(const struct connect_job *job)
{
    if (!job->has_link)
        return;
    const struct connect_request *request = &job->request;
    const char *id = job->link.id;
    bool several = !request->provider && (!request->providers || strchr(request->providers, ','));
    link_memory_note(job->outbox->options.link_memory, job->link.widget ? id : NULL,
        job->link.widget ? NULL : id,
        &(struct link_fact){
            .request_id = request->request_id,
            .reference_id = request->reference_id,
            .environment = request->environment->name,
            .provider = several             ? NULL
                        : request->provider ? request->provider
                                            : request->providers,
            .answered_wall_us = clock_wall_us(),
        });
}

static void on_replied(
    struct publication *publication, enum publication_outcome outcome, const char *reason)
{
    struct connect_job *job = publication->context;
    struct connect_outbox *outbox = job->outbox;
    struct connect_error error;
    switch (outcome) {
    case PUBLISHED:
        metric_add(outbox->replies_total[job->has_link ? CONNECT_CODE_COUNT : job->error.code], 1);
        metric_observe(outbox->reply_seconds,
            (double)(clock_monotonic_us() - job->arrived_us) / CLOCK_US_PER_SECOND);
        metric_observe(outbox->waiting_seconds, (double)job->waiting_us / CLOCK_US_PER_SECOND);
        remember_link(job);
        send_outcome(job);
        return;
    case PUBLISHED_NOT_ADDRESS:
        log_warn("connect_outbox", "the reply topic that the request names does not take the reply",
            CONNECT_JOB_FIELDS(job), LOG_TEXT("reason", reason));
        connect_error_set(&error, CONNECT_REPLY_ADDRESS_REJECTED,
            "caller or operator: the reply topic or partition does not exist, or the worker may "
            "not write to it");
        break;
    case PUBLISHED_NOT_TOO_LARGE:
        log_error("connect_outbox", "a reply is too large for its topic", CONNECT_JOB_FIELDS(job),
            LOG_INT("bytes", (int64_t)job->json.size), LOG_TEXT("reason", reason));
        if (!job->has_link && job->error.code == CONNECT_INTERNAL_ERROR) {
            connect_outbox_bury(outbox, job);
            return;
        }
        connect_error_set(&error, CONNECT_INTERNAL_ERROR,
            "operator: the reply topic does not take a message of this size (max.message.bytes)");
        text_list_release(&job->request.warnings);
        break;
    case PUBLISHED_NOT_CANCELLED:
        end(job, false);
        return;
    }
    connect_job_set_error(job, &error);
    reply_address_set_default(outbox->options.address_rules, &job->address);
    send_reply(job);
}

static void send_reply(struct connect_job *job)
{
    if (job->let_go || intake_place_state(&job->place) == INTAKE_PLACE_GONE) {
        end(job, false); /* the new owner answers, with the link that lies in the reply cache */
        return;
    }
    struct connect_result result = result_of(job);
    connect_job_set_state(job->outbox->options.jobs, job, CONNECT_REPLYING);
    begin_headers(job, "connect-reply");
    buf_reset(&job->json);
    connect_reply_encode(&result, &job->json);
    publish(job, job->outbox->options.publisher, job->address.topic, job->address.partition,
        !job->address.is_default, on_replied);
}

static void on_reported(
    struct publication *publication, enum publication_outcome outcome, const char *reason)
{
    struct connect_job *job = publication->context;
    if (outcome == PUBLISHED_NOT_TOO_LARGE)
        log_error("connect_outbox", "an outcome is too large for its topic and is left out",
            CONNECT_JOB_FIELDS(job), LOG_TEXT("reason", reason));
    if (outcome == PUBLISHED_NOT_CANCELLED)
        end(job, false);
    else
        end(job, true);
}

/* After the reply is persisted: only then is its outcome known. */
static void send_outcome(struct connect_job *job)
{
    if (!job->outbox->options.outcomes_topic) {
        end(job, true);
        return;
    }
    struct connect_result result = result_of(job);
    connect_job_set_state(job->outbox->options.jobs, job, CONNECT_REPORTING);
    begin_headers(job, "connect-outcome");
    buf_reset(&job->json);
    connect_outcome_encode(&result, &job->json);
    publish(job, job->outbox->options.batch_publisher, job->outbox->options.outcomes_topic,
        KAFKA_PARTITION_BY_KEY, false, on_reported);
}

static void on_buried(void *context, bool persisted)
{
    struct connect_job *job = context;
    if (persisted)
        metric_add(job->outbox->dead_letters_total, 1);
    end(job, persisted);
}

void connect_outbox_bury(struct connect_outbox *outbox, struct connect_job *job)
{
    job->outbox = outbox;
    log_warn("connect_outbox", "a request became a dead letter", CONNECT_JOB_FIELDS(job),
        LOG_TEXT("code", connect_code_name(job->error.code)));
    const struct dead_letter letter = {
        .code = connect_code_name(job->error.code),
        .message = job->error.message,
        .group = outbox->options.group_id,
        .source = outbox->options.source,
        .record = job->record,
        .time_wall_us = clock_wall_us(),
    };
    connect_job_set_state(outbox->options.jobs, job, CONNECT_BURYING);
    publisher_bury(outbox->options.batch_publisher, outbox->options.dead_letters_topic, &letter,
        &job->log, on_buried, job);
}

void connect_outbox_reply(struct connect_outbox *outbox, struct connect_job *job)
{
    job->outbox = outbox;
    send_reply(job);
}

static void register_metrics(struct connect_outbox *outbox)
{
    static const char help[] = "Replies persisted, by error code or success.";
    static char labels[CONNECT_CODE_COUNT][64];
    for (unsigned code = 0; code < CONNECT_CODE_COUNT; code++) {
        snprintf(labels[code], sizeof labels[code], "code=\"%s\"", connect_code_name(code));
        outbox->replies_total[code] =
            metrics_counter("terra_connect_replies_total", labels[code], help);
    }
    outbox->replies_total[CONNECT_CODE_COUNT] =
        metrics_counter("terra_connect_replies_total", "code=\"success\"", help);
    outbox->dead_letters_total = metrics_counter("terra_connect_dead_letters_total", NULL,
        "Requests that could not be read and nobody could be answered about.");
    outbox->reply_seconds = metrics_histogram("terra_connect_reply_seconds", NULL,
        "From a request's arrival to its persisted reply.", metrics_seconds_bounds,
        metrics_seconds_bound_count);
    outbox->waiting_seconds = metrics_histogram("terra_connect_waiting_seconds", NULL,
        "Time a request waited for its turn under the limit.", metrics_seconds_bounds,
        metrics_seconds_bound_count);
}

struct connect_outbox *connect_outbox_new(const struct connect_outbox_options *options)
{
    struct connect_outbox *outbox = memory_new(sizeof *outbox);
    outbox->options = *options;
    register_metrics(outbox);
    return outbox;
}

void connect_outbox_free(struct connect_outbox *outbox)
{
    free(outbox);
}
