/*
 * dead_letter: the headers of a record that could not be understood and nobody could be answered
 * about. Pure. The value stays the original one, and so does the key.
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
 */
#ifndef WORKER_DEAD_LETTER_H
#define WORKER_DEAD_LETTER_H

#include "worker/cloud_event.h"

struct dead_letter {
    const char *code;    /* error-code */
    const char *message; /* never holds a link, a key or the payload */
    const char *group;
    const char *source; /* ce_source */
    const struct kafka_record *record;
    int64_t time_wall_us;
};

/* Inits the headers; release them with cloud_event_headers_release. */
void dead_letter_headers(struct cloud_event_headers *headers, const struct dead_letter *letter);

/* The letter that the broker refuses for its size is written without its value; these headers say
 * what it was: payload-size in bytes and payload-sha256 in hex, as sha256sum prints it. */
void dead_letter_headers_without_value(
    struct cloud_event_headers *headers, const struct dead_letter *letter);

#endif
