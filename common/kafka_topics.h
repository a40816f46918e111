/*
 * kafka_topics: the topics that a producer has to do with: their open handles, and whether the
 * cluster has them. Private to kafka_producer.c.
 *
 * A topic is looked up on libuv's thread pool by a metadata request for that topic alone. With
 * allow.auto.create.topics=false (kafka_common.c) neither that nor the open handle creates it.
 *
 * At most KAFKA_PRODUCER_TOPICS_MAX topics are kept: the least used ones make way, except those
 * that are pinned or that somebody waits for. Only topics that exist keep a handle, because with
 * one open the library asks for the topic for ever.
 */
#ifndef COMMON_KAFKA_TOPICS_H
#define COMMON_KAFKA_TOPICS_H

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <uv.h>

#include "common/kafka_producer.h"

#define KAFKA_LOOKUP_TOPICS_MAX 8

struct kafka_topic {
    char *name;
    rd_kafka_topic_t *handle;     /* NULL: not known to exist */
    enum kafka_topic_state state; /* as last seen */
    int32_t partition_count;
    int64_t seen_us; /* monotonic, when `state` was; 0: never */
    bool pinned;     /* opened at start, stays */
    bool looking;    /* in the lookup under way, or due for the next */

    /* The producer's own: */
    struct kafka_delivery *waiting; /* for the lookup */
    struct kafka_topic_query *queries;
    bool answer_due; /* `queries` can be answered from what is known */

    struct kafka_topic *prev, *next;
};

/* One job on the thread pool. */
struct kafka_lookup {
    uv_work_t work;
    bool running;
    atomic_bool cancelled;
    size_t count;
    struct kafka_lookup_item {
        struct kafka_topic *topic; /* not touched on the pool's thread */
        const char *name;
        rd_kafka_topic_t *handle;
        enum kafka_topic_state state;
        int32_t partition_count;
    } items[KAFKA_LOOKUP_TOPICS_MAX];
};

struct kafka_topics {
    uv_loop_t *loop;
    rd_kafka_t *handle;
    struct kafka_topic *list; /* the most lately used first */
    size_t count;
    struct kafka_lookup lookup;
    /* A topic has been looked up. */
    void (*on_looked_up)(void *context, struct kafka_topic *topic);
    /* A job on the pool has ended, and all its topics have been told of. */
    void (*on_lookup_ended)(void *context);
    void *context;
};

/* Opens the topic for good. */
void kafka_topics_pin(struct kafka_topics *topics, const char *name);
/* The topic of that name, new when need be, and now the most lately used. */
struct kafka_topic *kafka_topics_use(struct kafka_topics *topics, const char *name);
/* NULL when it is not kept. */
struct kafka_topic *kafka_topics_find(struct kafka_topics *topics, const char *name);
/* on_looked_up comes in a later turn. */
void kafka_topics_look_up(struct kafka_topics *topics, struct kafka_topic *topic);
/* Lets those go that are too many. */
void kafka_topics_trim(struct kafka_topics *topics);

/* Its state was seen lately enough to answer from it. */
bool kafka_topic_is_known(const struct kafka_topic *topic);
/* Records may be sent to its handle. One opened at start is trusted until
 * it is seen to be missing. */
bool kafka_topic_is_open(const struct kafka_topic *topic);
void kafka_topic_saw(struct kafka_topic *topic, enum kafka_topic_state state);

/* No new lookups; the one under way ends within half a second. */
void kafka_topics_stop(struct kafka_topics *topics);
/* Before the library is destroyed. */
void kafka_topics_close_handles(struct kafka_topics *topics);
/* Frees all topics; none may be looked up or waited for. */
void kafka_topics_release(struct kafka_topics *topics);

#endif
