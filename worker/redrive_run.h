/*
 * redrive_run: one run over the dead letters: read, choose, put back, report.
 *
 *   kafka_reader ─▶ redrive_letter ─▶ kafka_producer ─▶ redrive_report ─▶ line_writer
 *
 * Letters are read up to where the topic ended when the run began, so that those which its own work
 * brings about are not among them, and each is put back once: what the library reads again after
 * trouble is passed over, and its producer is idempotent. A record's outcome is its delivery
 * report. The run ends early, when what is in flight has been reported, at the first record that
 * Kafka does not take (unless only its size is wrong), at redrive_run_interrupt, and when its
 * output cannot be written.
 *
 * Ceilings: REDRIVE_IN_FLIGHT_MAX letters and REDRIVE_IN_FLIGHT_BYTES_MAX bytes of values between
 * reading and report, whatever the rate.
 *
 * Life cycle: redrive_run_new begins it; on_ended comes once, with nothing left open, and the run
 * is gone.
 */
#ifndef WORKER_REDRIVE_RUN_H
#define WORKER_REDRIVE_RUN_H

#include <uv.h>

#include "worker/command.h"
#include "worker/redrive_options.h"

#define REDRIVE_IN_FLIGHT_MAX 256
#define REDRIVE_IN_FLIGHT_BYTES_MAX ((size_t)16 * 1024 * 1024)

struct redrive_run;

struct redrive_run_options {
    const struct config *config;           /* used until on_ended */
    const struct redrive_options *options; /* likewise */
    void (*on_ended)(void *context, enum exit_code exit_code);
    void *context;
};

/* NULL, with a message, when a setting is refused. */
struct redrive_run *redrive_run_new(
    uv_loop_t *loop, const struct redrive_run_options *options, char *error, size_t error_size);
void redrive_run_interrupt(struct redrive_run *run);

#endif
