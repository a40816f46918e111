/*
 * redrive_letter: a dead letter read back, and whether it is put back where it came from. Pure.
 *
 * What is put back has the letter's key and value, and the original record's headers as the letter
 * kept them (dead_letter.h), in their order, and then
 *
 *   redriven-from   the letter's topic/partition/offset
 *
 * which takes the place of one that the original had, so that a record that fails again and again
 * does not grow.
 *
 * The letters topic is input like any other: letters go to the topics of the choice alone, whatever
 * their headers say.
 */
#ifndef WORKER_REDRIVE_LETTER_H
#define WORKER_REDRIVE_LETTER_H

#include <stdbool.h>

#include "common/kafka_message.h"

#define REDRIVE_CODES_MAX 32
#define REDRIVE_TOPICS_MAX 4
#define REDRIVE_HEADERS_MAX 64 /* more than a letter keeps */
#define REDRIVE_CODE_SIZE 65
#define REDRIVE_PLACE_SIZE 300
#define REDRIVE_HEADER "redriven-from"
#define REDRIVE_CODE_EXPIRED "payload_expired"

/* Which letters; NULL or 0: any. */
struct redrive_choice {
    const char *codes[REDRIVE_CODES_MAX];
    size_t code_count;
    int64_t since_ms, until_ms; /* when the letter was written: from, and before */
    const char *key;
    const char *topic; /* that the record came from */
    bool expired;      /* also pointers whose payload is gone */
    /* where letters may go */
    const char *topics[REDRIVE_TOPICS_MAX];
    size_t topic_count;
};

enum redrive_verdict {
    REDRIVE_PUT_BACK,
    REDRIVE_NOT_CHOSEN,
    /* Chosen, and left where they are: */
    REDRIVE_UNREADABLE,    /* no error code or no source among its headers */
    REDRIVE_FOREIGN_TOPIC, /* came from a topic that is not ours to write to */
    REDRIVE_WITHOUT_VALUE, /* was too large to be kept */
    REDRIVE_EXPIRED,       /* a pointer whose payload is gone */
    REDRIVE_VERDICT_COUNT
};

/* Points into the record. */
struct redrive_letter {
    char code[REDRIVE_CODE_SIZE];   /* "" when unreadable */
    char place[REDRIVE_PLACE_SIZE]; /* its own topic/partition/offset */
    const char *topic;              /* one of the choice's; NULL unless it is put back */
    unsigned left_out;              /* headers that the letter did not keep */
    struct kafka_header headers[REDRIVE_HEADERS_MAX];
    size_t header_count;
};

/* header_at: the record's headers in order; false past the end. The letter must not move. */
enum redrive_verdict redrive_letter_read(struct redrive_letter *letter,
    const struct kafka_record *record,
    bool (*header_at)(const struct kafka_record *record, size_t index, struct kafka_header *header),
    const struct redrive_choice *choice);

/* "without_value", …: for programs, and "without their value", …: for people. */
const char *redrive_verdict_name(enum redrive_verdict verdict);
const char *redrive_verdict_text(enum redrive_verdict verdict);

#endif
