/* The CloudEvents headers of a record. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/memory.h"
#include "worker/cloud_event.h"

/* 2026-11-21T07:04:32.123Z */
#define TIME_US INT64_C(1795244672123456)

static const struct cloud_event reply_event = {
    .kind = "connect-reply",
    .source = "/terra-connect/terra-connect",
    .subject = "u1",
    .time_wall_us = TIME_US,
    .topic = "terra.connect.requests",
    .partition = 3,
    .offset = 42,
};

static const struct kafka_header *find(const struct cloud_event_headers *headers, const char *name)
{
    const struct kafka_header *found = NULL;
    for (size_t i = 0; i < headers->count; i++)
        if (strcmp(headers->headers[i].name, name) == 0) {
            assert_null(found);
            found = &headers->headers[i];
        }
    return found;
}

static void assert_header(
    const struct cloud_event_headers *headers, const char *name, const char *value)
{
    const struct kafka_header *header = find(headers, name);
    assert_non_null(header);
    assert_int_equal(header->value_size, strlen(value));
    assert_memory_equal(header->value, value, header->value_size);
}

static void test_all_headers_of_a_reply(void **state)
{
    (void)state;
    struct cloud_event_headers headers;
    cloud_event_headers_init(&headers, &reply_event);
    assert_int_equal(headers.count, 8);
    assert_header(&headers, "ce_specversion", "1.0");
    assert_header(&headers, "ce_id", "terra.connect.requests/3/42/connect-reply");
    assert_header(&headers, "ce_source", "/terra-connect/terra-connect");
    assert_header(&headers, "ce_type", "terra-connect.connect-reply.v1");
    assert_header(&headers, "ce_time", "2026-11-21T07:04:32.123Z");
    assert_header(&headers, "ce_subject", "u1");
    assert_header(&headers, "ce_dataschema", "urn:terra-connect:schema:connect-reply:1");
    assert_header(&headers, "content-type", "application/json");
    cloud_event_headers_release(&headers);
    assert_int_equal(headers.count, 0);
}

static void test_no_subject_and_another_content_type(void **state)
{
    (void)state;
    struct cloud_event_headers headers;
    struct cloud_event event = reply_event;
    event.subject = NULL;
    event.content_type = "application/octet-stream";
    cloud_event_headers_init(&headers, &event);
    assert_null(find(&headers, "ce_subject"));
    assert_header(&headers, "content-type", "application/octet-stream");
    cloud_event_headers_release(&headers);

    event.subject = "";
    cloud_event_headers_init(&headers, &event);
    assert_null(find(&headers, "ce_subject"));
    cloud_event_headers_release(&headers);
}

/* The same record and kind give the same id; partition, offset and kind are told apart. */
static void test_the_id_names_the_source(void **state)
{
    (void)state;
    struct cloud_event_headers headers;
    struct cloud_event event = reply_event;
    char topic[250];
    char expected[300];
    memset(topic, 't', sizeof topic - 1);
    topic[sizeof topic - 1] = '\0';
    event.topic = topic;
    event.partition = INT32_MAX;
    event.offset = INT64_MAX;
    event.kind = "connect-outcome";
    cloud_event_headers_init(&headers, &event);
    snprintf(expected, sizeof expected, "%s/2147483647/9223372036854775807/connect-outcome", topic);
    assert_header(&headers, "ce_id", expected);
    cloud_event_headers_release(&headers);
}

static void test_added_headers_are_copied(void **state)
{
    (void)state;
    struct cloud_event_headers headers;
    char value[] = {'\0', '\xff', 'x'};
    cloud_event_headers_init(&headers, &reply_event);
    assert_true(cloud_event_headers_add(&headers, "kafka_correlationId", value, sizeof value));
    assert_true(cloud_event_headers_add(&headers, "tracestate", "", 0));
    assert_true(cloud_event_headers_add(&headers, "correlation-id", NULL, 7));
    assert_true(cloud_event_headers_add_text(&headers, "error-code", "internal_error"));
    char name[] = "name";
    assert_true(cloud_event_headers_add_prefixed(&headers, "a.", name, value, 1));
    memset(value, 'z', sizeof value);
    memset(name, 'z', sizeof name - 1);
    assert_int_equal(find(&headers, "a.name")->value_size, 1);
    assert_memory_equal(find(&headers, "a.name")->value, "\0", 1);

    const struct kafka_header *correlation = find(&headers, "kafka_correlationId");
    assert_int_equal(correlation->value_size, 3);
    assert_memory_equal(correlation->value, "\0\xffx", 3);
    assert_non_null(find(&headers, "tracestate")->value);
    assert_int_equal(find(&headers, "tracestate")->value_size, 0);
    assert_null(find(&headers, "correlation-id")->value);
    assert_int_equal(find(&headers, "correlation-id")->value_size, 0);
    assert_header(&headers, "error-code", "internal_error");
    cloud_event_headers_release(&headers);
}

/* Values larger than what the struct holds, mixed with small ones, stay where they are. */
static void test_large_values_stay_in_place(void **state)
{
    (void)state;
    struct cloud_event_headers headers;
    char large[3000];
    memset(large, 'L', sizeof large);
    cloud_event_headers_init(&headers, &reply_event);
    assert_true(cloud_event_headers_add(&headers, "a", large, sizeof large));
    assert_true(cloud_event_headers_add(&headers, "b", "small", 5));
    assert_true(cloud_event_headers_add(&headers, "c", large, sizeof large));
    assert_true(cloud_event_headers_add(&headers, "d", "small", 5));
    memset(large, 0, sizeof large);
    assert_int_equal(find(&headers, "a")->value_size, sizeof large);
    assert_int_equal(((const char *)find(&headers, "a")->value)[2999], 'L');
    assert_int_equal(((const char *)find(&headers, "c")->value)[0], 'L');
    assert_header(&headers, "b", "small");
    assert_header(&headers, "d", "small");
    assert_header(&headers, "ce_id", "terra.connect.requests/3/42/connect-reply");
    cloud_event_headers_release(&headers);
}

static void test_the_ceilings(void **state)
{
    (void)state;
    struct cloud_event_headers headers;
    char *value = memory_new(CLOUD_EVENT_BYTES_MAX + 1);
    cloud_event_headers_init(&headers, &reply_event);
    assert_false(cloud_event_headers_add(&headers, "x", value, CLOUD_EVENT_BYTES_MAX + 1));
    assert_false(cloud_event_headers_add(&headers, "x", value, SIZE_MAX));
    assert_false(cloud_event_headers_add(&headers, "x", value, CLOUD_EVENT_BYTES_MAX));
    size_t left = CLOUD_EVENT_BYTES_MAX - headers.bytes;
    assert_false(cloud_event_headers_add(&headers, "x", value, left));
    assert_int_equal(headers.count, 8);
    assert_true(cloud_event_headers_add(&headers, "x", value, left - 1));
    assert_false(cloud_event_headers_add(&headers, "y", NULL, 0));
    cloud_event_headers_release(&headers);

    cloud_event_headers_init(&headers, &reply_event);
    for (size_t i = 8; i < CLOUD_EVENT_HEADERS_MAX; i++)
        assert_true(cloud_event_headers_add(&headers, "x", value, 100));
    assert_false(cloud_event_headers_add(&headers, "x", value, 1));
    assert_int_equal(headers.count, CLOUD_EVENT_HEADERS_MAX);
    cloud_event_headers_release(&headers);
    free(value);
}

/* A struct that was only zeroed, or was released, can be released. */
static void test_release_twice(void **state)
{
    (void)state;
    struct cloud_event_headers headers = {.count = 0};
    cloud_event_headers_release(&headers);
    cloud_event_headers_init(&headers, &reply_event);
    cloud_event_headers_release(&headers);
    cloud_event_headers_release(&headers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_headers_of_a_reply),
        cmocka_unit_test(test_no_subject_and_another_content_type),
        cmocka_unit_test(test_the_id_names_the_source),
        cmocka_unit_test(test_added_headers_are_copied),
        cmocka_unit_test(test_large_values_stay_in_place),
        cmocka_unit_test(test_the_ceilings),
        cmocka_unit_test(test_release_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
