/* intake: see intake.h. */
#include "worker/intake.h"

#include <assert.h>

#include <utlist.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/metrics.h"
#include "common/text.h"
#include "worker/offset_window.h"

enum { RECORDS_PER_TURN = 64 };

/* A partition for as long as one assignment of it lasts; its memory stays until
 * its last place is back. */
struct intake_partition {
    char *topic;
    int32_t partition;
    enum intake_place_state state;
    unsigned places_out;
    struct offset_window window;
    /* With offsets_by_transactions; -1: none yet. */
    int64_t safe_offset;
    int64_t committed_offset;
    bool in_commit;        /* the open commit covers it, and keeps its memory */
    uint64_t commit_until; /* the first sequence that is not in the commit */
    struct intake_partition *previous, *next;
};

struct intake_covered {
    struct intake_partition *partition;
};

struct intake {
    struct intake_options options;
    struct kafka_consumer *consumer;
    struct intake_partition
        *partitions; /* OURS and LEAVING; those GONE live by their places and commit alone */
    unsigned partition_count;
    struct intake_commit *commit; /* the open one; NULL: none */
    uv_timer_t revoke_timer;
    bool letting_go;         /* between on_revoked and kafka_consumer_let_go */
    bool waiting_for_commit; /* revoke_timeout_us has passed */
    bool held;
    bool stopped;
    bool closed; /* the consumer is gone */
    unsigned in_flight;
    struct metric *records_total, *rebalances_total, *assigned, *in_flight_gauge, *lag;
};

static struct intake_partition *find_partition(
    struct intake *intake, const char *topic, int32_t partition)
{
    struct intake_partition *found;
    DL_FOREACH2(intake->partitions, found, next)
    {
        if (found->partition == partition && text_equal(found->topic, topic))
            return found;
    }
    return NULL;
}

/* Nothing but its places and its commit knows it any more. */
static void free_partition_when_unused(struct intake_partition *partition)
{
    if (partition->state != INTAKE_PLACE_GONE || partition->places_out > 0 || partition->in_commit)
        return;
    offset_window_release(&partition->window);
    free(partition->topic);
    free(partition);
}

/* From here on the partition is another worker's. */
static void forget_partition(struct intake *intake, struct intake_partition *partition)
{
    DL_DELETE2(intake->partitions, partition, previous, next);
    intake->partition_count--;
    metric_add(intake->assigned, -1);
    partition->state = INTAKE_PLACE_GONE;
    free_partition_when_unused(partition);
}

static void tell_partitions(struct intake *intake)
{
    if (intake->options.on_partitions)
        intake->options.on_partitions(intake->options.context, intake->partition_count);
}

static void on_assigned(
    void *context, const struct kafka_partition *partitions, size_t partition_count)
{
    struct intake *intake = context;
    metric_add(intake->rebalances_total, 1);
    for (size_t i = 0; i < partition_count; i++) {
        struct intake_partition *partition = memory_new(sizeof *partition);
        partition->topic = memory_copy_text(partitions[i].topic);
        partition->partition = partitions[i].partition;
        partition->state = INTAKE_PLACE_OURS;
        partition->safe_offset = -1;
        partition->committed_offset = -1;
        offset_window_init(&partition->window);
        DL_APPEND2(intake->partitions, partition, previous, next);
        intake->partition_count++;
        metric_add(intake->assigned, 1);
        log_info("intake", "partition assigned", LOG_TEXT("topic", partition->topic),
            LOG_INT("partition", partition->partition));
    }
    tell_partitions(intake);
}

static bool leaving_are_in_use(const struct intake *intake)
{
    const struct intake_partition *partition;
    DL_FOREACH2(intake->partitions, partition, next)
    {
        if (partition->state == INTAKE_PLACE_LEAVING &&
            (partition->places_out > 0 || partition->in_commit))
            return true;
    }
    return false;
}

static void let_go(struct intake *intake)
{
    struct intake_partition *partition, *following;
    unsigned unfinished = 0;
    intake->letting_go = false;
    intake->waiting_for_commit = false;
    uv_timer_stop(&intake->revoke_timer);
    DL_FOREACH_SAFE2(intake->partitions, partition, following, next)
    {
        if (partition->state != INTAKE_PLACE_LEAVING)
            continue;
        unfinished += partition->places_out;
        forget_partition(intake, partition);
    }
    if (unfinished > 0)
        log_info("intake", "partitions let go with unfinished requests, their new owner has them",
            LOG_INT("unfinished", unfinished));
    kafka_consumer_let_go(intake->consumer);
    tell_partitions(intake);
}

/* The group waits for this; the last place that comes back, or the commit, ends the wait. */
static void let_go_when_unused(struct intake *intake)
{
    if (intake->letting_go && !leaving_are_in_use(intake))
        let_go(intake);
}

static void on_revoke_timeout(uv_timer_t *timer)
{
    struct intake *intake = timer->data;
    bool leaving = intake->commit && intake_commit_is_leaving(intake->commit);
    if (leaving && !intake->waiting_for_commit) {
        intake->waiting_for_commit = true;
        uv_timer_start(timer, on_revoke_timeout, INTAKE_COMMIT_TIMEOUT_MS, 0);
        return;
    }
    if (leaving)
        log_warn("intake", "partitions let go while a transaction that covers them has not ended; "
                           "the broker decides whether it still counts");
    let_go(intake);
}

static void on_revoked(
    void *context, const struct kafka_partition *partitions, size_t partition_count, bool lost)
{
    struct intake *intake = context;
    metric_add(intake->rebalances_total, 1);
    for (size_t i = 0; i < partition_count; i++) {
        struct intake_partition *partition =
            find_partition(intake, partitions[i].topic, partitions[i].partition);
        if (!partition)
            continue;
        log_info("intake", lost ? "partition lost" : "partition revoked",
            LOG_TEXT("topic", partition->topic), LOG_INT("partition", partition->partition),
            LOG_INT("in_flight", partition->places_out));
        partition->state = INTAKE_PLACE_LEAVING;
    }
    intake->letting_go = true;
    if (lost) {
        let_go(intake); /* another worker has them already: there is nothing to wait for */
        intake->options.on_leaving(intake->options.context);
        return;
    }
    uv_timer_start(&intake->revoke_timer, on_revoke_timeout,
        (uint64_t)(intake->options.revoke_timeout_us / CLOCK_US_PER_MS), 0);
    intake->options.on_leaving(intake->options.context);
    let_go_when_unused(intake);
}

static void hold_or_continue(struct intake *intake)
{
    unsigned most = intake->options.records_in_flight_max;
    if (!intake->held && intake->in_flight >= most) {
        intake->held = true;
        kafka_consumer_hold(intake->consumer);
    } else if (intake->held && !intake->stopped && intake->in_flight <= most - most / 8) {
        /* An eighth of the house empties first, so that a full house does not flap. */
        intake->held = false;
        kafka_consumer_continue(intake->consumer);
    }
}

static void on_record(void *context, struct kafka_record *record)
{
    struct intake *intake = context;
    struct intake_partition *partition = find_partition(intake, record->topic, record->partition);
    if (!partition || partition->state != INTAKE_PLACE_OURS || intake->stopped) {
        kafka_record_free(record); /* not committed: whoever has the partition next gets it */
        return;
    }
    struct intake_place place = {
        .partition = partition,
        .sequence = offset_window_add(&partition->window, record->offset),
    };
    partition->places_out++;
    intake->in_flight++;
    metric_add(intake->records_total, 1);
    metric_set(intake->in_flight_gauge, intake->in_flight);
    hold_or_continue(intake);
    intake->options.on_record(intake->options.context, record, place);
}

static void on_trouble(void *context, enum kafka_trouble trouble, const char *reason)
{
    struct intake *intake = context;
    if (trouble == KAFKA_TROUBLE_FATAL)
        intake->options.on_fatal(intake->options.context, reason);
}

static void on_lag(void *context, int64_t records)
{
    struct intake *intake = context;
    metric_set(intake->lag, (double)records);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct intake *intake = handle->data;
    intake->options.on_closed(intake->options.context);
}

static void on_consumer_closed(void *context)
{
    struct intake *intake = context;
    intake->closed = true;
    uv_close((uv_handle_t *)&intake->revoke_timer, on_timer_closed);
}

static void register_metrics(struct intake *intake)
{
    const char *labels = intake->options.metric_labels;
    intake->records_total = metrics_counter(
        "terra_connect_records_received_total", labels, "Records taken from Kafka.");
    intake->rebalances_total = metrics_counter("terra_connect_rebalances_total", labels,
        "Assignments and revocations of partitions that reached this worker.");
    intake->assigned =
        metrics_gauge("terra_connect_partitions_assigned", labels, "Partitions this worker has.");
    intake->in_flight_gauge = metrics_gauge("terra_connect_records_in_flight", labels,
        "Records taken from Kafka and not yet done with.");
    intake->lag = metrics_gauge("terra_connect_consumer_lag", labels,
        "Records of this worker's partitions that are not done yet, as Kafka counts: waiting in "
        "the "
        "topic, or in flight.");
}

enum result intake_new(uv_loop_t *loop, const struct intake_options *options,
    struct intake **intake, char *error, size_t error_size)
{
    struct intake *made = memory_new(sizeof *made);
    made->options = *options;
    const struct kafka_consumer_options consumer_options = {
        .properties = options->properties,
        .property_count = options->property_count,
        .records_per_turn = RECORDS_PER_TURN,
        .offsets_by_transactions = options->offsets_by_transactions,
        .on_record = on_record,
        .on_assigned = on_assigned,
        .on_revoked = on_revoked,
        .on_trouble = on_trouble,
        .on_lag = on_lag,
        .on_closed = on_consumer_closed,
        .context = made,
    };
    enum result result =
        kafka_consumer_new(loop, &consumer_options, &made->consumer, error, error_size);
    if (result != RESULT_OK) {
        free(made);
        return result;
    }
    uv_timer_init(loop, &made->revoke_timer);
    made->revoke_timer.data = made;
    register_metrics(made);
    *intake = made;
    return RESULT_OK;
}

enum result intake_join(struct intake *intake, char *error, size_t error_size)
{
    return kafka_consumer_join(intake->consumer, &intake->options.topic, 1, error, error_size);
}

void intake_stop(struct intake *intake)
{
    intake->stopped = true;
    if (!intake->held) {
        intake->held = true;
        kafka_consumer_hold(intake->consumer);
    }
}

void intake_close(struct intake *intake)
{
    kafka_consumer_close(intake->consumer);
}

void intake_free(struct intake *intake)
{
    if (!intake)
        return;
    assert(intake->closed && intake->in_flight == 0 && !intake->commit);
    struct intake_partition *partition, *following;
    DL_FOREACH_SAFE2(intake->partitions, partition, following, next)
    {
        forget_partition(intake, partition);
    }
    free(intake);
}

enum intake_place_state intake_place_state(const struct intake_place *place)
{
    return place->partition->state;
}

static void give_back(struct intake *intake, struct intake_partition *partition)
{
    assert(partition->places_out > 0);
    partition->places_out--;
    intake->in_flight--;
    metric_set(intake->in_flight_gauge, intake->in_flight);
    free_partition_when_unused(partition);
    if (intake->closed)
        return;
    let_go_when_unused(intake);
    hold_or_continue(intake);
}

/* This and all before it, perhaps, is done. */
static void advance(struct intake *intake, const struct intake_place *place)
{
    struct intake_partition *partition = place->partition;
    int64_t next_offset;
    if (!offset_window_finish(&partition->window, place->sequence, &next_offset) ||
        partition->state == INTAKE_PLACE_GONE)
        return;
    if (intake->options.offsets_by_transactions)
        partition->safe_offset = next_offset;
    else
        kafka_consumer_store(intake->consumer, partition->topic, partition->partition, next_offset);
}

void intake_finish(struct intake *intake, const struct intake_place *place)
{
    if (!place->ready)
        advance(intake, place);
    give_back(intake, place->partition);
}

void intake_abandon(struct intake *intake, const struct intake_place *place)
{
    give_back(intake, place->partition);
}

void intake_ready(struct intake *intake, struct intake_place *place)
{
    assert(intake->options.offsets_by_transactions && !place->ready);
    place->ready = true;
    advance(intake, place);
}

static void cover(struct intake_commit *commit, struct intake_partition *partition)
{
    partition->in_commit = true;
    partition->commit_until = partition->window.first;
    commit->covered[commit->offset_count].partition = partition;
    commit->offsets[commit->offset_count] = (struct kafka_offset){
        .topic = partition->topic,
        .partition = partition->partition,
        .next_offset = partition->safe_offset,
    };
    commit->offset_count++;
}

static void release_commit(struct intake_commit *commit)
{
    kafka_group_metadata_free(commit->metadata);
    free(commit->covered);
    free(commit->offsets);
    *commit = (struct intake_commit){0};
}

bool intake_commit_begin(struct intake *intake, struct intake_commit *commit)
{
    assert(intake->options.offsets_by_transactions && !intake->commit);
    *commit = (struct intake_commit){0};
    if (intake->closed)
        return false;
    commit->covered = memory_new((intake->partition_count + 1) * sizeof *commit->covered);
    commit->offsets = memory_new((intake->partition_count + 1) * sizeof *commit->offsets);
    commit->metadata = kafka_consumer_group_metadata(intake->consumer);
    struct intake_partition *partition;
    DL_FOREACH2(intake->partitions, partition, next)
    {
        if (commit->metadata && partition->state == INTAKE_PLACE_OURS &&
            partition->safe_offset != partition->committed_offset)
            cover(commit, partition);
    }
    if (commit->offset_count == 0) {
        release_commit(commit);
        return false;
    }
    intake->commit = commit;
    return true;
}

bool intake_place_in_commit(const struct intake_place *place)
{
    const struct intake_partition *partition = place->partition;
    return partition->in_commit && place->sequence < partition->commit_until;
}

bool intake_commit_is_leaving(const struct intake_commit *commit)
{
    for (size_t i = 0; i < commit->offset_count; i++) {
        if (commit->covered[i].partition->state != INTAKE_PLACE_OURS)
            return true;
    }
    return false;
}

void intake_commit_end(struct intake *intake, struct intake_commit *commit, bool committed)
{
    assert(intake->commit == commit);
    intake->commit = NULL;
    for (size_t i = 0; i < commit->offset_count; i++) {
        struct intake_partition *partition = commit->covered[i].partition;
        partition->in_commit = false;
        if (committed)
            partition->committed_offset = commit->offsets[i].next_offset;
        free_partition_when_unused(partition);
    }
    release_commit(commit);
    if (!intake->closed)
        let_go_when_unused(intake);
}

unsigned intake_in_flight(const struct intake *intake)
{
    return intake->in_flight;
}

bool intake_joined(const struct intake *intake)
{
    return kafka_consumer_joined(intake->consumer);
}
