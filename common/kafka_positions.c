/* kafka_positions: see the header. */
#include "common/kafka_positions.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "common/clock.h"
#include "common/kafka_reader.h"
#include "common/memory.h"

/* Asks in slices, so that closing need not wait for an unreachable cluster. */
#define SLICE_MS 1000
#define PAUSE_NS 20000000

void kafka_failure_set(
    struct kafka_failure *failure, enum kafka_trouble trouble, const char *format, ...)
{
    va_list arguments;
    failure->failed = true;
    failure->trouble = trouble;
    va_start(arguments, format);
    vsnprintf(failure->reason, sizeof(failure->reason), format, arguments);
    va_end(arguments);
}

/* Whether to ask again after `code`; false also when it was an answer. */
static bool ask_again(struct kafka_positions *positions, struct kafka_reader_topic *topic,
    rd_kafka_resp_err_t code, const char *what)
{
    struct kafka_failure *absence =
        positions->let_absent_be ? &topic->absence : &positions->failure;
    switch (code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return false;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
        kafka_failure_set(
            absence, KAFKA_TROUBLE_TOPIC_MISSING, "topic %s does not exist", topic->name);
        return false;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
        kafka_failure_set(absence, KAFKA_TROUBLE_NOT_AUTHORIZED,
            "topic %s: this client's principal may not read it", topic->name);
        return false;
    default:
        break;
    }
    if (atomic_load(&positions->cancelled) || clock_monotonic_us() >= positions->deadline_us) {
        kafka_failure_set(&positions->failure, KAFKA_TROUBLE_UNREACHABLE,
            "the cluster did not answer in time when asked for the %s of topic %s: %s", what,
            topic->name, rd_kafka_err2str(code));
        return false;
    }
    nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    return true;
}

static bool went_wrong(
    const struct kafka_positions *positions, const struct kafka_reader_topic *topic)
{
    return positions->failure.failed || topic->absence.failed;
}

static int count_partitions(struct kafka_positions *positions, struct kafka_reader_topic *topic)
{
    rd_kafka_resp_err_t code;
    int count = 0;
    do {
        const struct rd_kafka_metadata *metadata;
        code = rd_kafka_metadata(positions->handle, 0, topic->handle, &metadata, SLICE_MS);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            continue;
        code = RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
        if (metadata->topic_cnt == 1) {
            code = metadata->topics[0].err;
            count = metadata->topics[0].partition_cnt;
            if (code == RD_KAFKA_RESP_ERR_NO_ERROR && count == 0)
                code = RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE; /* still being made */
        }
        rd_kafka_metadata_destroy(metadata);
    } while (ask_again(positions, topic, code, "partitions"));
    return went_wrong(positions, topic) ? 0 : count;
}

/* The first record at or after the time; -1: there is none. */
static rd_kafka_resp_err_t offset_of_time(
    struct kafka_positions *positions, const char *topic, int32_t partition, int64_t *offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = positions->from;
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(positions->handle, list, SLICE_MS);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        code = list->elems[0].err;
    *offset = list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

/* Where the last few records begin; fewer, where marks of transactions lie among them. */
static int64_t position_of_last(int64_t from, int64_t beginning, int64_t end)
{
    int64_t records = KAFKA_READER_FROM_LAST(0) - from;
    return end - beginning > records ? end - records : beginning;
}

static void find_position(struct kafka_positions *positions, struct kafka_reader_topic *topic,
    int64_t from, struct kafka_reader_partition *partition)
{
    int64_t beginning, end, offset = -1;
    rd_kafka_resp_err_t code;
    do {
        code = rd_kafka_query_watermark_offsets(
            positions->handle, topic->name, partition->partition, &beginning, &end, SLICE_MS);
        /* The end is known first: what comes in between is not skipped. */
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR && from >= 0)
            code = offset_of_time(positions, topic->name, partition->partition, &offset);
    } while (ask_again(positions, topic, code, "offsets"));
    if (went_wrong(positions, topic))
        return;
    partition->end = end;
    if (from == KAFKA_READER_FROM_BEGINNING)
        partition->position = beginning;
    else if (from < KAFKA_READER_FROM_BEGINNING)
        partition->position = position_of_last(from, beginning, end);
    else
        partition->position = offset >= 0 ? offset : end;
    partition->caught_up = partition->position >= end;
}

/* All of its partitions, or none. */
static void find_topic(struct kafka_positions *positions, size_t index)
{
    struct kafka_reader_topic *topic = &positions->topics[index];
    size_t known = positions->partition_count;
    /* All that a topic holds which was not there before has been written since. */
    int64_t from = topic->was_missing ? KAFKA_READER_FROM_BEGINNING : positions->from;
    topic->absence.failed = false;
    int count = count_partitions(positions, topic);
    positions->partitions = memory_resize(
        positions->partitions, (known + (size_t)count) * sizeof(*positions->partitions));
    for (int i = 0; i < count && !went_wrong(positions, topic); i++) {
        struct kafka_reader_partition *partition = &positions->partitions[known + (size_t)i];
        *partition = (struct kafka_reader_partition){.topic = index, .partition = i};
        find_position(positions, topic, from, partition);
    }
    topic->found = !went_wrong(positions, topic);
    if (topic->absence.failed && topic->absence.trouble == KAFKA_TROUBLE_TOPIC_MISSING)
        topic->was_missing = true;
    if (topic->found)
        positions->partition_count += (size_t)count;
}

void kafka_positions_find(struct kafka_positions *positions)
{
    positions->failure.failed = false;
    for (size_t i = 0; i < positions->topic_count && !positions->failure.failed; i++) {
        if (!positions->topics[i].found)
            find_topic(positions, i);
    }
}

bool kafka_positions_add_topic(
    struct kafka_positions *positions, const char *name, char *error, size_t error_size)
{
    rd_kafka_topic_t *handle = rd_kafka_topic_new(positions->handle, name, NULL);
    if (!handle) {
        snprintf(error, error_size, "topic \"%.64s\" cannot be read: %s", name,
            rd_kafka_err2str(rd_kafka_last_error()));
        return false;
    }
    positions->topics =
        memory_resize(positions->topics, (positions->topic_count + 1) * sizeof(*positions->topics));
    positions->topics[positions->topic_count++] =
        (struct kafka_reader_topic){.name = memory_copy_text(name), .handle = handle};
    return true;
}

void kafka_positions_close_handles(struct kafka_positions *positions)
{
    for (size_t i = 0; i < positions->topic_count; i++)
        rd_kafka_topic_destroy(positions->topics[i].handle);
}

void kafka_positions_release(struct kafka_positions *positions)
{
    for (size_t i = 0; i < positions->topic_count; i++)
        free(positions->topics[i].name);
    free(positions->topics);
    free(positions->partitions);
}
