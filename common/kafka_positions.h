/*
 * kafka_positions: where a reader begins: the partitions of its topics, where each of them begins
 * and ends, and the position in between. Private to kafka_reader.c.
 *
 * The cluster is asked by calls that block, so kafka_positions_find runs on libuv's thread pool.
 * Until it has returned the loop's thread looks at nothing but the topics' names and handles, and
 * sets nothing but `cancelled`. It may be run again, for the topics that were absent; what it finds
 * then is added to `partitions`, which the reader empties in between.
 */
#ifndef COMMON_KAFKA_POSITIONS_H
#define COMMON_KAFKA_POSITIONS_H

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/kafka_common.h"

/* Why something was not found. */
struct kafka_failure {
    bool failed;
    enum kafka_trouble trouble;
    char reason[KAFKA_REASON_SIZE];
};

struct kafka_reader_topic {
    char *name;
    rd_kafka_topic_t *handle;
    bool found;
    /* Why not, when absent topics are let be: it does not exist, or may not be read. */
    struct kafka_failure absence;
    bool was_missing; /* in an earlier run */
    bool told_absent; /* the reader's own */
};

struct kafka_reader_partition {
    size_t topic; /* its index */
    int32_t partition;
    int64_t position; /* where reading begins */
    int64_t end;      /* the offset that the next record had when it was asked for */
    bool caught_up;   /* the reader's own */
};

struct kafka_positions {
    rd_kafka_t *handle;
    int64_t from;          /* as in kafka_reader_options */
    bool let_absent_be;    /* an absent topic is no failure */
    int64_t deadline_us;   /* monotonic; of one run */
    atomic_bool cancelled; /* by the loop's thread: give up soon */

    struct kafka_reader_topic *topics;
    size_t topic_count;
    struct kafka_reader_partition *partitions; /* newly found */
    size_t partition_count;
    struct kafka_failure failure; /* of the run */
};

void kafka_failure_set(struct kafka_failure *failure, enum kafka_trouble trouble,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

/* False with a message when a name is refused. */
bool kafka_positions_add_topic(
    struct kafka_positions *positions, const char *name, char *error, size_t error_size);
void kafka_positions_find(struct kafka_positions *positions);
/* Before the library is destroyed. */
void kafka_positions_close_handles(struct kafka_positions *positions);
void kafka_positions_release(struct kafka_positions *positions);

#endif
