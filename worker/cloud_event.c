/* cloud_event: see cloud_event.h. */
#include "worker/cloud_event.h"

#include <assert.h>
#include <inttypes.h>

#include "common/clock.h"
#include "common/memory.h"
#include "common/text.h"

/* The longest value made here is ce_id, with a topic name of 249 characters. */
enum { VALUE_SIZE = 384 };

static_assert(CLOUD_EVENT_HEADERS_MAX <= 64, "a bit for each header");

/* A value that lives elsewhere for as long as the headers do. */
static bool add_constant(
    struct cloud_event_headers *headers, const char *name, const void *value, size_t value_size)
{
    /* The value alone first: the sum of sizes from outside could wrap around. */
    if (headers->count == CLOUD_EVENT_HEADERS_MAX || value_size > CLOUD_EVENT_BYTES_MAX ||
        headers->bytes + strlen(name) + value_size > CLOUD_EVENT_BYTES_MAX)
        return false;
    headers->bytes += strlen(name) + value_size;
    headers->headers[headers->count++] =
        (struct kafka_header){.name = name, .value = value, .value_size = value_size};
    return true;
}

bool cloud_event_headers_add(
    struct cloud_event_headers *headers, const char *name, const void *value, size_t value_size)
{
    if (!value)
        return add_constant(headers, name, NULL, 0);
    if (!add_constant(headers, name, "", value_size))
        return false;
    struct kafka_header *added = &headers->headers[headers->count - 1];
    if (value_size > sizeof headers->text - headers->text_size) {
        added->value = memory_copy(value, value_size);
        headers->allocated |= UINT64_C(1) << (headers->count - 1);
    } else if (value_size > 0) {
        added->value = memcpy(headers->text + headers->text_size, value, value_size);
        headers->text_size += value_size;
    }
    return true;
}

bool cloud_event_headers_add_prefixed(struct cloud_event_headers *headers, const char *prefix,
    const char *name, const void *value, size_t value_size)
{
    size_t prefix_size = strlen(prefix), name_size = strlen(name);
    char *whole = memory_new(prefix_size + name_size + 1);
    memcpy(whole, prefix, prefix_size);
    memcpy(whole + prefix_size, name, name_size);
    if (!cloud_event_headers_add(headers, whole, value, value_size)) {
        free(whole);
        return false;
    }
    headers->named |= UINT64_C(1) << (headers->count - 1);
    return true;
}

bool cloud_event_headers_add_text(
    struct cloud_event_headers *headers, const char *name, const char *value)
{
    return cloud_event_headers_add(headers, name, value, strlen(value));
}

/* Without printf: this is done for every record. */
static void add_joined(struct cloud_event_headers *headers, const char *name, const char *before,
    const char *kind, const char *after)
{
    char value[VALUE_SIZE];
    size_t before_size = strlen(before), kind_size = strlen(kind), after_size = strlen(after);
    assert(before_size + kind_size + after_size <= sizeof value);
    memcpy(value, before, before_size);
    memcpy(value + before_size, kind, kind_size);
    memcpy(value + before_size + kind_size, after, after_size);
    cloud_event_headers_add(headers, name, value, before_size + kind_size + after_size);
}

void cloud_event_headers_init(struct cloud_event_headers *headers, const struct cloud_event *event)
{
    char id[VALUE_SIZE], time[CLOCK_RFC3339_SIZE];
    const char *content_type = event->content_type ? event->content_type : "application/json";

    headers->count = 0;
    headers->bytes = 0;
    headers->allocated = headers->named = 0;
    headers->text_size = 0;
    snprintf(id, sizeof id, "%s/%" PRId32 "/%" PRId64 "/%s", event->topic, event->partition,
        event->offset, event->kind);
    clock_format_rfc3339(event->time_wall_us, time);

    add_constant(headers, "ce_specversion", "1.0", strlen("1.0"));
    cloud_event_headers_add_text(headers, "ce_id", id);
    cloud_event_headers_add_text(headers, "ce_source", event->source);
    add_joined(headers, "ce_type", "terra-connect.", event->kind, ".v1");
    cloud_event_headers_add_text(headers, "ce_time", time);
    if (!text_empty(event->subject))
        cloud_event_headers_add_text(headers, "ce_subject", event->subject);
    add_joined(headers, "ce_dataschema", "urn:terra-connect:schema:", event->kind, ":1");
    add_constant(headers, "content-type", content_type, strlen(content_type));
}

void cloud_event_headers_release(struct cloud_event_headers *headers)
{
    for (size_t i = 0; i < headers->count; i++) {
        if (headers->allocated & (UINT64_C(1) << i))
            free((void *)headers->headers[i].value);
        if (headers->named & (UINT64_C(1) << i))
            free((char *)headers->headers[i].name);
    }
    headers->count = 0;
    headers->allocated = headers->named = 0;
}
