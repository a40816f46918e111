/*
 * record: every call the simulated Terra got, so that a test can ask who called what, when, and
 * with which headers. Calls of the control endpoint are not recorded.
 *
 * A ring: the latest calls are kept, up to a number and to RECORD_BYTES_MAX in all. Sequence
 * numbers count from 1 and go on when the ring is emptied. Headers hold the API key as it came: the
 * sandbox is for keys that open nothing.
 *
 * A call is recorded when it has arrived whole; what became of its answer is filled in later.
 * Times are microseconds: wall time since 1970, and the machine's monotonic clock, in which
 * differences are to be taken and which all processes of one machine share.
 */
#ifndef SANDBOX_RECORD_H
#define SANDBOX_RECORD_H

#include "answer.h"
#include "common/json.h"
#include "request.h"
#include "terra.h"
#include "web.h"

#define RECORDS_DEFAULT 200000
#define RECORD_BYTES_MAX (512u * 1024 * 1024)
#define RECORD_BODY_BYTES_MAX 8192
#define RECORD_HEADER_BYTES_MAX 8192

struct recorder;

/* Keeps at most `records_max`; 0 keeps none and only counts. */
struct recorder *recorder_new(size_t records_max);
void recorder_free(struct recorder *recorder);
void recorder_clear(struct recorder *recorder);

/* The call's sequence number. fault_id: the scripted fault it met, or 0. */
uint64_t recorder_add(struct recorder *recorder, const struct request *request,
    const struct terra_call *call, const struct answer *answer, int64_t fault_id);
/* What became of the answer. Nothing happens when the call is no longer kept. */
void recorder_finish(struct recorder *recorder, uint64_t sequence, enum web_outcome outcome);

/* Which calls; empty fields match all. */
struct record_filter {
    enum endpoint endpoint; /* ENDPOINT_COUNT: any */
    const char *reference_id;
    const char *reference_id_prefix;
    const char *environment;
    uint64_t since;  /* sequence numbers above this */
    unsigned status; /* 0: any */
};

/* {"calls": […], "last": n, "more": bool, "recorded": n, "dropped": n}; `last` is the `since` of
 * the next question. */
void recorder_write_calls(const struct recorder *recorder, const struct record_filter *filter,
    size_t limit, struct json_writer *writer);

/* {"count": n, "busiest_second": n, "new_connections": n, "first_us": …, "last_us": …,
 *  "by_endpoint": {…}, "by_status": {…}, "by_outcome": {…}, "recorded": n, "dropped": n}.
 * busiest_second: the most calls that arrived within any second. new_connections: calls that were
 * the first on their connection. Both times are monotonic, null when nothing matched. */
void recorder_write_count(const struct recorder *recorder, const struct record_filter *filter,
    struct json_writer *writer);

#endif
