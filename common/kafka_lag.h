/*
 * kafka_lag: how far a consumer is behind, from librdkafka's statistics. Pure; private to the
 * kafka_*.c files.
 *
 * A partition's lag is from the offset that is committed to the end of what a read_committed
 * consumer may read. A partition without a committed offset counts from its first record on.
 * Where offsets go into transactions the library does not know them, and the lag is counted from
 * the last record taken, if one was.
 */
#ifndef COMMON_KAFKA_LAG_H
#define COMMON_KAFKA_LAG_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The records of all partitions of the list together; those of which the library does not know the
 * end yet count nothing. -1: this is no statistics. */
int64_t kafka_lag_read(const char *statistics, size_t statistics_size,
    const rd_kafka_topic_partition_list_t *assigned, bool offsets_by_transactions);

#endif
