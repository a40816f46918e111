/* kafka_floor: see kafka_floor.h. */
#include "common/kafka_floor.h"

#include <assert.h>
#include <stdlib.h>

#include <utlist.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/text.h"

/* How long one call may take; a stop is noticed in between. */
enum { CALL_MS = 500 };

enum floor_state {
    FLOOR_UNKNOWN, /* to be asked for, or asked for */
    FLOOR_BEHIND,  /* known, but records were turned away: to be set back */
    FLOOR_KNOWN,
};

struct kafka_floor_partition {
    char *topic;
    int32_t partition;
    enum floor_state state;
    int64_t offset;      /* the floor */
    int64_t turned_away; /* offset of the first record that was; -1: none */
    bool in_job;         /* the job under way is about it, since its addition */
    struct kafka_floor_partition *previous, *next;
};

static void start_job(struct kafka_floor *floor);

static struct kafka_floor_partition *find(
    const struct kafka_floor *floor, const char *topic, int32_t partition)
{
    struct kafka_floor_partition *found;
    DL_FOREACH2(floor->partitions, found, next)
    {
        if (found->partition == partition && text_equal(found->topic, topic))
            return found;
    }
    return NULL;
}

static void drop(struct kafka_floor *floor, struct kafka_floor_partition *partition)
{
    DL_DELETE2(floor->partitions, partition, previous, next);
    free(partition->topic);
    free(partition);
}

void kafka_floor_release(struct kafka_floor *floor)
{
    assert(!floor->running);
    while (floor->partitions)
        drop(floor, floor->partitions);
}

bool kafka_floor_stop(struct kafka_floor *floor)
{
    atomic_store(&floor->stopping, true);
    return !floor->running;
}

/* ---- the job ---- */

static void call_on_pool(uv_work_t *work)
{
    struct kafka_floor *floor = work->data;
    if (floor->setting_back) {
        rd_kafka_error_t *error = rd_kafka_seek_partitions(floor->handle, floor->list, CALL_MS);
        floor->code = error ? rd_kafka_error_code(error) : RD_KAFKA_RESP_ERR_NO_ERROR;
        rd_kafka_error_destroy(error);
    } else {
        floor->code = rd_kafka_committed(floor->handle, floor->list, CALL_MS);
    }
}

static void take_committed(struct kafka_floor_partition *partition, int64_t committed)
{
    partition->offset = committed >= 0 ? committed : 0;
    partition->state = partition->turned_away >= 0 ? FLOOR_BEHIND : FLOOR_KNOWN;
    log_debug("kafka", "undone records begin here", LOG_TEXT("topic", partition->topic),
        LOG_INT("partition", partition->partition), LOG_INT("offset", partition->offset),
        LOG_INT("turned_away", partition->turned_away));
}

static void take_answers(struct kafka_floor *floor)
{
    for (int i = 0; i < floor->list->cnt; i++) {
        const rd_kafka_topic_partition_t *answer = &floor->list->elems[i];
        struct kafka_floor_partition *partition = find(floor, answer->topic, answer->partition);
        /* One that left and came back meanwhile has another floor by now. */
        if (!partition || !partition->in_job || answer->err != RD_KAFKA_RESP_ERR_NO_ERROR)
            continue;
        if (floor->setting_back)
            partition->state = FLOOR_KNOWN;
        else
            take_committed(partition, answer->offset);
    }
}

static void on_called(uv_work_t *work, int status)
{
    static struct log_limit limit;
    struct kafka_floor *floor = work->data;
    (void)status;
    floor->running = false;
    bool stopping = atomic_load(&floor->stopping);
    if (floor->code == RD_KAFKA_RESP_ERR_NO_ERROR)
        take_answers(floor);
    else if (!stopping)
        log_limited(&limit, 5000, LOG_LEVEL_INFO, "kafka",
            "waits for committed offsets; a transaction may still hold them open",
            LOG_TEXT("reason", rd_kafka_err2str(floor->code)));
    rd_kafka_topic_partition_list_destroy(floor->list);
    floor->list = NULL;
    if (stopping)
        floor->on_stopped(floor->context);
    else
        start_job(floor);
}

static int64_t begins_again_at(const struct kafka_floor_partition *partition)
{
    return partition->turned_away > partition->offset ? partition->turned_away : partition->offset;
}

static rd_kafka_topic_partition_list_t *list_those(
    struct kafka_floor *floor, enum floor_state state)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(0);
    struct kafka_floor_partition *partition;
    DL_FOREACH2(floor->partitions, partition, next)
    {
        partition->in_job = partition->state == state;
        if (partition->in_job)
            rd_kafka_topic_partition_list_add(list, partition->topic, partition->partition)
                ->offset = begins_again_at(partition);
    }
    return list;
}

static void start_job(struct kafka_floor *floor)
{
    if (floor->running || atomic_load(&floor->stopping))
        return;
    floor->setting_back = false;
    floor->list = list_those(floor, FLOOR_UNKNOWN);
    if (floor->list->cnt == 0) {
        rd_kafka_topic_partition_list_destroy(floor->list);
        floor->setting_back = true;
        floor->list = list_those(floor, FLOOR_BEHIND);
    }
    if (floor->list->cnt == 0) {
        rd_kafka_topic_partition_list_destroy(floor->list);
        floor->list = NULL;
        return;
    }
    floor->running = true;
    floor->work.data = floor;
    int result = uv_queue_work(floor->loop, &floor->work, call_on_pool, on_called);
    assert(result == 0);
    (void)result;
}

/* ---- what the consumer tells and asks ---- */

void kafka_floor_add(struct kafka_floor *floor, const rd_kafka_topic_partition_list_t *added)
{
    for (int i = 0; i < added->cnt; i++) {
        struct kafka_floor_partition *partition = memory_new(sizeof *partition);
        partition->topic = memory_copy_text(added->elems[i].topic);
        partition->partition = added->elems[i].partition;
        partition->turned_away = -1;
        DL_APPEND2(floor->partitions, partition, previous, next);
    }
    start_job(floor);
}

void kafka_floor_remove(struct kafka_floor *floor, const rd_kafka_topic_partition_list_t *removed)
{
    for (int i = 0; i < removed->cnt; i++) {
        struct kafka_floor_partition *partition =
            find(floor, removed->elems[i].topic, removed->elems[i].partition);
        if (partition)
            drop(floor, partition);
    }
}

bool kafka_floor_lets_through(
    struct kafka_floor *floor, const char *topic, int32_t partition, int64_t offset)
{
    static struct log_limit limit;
    struct kafka_floor_partition *found = find(floor, topic, partition);
    if (!found)
        return false;
    if (found->state != FLOOR_KNOWN) {
        if (found->turned_away < 0)
            found->turned_away = offset;
        return false;
    }
    if (offset < found->offset)
        log_limited(&limit, 10000, LOG_LEVEL_WARN, "kafka",
            "a partition came from before its committed offset; what was done is passed over",
            LOG_TEXT("topic", topic), LOG_INT("partition", partition), LOG_INT("offset", offset),
            LOG_INT("committed", found->offset));
    return offset >= found->offset;
}
