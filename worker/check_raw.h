/*
 * check_raw: what the newest records of the raw events topic are. Where most are data, which the
 * worker reads only to throw it away, the destination at Terra wants a filter.
 *
 * A pointer does not say what it leads to, so pointers are told of but not judged.
 *
 * Life cycle: as of an area (check_run.h).
 */
#ifndef WORKER_CHECK_RAW_H
#define WORKER_CHECK_RAW_H

#include "worker/check_run.h"

struct check_raw;

struct check_raw *check_raw_new(const struct check_run *run, struct check_report *report);
void check_raw_free(struct check_raw *check);

#endif
