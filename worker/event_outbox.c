/* event_outbox: see event_outbox.h. */
#include "worker/event_outbox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/metrics.h"
#include "worker/dead_letter.h"

/* As much of a fetched payload as a letter carries in place of its pointer. */
#define FETCHED_BYTES_MAX (512 * 1024)

static const char *const codes[] = {"invalid_event", "payload_expired", "payload_forbidden",
    "payload_unreadable", "payload_unavailable", "event_too_large"};
enum { CODE_COUNT = sizeof codes / sizeof codes[0] };

struct event_outbox {
    struct event_outbox_options options;
    struct metric *events_total[AUTH_EVENT_KIND_COUNT];
    struct metric *letters_total[CODE_COUNT];
    struct metric *seconds;
};

static void address(struct event_job *job, const char *topic, const void *key, size_t key_size,
    const void *value, size_t value_size)
{
    job->publication.delivery = (struct kafka_delivery){
        .topic = topic,
        .partition = KAFKA_PARTITION_BY_KEY,
        .key = key,
        .key_size = key_size,
        .value = value,
        .value_size = value_size,
        .headers = job->headers.headers,
        .header_count = job->headers.count,
    };
}

static void prepare_event(struct event_outbox *outbox, struct event_job *job)
{
    const char *key = auth_event_key(&job->event);
    cloud_event_headers_init(&job->headers, &(struct cloud_event){
                                                .kind = "auth-event",
                                                .source = outbox->options.source,
                                                .subject = key,
                                                .time_wall_us = clock_wall_us(),
                                                .topic = job->record->topic,
                                                .partition = job->record->partition,
                                                .offset = job->record->offset,
                                            });
    publisher_pass_trace(job->record, &job->headers);
    buf_reset(&job->json);
    auth_event_encode(&job->event, &job->context, &job->json);
    address(job, outbox->options.events_topic, key, key ? strlen(key) : 0, buf_text(&job->json),
        job->json.size);
}

static struct dead_letter letter_of(const struct event_outbox *outbox, const struct event_job *job)
{
    return (struct dead_letter){
        .code = job->code,
        .message = job->message,
        .group = outbox->options.group_id,
        .source = outbox->options.source,
        .record = job->record,
        .header_at = kafka_record_header_at,
        .fetched = job->payload.size > 0 ? buf_text(&job->payload) : NULL,
        .fetched_size = job->payload.size,
        .time_wall_us = clock_wall_us(),
    };
}

/* A payload is kept instead of its pointer, which is dead in ten minutes. */
static void prepare_letter(struct event_outbox *outbox, struct event_job *job)
{
    const struct kafka_record *record = job->record;
    const struct dead_letter letter = letter_of(outbox, job);
    bool too_large = letter.fetched_size > FETCHED_BYTES_MAX;
    if (too_large)
        dead_letter_headers_without_value(&job->headers, &letter);
    else
        dead_letter_headers(&job->headers, &letter);
    const void *value = letter.fetched ? letter.fetched : record->value;
    size_t size = letter.fetched ? letter.fetched_size : record->value_size;
    address(job, outbox->options.dead_letters_topic, record->key, record->key_size,
        too_large ? NULL : value, too_large ? 0 : size);
}

void event_outbox_prepare(struct event_outbox *outbox, struct event_job *job)
{
    cloud_event_headers_release(&job->headers);
    if (job->fate == EVENT_FATE_EVENT)
        prepare_event(outbox, job);
    else
        prepare_letter(outbox, job);
}

bool event_outbox_shrink(struct event_outbox *outbox, struct event_job *job)
{
    if (job->fate == EVENT_FATE_EVENT) {
        log_error("event_outbox", "an event is too large for its topic and becomes a dead letter",
            EVENT_JOB_FIELDS(job), LOG_INT("bytes", (int64_t)job->json.size));
        job->fate = EVENT_FATE_LETTER;
        job->code = "event_too_large";
        snprintf(job->message, sizeof job->message,
            "the events topic does not take a message of this size (max.message.bytes)");
        event_outbox_prepare(outbox, job);
        return true;
    }
    if (!job->publication.delivery.value)
        return false;
    const struct dead_letter letter = letter_of(outbox, job);
    cloud_event_headers_release(&job->headers);
    dead_letter_headers_without_value(&job->headers, &letter);
    address(
        job, outbox->options.dead_letters_topic, job->record->key, job->record->key_size, NULL, 0);
    return true;
}

static void on_published(
    struct publication *publication, enum publication_outcome outcome, const char *reason)
{
    struct event_job *job = publication->context;
    struct event_outbox *outbox = job->outbox;
    if (outcome == PUBLISHED_NOT_TOO_LARGE && event_outbox_shrink(outbox, job)) {
        event_outbox_send(outbox, job);
        return;
    }
    if (outcome != PUBLISHED && outcome != PUBLISHED_NOT_CANCELLED)
        log_error("event_outbox", "a dead letter cannot be written", EVENT_JOB_FIELDS(job),
            LOG_TEXT("reason", reason));
    outbox->options.on_sent(job, outcome == PUBLISHED);
}

void event_outbox_send(struct event_outbox *outbox, struct event_job *job)
{
    event_job_set_state(outbox->options.jobs, job, EVENT_JOB_PUBLISHING);
    job->outbox = outbox;
    job->publication.on_published = on_published;
    job->publication.context = job;
    job->publication.log = &job->log;
    publisher_send(outbox->options.publisher, &job->publication);
}

void event_outbox_count(struct event_outbox *outbox, const struct event_job *job)
{
    if (job->fate == EVENT_FATE_EVENT) {
        metric_add(outbox->events_total[job->event.kind], 1);
        metric_observe(outbox->seconds,
            (double)(clock_wall_us() - job->published_wall_us) / CLOCK_US_PER_SECOND);
        return;
    }
    for (size_t i = 0; i < CODE_COUNT; i++) {
        if (job->fate == EVENT_FATE_LETTER && strcmp(codes[i], job->code) == 0)
            metric_add(outbox->letters_total[i], 1);
    }
}

static void register_metrics(struct event_outbox *outbox)
{
    static char kinds[AUTH_EVENT_KIND_COUNT][64], labels[CODE_COUNT][64];
    for (unsigned kind = 0; kind < AUTH_EVENT_KIND_COUNT; kind++) {
        snprintf(kinds[kind], sizeof kinds[kind], "kind=\"%s\"", auth_event_kind_name(kind));
        outbox->events_total[kind] = metrics_counter(
            "terra_connect_auth_events_total", kinds[kind], "Auth events persisted, by kind.");
    }
    for (size_t i = 0; i < CODE_COUNT; i++) {
        snprintf(labels[i], sizeof labels[i], "code=\"%s\"", codes[i]);
        outbox->letters_total[i] = metrics_counter("terra_connect_event_dead_letters_total",
            labels[i], "Records of the raw topic that became dead letters, by error code.");
    }
    outbox->seconds = metrics_histogram("terra_connect_auth_event_seconds", NULL,
        "From the raw record's timestamp to the persisted event.", metrics_seconds_bounds,
        metrics_seconds_bound_count);
}

struct event_outbox *event_outbox_new(const struct event_outbox_options *options)
{
    struct event_outbox *outbox = memory_new(sizeof *outbox);
    outbox->options = *options;
    register_metrics(outbox);
    return outbox;
}

void event_outbox_free(struct event_outbox *outbox)
{
    free(outbox);
}
