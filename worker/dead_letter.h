/*
 * dead_letter: the headers of a record that could not be understood and nobody could be answered
 * about. Pure. The value stays the original one, and so does the key, so that the record can be put
 * back where it came from.
 *
 *   __dlq.errors.topic      where the record came from
 *   __dlq.errors.partition
 *   __dlq.errors.offset
 *   __dlq.errors.group      the consumer group that gave it up
 *   __dlq.errors.message    why, in words
 *   error-code              why, for programs
 *
 * and the CloudEvents headers of kind "dead-letter", whose content type is
 * application/octet-stream: the value can be anything. The schema is dead-letter-headers.json under
 * schemas/.
 *
 * The original record's own headers are kept in their order, each under its name behind
 * "__dlq.header.": a header "reply-to" is "__dlq.header.reply-to" on the letter, whatever it is
 * called, so that none can pass for one of ours, and what has that prefix is never ours. Kept are
 * the first DEAD_LETTER_HEADERS_MAX headers whose names (with the prefix) and values have
 * DEAD_LETTER_HEADERS_BYTES_MAX bytes together; how many there was no room for is said in
 *
 *   __dlq.headers.left-out
 *
 * An event that was fetched through a pointer is kept in the pointer's place, since pointers die:
 * the letter's value is then the event, which says
 *
 *   payload-source          fetched
 */
#ifndef WORKER_DEAD_LETTER_H
#define WORKER_DEAD_LETTER_H

#include "worker/cloud_event.h"

#define DEAD_LETTER_HEADERS_MAX 16
#define DEAD_LETTER_HEADERS_BYTES_MAX ((size_t)8 * 1024)

#define DEAD_LETTER_TOPIC "__dlq.errors.topic"
#define DEAD_LETTER_PARTITION "__dlq.errors.partition"
#define DEAD_LETTER_OFFSET "__dlq.errors.offset"
#define DEAD_LETTER_GROUP "__dlq.errors.group"
#define DEAD_LETTER_MESSAGE "__dlq.errors.message"
#define DEAD_LETTER_CODE "error-code"
#define DEAD_LETTER_ORIGINAL "__dlq.header." /* and the name */
#define DEAD_LETTER_LEFT_OUT "__dlq.headers.left-out"
#define DEAD_LETTER_SOURCE "payload-source"
#define DEAD_LETTER_FETCHED "fetched"
#define DEAD_LETTER_SIZE "payload-size"
#define DEAD_LETTER_SHA256 "payload-sha256"

struct dead_letter {
    const char *code;    /* error-code */
    const char *message; /* never holds a link, a key or the payload */
    const char *group;
    const char *source; /* ce_source */
    const struct kafka_record *record;
    /* The record's headers in order; false past the end. NULL: none are kept. */
    bool (*header_at)(const struct kafka_record *record, size_t index, struct kafka_header *header);
    /* The value that was fetched through the record, which is then the letter's; NULL: the letter's
     * value is the record's. Where it is too large to be kept, the headers tell its size. */
    const void *fetched;
    size_t fetched_size;
    int64_t time_wall_us;
};

/* Inits the headers; release them with cloud_event_headers_release. */
void dead_letter_headers(struct cloud_event_headers *headers, const struct dead_letter *letter);

/* The letter that the broker refuses for its size is written without its value; these headers say
 * what it was: payload-size in bytes and payload-sha256 in hex, as sha256sum prints it. */
void dead_letter_headers_without_value(
    struct cloud_event_headers *headers, const struct dead_letter *letter);

#endif
