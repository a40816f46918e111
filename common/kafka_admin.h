/*
 * kafka_admin: looks at a cluster, its topics and groups, and creates topics; for tools that check.
 * Nothing is created or changed but by kafka_admin_create_topic.
 *
 * Every function waits for the cluster's answer, until the deadline (monotonic microseconds) at the
 * longest, and so has no place on a loop's thread. One thread at a time.
 *
 * What was not answered says why in a struct kafka_admin_fault, whose reason is a text for the
 * operator; it never holds a password.
 *
 * Life cycle: kafka_admin_new; kafka_admin_free, which may take a moment too.
 */
#ifndef COMMON_KAFKA_ADMIN_H
#define COMMON_KAFKA_ADMIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/kafka_message.h"
#include "common/result.h"

#define KAFKA_ADMIN_REASON_SIZE 384
/* Topics and groups that one question may be about. */
#define KAFKA_ADMIN_SUBJECTS_MAX 32

enum kafka_admin_verdict {
    KAFKA_ADMIN_OK,
    KAFKA_ADMIN_UNREACHABLE, /* no broker, or not the one that it takes, answered in time */
    KAFKA_ADMIN_TLS_FAILED,  /* a broker was reached, and encryption with it fails */
    KAFKA_ADMIN_SASL_FAILED, /* a broker was reached, and refuses who we say we are */
    KAFKA_ADMIN_DENIED,      /* this client's principal may not */
    KAFKA_ADMIN_MISSING,     /* there is no such topic */
    KAFKA_ADMIN_UNSUPPORTED, /* the broker, or this librdkafka, cannot tell */
    KAFKA_ADMIN_FAILED,
};

struct kafka_admin_fault {
    enum kafka_admin_verdict verdict;
    char reason[KAFKA_ADMIN_REASON_SIZE]; /* "" with KAFKA_ADMIN_OK */
};

struct kafka_admin;

/* RESULT_REJECT with a message when a property is refused. Nothing is connected yet. */
enum result kafka_admin_new(const struct kafka_property *properties, size_t property_count,
    struct kafka_admin **admin, char *error, size_t error_size) MUST_CHECK;
void kafka_admin_free(struct kafka_admin *admin);

/* "2.0.2": of the library in use. */
const char *kafka_admin_library_version(void);

/* ---- the cluster ---- */

struct kafka_admin_topic {
    char *name;
    int partitions;
    int leaderless;     /* partitions that nobody leads */
    int replicas_least; /* of the partition that has fewest */
    int in_sync_least;
};

struct kafka_admin_cluster {
    int brokers;
    char first_broker[128];           /* host:port of one of them */
    struct kafka_admin_topic *topics; /* those that this principal may see */
    size_t topic_count;
};

/* The first question to ask: its fault says whether the cluster can be reached at all. True:
 * kafka_admin_cluster_release is due. */
bool kafka_admin_look(struct kafka_admin *admin, int64_t deadline_us,
    struct kafka_admin_cluster *cluster, struct kafka_admin_fault *fault);
void kafka_admin_cluster_release(struct kafka_admin_cluster *cluster);
/* NULL: it is not among them. */
const struct kafka_admin_topic *kafka_admin_cluster_find(
    const struct kafka_admin_cluster *cluster, const char *name);

/* Why a topic is not among those of kafka_admin_look: KAFKA_ADMIN_MISSING, KAFKA_ADMIN_DENIED, … */
void kafka_admin_why_unseen(struct kafka_admin *admin, const char *topic, int64_t deadline_us,
    struct kafka_admin_fault *fault);

/* ---- topics ---- */

/* The topic's own setting, or what it inherits; NULL: not told. Lives during the callback. */
typedef const char *kafka_admin_setting_of(const void *settings, const char *name);

/* One on_settings for each topic, before it returns. */
void kafka_admin_topic_settings(struct kafka_admin *admin, const char *const *topics, size_t count,
    int64_t deadline_us,
    void (*on_settings)(void *context, size_t index, kafka_admin_setting_of *setting_of,
        const void *settings, const struct kafka_admin_fault *fault),
    void *context);

/* What the broker says that this client's principal may do. */
struct kafka_admin_rights {
    struct kafka_admin_fault fault; /* KAFKA_ADMIN_UNSUPPORTED before librdkafka 2.3 */
    bool read, write, describe;
};

void kafka_admin_topic_rights(struct kafka_admin *admin, const char *const *topics, size_t count,
    int64_t deadline_us, struct kafka_admin_rights *rights);

struct kafka_admin_new_topic {
    const char *name;
    int partitions;
    int replication;                       /* -1: the broker's default */
    const struct kafka_property *settings; /* ends with a NULL name */
};

bool kafka_admin_create_topic(struct kafka_admin *admin, const struct kafka_admin_new_topic *topic,
    int64_t deadline_us, struct kafka_admin_fault *fault);

/* ---- groups and transactions ---- */

/* What this client may do with a group; `topic`: one that it reads. Without joining it only read
 * permission may remain untold (rights->fault), while a fault of its own says that the group may
 * not even be looked at. `properties` are those of the group's members. */
void kafka_admin_group_rights(struct kafka_admin *admin, const struct kafka_property *properties,
    size_t property_count, const char *group, const char *topic, int64_t deadline_us,
    struct kafka_admin_fault *fault, struct kafka_admin_rights *rights);

/* Begins to use a transactional id and writes nothing. Whoever uses the same id is fenced off: take
 * one that nobody else has. */
void kafka_admin_try_transactions(const struct kafka_property *properties, size_t property_count,
    const char *transactional_id, int64_t deadline_us, struct kafka_admin_fault *fault);

#endif
