/*
 * redrive_report: what a run of terra-connect redrive did: a line for each letter and a summary at
 * the end, for people or as JSON. Pure.
 */
#ifndef WORKER_REDRIVE_REPORT_H
#define WORKER_REDRIVE_REPORT_H

#include "common/buf.h"
#include "worker/redrive_letter.h"

#define REDRIVE_REPORT_CODES_MAX 64
#define REDRIVE_LINE_BYTES_MAX ((size_t)256 * 1024)

struct redrive_report {
    bool dry_run;
    int64_t started_wall_us;
    struct redrive_code_report {
        char code[REDRIVE_CODE_SIZE];
        uint64_t counts[REDRIVE_VERDICT_COUNT];
        uint64_t failed;                   /* Kafka did not take them */
    } codes[REDRIVE_REPORT_CODES_MAX + 1]; /* the last: all others */
    size_t code_count;
    uint64_t put_back, failed, skipped;
    bool complete; /* every letter there was at the start has been looked at */
};

/* {0} is an empty report; each letter is counted once. */
void redrive_report_count(
    struct redrive_report *report, const char *code, enum redrive_verdict verdict);
void redrive_report_count_failed(struct redrive_report *report, const char *code);

/* A letter that was put back, or would have been; reason: why that failed, else NULL. */
void redrive_report_letter(const struct redrive_report *report, const struct redrive_letter *letter,
    const struct kafka_record *record, const char *reason, bool json, struct buf *line);
/* Without the last newline. */
void redrive_report_summary(const struct redrive_report *report, bool json, struct buf *text);

#endif
