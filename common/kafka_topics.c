/*
 * kafka_topics: see the header.
 */
#include "common/kafka_topics.h"

#include <assert.h>
#include <time.h>
#include <utlist.h>

#include "common/clock.h"
#include "common/memory.h"

#define LOOKUP_TIMEOUT_US (5 * CLOCK_US_PER_SECOND)
#define LOOKUP_SLICE_MS 500
#define LOOKUP_PAUSE_NS 20000000
#define FOUND_VALID_US (60 * CLOCK_US_PER_SECOND)
#define NOT_FOUND_VALID_US (2 * CLOCK_US_PER_SECOND)

static bool is_idle(const struct kafka_topic *topic)
{
    return !topic->pinned && !topic->looking && !topic->waiting && !topic->queries;
}

static void close_handle(struct kafka_topic *topic)
{
    if (topic->handle)
        rd_kafka_topic_destroy(topic->handle);
    topic->handle = NULL;
}

static void free_topic(struct kafka_topics *topics, struct kafka_topic *topic)
{
    DL_DELETE(topics->list, topic);
    topics->count--;
    close_handle(topic);
    free(topic->name);
    free(topic);
}

void kafka_topics_trim(struct kafka_topics *topics)
{
    struct kafka_topic *topic = topics->list ? topics->list->prev : NULL;
    while (topic && topics->count > KAFKA_PRODUCER_TOPICS_MAX) {
        struct kafka_topic *before = topic == topics->list ? NULL : topic->prev;
        if (is_idle(topic))
            free_topic(topics, topic);
        topic = before;
    }
}

struct kafka_topic *kafka_topics_find(struct kafka_topics *topics, const char *name)
{
    struct kafka_topic *topic;
    DL_FOREACH (topics->list, topic) {
        if (strcmp(topic->name, name) == 0)
            return topic;
    }
    return NULL;
}

struct kafka_topic *kafka_topics_use(struct kafka_topics *topics, const char *name)
{
    /* A handful of topics are in use at a time, and they are in front: the walk is short. */
    struct kafka_topic *topic = kafka_topics_find(topics, name);
    if (!topic) {
        topic = memory_new(sizeof(*topic));
        topic->name = memory_copy_text(name);
        topics->count++;
        DL_PREPEND(topics->list, topic);
    } else if (topic != topics->list) {
        DL_DELETE(topics->list, topic);
        DL_PREPEND(topics->list, topic);
    }
    return topic;
}

void kafka_topics_pin(struct kafka_topics *topics, const char *name)
{
    struct kafka_topic *topic = kafka_topics_use(topics, name);
    topic->pinned = true;
    if (!topic->handle)
        topic->handle = rd_kafka_topic_new(topics->handle, name, NULL);
}

bool kafka_topic_is_known(const struct kafka_topic *topic)
{
    if (topic->seen_us == 0 || topic->state == KAFKA_TOPIC_UNKNOWN)
        return false;
    int64_t valid_us = topic->state == KAFKA_TOPIC_FOUND ? FOUND_VALID_US : NOT_FOUND_VALID_US;
    return clock_monotonic_us() - topic->seen_us < valid_us;
}

bool kafka_topic_is_open(const struct kafka_topic *topic)
{
    /* The library keeps watch over what it has a handle for, so this does not grow old. */
    return topic->handle && (topic->seen_us == 0 || topic->state == KAFKA_TOPIC_FOUND);
}

void kafka_topic_saw(struct kafka_topic *topic, enum kafka_topic_state state)
{
    topic->state = state;
    topic->seen_us = clock_monotonic_us();
    bool absent = state == KAFKA_TOPIC_MISSING || state == KAFKA_TOPIC_NOT_AUTHORIZED;
    if (absent && !topic->pinned)
        close_handle(topic);
}

static enum kafka_topic_state state_of(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return KAFKA_TOPIC_FOUND;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
        return KAFKA_TOPIC_MISSING;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        return KAFKA_TOPIC_NOT_AUTHORIZED;
    default:
        return KAFKA_TOPIC_UNKNOWN;
    }
}

/* On the pool's thread. */
static void ask_once(rd_kafka_t *handle, struct kafka_lookup_item *item)
{
    const struct rd_kafka_metadata *metadata;
    if (rd_kafka_metadata(handle, 0, item->handle, &metadata, LOOKUP_SLICE_MS) !=
        RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    if (metadata->topic_cnt == 1) {
        item->state = state_of(metadata->topics[0].err);
        item->partition_count = metadata->topics[0].partition_cnt;
    }
    rd_kafka_metadata_destroy(metadata);
}

/* On the pool's thread. Asks in slices, so that closing need not wait for an unreachable cluster.
 */
static void ask_on_pool(uv_work_t *work)
{
    struct kafka_topics *topics = work->data;
    struct kafka_lookup *lookup = &topics->lookup;
    int64_t deadline_us = clock_monotonic_us() + LOOKUP_TIMEOUT_US;
    for (size_t i = 0; i < lookup->count; i++) {
        struct kafka_lookup_item *item = &lookup->items[i];
        item->handle = rd_kafka_topic_new(topics->handle, item->name, NULL);
        if (!item->handle) {
            item->state = KAFKA_TOPIC_MISSING; /* not a name that a topic can have */
            continue;
        }
        while (true) {
            ask_once(topics->handle, item);
            if (item->state != KAFKA_TOPIC_UNKNOWN || clock_monotonic_us() >= deadline_us ||
                atomic_load(&lookup->cancelled))
                break;
            nanosleep(&(struct timespec){.tv_nsec = LOOKUP_PAUSE_NS}, NULL);
        }
    }
}

static void take_item(struct kafka_topics *topics, struct kafka_lookup_item *item)
{
    struct kafka_topic *topic = item->topic;
    topic->looking = false;
    if (topic->handle && item->handle)
        rd_kafka_topic_destroy(item->handle); /* another reference to the same */
    else if (item->handle)
        topic->handle = item->handle;
    topic->partition_count = item->partition_count;
    kafka_topic_saw(topic, item->state);
    topics->on_looked_up(topics->context, topic);
}

static void start_lookup(struct kafka_topics *topics);

static void on_pool_done(uv_work_t *work, int status)
{
    (void)status;
    struct kafka_topics *topics = work->data;
    for (size_t i = 0; i < topics->lookup.count; i++)
        take_item(topics, &topics->lookup.items[i]);
    /* Only now: a callback above may have asked for another lookup. */
    topics->lookup.running = false;
    kafka_topics_trim(topics);
    start_lookup(topics);
    topics->on_lookup_ended(topics->context);
}

static void start_lookup(struct kafka_topics *topics)
{
    struct kafka_lookup *lookup = &topics->lookup;
    if (lookup->running || atomic_load(&lookup->cancelled))
        return;
    lookup->count = 0;
    struct kafka_topic *topic;
    DL_FOREACH (topics->list, topic) {
        if (topic->looking && lookup->count < KAFKA_LOOKUP_TOPICS_MAX)
            lookup->items[lookup->count++] = (struct kafka_lookup_item){
                .topic = topic, .name = topic->name, .state = KAFKA_TOPIC_UNKNOWN};
    }
    if (lookup->count == 0)
        return;
    lookup->running = true;
    lookup->work.data = topics;
    int result = uv_queue_work(topics->loop, &lookup->work, ask_on_pool, on_pool_done);
    assert(result == 0);
    (void)result;
}

void kafka_topics_look_up(struct kafka_topics *topics, struct kafka_topic *topic)
{
    topic->looking = true;
    start_lookup(topics);
}

void kafka_topics_stop(struct kafka_topics *topics)
{
    atomic_store(&topics->lookup.cancelled, true);
}

void kafka_topics_close_handles(struct kafka_topics *topics)
{
    struct kafka_topic *topic;
    DL_FOREACH (topics->list, topic)
        close_handle(topic);
}

void kafka_topics_release(struct kafka_topics *topics)
{
    while (topics->list)
        free_topic(topics, topics->list);
}
