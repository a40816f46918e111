/*
 * check_topic: what each of the worker's topics should be like, and how one that exists compares.
 * Pure.
 *
 *   topic         cleanup.policy  kept                      else
 *   requests      delete          1 day (to 7 days)         message.timestamp.type LogAppendTime
 *   replies       delete          1 hour (10 minutes to 1 hour): links are bearer secrets
 *   outcomes      delete          90 days or longer
 *   raw events    delete          1 day (to 7 days)
 *   auth events   delete          90 days or longer
 *   connections   compact         delete.retention.ms 7 days or longer
 *   dead letters  delete          14 days (7 to 30)
 *
 * What the worker cannot work with fails: a connections topic that is not compacted, a partition
 * without a leader, fewer replicas in sync than a write must reach. The rest is a warning, with the
 * command that mends it.
 */
#ifndef WORKER_CHECK_TOPIC_H
#define WORKER_CHECK_TOPIC_H

#include <stdbool.h>

#include "common/kafka_message.h"
#include "worker/check_report.h"

enum check_topic_kind {
    CHECK_TOPIC_REQUESTS,
    CHECK_TOPIC_REPLIES,
    CHECK_TOPIC_OUTCOMES,
    CHECK_TOPIC_RAW_EVENTS,
    CHECK_TOPIC_AUTH_EVENTS,
    CHECK_TOPIC_CONNECTIONS,
    CHECK_TOPIC_DEAD_LETTERS,
    CHECK_TOPIC_KIND_COUNT
};

/* As the cluster tells them. */
struct check_topic_facts {
    const char *name;
    int partitions, leaderless, replicas_least, in_sync_least;
    /* NULL: the topic's settings cannot be told; else what they would be told by. */
    const char *untold;
    /* The settings, as text; NULL: this one was not told. */
    const char *cleanup_policy, *retention_ms, *delete_retention_ms;
    const char *timestamp_type, *min_insync_replicas;
};

/* The settings that one is created with; ends with a NULL name. */
const struct kafka_property *check_topic_settings(enum check_topic_kind kind);

/* Adds one line that says what the topic is like, and one for each thing that is not well. */
void check_topic_judge(enum check_topic_kind kind, const struct check_topic_facts *facts,
    const char *brokers, struct check_report *report);

#endif
