/*
 * check_needs: what the flows need of Kafka, by the settings: topics, groups, a transactional id;
 * and the commands that permit it.
 *
 * A topic that serves several flows, or stands in several settings, is there once. The settings
 * must outlive it.
 */
#ifndef WORKER_CHECK_NEEDS_H
#define WORKER_CHECK_NEEDS_H

#include <stdbool.h>

#include "worker/check_topic.h"
#include "worker/config.h"

#define CHECK_GROUPS_MAX 3
#define CHECK_COMMANDS_MAX 128

struct check_flows {
    bool connect, events, connections;
};

struct check_topic_need {
    const char *name;
    enum check_topic_kind kind;
    bool read, write;
};

struct check_group_need {
    char name[256];
    const char *topic; /* that it reads */
};

struct check_needs {
    struct check_topic_need topics[CHECK_TOPIC_KIND_COUNT];
    size_t topic_count;
    struct check_group_need groups[CHECK_GROUPS_MAX];
    size_t group_count;
    char transactional_prefix[256];   /* of the ids; "": no transactions */
    const char *reply_topics_allowed; /* ""; or as in the settings */
};

void check_needs_init(
    struct check_needs *needs, const struct config *config, struct check_flows flows);

/* kafka-acls commands that permit all of it. */
struct check_commands {
    char *items[CHECK_COMMANDS_MAX + 1]; /* ends with NULL */
    size_t count;
};

void check_needs_list_commands(
    const struct check_needs *needs, const struct config *config, struct check_commands *commands);
void check_commands_release(struct check_commands *commands);

#endif
