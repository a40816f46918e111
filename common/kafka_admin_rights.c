/* kafka_admin_rights: what this client may do with topics, groups and transactional ids; see
 * kafka_admin.h. */
#include <stdio.h>
#include <time.h>

#include "common/clock.h"
#include "common/kafka_admin_client.h"
#include "common/text.h"

#define PAUSE_NS 50000000 /* before the same is asked again */

/* ---- rights ---- */

#if RD_KAFKA_VERSION >= 0x020300ff
static void set_rights(
    struct kafka_admin_rights *rights, const rd_kafka_AclOperation_t *operations, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        rights->read |= operations[i] == RD_KAFKA_ACL_OPERATION_READ;
        rights->write |= operations[i] == RD_KAFKA_ACL_OPERATION_WRITE;
        rights->describe |= operations[i] == RD_KAFKA_ACL_OPERATION_DESCRIBE;
    }
    if (!operations)
        kafka_admin_set_fault(&rights->fault, KAFKA_ADMIN_UNSUPPORTED, "the broker does not tell");
}

static void ask_rights(rd_kafka_AdminOptions_t *options)
{
    rd_kafka_error_destroy(rd_kafka_AdminOptions_set_include_authorized_operations(options, 1));
}

static void take_topic_rights(struct kafka_admin_rights *rights, const char *topic,
    const rd_kafka_TopicDescription_t **told, size_t told_count)
{
    for (size_t i = 0; i < told_count; i++) {
        if (!text_equal(rd_kafka_TopicDescription_name(told[i]), topic))
            continue;
        const rd_kafka_error_t *error = rd_kafka_TopicDescription_error(told[i]);
        size_t count = 0;
        const rd_kafka_AclOperation_t *operations =
            rd_kafka_TopicDescription_authorized_operations(told[i], &count);
        if (error)
            kafka_admin_set_code(
                &rights->fault, rd_kafka_error_code(error), rd_kafka_error_string(error));
        else
            set_rights(rights, operations, count);
    }
}

/* NULL: the fault says why. */
static rd_kafka_event_t *describe_topics(struct kafka_admin *admin, const char *const *topics,
    size_t count, int64_t deadline_us, struct kafka_admin_fault *fault)
{
    if (!kafka_admin_has_controller(admin, fault))
        return NULL;
    rd_kafka_TopicCollection_t *asked =
        rd_kafka_TopicCollection_of_topic_names((const char **)topics, count);
    rd_kafka_AdminOptions_t *options =
        kafka_admin_options(admin, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, deadline_us);
    ask_rights(options);
    rd_kafka_DescribeTopics(admin->handle, asked, options, admin->answers);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_TopicCollection_destroy(asked);
    return kafka_admin_await(admin, fault);
}

void kafka_admin_topic_rights(struct kafka_admin *admin, const char *const *topics, size_t count,
    int64_t deadline_us, struct kafka_admin_rights *rights)
{
    if (count == 0)
        return;
    struct kafka_admin_fault all;
    size_t told_count = 0;
    const rd_kafka_TopicDescription_t **told = NULL;
    rd_kafka_event_t *event = describe_topics(admin, topics, count, deadline_us, &all);
    if (event && all.verdict == KAFKA_ADMIN_OK)
        told = rd_kafka_DescribeTopics_result_topics(
            rd_kafka_event_DescribeTopics_result(event), &told_count);
    for (size_t i = 0; i < count; i++) {
        rights[i] = (struct kafka_admin_rights){.fault = all};
        take_topic_rights(&rights[i], topics[i], told, told_count);
    }
    if (event)
        rd_kafka_event_destroy(event);
}

/* Asked only once the group's coordinator has been found: a question to it that is not answered in
 * time ends some versions of the library. */
static void ask_group_rights(struct kafka_admin *admin, const char *group, int64_t deadline_us,
    struct kafka_admin_rights *rights)
{
    rd_kafka_AdminOptions_t *options =
        kafka_admin_options(admin, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, deadline_us);
    ask_rights(options);
    rd_kafka_DescribeConsumerGroups(admin->handle, &group, 1, options, admin->answers);
    rd_kafka_AdminOptions_destroy(options);

    rd_kafka_event_t *event = kafka_admin_await(admin, &rights->fault);
    size_t told_count = 0;
    const rd_kafka_ConsumerGroupDescription_t **told = NULL;
    if (rights->fault.verdict == KAFKA_ADMIN_OK)
        told = rd_kafka_DescribeConsumerGroups_result_groups(
            rd_kafka_event_DescribeConsumerGroups_result(event), &told_count);
    if (told_count == 1) {
        size_t count = 0;
        const rd_kafka_error_t *error = rd_kafka_ConsumerGroupDescription_error(told[0]);
        const rd_kafka_AclOperation_t *operations =
            rd_kafka_ConsumerGroupDescription_authorized_operations(told[0], &count);
        if (error)
            kafka_admin_set_code(
                &rights->fault, rd_kafka_error_code(error), rd_kafka_error_string(error));
        else
            set_rights(rights, operations, count);
    }
    rd_kafka_event_destroy(event);
}
#else
/* librdkafka learned to ask in 2.3. */
static void set_untold(struct kafka_admin_rights *rights)
{
    *rights = (struct kafka_admin_rights){0};
    kafka_admin_set_fault(&rights->fault, KAFKA_ADMIN_UNSUPPORTED,
        "librdkafka %s cannot ask, 2.3 can", rd_kafka_version_str());
}

void kafka_admin_topic_rights(struct kafka_admin *admin, const char *const *topics, size_t count,
    int64_t deadline_us, struct kafka_admin_rights *rights)
{
    (void)admin;
    (void)topics;
    (void)deadline_us;
    for (size_t i = 0; i < count; i++)
        set_untold(&rights[i]);
}

static void ask_group_rights(struct kafka_admin *admin, const char *group, int64_t deadline_us,
    struct kafka_admin_rights *rights)
{
    (void)admin;
    (void)group;
    (void)deadline_us;
    set_untold(rights);
}
#endif

/* ---- groups and transactions ---- */

/* The committed offset is asked for: whoever may not see the group is told so, and nobody notices.
 * A refusal comes as a report, and the library goes on asking. */
static void ask_committed(struct kafka_admin *client, const char *topic, int64_t deadline_us,
    struct kafka_admin_fault *fault)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0);
    do {
        int wait_ms = kafka_admin_left_ms(deadline_us);
        kafka_admin_set_code(fault,
            rd_kafka_committed(client->handle, list,
                wait_ms < KAFKA_ADMIN_SLICE_MS ? wait_ms : KAFKA_ADMIN_SLICE_MS),
            NULL);
        kafka_admin_take_reports(client);
        if (fault->verdict == KAFKA_ADMIN_UNREACHABLE && kafka_admin_is_refused(client))
            *fault = client->reported;
        if (fault->verdict == KAFKA_ADMIN_UNREACHABLE)
            nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    } while (fault->verdict == KAFKA_ADMIN_UNREACHABLE && clock_monotonic_us() < deadline_us);
    rd_kafka_topic_partition_list_destroy(list);
}

void kafka_admin_group_rights(struct kafka_admin *admin, const struct kafka_property *properties,
    size_t property_count, const char *group, const char *topic, int64_t deadline_us,
    struct kafka_admin_fault *fault, struct kafka_admin_rights *rights)
{
    struct kafka_admin client;
    char error[KAFKA_ADMIN_REASON_SIZE] = "";
    const struct kafka_property own = {"group.id", group};
    *rights = (struct kafka_admin_rights){0};
    if (!kafka_admin_open(
            &client, RD_KAFKA_CONSUMER, properties, property_count, &own, error, sizeof error)) {
        kafka_admin_set_fault(fault, KAFKA_ADMIN_FAILED, "%s", error);
        return;
    }
    ask_committed(&client, topic, deadline_us, fault);
    kafka_admin_close(&client);
    if (fault->verdict == KAFKA_ADMIN_OK)
        ask_group_rights(admin, group, deadline_us, rights);
}

void kafka_admin_try_transactions(const struct kafka_property *properties, size_t property_count,
    const char *transactional_id, int64_t deadline_us, struct kafka_admin_fault *fault)
{
    struct kafka_admin client;
    char error[KAFKA_ADMIN_REASON_SIZE] = "";
    const struct kafka_property own = {"transactional.id", transactional_id};
    if (!kafka_admin_open(
            &client, RD_KAFKA_PRODUCER, properties, property_count, &own, error, sizeof error)) {
        kafka_admin_set_fault(fault, KAFKA_ADMIN_FAILED, "%s", error);
        return;
    }
    rd_kafka_error_t *failure =
        rd_kafka_init_transactions(client.handle, kafka_admin_left_ms(deadline_us));
    kafka_admin_set_code(
        fault, rd_kafka_error_code(failure), failure ? rd_kafka_error_string(failure) : NULL);
    rd_kafka_error_destroy(failure);
    kafka_admin_close(&client);
}
