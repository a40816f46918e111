/*
 * cloud_event: the headers of a record we write. Pure.
 *
 * Every output carries CloudEvents 1.0 in binary mode (the Kafka protocol binding: ce_ prefix).
 * ce_id is made from the source record's coordinates and the kind of output, so a repeat is
 * recognisable:
 *
 *   ce_specversion  1.0
 *   ce_id           terra.connect.requests/3/42/connect-reply
 *   ce_source       /terra-connect/<group id>
 *   ce_type         terra-connect.connect-reply.v1
 *   ce_time         2026-11-21T07:04:32.123Z
 *   ce_subject      the reference id; left out when there is none
 *   ce_dataschema   urn:terra-connect:schema:connect-reply:1, the $id of the schema under schemas/
 *   content-type    application/json
 *
 * Invariants: at most CLOUD_EVENT_HEADERS_MAX headers and CLOUD_EVENT_BYTES_MAX bytes of names and
 * values; what does not fit is left out (echoed headers come last and are the caller's to bound).
 * The array and the texts live in the struct, which must not move while they are in use. Usual
 * headers fit into the struct itself; only values that do not are allocated, each for itself.
 */
#ifndef WORKER_CLOUD_EVENT_H
#define WORKER_CLOUD_EVENT_H

#include "common/kafka_message.h"

#define CLOUD_EVENT_HEADERS_MAX 40
#define CLOUD_EVENT_BYTES_MAX (12 * 1024)
#define CLOUD_EVENT_TEXT_SIZE 512

struct cloud_event_headers {
    struct kafka_header headers[CLOUD_EVENT_HEADERS_MAX];
    size_t count;

    /* private */
    size_t bytes;                     /* names and values so far */
    uint64_t allocated;               /* bits by index: the value is memory of its own */
    uint64_t named;                   /* bits by index: so is the name */
    size_t text_size;                 /* of text, in use */
    char text[CLOUD_EVENT_TEXT_SIZE]; /* the values that fit in here */
};

struct cloud_event {
    const char *kind;         /* "connect-reply", …: ends ce_id; in ce_type and ce_dataschema */
    const char *source;       /* ce_source: /terra-connect/<group id> */
    const char *subject;      /* NULL or "": none */
    const char *content_type; /* of the value, a literal; NULL: application/json */
    int64_t time_wall_us;
    /* the source record */
    const char *topic;
    int32_t partition;
    int64_t offset;
};

/* Nothing of the event is used afterwards. */
void cloud_event_headers_init(struct cloud_event_headers *headers, const struct cloud_event *event);
void cloud_event_headers_release(struct cloud_event_headers *headers);

/* One more header; false when it did not fit. The name must outlive the struct; the value is
 * copied; NULL is a null header. */
bool cloud_event_headers_add(
    struct cloud_event_headers *headers, const char *name, const void *value, size_t value_size);
/* The same under a name that is put together, and copied. */
bool cloud_event_headers_add_prefixed(struct cloud_event_headers *headers, const char *prefix,
    const char *name, const void *value, size_t value_size);
bool cloud_event_headers_add_text(
    struct cloud_event_headers *headers, const char *name, const char *value);

#endif
