/* publisher: see publisher.h. */
#include "worker/publisher.h"

#include <assert.h>

#include <utlist.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/kafka_consumer.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/metrics.h"

enum { RESEND_TICK_MS = 50 };

/* A record that is refused for now is tried again soon, and then every few seconds: an operator who
 * makes the missing topic sees it used without a restart. */
static const struct backoff resend_backoff = {
    .base_us = 200 * CLOCK_US_PER_MS,
    .maximum_us = 5 * CLOCK_US_PER_SECOND,
};

struct publisher {
    struct publisher_options options;
    struct kafka_producer *producer;
    uv_timer_t resend_timer; /* runs while `waiting` is not empty */
    struct publication *waiting;
    bool closing;
    struct metric *seconds, *resent_total;
};

static void stop_resend_timer_when_idle(struct publisher *publisher)
{
    if (!publisher->waiting)
        uv_timer_stop(&publisher->resend_timer);
}

static void end(
    struct publication *publication, enum publication_outcome outcome, const char *reason)
{
    publication->on_published(publication, outcome, reason);
}

static void on_resend_tick(uv_timer_t *timer)
{
    struct publisher *publisher = timer->data;
    struct publication *publication, *following;
    int64_t now_us = clock_monotonic_us();
    DL_FOREACH_SAFE2(publisher->waiting, publication, following, next)
    {
        if (publication->resend_us > now_us && !publisher->closing)
            continue;
        DL_DELETE2(publisher->waiting, publication, previous, next);
        if (publisher->closing)
            end(publication, PUBLISHED_NOT_CANCELLED, "closed");
        else
            kafka_producer_send(publisher->producer, &publication->delivery);
    }
    stop_resend_timer_when_idle(publisher);
}

static void send_again_later(
    struct publication *publication, const char *outcome, const char *reason)
{
    static struct log_limit limit;
    struct publisher *publisher = publication->publisher;
    log_limited(&limit, 5000, LOG_LEVEL_ERROR, "publisher",
        "a record could not be published and will be tried again; make sure that the topic exists "
        "and that this worker may write to it",
        LOG_CONTEXT(publication->log), LOG_TEXT("to", publication->delivery.topic),
        LOG_TEXT("outcome", outcome), LOG_TEXT("reason", reason),
        LOG_INT("attempts", publication->attempts));
    metric_add(publisher->resent_total, 1);
    publication->resend_us = clock_monotonic_us() + backoff_delay_us(&resend_backoff,
                                                        publication->attempts, backoff_random());
    if (!publisher->waiting)
        uv_timer_start(&publisher->resend_timer, on_resend_tick, RESEND_TICK_MS, RESEND_TICK_MS);
    DL_APPEND2(publisher->waiting, publication, previous, next);
}

static void on_delivered(struct kafka_delivery *delivery, enum kafka_delivery_outcome outcome,
    int64_t offset, const char *reason)
{
    struct publication *publication = delivery->context;
    (void)offset;
    publication->attempts++;
    switch (outcome) {
    case KAFKA_DELIVERED:
        metric_observe(publication->publisher->seconds,
            (double)(clock_monotonic_us() - publication->handed_over_us) / CLOCK_US_PER_SECOND);
        end(publication, PUBLISHED, "");
        return;
    case KAFKA_TOO_LARGE:
        end(publication, PUBLISHED_NOT_TOO_LARGE, reason);
        return;
    case KAFKA_CANCELLED:
    case KAFKA_FATAL: /* on_fatal has been told; nothing more will go out */
        end(publication, PUBLISHED_NOT_CANCELLED, reason);
        return;
    case KAFKA_NO_SUCH_TOPIC:
    case KAFKA_NOT_AUTHORIZED:
        if (publication->addressed) {
            end(publication, PUBLISHED_NOT_ADDRESS, reason);
            return;
        }
        break;
    case KAFKA_TIMED_OUT:
    case KAFKA_REFUSED:
        break;
    }
    send_again_later(publication, kafka_delivery_outcome_name(outcome), reason);
}

void publisher_send(struct publisher *publisher, struct publication *publication)
{
    publication->publisher = publisher;
    publication->attempts = 0;
    publication->handed_over_us = clock_monotonic_us();
    publication->delivery.on_delivered = on_delivered;
    publication->delivery.context = publication;
    kafka_producer_send(publisher->producer, &publication->delivery);
}

static void on_topic_answer(
    struct kafka_topic_query *query, enum kafka_topic_state state, int32_t partition_count)
{
    struct publisher_question *question = query->context;
    switch (state) {
    case KAFKA_TOPIC_FOUND:
        if (question->partition != KAFKA_PARTITION_BY_KEY && question->partition >= partition_count)
            question->on_checked(question, false, "caller: the reply topic has no such partition");
        else
            question->on_checked(question, true, "");
        return;
    case KAFKA_TOPIC_MISSING:
        question->on_checked(question, false, "caller or operator: the reply topic does not exist");
        return;
    case KAFKA_TOPIC_NOT_AUTHORIZED:
        question->on_checked(
            question, false, "operator: the worker may not write to the reply topic");
        return;
    case KAFKA_TOPIC_UNKNOWN:
        question->on_checked(question, true, "");
        return;
    }
}

void publisher_check(struct publisher *publisher, struct publisher_question *question)
{
    question->query.on_answer = on_topic_answer;
    question->query.context = question;
    kafka_producer_find_topic(publisher->producer, &question->query);
}

void publisher_find_topic(struct publisher *publisher, struct kafka_topic_query *query)
{
    kafka_producer_find_topic(publisher->producer, query);
}

void publisher_pass_trace(const struct kafka_record *source, struct cloud_event_headers *headers)
{
    static const char *const names[] = {"traceparent", "tracestate"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct kafka_header header;
        if (kafka_record_header(source, names[i], &header) && header.value &&
            header.value_size <= PUBLISHER_TRACE_BYTES_MAX)
            cloud_event_headers_add(headers, names[i], header.value, header.value_size);
    }
}

static void on_fatal(void *context, const char *reason)
{
    struct publisher *publisher = context;
    publisher->options.on_fatal(publisher->options.context, reason);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct publisher *publisher = handle->data;
    if (publisher->options.on_closed)
        publisher->options.on_closed(publisher->options.context);
}

static void on_producer_closed(void *context)
{
    struct publisher *publisher = context;
    on_resend_tick(&publisher->resend_timer);
    uv_close((uv_handle_t *)&publisher->resend_timer, on_timer_closed);
}

static void register_metrics(struct publisher *publisher)
{
    publisher->seconds = metrics_histogram("terra_connect_publish_seconds",
        publisher->options.metric_labels,
        "From handing a record to the producer to its acknowledgement, by what is written; dead "
        "letters count with the others of their flow.",
        metrics_seconds_bounds, metrics_seconds_bound_count);
    publisher->resent_total = metrics_counter("terra_connect_publish_retries_total", NULL,
        "Records that were not persisted and were sent again.");
}

enum result publisher_new(uv_loop_t *loop, const struct publisher_options *options,
    struct publisher **publisher, char *error, size_t error_size)
{
    struct publisher *made = memory_new(sizeof *made);
    made->options = *options;
    const struct kafka_producer_options producer_options = {
        .properties = options->properties,
        .property_count = options->property_count,
        .topics = options->topics,
        .topic_count = options->topic_count,
        .on_fatal = on_fatal,
        .on_closed = on_producer_closed,
        .context = made,
    };
    enum result result =
        kafka_producer_new(loop, &producer_options, &made->producer, error, error_size);
    if (result != RESULT_OK) {
        free(made);
        return result;
    }
    uv_timer_init(loop, &made->resend_timer);
    made->resend_timer.data = made;
    register_metrics(made);
    *publisher = made;
    return RESULT_OK;
}

void publisher_close(struct publisher *publisher)
{
    publisher->closing = true;
    kafka_producer_close(publisher->producer);
}

void publisher_free(struct publisher *publisher)
{
    if (!publisher)
        return;
    assert(!publisher->waiting);
    free(publisher);
}
