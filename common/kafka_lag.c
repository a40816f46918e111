/* kafka_lag: see kafka_lag.h. */
#include "common/kafka_lag.h"

#include <stdio.h>

#include "common/json.h"

/* The library writes about two kilobytes on each partition of a topic. */
static const struct json_limits limits = {
    .bytes_max = 32u * 1024 * 1024,
    .depth_max = 16,
    .values_max = 1000 * 1000,
};

/* Negative: not known. */
static int64_t offset_of(const json_value *partition, const char *name)
{
    double number;
    if (json_get_number(partition, name, &number) != JSON_FOUND)
        return -1;
    return number >= 0 && number < (double)INT64_MAX ? (int64_t)number : -1;
}

static int64_t lag_of(const json_value *partition, bool offsets_by_transactions)
{
    int64_t end = offset_of(partition, "ls_offset");
    int64_t done = offset_of(partition, "committed_offset");
    int64_t taken = offset_of(partition, "app_offset");
    if (offsets_by_transactions && taken > done)
        done = taken;
    if (done < 0)
        done = offset_of(partition, "lo_offset");
    return done >= 0 && end > done ? end - done : 0;
}

static const json_value *find_partition(
    const json_value *topics, const rd_kafka_topic_partition_t *wanted)
{
    const json_value *topic, *partitions, *partition;
    char number[16];
    snprintf(number, sizeof number, "%d", (int)wanted->partition);
    bool found = json_get_object(topics, wanted->topic, &topic) == JSON_FOUND &&
                 json_get_object(topic, "partitions", &partitions) == JSON_FOUND &&
                 json_get_object(partitions, number, &partition) == JSON_FOUND;
    return found ? partition : NULL;
}

int64_t kafka_lag_read(const char *statistics, size_t statistics_size,
    const rd_kafka_topic_partition_list_t *assigned, bool offsets_by_transactions)
{
    struct json_error error;
    const json_value *topics;
    int64_t lag = -1;
    json_value *tree = json_parse(statistics, statistics_size, &limits, &error);
    if (tree && json_get_object(tree, "topics", &topics) == JSON_FOUND) {
        lag = 0;
        for (int i = 0; i < assigned->cnt; i++) {
            const json_value *partition = find_partition(topics, &assigned->elems[i]);
            if (partition)
                lag += lag_of(partition, offsets_by_transactions);
        }
    }
    json_free(tree);
    return lag;
}
