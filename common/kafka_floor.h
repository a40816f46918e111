/*
 * kafka_floor: where the undone records of each assigned partition begin: at the offset that the
 * group has committed, by transactions that are settled. Private to kafka_consumer.c, for consumers
 * whose offsets go by transactions.
 *
 * Why the library is not simply believed: while a transaction with offsets of the partition is
 * open, the broker does not say what is committed, and the library asks again. But when the
 * assignment changes at that moment, it takes the answer for "nothing is committed", and begins
 * where auto.offset.reset says (rd_kafka_assignment_apply_offsets, ERR_UNSTABLE_OFFSET_COMMIT; seen
 * with 2.0.2, unchanged since): a whole partition is done twice, exactly once or not. Pausing the
 * partition meanwhile is no way out: resuming one that has not begun ends in the same reset.
 *
 * So no record of an added partition is let through until its floor is known, and none below it
 * afterwards. Usually the answer is there before the first record. Where it was not, the partition
 * is set back to the first record that was turned away.
 *
 * The questions are asked on libuv's thread pool, one job at a time, for as long as it takes: a
 * transaction whose owner died is open until its timeout.
 */
#ifndef COMMON_KAFKA_FLOOR_H
#define COMMON_KAFKA_FLOOR_H

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <uv.h>

struct kafka_floor_partition;

struct kafka_floor {
    /* by the caller */
    uv_loop_t *loop;
    rd_kafka_t *handle;
    void (*on_stopped)(void *context); /* after kafka_floor_stop said that a job runs */
    void *context;

    /* private */
    struct kafka_floor_partition *partitions; /* those assigned */
    uv_work_t work;
    bool running;
    bool setting_back; /* what the job does; else it asks */
    atomic_bool stopping;
    rd_kafka_topic_partition_list_t *list; /* the job's */
    rd_kafka_resp_err_t code;              /* what came of it */
};

/* False: a job runs; on_stopped comes within about a second, and the handle is not to be destroyed
 * before. */
bool kafka_floor_stop(struct kafka_floor *floor);
void kafka_floor_release(struct kafka_floor *floor); /* no job may run */

void kafka_floor_add(struct kafka_floor *floor, const rd_kafka_topic_partition_list_t *added);
void kafka_floor_remove(struct kafka_floor *floor, const rd_kafka_topic_partition_list_t *removed);

/* False: the record was done before, or will come again once that is known. */
bool kafka_floor_lets_through(
    struct kafka_floor *floor, const char *topic, int32_t partition, int64_t offset);

#endif
