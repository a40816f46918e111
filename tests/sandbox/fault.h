/*
 * fault: scripted faults: what the next calls get in place of, or on the way
 * to, their ordinary answer.
 *
 * A script is a list; each call takes the first entry that matches it and still has calls left.
 * As JSON, where every field may be left out:
 *
 *   which calls
 *     endpoint              a name of endpoint.h; without it any but pages and payloads
 *     reference_id_prefix   the reference id begins with this
 *     environment           whose credential the call carried
 *     kept_connection       true: not the first request on its connection
 *     skip                  let this many matching calls pass first
 *     count                 how many calls; default 1; 0: until deleted
 *
 *   what they get
 *     kind     how (default "answer"):
 *       answer          `status`, `body` and headers where given; else the ordinary answer, which
 *                       is how a mere delay is written
 *       html            an HTML page; status 500 unless given
 *       empty           no body; status 500 unless given
 *       null_message    {"message": null}; status 500 unless given
 *       truncated       whole as HTTP, but the body ends half way through its JSON, or, where it
 *                       is gzip encoded, half way through that
 *       gzip_bomb       gzip encoded; unpacks to the body and blanks behind it up to `bytes`
 *                       (default 1 MiB, at most 1 GiB)
 *       wrong_length    the answer, but Content-Length claims `bytes` (default 1 MiB); then closed
 *       huge            blanks behind the body up to `bytes` (default 1 MiB), `chunked` without a
 *                       length
 *       stall           not one byte
 *       stall_mid_body  headers and half of the body, then nothing more
 *       drop            the connection is closed without a byte
 *       reset           the same with a TCP reset
 *       reset_mid_body  headers and half of the body, then a TCP reset
 *       close           the answer, then the kept connection is closed without notice
 *       raw             the text `body` in place of HTTP, then closed
 *     status             200..599; without a body it gets the one Terra would send
 *     body               text, or any other JSON value, sent as JSON
 *     headers            object of texts
 *     retry_after        seconds: a Retry-After header in that form
 *     retry_after_date   seconds from the answer on, sent as an HTTP date
 *     delay_ms           before the first byte, at most ten minutes
 */
#ifndef SANDBOX_FAULT_H
#define SANDBOX_FAULT_H

#include "answer.h"
#include "common/json.h"
#include "request.h"
#include "terra.h"

#define FAULTS_MAX 1000
#define FAULT_DELAY_MS_MAX 600000
#define FAULT_ERROR_SIZE 160

struct fault;

struct faults {
    struct fault *list; /* in order of addition */
    unsigned count;
    int64_t last_id;
};

void faults_clear(struct faults *faults);
/* False when there is no fault of that id. */
bool faults_delete(struct faults *faults, int64_t id);

/* Adds what the JSON says; 0 with the reason in error when it cannot be read, else its id. */
int64_t faults_add(struct faults *faults, const json_value *script, char error[FAULT_ERROR_SIZE]);

/* Applies the first that matches to the answer; its id, or 0. */
int64_t faults_apply(struct faults *faults, const struct request *request,
    const struct terra_call *call, struct answer *answer);

/* An array of id, the script as given, calls so far, and what is left. */
void faults_write(const struct faults *faults, struct json_writer *writer);

#endif
