/*
 * sandbox: the parts put together: which request goes to whom, and what is recorded.
 *
 *   web ─▶ control                        paths under /sandbox
 *   web ─▶ terra ─▶ faults ─▶ latency ─▶ recorder ─▶ web     everything else
 *   web ─▶ event_object ─▶ faults ─▶ recorder ─▶ web         paths under /payloads: what the
 *                                                            pointers of Terra's events lead to
 *   control, terra's pages ─▶ connection ─▶ destination ─▶ Kafka     Terra's events
 *
 * A further part stands beside terra, with paths of its own in sandbox_on_request.
 */
#ifndef SANDBOX_SANDBOX_H
#define SANDBOX_SANDBOX_H

#include "fault.h"
#include "kafka.h"
#include "record.h"
#include "terra.h"
#include "web.h"

#define LATENCY_MS_MAX 600000

struct sandbox {
    struct terra terra;
    struct faults faults;
    struct recorder *recorder;
    struct kafka *kafka; /* NULL: none was wanted */
    int64_t latency_us;  /* of every answer of Terra's API */
    int64_t jitter_us;   /* up to this much more */
};

void sandbox_init(struct sandbox *sandbox, size_t records_max);
void sandbox_release(struct sandbox *sandbox);

/* Callbacks for web.h; the context is the sandbox. */
void sandbox_on_request(
    void *context, const struct request *request, struct answer *answer, uint64_t *ticket);
void sandbox_on_finished(void *context, uint64_t ticket, enum web_outcome outcome);

#endif
