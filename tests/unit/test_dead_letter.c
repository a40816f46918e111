/* The headers that say where a dead letter came from and why it is one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/dead_letter.h"

static const struct kafka_record record = {
    .topic = "terra.connect.requests",
    .partition = 3,
    .offset = 42,
    .value = "abc",
    .value_size = 3,
};

static struct dead_letter make_letter(const struct kafka_record *from)
{
    return (struct dead_letter){
        .code = "invalid_request",
        .message = "caller: the value is no JSON",
        .group = "terra-connect",
        .source = "/terra-connect/terra-connect",
        .record = from,
        .time_wall_us = INT64_C(1795244672123456),
    };
}

/* The headers of every record with `header_at`; the value of "null" is null. */
static struct kafka_header originals[64];
static size_t original_count;

static bool original_at(const struct kafka_record *from, size_t index, struct kafka_header *header)
{
    assert_ptr_equal(from, &record);
    if (index >= original_count)
        return false;
    *header = originals[index];
    return true;
}

static void add_original(const char *name, const char *value)
{
    originals[original_count++] = (struct kafka_header){
        .name = name, .value = value, .value_size = value ? strlen(value) : 0};
}

static const char *value_of(const struct cloud_event_headers *headers, const char *name)
{
    static char text[1024];
    for (size_t i = 0; i < headers->count; i++)
        if (strcmp(headers->headers[i].name, name) == 0) {
            snprintf(text, sizeof text, "%.*s", (int)headers->headers[i].value_size,
                (const char *)headers->headers[i].value);
            return text;
        }
    return "(none)";
}

static void assert_origin(const struct cloud_event_headers *headers)
{
    assert_string_equal(value_of(headers, "__dlq.errors.topic"), "terra.connect.requests");
    assert_string_equal(value_of(headers, "__dlq.errors.partition"), "3");
    assert_string_equal(value_of(headers, "__dlq.errors.offset"), "42");
    assert_string_equal(value_of(headers, "__dlq.errors.group"), "terra-connect");
    assert_string_equal(value_of(headers, "__dlq.errors.message"), "caller: the value is no JSON");
    assert_string_equal(value_of(headers, "error-code"), "invalid_request");
    assert_string_equal(value_of(headers, "ce_id"), "terra.connect.requests/3/42/dead-letter");
    assert_string_equal(value_of(headers, "ce_type"), "terra-connect.dead-letter.v1");
    assert_string_equal(
        value_of(headers, "ce_dataschema"), "urn:terra-connect:schema:dead-letter:1");
    assert_string_equal(value_of(headers, "content-type"), "application/octet-stream");
    assert_string_equal(value_of(headers, "ce_subject"), "(none)");
}

static void test_a_letter_with_its_value(void **state)
{
    (void)state;
    struct cloud_event_headers headers;
    const struct dead_letter letter = make_letter(&record);
    dead_letter_headers(&headers, &letter);
    assert_origin(&headers);
    assert_string_equal(value_of(&headers, "payload-size"), "(none)");
    assert_string_equal(value_of(&headers, "payload-sha256"), "(none)");
    cloud_event_headers_release(&headers);
}

static void test_a_letter_without_its_value(void **state)
{
    (void)state;
    struct cloud_event_headers headers;
    const struct dead_letter letter = make_letter(&record);
    dead_letter_headers_without_value(&headers, &letter);
    assert_origin(&headers);
    assert_string_equal(value_of(&headers, "payload-size"), "3");
    assert_string_equal(value_of(&headers, "payload-sha256"),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    cloud_event_headers_release(&headers);
}

static void test_a_null_value(void **state)
{
    (void)state;
    struct cloud_event_headers headers;
    struct kafka_record tombstone = record;
    tombstone.value = NULL;
    tombstone.value_size = 0;
    const struct dead_letter letter = make_letter(&tombstone);
    dead_letter_headers_without_value(&headers, &letter);
    assert_string_equal(value_of(&headers, "payload-size"), "0");
    assert_string_equal(value_of(&headers, "payload-sha256"),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    cloud_event_headers_release(&headers);
}

static void test_original_headers_are_kept(void **state)
{
    (void)state;
    struct cloud_event_headers headers;
    struct dead_letter letter = make_letter(&record);
    letter.header_at = original_at;
    original_count = 0;
    add_original("reply-to", "somewhere");
    add_original("ce_id", "theirs"); /* none of ours is touched */
    add_original("error-code", "theirs too");
    add_original("reply-to", "again");
    add_original("", "no name");
    add_original("null", NULL);
    dead_letter_headers(&headers, &letter);
    assert_origin(&headers);
    static const struct {
        const char *name, *value;
    } expected[] = {
        {"__dlq.header.reply-to", "somewhere"},
        {"__dlq.header.ce_id", "theirs"},
        {"__dlq.header.error-code", "theirs too"},
        {"__dlq.header.reply-to", "again"},
        {"__dlq.header.", "no name"},
        {"__dlq.header.null", NULL},
    };
    const struct kafka_header *kept = &headers.headers[headers.count - 6];
    for (size_t i = 0; i < 6; i++) {
        assert_string_equal(kept[i].name, expected[i].name);
        if (expected[i].value)
            assert_memory_equal(kept[i].value, expected[i].value, kept[i].value_size);
        else
            assert_null(kept[i].value);
    }
    assert_string_equal(value_of(&headers, "__dlq.headers.left-out"), "(none)");
    cloud_event_headers_release(&headers);
}

static size_t count_kept(const struct cloud_event_headers *headers)
{
    size_t count = 0;
    for (size_t i = 0; i < headers->count; i++)
        count += strncmp(headers->headers[i].name, "__dlq.header.", 13) == 0;
    return count;
}

/* And the rest is counted. */
static void test_original_headers_have_a_ceiling(void **state)
{
    (void)state;
    static char large[DEAD_LETTER_HEADERS_BYTES_MAX + 1];
    memset(large, 'x', sizeof large - 1);
    static const struct {
        size_t sizes[4]; /* of values, under the name "n" (so 14 bytes more); 0: no more */
        size_t kept;
        const char *left_out;
    } rows[] = {
        {{DEAD_LETTER_HEADERS_BYTES_MAX - 14}, 1, "(none)"},
        {{DEAD_LETTER_HEADERS_BYTES_MAX - 13}, 0, "1"},
        {{100, DEAD_LETTER_HEADERS_BYTES_MAX - 100, 100}, 1, "2"},
        {{4000, 4000, 100, 500}, 3, "1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cloud_event_headers headers;
        struct dead_letter letter = make_letter(&record);
        letter.header_at = original_at;
        original_count = 0;
        for (size_t k = 0; k < 4 && rows[i].sizes[k] > 0; k++)
            add_original("n", large + sizeof large - 1 - rows[i].sizes[k]);
        dead_letter_headers_without_value(&headers, &letter);
        assert_origin(&headers);
        assert_int_equal(count_kept(&headers), rows[i].kept);
        assert_string_equal(value_of(&headers, "__dlq.headers.left-out"), rows[i].left_out);
        assert_string_equal(value_of(&headers, "payload-size"), "3");
        cloud_event_headers_release(&headers);
    }
}

static void test_more_headers_than_are_kept(void **state)
{
    (void)state;
    struct cloud_event_headers headers;
    struct dead_letter letter = make_letter(&record);
    letter.header_at = original_at;
    letter.fetched = "[]";
    letter.fetched_size = 2;
    original_count = 0;
    while (original_count < 64)
        add_original("n", "v");
    dead_letter_headers_without_value(&headers, &letter);
    assert_int_equal(count_kept(&headers), DEAD_LETTER_HEADERS_MAX);
    assert_string_equal(value_of(&headers, "__dlq.headers.left-out"), "48");
    assert_string_equal(value_of(&headers, "payload-source"), "fetched");
    assert_string_equal(value_of(&headers, "payload-size"), "2");
    assert_string_equal(value_of(&headers, "payload-sha256"),
        "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945");
    cloud_event_headers_release(&headers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_letter_with_its_value),
        cmocka_unit_test(test_a_letter_without_its_value),
        cmocka_unit_test(test_a_null_value),
        cmocka_unit_test(test_original_headers_are_kept),
        cmocka_unit_test(test_original_headers_have_a_ceiling),
        cmocka_unit_test(test_more_headers_than_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
