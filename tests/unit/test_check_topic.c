/* check_topic: how a topic compares with what it should be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "worker/check_topic.h"

#define DAY "86400000"
#define WEEK "604800000"

/* Of a healthy topic, but for what is given. */
#define FACTS(...) FACTS_IN_SYNC(3, __VA_ARGS__)
#define FACTS_IN_SYNC(in_sync, ...)                                                                \
    {                                                                                              \
        .name = "t", .partitions = 4, .replicas_least = 3, .in_sync_least = (in_sync),             \
        .min_insync_replicas = "2", __VA_ARGS__                                                    \
    }

static const struct {
    enum check_topic_kind kind;
    struct check_topic_facts facts;
    enum check_verdict verdict; /* of what follows the line that describes it; CHECK_OK: nothing */
    const char *words;          /* of its message and of its advice */
    const char *advice;
} topics[] = {
    {CHECK_TOPIC_REQUESTS,
        FACTS(.cleanup_policy = "delete", .retention_ms = DAY, .timestamp_type = "LogAppendTime"),
        CHECK_OK, NULL, NULL},
    {CHECK_TOPIC_REQUESTS,
        FACTS(.cleanup_policy = "delete", .retention_ms = WEEK, .timestamp_type = "CreateTime"),
        CHECK_WARN, "CreateTime", "message.timestamp.type=LogAppendTime"},
    {CHECK_TOPIC_REQUESTS, FACTS(.cleanup_policy = "delete", .retention_ms = "86399999"),
        CHECK_WARN, "86399999 ms, 1 day is recommended", "retention.ms=" DAY},
    {CHECK_TOPIC_REQUESTS, FACTS(.cleanup_policy = "delete", .retention_ms = "-1"), CHECK_WARN,
        "for ever", "retention.ms=" DAY},
    {CHECK_TOPIC_REQUESTS, FACTS(.cleanup_policy = "compact"), CHECK_WARN, "it is compacted",
        "cleanup.policy=delete"},
    {CHECK_TOPIC_REPLIES, FACTS(.cleanup_policy = "delete", .retention_ms = "3600000"), CHECK_OK,
        NULL, NULL},
    {CHECK_TOPIC_REPLIES, FACTS(.cleanup_policy = "delete", .retention_ms = WEEK), CHECK_WARN,
        "7 days, 1 hour is recommended", "retention.ms=3600000"},
    {CHECK_TOPIC_REPLIES, FACTS(.cleanup_policy = "delete", .retention_ms = "1000"), CHECK_WARN,
        "1 second, 1 hour is recommended", "retention.ms=3600000"},
    {CHECK_TOPIC_OUTCOMES, FACTS(.cleanup_policy = "delete", .retention_ms = "-1"), CHECK_OK, NULL,
        NULL},
    {CHECK_TOPIC_OUTCOMES, FACTS(.cleanup_policy = "delete", .retention_ms = WEEK), CHECK_WARN,
        "90 days is recommended", "retention.ms=7776000000"},
    {CHECK_TOPIC_DEAD_LETTERS, FACTS(.cleanup_policy = "delete", .retention_ms = "-1"), CHECK_WARN,
        "for ever", "retention.ms=1209600000"},
    {CHECK_TOPIC_CONNECTIONS, FACTS(.cleanup_policy = "compact", .delete_retention_ms = WEEK),
        CHECK_OK, NULL, NULL},
    {CHECK_TOPIC_CONNECTIONS, FACTS(.cleanup_policy = "compact", .delete_retention_ms = DAY),
        CHECK_WARN, "delete.retention.ms is 1 day", "delete.retention.ms=" WEEK},
    {CHECK_TOPIC_CONNECTIONS, FACTS(.cleanup_policy = "compact,delete"), CHECK_WARN,
        "compact,delete", "cleanup.policy=compact"},
    {CHECK_TOPIC_CONNECTIONS, FACTS(.cleanup_policy = "delete"), CHECK_FAIL, "not compacted",
        "cleanup.policy=compact"},
    {CHECK_TOPIC_CONNECTIONS, FACTS(.untold = "it is silent"), CHECK_WARN, "it is silent",
        "cleanup.policy=compact"},
    {CHECK_TOPIC_REPLIES, FACTS(.leaderless = 1), CHECK_FAIL, "1 of 4 partitions", "brokers"},
    {CHECK_TOPIC_REPLIES, FACTS_IN_SYNC(1, .leaderless = 0), CHECK_FAIL, "must reach 2", "brokers"},
    {CHECK_TOPIC_REPLIES, FACTS(.retention_ms = "soon"), CHECK_OK, NULL, NULL},
};

static void test_topics(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        struct check_report report = {0};
        check_topic_judge(topics[i].kind, &topics[i].facts, "b:9092", &report);
        assert_int_equal(report.items[0].verdict, CHECK_OK);
        assert_string_equal(report.items[0].subject, "topic t");
        assert_int_equal(report.count, topics[i].verdict == CHECK_OK ? 1 : 2);
        if (topics[i].verdict != CHECK_OK) {
            const struct check_item *item = &report.items[1];
            assert_int_equal(item->verdict, topics[i].verdict);
            assert_non_null(strstr(item->message, topics[i].words));
            assert_non_null(strstr(item->advice, topics[i].advice));
        }
        check_report_release(&report);
    }
}

/* What a topic is created with must be what it is then measured by. */
static void test_created_topics_are_well(void **state)
{
    (void)state;
    for (int kind = 0; kind < CHECK_TOPIC_KIND_COUNT; kind++) {
        struct check_report report = {0};
        struct check_topic_facts facts = {
            .name = "t", .partitions = 1, .replicas_least = 1, .in_sync_least = 1};
        const struct kafka_property *setting = check_topic_settings((enum check_topic_kind)kind);
        for (; setting->name; setting++) {
            if (strcmp(setting->name, "cleanup.policy") == 0)
                facts.cleanup_policy = setting->value;
            else if (strcmp(setting->name, "retention.ms") == 0)
                facts.retention_ms = setting->value;
            else if (strcmp(setting->name, "delete.retention.ms") == 0)
                facts.delete_retention_ms = setting->value;
            else if (strcmp(setting->name, "message.timestamp.type") == 0)
                facts.timestamp_type = setting->value;
            else
                fail_msg("unknown setting %s", setting->name);
        }
        assert_non_null(facts.cleanup_policy);
        check_topic_judge((enum check_topic_kind)kind, &facts, "b:9092", &report);
        assert_int_equal(report.count, 1);
        check_report_release(&report);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_topics),
        cmocka_unit_test(test_created_topics_are_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
