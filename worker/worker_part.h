/*
 * worker_part: one flow together with all it stands on, as the worker sees it.
 *
 * What is the same for every flow stands in worker_part.c: it joins the group, hands records over,
 * and stops in steps: no more records in; the flow lets go what has not begun and awaits the rest;
 * the group is left; the stages are closed; on_stopped. What is a flow's own stands in its
 * worker_part_type: connect_part.c, events_part.c, connections_part.c.
 *
 * Life cycle: worker_part_new; worker_part_stop, also of a part that was built only half, and
 * worker_part_abandon when that takes too long; worker_part_free, once the loop has run dry.
 */
#ifndef WORKER_WORKER_PART_H
#define WORKER_WORKER_PART_H

#include <stdbool.h>
#include <uv.h>

#include "common/redis_client.h"
#include "common/redis_subscriber.h"
#include "worker/config.h"
#include "worker/intake.h"
#include "worker/link_memory.h"
#include "worker/publisher.h"

#define WORKER_PART_ERROR_SIZE 640

struct worker_part;

/* What a flow does for its part. A type has a struct of its own, with a struct worker_part as its
 * first member. */
struct worker_part_type {
    const char *flow;          /* as --flow has it */
    const char *metric_labels; /* flow="…" */
    const char *group_suffix;  /* to KAFKA_GROUP_ID */
    size_t size;               /* of the type's own struct, which begins as zeroes */

    /* Makes the stages and the flow, and says in part->intake_options which topic is read, how many
     * records are in flight at most, and, if it wants to know, on_partitions. False with the
     * reason, for the operator. */
    bool (*build)(struct worker_part *part, char error[WORKER_PART_ERROR_SIZE]);
    /* part->intake is there: starts the flow and, now or later, calls worker_part_join. */
    void (*start)(struct worker_part *part);
    void (*take)(struct worker_part *part, struct kafka_record *record, struct intake_place place);
    void (*let_go_leaving)(struct worker_part *part);
    /* Ends in worker_part_drained. */
    void (*drain)(struct worker_part *part);
    void (*abandon)(struct worker_part *part);
    unsigned (*jobs)(const struct worker_part *part); /* in flight */
    /* Sets the gauges that are looked up when they are asked for. NULL: it has none. */
    void (*refresh_metrics)(struct worker_part *part);
    /* Nothing is in flight any more: whatever was built and has a handle gives it up. */
    void (*close)(struct worker_part *part);
    void (*free)(struct worker_part *part); /* what was built, not the part itself */
};

extern const struct worker_part_type connect_part, events_part, connections_part;

/* What all parts share; it outlives them. */
struct worker_part_options {
    uv_loop_t *loop;
    const struct config *config;
    struct redis_client *redis;          /* NULL: none configured */
    struct redis_subscriber *subscriber; /* of the same */
    struct link_memory *link_memory;
    /* A client cannot go on; a new process can. */
    void (*on_fatal)(void *context, const char *reason);
    /* All its handles are closed or closing. */
    void (*on_stopped)(void *context);
    void *context;
};

struct worker_part {
    const struct worker_part_type *type;
    struct worker_part_options options;
    char group_id[256];
    char source[288]; /* ce_source */
    struct intake_options intake_options;
    struct intake *intake; /* NULL: not built */
    bool stopping;
};

/* Never NULL. *error stays "" or says, for the operator, why the part was not built. */
struct worker_part *worker_part_new(const struct worker_part_type *type,
    const struct worker_part_options *options, char error[WORKER_PART_ERROR_SIZE]);
/* on_stopped comes once, perhaps at once. */
void worker_part_stop(struct worker_part *part);
void worker_part_abandon(struct worker_part *part);
void worker_part_free(struct worker_part *part);

unsigned worker_part_jobs(const struct worker_part *part);
bool worker_part_joined(const struct worker_part *part); /* its consumer group */
void worker_part_refresh_metrics(struct worker_part *part);

/* Puts the setting in front of what is wrong with it. Always false. */
bool worker_part_blame(const char *setting, char error[WORKER_PART_ERROR_SIZE]);

/* For the types. `context` of a flow's callbacks and of a client's on_fatal is the part. */
void worker_part_drained(void *context);
void worker_part_join(void *context);
void worker_part_fatal(void *context, const char *reason);
/* metric_labels: publisher.h. `preferred` ends with a NULL name and may be NULL. */
bool worker_part_make_publisher(struct worker_part *part, const char *metric_labels,
    const struct kafka_property *preferred, const char *const *topics, size_t topic_count,
    struct publisher **publisher, char error[WORKER_PART_ERROR_SIZE]);

#endif
