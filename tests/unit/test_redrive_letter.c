/* Which letters go back, where to, and with which headers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/redrive_letter.h"

#define HEADERS_MAX 80

/* A letter with its headers, by name and text. */
struct given {
    struct kafka_record record;
    struct kafka_header headers[HEADERS_MAX];
    size_t count;
};

static bool header_at(const struct kafka_record *record, size_t index, struct kafka_header *header)
{
    const struct given *given = (const struct given *)record;
    if (index >= given->count)
        return false;
    *header = given->headers[index];
    return true;
}

static void add(struct given *given, const char *name, const char *value)
{
    given->headers[given->count++] = (struct kafka_header){
        .name = name, .value = value, .value_size = value ? strlen(value) : 0};
}

static struct given make(const char *code, const char *topic)
{
    struct given given = {.record = {.topic = "terra.dead-letters",
                              .partition = 1,
                              .offset = 17,
                              .timestamp_ms = 1000,
                              .key = "u1",
                              .key_size = 2,
                              .value = "x",
                              .value_size = 1}};
    if (code)
        add(&given, "error-code", code);
    if (topic)
        add(&given, "__dlq.errors.topic", topic);
    return given;
}

static const struct redrive_choice any = {.topics = {"requests", "raw"}, .topic_count = 2};

static enum redrive_verdict read_with(
    const struct given *given, const struct redrive_choice *choice)
{
    struct redrive_letter letter;
    return redrive_letter_read(&letter, &given->record, header_at, choice);
}

static void test_where_letters_may_go(void **state)
{
    (void)state;
    static const struct {
        const char *code, *topic, *name, *value; /* one header more, or NULL */
        enum redrive_verdict verdict, with_expired;
    } rows[] = {
        {"invalid_request", "requests", NULL, NULL, REDRIVE_PUT_BACK, REDRIVE_PUT_BACK},
        {"invalid_event", "raw", NULL, NULL, REDRIVE_PUT_BACK, REDRIVE_PUT_BACK},
        {"a", "request", NULL, NULL, REDRIVE_FOREIGN_TOPIC, REDRIVE_FOREIGN_TOPIC},
        {"a", "requestss", NULL, NULL, REDRIVE_FOREIGN_TOPIC, REDRIVE_FOREIGN_TOPIC},
        {"a", "", NULL, NULL, REDRIVE_FOREIGN_TOPIC, REDRIVE_FOREIGN_TOPIC},
        {"a", "terra.dead-letters", NULL, NULL, REDRIVE_FOREIGN_TOPIC, REDRIVE_FOREIGN_TOPIC},
        {NULL, "requests", NULL, NULL, REDRIVE_UNREADABLE, REDRIVE_UNREADABLE},
        {"A code", "requests", NULL, NULL, REDRIVE_UNREADABLE, REDRIVE_UNREADABLE},
        {"a", NULL, NULL, NULL, REDRIVE_UNREADABLE, REDRIVE_UNREADABLE},
        {"a", "requests", "payload-size", "5", REDRIVE_WITHOUT_VALUE, REDRIVE_WITHOUT_VALUE},
        {"payload_expired", "raw", NULL, NULL, REDRIVE_EXPIRED, REDRIVE_PUT_BACK},
        {"payload_expired", "raw", "payload-source", "fetched", REDRIVE_PUT_BACK, REDRIVE_PUT_BACK},
        {"payload_expired", "raw", "payload-source", "x", REDRIVE_EXPIRED, REDRIVE_PUT_BACK},
        /* of equal names the last; what the original record had is none of ours */
        {"a", "requests", "__dlq.errors.topic", "else", REDRIVE_FOREIGN_TOPIC,
            REDRIVE_FOREIGN_TOPIC},
        {"a", "requests", "__dlq.header.payload-size", "5", REDRIVE_PUT_BACK, REDRIVE_PUT_BACK},
        {"a", "requests", "__dlq.header.__dlq.errors.topic", "x", REDRIVE_PUT_BACK,
            REDRIVE_PUT_BACK},
    };
    struct redrive_choice expired = any;
    expired.expired = true;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct given given = make(rows[i].code, rows[i].topic);
        if (rows[i].name)
            add(&given, rows[i].name, rows[i].value);
        if (read_with(&given, &any) != rows[i].verdict ||
            read_with(&given, &expired) != rows[i].with_expired)
            fail_msg("row %zu: %s", i, redrive_verdict_name(read_with(&given, &any)));
    }
}

static void test_which_are_chosen(void **state)
{
    (void)state;
    static const struct {
        struct redrive_choice choice;
        bool chosen;
    } rows[] = {
        {{.codes = {"b", "a"}, .code_count = 2}, true},
        {{.codes = {"b"}, .code_count = 1}, false},
        {{.since_ms = 1000}, true},
        {{.since_ms = 1001}, false},
        {{.until_ms = 1001}, true},
        {{.until_ms = 1000}, false},
        {{.key = "u1"}, true},
        {{.key = "u"}, false},
        {{.key = "u11"}, false},
        {{.topic = "requests"}, true},
        {{.topic = "raw"}, false},
    };
    const struct given given = make("a", "requests");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct redrive_choice choice = rows[i].choice;
        choice.topics[0] = "requests";
        choice.topic_count = 1;
        enum redrive_verdict expected = rows[i].chosen ? REDRIVE_PUT_BACK : REDRIVE_NOT_CHOSEN;
        if (read_with(&given, &choice) != expected)
            fail_msg("row %zu", i);
    }
    struct given timeless = make("a", "requests");
    timeless.record.timestamp_ms = -1;
    struct redrive_choice until = any;
    until.until_ms = 1;
    assert_int_equal(read_with(&timeless, &until), REDRIVE_NOT_CHOSEN);
    struct given keyless = make("a", "requests");
    keyless.record.key = NULL;
    struct redrive_choice key = any;
    key.key = "";
    assert_int_equal(read_with(&keyless, &key), REDRIVE_NOT_CHOSEN);
}

static void assert_header(
    const struct redrive_letter *letter, size_t i, const char *name, const char *value)
{
    assert_string_equal(letter->headers[i].name, name);
    assert_int_equal(letter->headers[i].value_size, value ? strlen(value) : 0);
    if (value)
        assert_memory_equal(letter->headers[i].value, value, strlen(value));
    else
        assert_null(letter->headers[i].value);
}

static void test_the_original_headers_come_back(void **state)
{
    (void)state;
    struct given given = make("a", "raw");
    add(&given, "ce_id", "ours");
    add(&given, "__dlq.header.reply-to", "1");
    add(&given, "__dlq.header.ce_id", "theirs");
    add(&given, "__dlq.header.redriven-from", "before");
    add(&given, "__dlq.header.reply-to", NULL);
    add(&given, "__dlq.headers.left-out", "3");
    struct redrive_letter letter;
    assert_int_equal(
        redrive_letter_read(&letter, &given.record, header_at, &any), REDRIVE_PUT_BACK);
    assert_string_equal(letter.code, "a");
    assert_string_equal(letter.topic, "raw");
    assert_string_equal(letter.place, "terra.dead-letters/1/17");
    assert_int_equal(letter.left_out, 3);
    assert_int_equal(letter.header_count, 4);
    assert_header(&letter, 0, "reply-to", "1");
    assert_header(&letter, 1, "ce_id", "theirs");
    assert_header(&letter, 2, "reply-to", NULL);
    assert_header(&letter, 3, "redriven-from", "terra.dead-letters/1/17");
}

static void test_more_headers_than_there_is_room_for(void **state)
{
    (void)state;
    struct given given = make("a", "raw");
    while (given.count < HEADERS_MAX)
        add(&given, "__dlq.header.n", "v");
    struct redrive_letter letter;
    assert_int_equal(
        redrive_letter_read(&letter, &given.record, header_at, &any), REDRIVE_PUT_BACK);
    assert_int_equal(letter.header_count, REDRIVE_HEADERS_MAX);
    assert_header(&letter, REDRIVE_HEADERS_MAX - 1, "redriven-from", "terra.dead-letters/1/17");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_where_letters_may_go),
        cmocka_unit_test(test_which_are_chosen),
        cmocka_unit_test(test_the_original_headers_come_back),
        cmocka_unit_test(test_more_headers_than_there_is_room_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
