/* publisher_count: see publisher_count.h. */
#include "worker/publisher_count.h"

#include <stdlib.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/memory.h"

static const struct backoff ask_backoff = {
    .base_us = 500 * CLOCK_US_PER_MS, .maximum_us = 30 * CLOCK_US_PER_SECOND};

struct publisher_count {
    struct publisher_count_options options;
    struct kafka_topic_query query;
    uv_timer_t timer; /* until it is asked again */
    unsigned failures;
    bool asking;
    bool closing;
};

static void on_timer(uv_timer_t *timer)
{
    publisher_count_ask(timer->data);
}

static void on_answer(
    struct kafka_topic_query *query, enum kafka_topic_state state, int32_t partition_count)
{
    struct publisher_count *count = query->context;
    count->asking = false;
    if (count->closing)
        return;
    if (state == KAFKA_TOPIC_FOUND && partition_count > 0) {
        count->failures = 0;
        count->options.on_counted(count->options.context, (unsigned)partition_count);
        return;
    }
    int64_t pause_us = backoff_delay_us(&ask_backoff, ++count->failures, backoff_random());
    uv_timer_start(&count->timer, on_timer, (uint64_t)(pause_us / CLOCK_US_PER_MS) + 1, 0);
}

void publisher_count_ask(struct publisher_count *count)
{
    if (count->asking || count->closing)
        return;
    uv_timer_stop(&count->timer);
    count->asking = true;
    count->query = (struct kafka_topic_query){
        .topic = count->options.topic,
        .on_answer = on_answer,
        .context = count,
    };
    publisher_find_topic(count->options.publisher, &count->query);
}

struct publisher_count *publisher_count_new(
    uv_loop_t *loop, const struct publisher_count_options *options)
{
    struct publisher_count *count = memory_new(sizeof *count);
    count->options = *options;
    uv_timer_init(loop, &count->timer);
    count->timer.data = count;
    return count;
}

void publisher_count_close(struct publisher_count *count)
{
    count->closing = true;
    uv_close((uv_handle_t *)&count->timer, NULL);
}

void publisher_count_free(struct publisher_count *count)
{
    free(count);
}
