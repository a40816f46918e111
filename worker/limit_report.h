/*
 * limit_report: how one shared limit is shown to a person, or as one line of JSON.
 *
 *   default
 *     limit in force   5/s, burst 5, set for another 1 h 59 min
 *     setting          10/s, burst 10
 *     …
 *
 * The setting is this program's own; a worker may have another. What the workers really have is
 * known from Redis: as an interval between two calls, not as they wrote it.
 */
#ifndef WORKER_LIMIT_REPORT_H
#define WORKER_LIMIT_REPORT_H

#include "common/buf.h"
#include "worker/admission_control.h"
#include "worker/environment.h"

void limit_report_write(
    const struct environment *environment, const struct admission_state *state, struct buf *text);
void limit_report_write_json(
    const struct environment *environment, const struct admission_state *state, struct buf *line);

#endif
