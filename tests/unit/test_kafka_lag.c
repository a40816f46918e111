/* A consumer's lag, from statistics as librdkafka writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/kafka_lag.h"

/* Around the partitions of the topic that is read. */
#define STATISTICS(partitions)                                                                     \
    "{\"name\":\"rdkafka#consumer-1\",\"brokers\":{\"b/1\":{\"rtt\":{\"avg\":3}}},\"topics\":{"    \
    "\"other\":{\"partitions\":{\"0\":{\"committed_offset\":0,\"ls_offset\":900}}},"               \
    "\"read\":{\"topic\":\"read\",\"partitions\":{" partitions "}}},\"cgrp\":{\"state\":\"up\"}}"
#define PARTITION(number, committed, taken, low, end)                                              \
    "\"" number "\":{\"partition\":" number ",\"app_offset\":" taken                               \
    ",\"committed_offset\":" committed ",\"lo_offset\":" low ",\"ls_offset\":" end "}"
#define NONE "-1001"

static void test_lag(void **state)
{
    (void)state;
    static const struct {
        const char *statistics;
        int64_t lag, lag_by_transactions;
    } cases[] = {
        {STATISTICS(PARTITION("0", "10", "12", "0", "15")), 5, 3},
        {STATISTICS(PARTITION("0", "15", "15", "0", "15")), 0, 0},
        {STATISTICS(PARTITION("0", "10", NONE, "0", "15")), 5, 5},
        /* two of ours; then those of others, and what the library keeps for no partition */
        {STATISTICS(PARTITION("0", "1", "1", "0", "3") "," PARTITION("1", "1", "1", "0", "8")), 9,
            9},
        {STATISTICS(PARTITION("0", "1", "1", "0", "3") "," PARTITION("2", "1", "1", "0", "8")), 2,
            2},
        {STATISTICS(PARTITION("0", "1", "1", "0", "3") "," PARTITION("-1", "1", "1", "0", "8")), 2,
            2},
        /* a new group has all of the topic before it */
        {STATISTICS(PARTITION("0", NONE, NONE, "100", "130")), 30, 30},
        {STATISTICS(PARTITION("0", NONE, "120", "100", "130")), 30, 10},
        {STATISTICS(PARTITION("0", NONE, NONE, NONE, "130")), 0, 0},
        /* the end is not known yet, or is older than the commit */
        {STATISTICS(PARTITION("0", "10", "12", "0", NONE)), 0, 0},
        {STATISTICS(PARTITION("0", "10", "12", "0", "9")), 0, 0},
        {STATISTICS("\"0\":{\"committed_offset\":\"10\",\"ls_offset\":15}"), 0, 0},
        {STATISTICS("\"0\":7"), 0, 0},
        {STATISTICS(""), 0, 0},
        {"{\"topics\":{}}", 0, 0},
        {"{\"topics\":[]}", -1, -1},
        {"{}", -1, -1},
        {"", -1, -1},
        {"{\"topics\":{", -1, -1},
    };
    rd_kafka_topic_partition_list_t *assigned = rd_kafka_topic_partition_list_new(2);
    rd_kafka_topic_partition_list_add(assigned, "read", 0);
    rd_kafka_topic_partition_list_add(assigned, "read", 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *text = cases[i].statistics;
        assert_int_equal(kafka_lag_read(text, strlen(text), assigned, false), cases[i].lag);
        assert_int_equal(
            kafka_lag_read(text, strlen(text), assigned, true), cases[i].lag_by_transactions);
    }
    rd_kafka_topic_partition_list_destroy(assigned);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lag)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
