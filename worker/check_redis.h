/*
 * check_redis: the Redis area of terra-connect check: reachable, which version, its role, what it
 * evicts, whether a script may run and write under our prefix, its clock. See check_run.h.
 *
 * The script keeps one key for a second; nothing else is written.
 */
#ifndef WORKER_CHECK_REDIS_H
#define WORKER_CHECK_REDIS_H

#include "worker/check_run.h"

struct check_redis;

struct check_redis *check_redis_new(const struct check_run *run, struct check_report *report);
void check_redis_free(struct check_redis *check);

#endif
