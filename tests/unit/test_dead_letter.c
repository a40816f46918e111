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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_letter_with_its_value),
        cmocka_unit_test(test_a_letter_without_its_value),
        cmocka_unit_test(test_a_null_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
