/*
 * check_kafka: the Kafka area of terra-connect check: brokers and login, the topics that the flows
 * use, reply topics, groups, the transactional id, what this client may do; with --create-topics it
 * makes the topics that are missing. See check_run.h.
 *
 * All questions but the last are asked one after the other on libuv's thread pool (kafka_admin.h).
 * The last, what the newest raw events are (check_raw.h), is asked on the loop.
 */
#ifndef WORKER_CHECK_KAFKA_H
#define WORKER_CHECK_KAFKA_H

#include "worker/check_run.h"

struct check_kafka;

struct check_kafka *check_kafka_new(const struct check_run *run, struct check_report *report);
void check_kafka_free(struct check_kafka *check);

/* Kafka denied something that the flows need. Once it has ended. */
bool check_kafka_was_denied(const struct check_kafka *check);

#endif
