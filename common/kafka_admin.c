/* kafka_admin: see the header. */
#include "common/kafka_admin.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/kafka_admin_client.h"
#include "common/memory.h"
#include "common/text.h"

/* ---- life cycle ---- */

enum result kafka_admin_new(const struct kafka_property *properties, size_t property_count,
    struct kafka_admin **admin, char *error, size_t error_size)
{
    struct kafka_admin made;
    if (!kafka_admin_open(
            &made, RD_KAFKA_PRODUCER, properties, property_count, NULL, error, error_size))
        return RESULT_REJECT;
    *admin = memory_copy(&made, sizeof made);
    return RESULT_OK;
}

void kafka_admin_free(struct kafka_admin *admin)
{
    if (!admin)
        return;
    kafka_admin_close(admin);
    free(admin);
}

const char *kafka_admin_library_version(void)
{
    return rd_kafka_version_str();
}

/* ---- the cluster ---- */

static void copy_topic(struct kafka_admin_topic *copy, const rd_kafka_metadata_topic_t *topic)
{
    *copy = (struct kafka_admin_topic){
        .name = memory_copy_text(topic->topic), .partitions = topic->partition_cnt};
    for (int i = 0; i < topic->partition_cnt; i++) {
        const rd_kafka_metadata_partition_t *partition = &topic->partitions[i];
        copy->leaderless += partition->leader < 0;
        if (i == 0 || partition->replica_cnt < copy->replicas_least)
            copy->replicas_least = partition->replica_cnt;
        if (i == 0 || partition->isr_cnt < copy->in_sync_least)
            copy->in_sync_least = partition->isr_cnt;
    }
}

static void copy_cluster(
    struct kafka_admin_cluster *cluster, const struct rd_kafka_metadata *metadata)
{
    *cluster = (struct kafka_admin_cluster){.brokers = metadata->broker_cnt};
    if (metadata->broker_cnt > 0)
        snprintf(cluster->first_broker, sizeof cluster->first_broker, "%s:%d",
            metadata->brokers[0].host, metadata->brokers[0].port);
    cluster->topics = memory_new((size_t)metadata->topic_cnt * sizeof *cluster->topics);
    for (int i = 0; i < metadata->topic_cnt; i++) {
        if (metadata->topics[i].err == RD_KAFKA_RESP_ERR_NO_ERROR)
            copy_topic(&cluster->topics[cluster->topic_count++], &metadata->topics[i]);
    }
}

bool kafka_admin_look(struct kafka_admin *admin, int64_t deadline_us,
    struct kafka_admin_cluster *cluster, struct kafka_admin_fault *fault)
{
    const struct rd_kafka_metadata *metadata;
    *cluster = (struct kafka_admin_cluster){0};
    while (true) {
        int wait_ms = kafka_admin_left_ms(deadline_us);
        rd_kafka_resp_err_t code = rd_kafka_metadata(admin->handle, 1, NULL, &metadata,
            wait_ms < KAFKA_ADMIN_SLICE_MS ? wait_ms : KAFKA_ADMIN_SLICE_MS);
        kafka_admin_take_reports(admin);
        kafka_admin_set_code(fault, code, NULL);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            break;
        if (kafka_admin_is_refused(admin) || clock_monotonic_us() >= deadline_us) {
            if (admin->reported.verdict != KAFKA_ADMIN_OK)
                *fault = admin->reported;
            return false;
        }
    }
    int32_t controller = rd_kafka_controllerid(admin->handle, 0);
    admin->has_controller = false;
    for (int i = 0; i < metadata->broker_cnt; i++)
        admin->has_controller |= metadata->brokers[i].id == controller;
    copy_cluster(cluster, metadata);
    rd_kafka_metadata_destroy(metadata);
    return true;
}

void kafka_admin_cluster_release(struct kafka_admin_cluster *cluster)
{
    for (size_t i = 0; i < cluster->topic_count; i++)
        free(cluster->topics[i].name);
    free(cluster->topics);
    *cluster = (struct kafka_admin_cluster){0};
}

const struct kafka_admin_topic *kafka_admin_cluster_find(
    const struct kafka_admin_cluster *cluster, const char *name)
{
    for (size_t i = 0; i < cluster->topic_count; i++) {
        if (text_equal(cluster->topics[i].name, name))
            return &cluster->topics[i];
    }
    return NULL;
}

void kafka_admin_why_unseen(struct kafka_admin *admin, const char *topic, int64_t deadline_us,
    struct kafka_admin_fault *fault)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(admin->handle, topic, NULL);
    if (!handle) {
        kafka_admin_set_fault(
            fault, KAFKA_ADMIN_FAILED, "%s", rd_kafka_err2str(rd_kafka_last_error()));
        return;
    }
    rd_kafka_resp_err_t code =
        rd_kafka_metadata(admin->handle, 0, handle, &metadata, kafka_admin_left_ms(deadline_us));
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        code =
            metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
        /* There by now, and not a moment ago. */
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            code = RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
        rd_kafka_metadata_destroy(metadata);
    }
    kafka_admin_set_code(fault, code, NULL);
    rd_kafka_topic_destroy(handle);
}

/* ---- questions that are answered by an event ---- */

/* ---- topics ---- */

struct topic_settings {
    const rd_kafka_ConfigEntry_t **entries;
    size_t count;
};

static const char *setting_of(const void *settings, const char *name)
{
    const struct topic_settings *known = settings;
    for (size_t i = 0; i < known->count; i++) {
        if (text_equal(rd_kafka_ConfigEntry_name(known->entries[i]), name))
            return rd_kafka_ConfigEntry_value(known->entries[i]);
    }
    return NULL;
}

static const rd_kafka_ConfigResource_t *find_resource(
    const rd_kafka_ConfigResource_t **resources, size_t count, const char *topic)
{
    for (size_t i = 0; i < count; i++) {
        if (text_equal(rd_kafka_ConfigResource_name(resources[i]), topic))
            return resources[i];
    }
    return NULL;
}

/* NULL: the fault says why. */
static rd_kafka_event_t *describe_configs(struct kafka_admin *admin, const char *const *topics,
    size_t count, int64_t deadline_us, struct kafka_admin_fault *fault)
{
    assert(count > 0 && count <= KAFKA_ADMIN_SUBJECTS_MAX);
    if (!kafka_admin_has_controller(admin, fault))
        return NULL;
    rd_kafka_ConfigResource_t *asked[KAFKA_ADMIN_SUBJECTS_MAX];
    for (size_t i = 0; i < count; i++)
        asked[i] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topics[i]);
    rd_kafka_AdminOptions_t *options =
        kafka_admin_options(admin, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, deadline_us);
    rd_kafka_DescribeConfigs(admin->handle, asked, count, options, admin->answers);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ConfigResource_destroy_array(asked, count);

    rd_kafka_event_t *event = kafka_admin_await(admin, fault);
    if (fault->verdict == KAFKA_ADMIN_OK)
        return event;
    rd_kafka_event_destroy(event);
    return NULL;
}

void kafka_admin_topic_settings(struct kafka_admin *admin, const char *const *topics, size_t count,
    int64_t deadline_us,
    void (*on_settings)(void *context, size_t index, kafka_admin_setting_of *setting_of,
        const void *settings, const struct kafka_admin_fault *fault),
    void *context)
{
    if (count == 0)
        return;
    struct kafka_admin_fault all;
    size_t told_count = 0;
    const rd_kafka_ConfigResource_t **told = NULL;
    rd_kafka_event_t *event = describe_configs(admin, topics, count, deadline_us, &all);
    if (event)
        told = rd_kafka_DescribeConfigs_result_resources(
            rd_kafka_event_DescribeConfigs_result(event), &told_count);
    for (size_t i = 0; i < count; i++) {
        struct kafka_admin_fault fault = all;
        struct topic_settings settings = {0};
        const rd_kafka_ConfigResource_t *found = find_resource(told, told_count, topics[i]);
        if (found) {
            kafka_admin_set_code(&fault, rd_kafka_ConfigResource_error(found),
                rd_kafka_ConfigResource_error_string(found));
            settings.entries = rd_kafka_ConfigResource_configs(found, &settings.count);
        } else if (fault.verdict == KAFKA_ADMIN_OK) {
            kafka_admin_set_fault(&fault, KAFKA_ADMIN_FAILED, "the broker did not tell");
        }
        on_settings(context, i, setting_of, &settings, &fault);
    }
    if (event)
        rd_kafka_event_destroy(event);
}

bool kafka_admin_create_topic(struct kafka_admin *admin, const struct kafka_admin_new_topic *topic,
    int64_t deadline_us, struct kafka_admin_fault *fault)
{
    char error[KAFKA_ADMIN_REASON_SIZE] = "";
    if (!kafka_admin_has_controller(admin, fault))
        return false;
    rd_kafka_NewTopic_t *asked = rd_kafka_NewTopic_new(
        topic->name, topic->partitions, topic->replication, error, sizeof error);
    if (!asked) {
        kafka_admin_set_fault(fault, KAFKA_ADMIN_FAILED, "%s", error);
        return false;
    }
    for (const struct kafka_property *setting = topic->settings; setting->name; setting++)
        rd_kafka_NewTopic_set_config(asked, setting->name, setting->value);
    rd_kafka_AdminOptions_t *options =
        kafka_admin_options(admin, RD_KAFKA_ADMIN_OP_CREATETOPICS, deadline_us);
    rd_kafka_CreateTopics(admin->handle, &asked, 1, options, admin->answers);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_NewTopic_destroy(asked);

    rd_kafka_event_t *event = kafka_admin_await(admin, fault);
    if (fault->verdict == KAFKA_ADMIN_OK) {
        size_t count;
        const rd_kafka_topic_result_t **results =
            rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
        if (count == 1)
            kafka_admin_set_code(fault, rd_kafka_topic_result_error(results[0]),
                rd_kafka_topic_result_error_string(results[0]));
    }
    rd_kafka_event_destroy(event);
    return fault->verdict == KAFKA_ADMIN_OK;
}
