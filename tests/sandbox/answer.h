/*
 * answer: what one request gets back, and in which manner. Plain data, filled in by whoever
 * decides; web.c carries it out.
 *
 * Life cycle: answer_init, any use, answer_settle once nothing more is decided, answer_release.
 */
#ifndef SANDBOX_ANSWER_H
#define SANDBOX_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

#define ANSWER_HEADERS_MAX 16
#define ANSWER_BODY_BYTES_MAX (64 * 1024 * 1024)

enum answer_manner {
    ANSWER_WHOLE,          /* as HTTP wants it */
    ANSWER_CLOSE,          /* whole; then the kept connection is closed without notice */
    ANSWER_STALL,          /* not one byte, for as long as the client waits */
    ANSWER_STALL_MID_BODY, /* headers and half of the body, then nothing more */
    ANSWER_DROP,           /* the connection is closed before the first byte */
    ANSWER_RESET,          /* the same, with a TCP reset */
    ANSWER_RESET_MID_BODY, /* headers and half of the body, then a TCP reset */
    ANSWER_HUGE,           /* the body, and blanks behind it up to huge_bytes: only too large */
    ANSWER_WRONG_LENGTH,   /* whole, but Content-Length claims `claimed_bytes`; then closed */
    ANSWER_RAW,            /* the body's bytes in place of any HTTP, then closed */
};

struct answer_header {
    char *name;
    char *value;
};

struct answer {
    enum answer_manner manner;
    unsigned status;
    struct answer_header headers[ANSWER_HEADERS_MAX];
    size_t header_count;
    struct buf body;
    int64_t delay_us;    /* before the first byte */
    uint64_t huge_bytes; /* ANSWER_HUGE: size of the body */
    bool chunked;        /* ANSWER_HUGE: without a Content-Length */
    bool gzip;           /* the body goes out gzip encoded, `gzip_blanks` blanks behind it */
    uint64_t gzip_blanks;
    bool cut;               /* half of the body is left off, with a Content-Length that fits */
    uint64_t claimed_bytes; /* ANSWER_WRONG_LENGTH */
};

void answer_init(struct answer *answer);
void answer_release(struct answer *answer);

/* Replaces a header of that name. Past ANSWER_HEADERS_MAX nothing is added. */
void answer_put_header(struct answer *answer, const char *name, const char *value);
/* Empties body and headers and begins again: this status, this Content-Type (NULL: none), not
 * encoded. */
void answer_begin(struct answer *answer, unsigned status, const char *content_type);
/* Carries out what concerns the body alone: encodes it, cuts it, writes a false length. The manner
 * is then one of those that web.c knows: ANSWER_WRONG_LENGTH has become ANSWER_RAW. */
void answer_settle(struct answer *answer);

#endif
