#include "support/kafka_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"

#define TICK_MS 10
#define STOP_MS 5000
#define API_METADATA 3

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static void reserve_nowhere(struct kafka_fixture *fixture)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    fixture->nowhere_socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(
        bind(fixture->nowhere_socket, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(getsockname(fixture->nowhere_socket, (struct sockaddr *)&address, &size), 0);
    snprintf(fixture->nowhere, sizeof(fixture->nowhere), "127.0.0.1:%u", ntohs(address.sin_port));
}

int kafka_fixture_start(void **state)
{
    struct kafka_fixture *fixture = memory_new(sizeof(*fixture));
    uv_loop_init(&fixture->loop);
    uv_timer_init(&fixture->loop, &fixture->tick);
    uv_timer_start(&fixture->tick, on_tick, TICK_MS, TICK_MS);
    char error[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "0", error, sizeof(error)); /* it has no brokers to name */
    fixture->owner = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
    fixture->cluster = rd_kafka_mock_cluster_new(fixture->owner, 1);
    /* By itself it offers versions that have no flag against creating topics
     * (and then creates them). */
    rd_kafka_mock_set_apiversion(fixture->cluster, API_METADATA, 0, 4);
    reserve_nowhere(fixture);
    fixture->brokers = rd_kafka_mock_cluster_bootstraps(fixture->cluster);
    *state = fixture;
    return 0;
}

int kafka_fixture_stop(void **state)
{
    struct kafka_fixture *fixture = *state;
    uv_unref((uv_handle_t *)&fixture->tick);
    int64_t deadline_us = clock_monotonic_us() + STOP_MS * CLOCK_US_PER_MS;
    while (uv_loop_alive(&fixture->loop)) {
        if (clock_monotonic_us() > deadline_us)
            return -1; /* a test that failed has left its client open */
        uv_run(&fixture->loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&fixture->tick, NULL);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    int result = uv_loop_close(&fixture->loop);
    rd_kafka_mock_cluster_destroy(fixture->cluster);
    rd_kafka_destroy(fixture->owner);
    close(fixture->nowhere_socket);
    free(fixture);
    return result;
}

void kafka_fixture_create_topic(struct kafka_fixture *fixture, const char *topic, int partitions)
{
    assert_int_equal(rd_kafka_mock_topic_create(fixture->cluster, topic, partitions, 1), 0);
}

/* A client beside the ones under test. */
static rd_kafka_t *bystander(struct kafka_fixture *fixture, rd_kafka_type_t type, const char *group)
{
    char error[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", fixture->brokers, error, sizeof(error));
    if (group)
        rd_kafka_conf_set(conf, "group.id", group, error, sizeof(error));
    rd_kafka_t *handle = rd_kafka_new(type, conf, error, sizeof(error));
    assert_non_null(handle);
    return handle;
}

bool kafka_fixture_has_topic(struct kafka_fixture *fixture, const char *topic)
{
    rd_kafka_t *handle = bystander(fixture, RD_KAFKA_PRODUCER, NULL);
    const struct rd_kafka_metadata *metadata;
    assert_int_equal(rd_kafka_metadata(handle, 1, NULL, &metadata, KAFKA_WAIT_MS), 0);
    bool found = false;
    for (int i = 0; i < metadata->topic_cnt; i++)
        found = found || strcmp(metadata->topics[i].topic, topic) == 0;
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_destroy(handle);
    return found;
}

int64_t kafka_fixture_committed(
    struct kafka_fixture *fixture, const char *group, const char *topic, int32_t partition)
{
    rd_kafka_t *handle = bystander(fixture, RD_KAFKA_CONSUMER, group);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition);
    assert_int_equal(rd_kafka_committed(handle, list, KAFKA_WAIT_MS), 0);
    int64_t offset = list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(handle);
    return offset < 0 ? -1 : offset;
}

void kafka_fixture_commit(struct kafka_fixture *fixture, const char *group, const char *topic,
    int32_t partition, int64_t offset)
{
    rd_kafka_t *handle = bystander(fixture, RD_KAFKA_CONSUMER, group);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
    assert_int_equal(rd_kafka_commit(handle, list, 0), 0);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(handle);
}

void kafka_fixture_wait(
    struct kafka_fixture *fixture, bool (*condition)(const void *context), const void *context)
{
    int64_t deadline_us = clock_monotonic_us() + KAFKA_WAIT_MS * CLOCK_US_PER_MS;
    while (!condition(context)) {
        if (clock_monotonic_us() > deadline_us)
            fail_msg("not within %d ms", KAFKA_WAIT_MS);
        uv_run(&fixture->loop, UV_RUN_ONCE);
    }
}

void kafka_fixture_run(struct kafka_fixture *fixture, unsigned milliseconds)
{
    int64_t end_us = clock_monotonic_us() + milliseconds * CLOCK_US_PER_MS;
    while (clock_monotonic_us() < end_us)
        uv_run(&fixture->loop, UV_RUN_ONCE);
}

void kafka_fixture_wait_committed(
    struct kafka_fixture *fixture, const char *group_and_topic, int partitions, int64_t total)
{
    int64_t deadline_us = clock_monotonic_us() + KAFKA_WAIT_MS * CLOCK_US_PER_MS;
    int64_t committed;
    do {
        assert_true(clock_monotonic_us() < deadline_us);
        kafka_fixture_run(fixture, 100);
        committed = 0;
        for (int partition = 0; partition < partitions; partition++) {
            int64_t offset =
                kafka_fixture_committed(fixture, group_and_topic, group_and_topic, partition);
            committed += offset > 0 ? offset : 0;
        }
    } while (committed != total);
}

/* Log lines. */

static char *caught;
static size_t caught_size;

static void catch_line(const char *line, size_t size)
{
    caught = memory_resize(caught, caught_size + size + 1);
    memcpy(caught + caught_size, line, size);
    caught_size += size;
    caught[caught_size] = '\0';
}

void kafka_log_catch(void)
{
    caught = memory_copy_text("");
    caught_size = 0;
    log_set_sink(catch_line);
}

unsigned kafka_log_count(const char *text)
{
    unsigned count = 0;
    for (const char *at = caught; (at = strstr(at, text)) != NULL; at++)
        count++;
    return count;
}

bool kafka_log_has(const char *text)
{
    return kafka_log_count(text) > 0;
}

void kafka_log_release(void)
{
    log_set_sink(NULL);
    free(caught);
    caught = NULL;
}

static size_t collect(struct kafka_property *collected, const struct kafka_property *base,
    size_t base_count, const char *const *properties)
{
    size_t count = base_count;
    memcpy(collected, base, base_count * sizeof(*base));
    for (; properties && properties[0]; properties += 2) {
        assert_true(count < KAFKA_PROPERTIES_MAX);
        collected[count++] = (struct kafka_property){properties[0], properties[1]};
    }
    return count;
}

/* The sender. */

static void on_fatal(void *context, const char *reason)
{
    struct kafka_sender *sender = context;
    assert_non_null(reason);
    assert_int_equal(sender->inside, 0);
    sender->fatal_count++;
}

static void on_sender_closed(void *context)
{
    struct kafka_sender *sender = context;
    assert_int_equal(sender->inside, 0);
    sender->closed = true;
    sender->producer = NULL;
}

void kafka_sender_start(struct kafka_sender *sender, struct kafka_fixture *fixture,
    const char *const *properties, const char *const *topics, size_t topic_count)
{
    *sender = (struct kafka_sender){.fixture = fixture};
    const struct kafka_property base[] = {{"bootstrap.servers", fixture->brokers}};
    struct kafka_property all[KAFKA_PROPERTIES_MAX];
    struct kafka_producer_options options = {
        .properties = all,
        .property_count = collect(all, base, 1, properties),
        .topics = topics,
        .topic_count = topic_count,
        .on_fatal = on_fatal,
        .on_closed = on_sender_closed,
        .context = sender,
    };
    char error[256] = "";
    if (kafka_producer_new(&fixture->loop, &options, &sender->producer, error, sizeof(error)) !=
        RESULT_OK)
        fail_msg("%s", error);
}

static bool sender_is_closed(const void *context)
{
    const struct kafka_sender *sender = context;
    return sender->closed;
}

void kafka_sender_stop(struct kafka_sender *sender)
{
    sender->inside++;
    kafka_producer_close(sender->producer);
    sender->inside--;
    kafka_fixture_wait(sender->fixture, sender_is_closed, sender);
}

static void on_delivered(struct kafka_delivery *delivery, enum kafka_delivery_outcome outcome,
    int64_t offset, const char *reason)
{
    struct kafka_sent *sent = delivery->context;
    assert_int_equal(sent->sender->inside, 0);
    sent->times++;
    sent->outcome = outcome;
    sent->offset = offset;
    snprintf(sent->reason, sizeof(sent->reason), "%s", reason);
    if (sent->then)
        sent->then(sent);
}

void kafka_sent_start(struct kafka_sent *sent, struct kafka_sender *sender)
{
    sent->sender = sender;
    sent->times = 0;
    sent->delivery.on_delivered = on_delivered;
    sent->delivery.context = sent;
    sender->inside++;
    kafka_producer_send(sender->producer, &sent->delivery);
    sender->inside--;
}

static bool is_answered(const void *context)
{
    const struct kafka_sent *sent = context;
    return sent->times > 0;
}

void kafka_sent_wait(struct kafka_sent *sent)
{
    kafka_fixture_wait(sent->sender->fixture, is_answered, sent);
    assert_int_equal(sent->times, 1);
}

enum kafka_delivery_outcome kafka_sender_send(
    struct kafka_sender *sender, const char *topic, int32_t partition, const char *value)
{
    struct kafka_sent sent = {
        .delivery = {
            .topic = topic, .partition = partition, .value = value, .value_size = strlen(value)}};
    kafka_sent_start(&sent, sender);
    kafka_sent_wait(&sent);
    return sent.outcome;
}

static bool nothing_is_in_flight(const void *context)
{
    return kafka_producer_in_flight(context) == 0;
}

void kafka_sender_fill(
    struct kafka_sender *sender, const char *topic, int32_t partition, int first, int count)
{
    struct filling {
        struct kafka_sent sent;
        char value[16];
    } *all = memory_new((size_t)count * sizeof(*all));
    for (int i = 0; i < count; i++) {
        snprintf(all[i].value, sizeof(all[i].value), "%d", first + i);
        all[i].sent.delivery = (struct kafka_delivery){.topic = topic,
            .partition = partition,
            .value = all[i].value,
            .value_size = strlen(all[i].value)};
        kafka_sent_start(&all[i].sent, sender);
    }
    kafka_fixture_wait(sender->fixture, nothing_is_in_flight, sender->producer);
    for (int i = 0; i < count; i++) {
        assert_int_equal(all[i].sent.times, 1);
        assert_string_equal(kafka_delivery_outcome_name(all[i].sent.outcome), "delivered");
    }
    free(all);
}

/* The member. */

static void on_record(void *context, struct kafka_record *record)
{
    struct kafka_member *member = context;
    assert_int_equal(member->inside, 0);
    assert_string_equal(record->topic, member->topic);
    assert_true(member->owned[record->partition]);
    assert_true(member->record_count < KAFKA_MEMBER_RECORDS_MAX);
    member->records[member->record_count].partition = record->partition;
    member->records[member->record_count].offset = record->offset;
    if (member->keep)
        member->kept[member->record_count] = record;
    member->record_count++;
    if (member->store)
        kafka_consumer_store(
            member->consumer, record->topic, record->partition, record->offset + 1);
    if (!member->keep)
        kafka_record_free(record);
    if (member->hold_at > 0 && member->record_count >= member->hold_at)
        kafka_consumer_hold(member->consumer);
}

static void on_assigned(
    void *context, const struct kafka_partition *partitions, size_t partition_count)
{
    struct kafka_member *member = context;
    assert_int_equal(member->inside, 0);
    assert_false(member->owes);
    member->assigned_times++;
    for (size_t i = 0; i < partition_count; i++) {
        assert_false(member->owned[partitions[i].partition]);
        member->owned[partitions[i].partition] = true;
        member->owned_count++;
    }
}

static void on_revoked(
    void *context, const struct kafka_partition *partitions, size_t partition_count, bool lost)
{
    struct kafka_member *member = context;
    assert_int_equal(member->inside, 0);
    assert_false(member->owes);
    assert_true(partition_count > 0);
    member->revoked_times++;
    member->revoked_count += (unsigned)partition_count;
    member->lost_times += lost;
    for (size_t i = 0; i < partition_count; i++) {
        assert_true(member->owned[partitions[i].partition]);
        member->owned[partitions[i].partition] = false;
        member->owned_count--;
    }
    member->owes = true;
    if (!member->let_go_late)
        kafka_member_let_go(member);
}

static void on_trouble(void *context, enum kafka_trouble trouble, const char *reason)
{
    struct kafka_member *member = context;
    assert_int_equal(member->inside, 0);
    assert_true(reason[0] != '\0');
    member->troubles[trouble]++;
}

static void on_member_closed(void *context)
{
    struct kafka_member *member = context;
    assert_int_equal(member->inside, 0);
    assert_false(member->owes);
    assert_int_equal(member->owned_count, 0);
    member->closed = true;
    member->consumer = NULL;
}

void kafka_member_start(struct kafka_member *member, struct kafka_fixture *fixture,
    const char *group, const char *topic, const char *const *properties)
{
    member->fixture = fixture;
    member->topic = topic;
    const struct kafka_property base[] = {
        {"bootstrap.servers", fixture->brokers},
        {"group.id", group},
        /* The mock cluster holds an empty fetch for all of its time, and a rebalance for the
         * session's less one second; it never assigns below four. */
        {"fetch.wait.max.ms", "5"},
        {"session.timeout.ms", "4000"},
        {"heartbeat.interval.ms", "300"},
        /* A refresh just when a leader has joined makes librdkafka 2.0 join again: not every time,
         * as with a divisor of that second less. */
        {"topic.metadata.refresh.interval.ms", "470"},
    };
    struct kafka_property all[KAFKA_PROPERTIES_MAX];
    struct kafka_consumer_options options = {
        .properties = all,
        .property_count = collect(all, base, sizeof(base) / sizeof(base[0]), properties),
        .topics = &topic,
        .topic_count = topic ? 1 : 0,
        .records_per_turn = 64,
        .on_record = on_record,
        .on_assigned = on_assigned,
        .on_revoked = on_revoked,
        .on_trouble = on_trouble,
        .on_closed = on_member_closed,
        .context = member,
    };
    char error[256] = "";
    if (kafka_consumer_new(&fixture->loop, &options, &member->consumer, error, sizeof(error)) !=
        RESULT_OK)
        fail_msg("%s", error);
}

void kafka_member_let_go(struct kafka_member *member)
{
    assert_true(member->owes);
    member->owes = false;
    member->inside++;
    kafka_consumer_let_go(member->consumer);
    member->inside--;
}

static bool member_is_closed(const void *context)
{
    const struct kafka_member *member = context;
    return member->closed;
}

void kafka_member_stop(struct kafka_member *member)
{
    member->inside++;
    kafka_consumer_close(member->consumer);
    member->inside--;
    kafka_fixture_wait(member->fixture, member_is_closed, member);
}

struct expectation {
    const struct kafka_member *member;
    size_t count;
};

static bool owns_so_many(const void *context)
{
    const struct expectation *expected = context;
    return expected->member->owned_count == expected->count;
}

void kafka_member_wait_owned(struct kafka_member *member, unsigned partitions)
{
    struct expectation expected = {member, partitions};
    kafka_fixture_wait(member->fixture, owns_so_many, &expected);
}

static bool has_so_many(const void *context)
{
    const struct expectation *expected = context;
    return expected->member->record_count >= expected->count;
}

void kafka_member_wait_records(struct kafka_member *member, size_t count)
{
    struct expectation expected = {member, count};
    kafka_fixture_wait(member->fixture, has_so_many, &expected);
}

void kafka_member_check(
    const struct kafka_member *member, int32_t partition, int64_t first, int64_t last)
{
    int64_t next = first;
    for (size_t i = 0; i < member->record_count; i++) {
        if (member->records[i].partition == partition)
            assert_int_equal(member->records[i].offset, next++);
    }
    assert_int_equal(next, last + 1);
}
