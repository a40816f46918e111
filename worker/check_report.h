/*
 * check_report: what terra-connect check has found, in order. Pure.
 *
 * One item is one line: a verdict, the area it belongs to, what was looked at, what was seen, and
 * where it is not well what to do about it. Control characters, which may come over the network,
 * become blanks. Past CHECK_REPORT_ITEMS_MAX items nothing is added but the verdict counts.
 *
 * Life cycle: {0} is an empty report; check_report_release.
 */
#ifndef WORKER_CHECK_REPORT_H
#define WORKER_CHECK_REPORT_H

#include <stddef.h>

#include "common/buf.h"

#define CHECK_REPORT_ITEMS_MAX 1000
#define CHECK_REPORT_TEXT_SIZE 2048 /* longer ones are cut */

enum check_verdict {
    CHECK_OK,
    CHECK_WARN, /* it works, and something is not as it should be, or cannot be told */
    CHECK_FAIL, /* the worker cannot do its work with it */
    CHECK_VERDICT_COUNT
};

struct check_item {
    enum check_verdict verdict;
    const char *area; /* a literal: "settings", "kafka", "redis", "terra" */
    char *subject, *message;
    char *advice; /* NULL: nothing is to be done */
};

struct check_report {
    struct check_item *items;
    size_t count;
    size_t verdicts[CHECK_VERDICT_COUNT]; /* how many of each */
};

void check_report_release(struct check_report *report);

void check_report_add(struct check_report *report, enum check_verdict verdict, const char *area,
    const char *subject, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* What to do about the item that was added last. */
void check_report_advise(struct check_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Moves the items of `from` behind those of `report`. */
void check_report_take(struct check_report *report, struct check_report *from);

/* Each of `commands` (ends with NULL) is shown behind the items; NULL: none are. */
void check_report_write_text(
    const struct check_report *report, const char *const *commands, struct buf *text);
/* {"ok": …, "warn": …, "fail": …, "checks": [{"area", "subject", "verdict", "message", "advice"}],
 * "acls": […]}, without a newline. */
void check_report_write_json(
    const struct check_report *report, const char *const *commands, struct buf *text);

#endif
