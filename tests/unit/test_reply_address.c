/* Which topic and partition a reply goes to, and which addresses are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/memory.h"
#include "worker/reply_address.h"

#define DEFAULT_TOPIC "terra.connect.replies"
#define LETTERS_50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LETTERS_249                                                                                \
    LETTERS_50 LETTERS_50 LETTERS_50 LETTERS_50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
                                                "a"

static struct reply_address_rules *make_rules(const char *allowed)
{
    char error[256] = "";
    struct reply_address_rules *rules =
        reply_address_rules_new(DEFAULT_TOPIC, allowed, error, sizeof error);
    assert_string_equal(error, "");
    assert_non_null(rules);
    return rules;
}

/* A header's value as bytes, none behind it that could be read by mistake. */
struct bytes {
    const char *data; /* NULL: no such header */
    size_t size;
};

#define NONE                                                                                       \
    {                                                                                              \
        NULL, 0                                                                                    \
    }
#define BYTES(literal)                                                                             \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

static struct kafka_header *make_header(const char *name, struct bytes bytes)
{
    if (!bytes.data)
        return NULL;
    struct kafka_header *header = memory_new(sizeof *header);
    char *value = malloc(bytes.size ? bytes.size : 1);
    memcpy(value, bytes.data, bytes.size);
    *header = (struct kafka_header){.name = name, .value = value, .value_size = bytes.size};
    return header;
}

static void free_header(struct kafka_header *header)
{
    if (header)
        free((void *)header->value);
    free(header);
}

static bool read_address(const struct reply_address_rules *rules, struct bytes reply_topic,
    struct bytes reply_to, struct bytes partition, struct reply_address *address,
    struct connect_error *error)
{
    struct kafka_header *topic = make_header("kafka_replyTopic", reply_topic);
    struct kafka_header *to = make_header("reply-to", reply_to);
    struct kafka_header *number = make_header("kafka_replyPartition", partition);
    bool good = reply_address_read(rules, topic, to, number, address, error);
    free_header(topic);
    free_header(to);
    free_header(number);
    return good;
}

static void test_addresses_that_are_taken(void **state)
{
    (void)state;
    static const struct {
        const char *allowed;
        struct bytes reply_topic, reply_to, partition;
        const char *topic;
        int32_t number;
        bool is_default, named;
    } cases[] = {
        {"", NONE, NONE, NONE, DEFAULT_TOPIC, -1, true, false},
        {NULL, NONE, NONE, NONE, DEFAULT_TOPIC, -1, true, false},
        {"", BYTES(DEFAULT_TOPIC), NONE, NONE, DEFAULT_TOPIC, -1, true, true},
        {"", NONE, BYTES(DEFAULT_TOPIC), NONE, DEFAULT_TOPIC, -1, true, true},
        {"", NONE, NONE, BYTES("\0\0\0\7"), DEFAULT_TOPIC, 7, false, true},
        {"", BYTES(DEFAULT_TOPIC), NONE, BYTES("\0\0\0\0"), DEFAULT_TOPIC, 0, false, true},
        {"", NONE, NONE, BYTES("\x7f\xff\xff\xff"), DEFAULT_TOPIC, INT32_MAX, false, true},
        {"", NONE, NONE, BYTES("\0\1\2\3"), DEFAULT_TOPIC, 0x010203, false, true},
        {"terra.connect.replies.*", BYTES("terra.connect.replies.web"), NONE, NONE,
            "terra.connect.replies.web", -1, false, true},
        {"terra.connect.replies.*", NONE, BYTES("terra.connect.replies.web"), BYTES("\0\0\0\2"),
            "terra.connect.replies.web", 2, false, true},
        {"a, b ,\tc\n,,", BYTES("a"), NONE, NONE, "a", -1, false, true},
        {"a, b ,\tc\n,,", BYTES("b"), NONE, NONE, "b", -1, false, true},
        {"a, b ,\tc\n,,", BYTES("c"), NONE, NONE, "c", -1, false, true},
        {"a", BYTES("a"), BYTES("a"), NONE, "a", -1, false, true},
        {"*", BYTES("any-Topic_0.9"), NONE, NONE, "any-Topic_0.9", -1, false, true},
        {"*", BYTES(LETTERS_249), NONE, NONE, LETTERS_249, -1, false, true},
        {"__replies*", BYTES("__replies"), NONE, NONE, "__replies", -1, false, true},
        {"__replies", BYTES("__replies"), NONE, NONE, "__replies", -1, false, true},
        {LETTERS_249, BYTES(LETTERS_249), NONE, NONE, LETTERS_249, -1, false, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct reply_address_rules *rules = make_rules(cases[i].allowed);
        struct reply_address address;
        struct connect_error error;
        assert_true(read_address(
            rules, cases[i].reply_topic, cases[i].reply_to, cases[i].partition, &address, &error));
        assert_string_equal(address.topic, cases[i].topic);
        assert_int_equal(address.partition, cases[i].number);
        assert_int_equal(address.is_default, cases[i].is_default);
        assert_int_equal(address.named, cases[i].named);
        reply_address_rules_free(rules);
    }
}

static void test_addresses_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *allowed;
        struct bytes reply_topic, reply_to, partition;
        const char *part; /* of the message */
    } cases[] = {
        {"", BYTES("elsewhere"), NONE, NONE, "the topic elsewhere, which is not allowed"},
        {"", NONE, BYTES("elsewhere"), NONE, "reply-to"},
        {"terra.connect.replies.*", BYTES("terra.connect.repliesX"), NONE, NONE, "not allowed"},
        {"terra.connect.replies.*", BYTES("xterra.connect.replies.a"), NONE, NONE, "not allowed"},
        {"terra.connect.replies.*", BYTES("Terra.connect.replies.a"), NONE, NONE, "not allowed"},
        {"ab", BYTES("a"), NONE, NONE, "not allowed"},
        {"a", BYTES("ab"), NONE, NONE, "not allowed"},
        {"*", BYTES("__consumer_offsets"), NONE, NONE, "not allowed"},
        {"_*", BYTES("__transaction_state"), NONE, NONE, "not allowed"},
        {"*", BYTES(""), NONE, NONE, "no Kafka topic name"},
        {"*", BYTES("."), NONE, NONE, "no Kafka topic name"},
        {"*", BYTES(".."), NONE, NONE, "no Kafka topic name"},
        {"*", BYTES("a b"), NONE, NONE, "no Kafka topic name"},
        {"*", BYTES(" a"), NONE, NONE, "no Kafka topic name"},
        {"*", BYTES("a\n"), NONE, NONE, "no Kafka topic name"},
        {"*", BYTES("a\0"), NONE, NONE, "no Kafka topic name"},
        {"*", BYTES("a\0b"), NONE, NONE, "no Kafka topic name"},
        {"*", BYTES("\0\0\0\1"), NONE, NONE, "no Kafka topic name"},
        {"*", BYTES("\"a\""), NONE, NONE, "no Kafka topic name"},
        {"*", BYTES("a/b"), NONE, NONE, "no Kafka topic name"},
        {"*", BYTES("caf\xc3\xa9"), NONE, NONE, "no Kafka topic name"},
        {"*", BYTES("\xff\xfe"), NONE, NONE, "no Kafka topic name"},
        {"*", BYTES("%s%n"), NONE, NONE, "no Kafka topic name"},
        {"*", BYTES("terra.*"), NONE, NONE, "no Kafka topic name"},
        {"*", BYTES(LETTERS_249 "a"), NONE, NONE, "no Kafka topic name"},
        {"*", BYTES("a"), BYTES("b"), NONE, "different topics"},
        {"*", BYTES("a"), BYTES("a\0"), NONE, "different topics"},
        {"*", BYTES("a"), BYTES(""), NONE, "different topics"},
        {"", NONE, NONE, BYTES(""), "no partition"},
        {"", NONE, NONE, BYTES("3"), "no partition"},
        {"", NONE, NONE, BYTES("\0\0\1"), "no partition"},
        {"", NONE, NONE, BYTES("\0\0\0\0\1"), "no partition"},
        {"", NONE, NONE, BYTES("\x80\0\0\0"), "no partition"},
        {"", NONE, NONE, BYTES("\xff\xff\xff\xff"), "no partition"},
        {"a", BYTES("a"), NONE, BYTES("12"), "no partition"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct reply_address_rules *rules = make_rules(cases[i].allowed);
        struct reply_address address;
        struct connect_error error = {.message = ""};
        assert_false(read_address(
            rules, cases[i].reply_topic, cases[i].reply_to, cases[i].partition, &address, &error));
        assert_int_equal(error.code, CONNECT_REPLY_ADDRESS_REJECTED);
        assert_false(error.retryable);
        assert_non_null(strstr(error.message, cases[i].part));
        assert_string_equal(address.topic, DEFAULT_TOPIC);
        assert_int_equal(address.partition, -1);
        assert_true(address.is_default);
        assert_true(address.named);
        reply_address_rules_free(rules);
    }
}

/* A producer that sets a header without a value has named nothing. */
static void test_null_values_count_as_absent(void **state)
{
    (void)state;
    struct reply_address_rules *rules = make_rules("a");
    const struct kafka_header empty = {.name = "kafka_replyTopic"};
    const struct kafka_header to = {.name = "reply-to", .value = "a", .value_size = 1};
    struct reply_address address;
    struct connect_error error;
    assert_true(reply_address_read(rules, &empty, &empty, &empty, &address, &error));
    assert_false(address.named);
    assert_true(address.is_default);
    assert_true(reply_address_read(rules, &empty, &to, &empty, &address, &error));
    assert_string_equal(address.topic, "a");
    reply_address_rules_free(rules);
}

static void test_set_default(void **state)
{
    (void)state;
    struct reply_address_rules *rules = make_rules("");
    struct reply_address address;
    memset(&address, 0xa5, sizeof address);
    reply_address_set_default(rules, &address);
    assert_string_equal(address.topic, DEFAULT_TOPIC);
    assert_int_equal(address.partition, -1);
    assert_true(address.is_default);
    assert_false(address.named);
    reply_address_rules_free(rules);
}

static void test_lists_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *default_topic, *allowed, *part;
    } cases[] = {
        {"", "", "default reply topic"},
        {"a b", "", "default reply topic"},
        {"..", "", "default reply topic"},
        {LETTERS_249 "a", "", "default reply topic"},
        {"a", "b c", "\"b c\" is no topic name"},
        {"a", "ok,b/c", "\"b/c\" is no topic name"},
        {"a", "b**", "is no topic name"},
        {"a", "*b", "is no topic name"},
        {"a", "b*c", "is no topic name"},
        {"a", ".", "is no topic name"},
        {"a", "..", "is no topic name"},
        {"a", "b;c", "is no topic name"},
        {"a", LETTERS_249 "a", "is no topic name"},
        {"a", LETTERS_249 "a*", "is no topic name"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char error[256] = "";
        assert_null(
            reply_address_rules_new(cases[i].default_topic, cases[i].allowed, error, sizeof error));
        assert_non_null(strstr(error, cases[i].part));
    }
    reply_address_rules_free(NULL);
}

static void test_the_list_has_a_ceiling(void **state)
{
    (void)state;
    char list[REPLY_ADDRESS_RULES_MAX * 2 + 3] = "", error[256] = "";
    for (size_t i = 0; i < REPLY_ADDRESS_RULES_MAX; i++)
        memcpy(list + i * 2, "a,", 3);
    struct reply_address_rules *rules =
        reply_address_rules_new(DEFAULT_TOPIC, list, error, sizeof error);
    assert_non_null(rules);
    reply_address_rules_free(rules);
    memcpy(list + REPLY_ADDRESS_RULES_MAX * 2, "a", 2);
    assert_null(reply_address_rules_new(DEFAULT_TOPIC, list, error, sizeof error));
    assert_non_null(strstr(error, "more than 64 names"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_that_are_taken),
        cmocka_unit_test(test_addresses_that_are_refused),
        cmocka_unit_test(test_null_values_count_as_absent),
        cmocka_unit_test(test_set_default),
        cmocka_unit_test(test_lists_that_are_refused),
        cmocka_unit_test(test_the_list_has_a_ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
