/* sandbox: the parts put together; see sandbox.h. */
#include "sandbox.h"

#include "common/backoff.h"
#include "common/text.h"
#include "control.h"

void sandbox_init(struct sandbox *sandbox, size_t records_max)
{
    *sandbox = (struct sandbox){.recorder = recorder_new(records_max)};
    terra_init(&sandbox->terra);
}

void sandbox_release(struct sandbox *sandbox)
{
    faults_clear(&sandbox->faults);
    recorder_free(sandbox->recorder);
    destination_free(sandbox->terra.destination);
    terra_release(&sandbox->terra);
    kafka_free(sandbox->kafka);
}

static int64_t latency_us(const struct sandbox *sandbox, const struct terra_call *call)
{
    if (!endpoint_is_api(call->endpoint))
        return 0;
    if (sandbox->jitter_us == 0)
        return sandbox->latency_us;
    uint64_t jitter_us = backoff_random() % ((uint64_t)sandbox->jitter_us + 1);
    return sandbox->latency_us + (int64_t)jitter_us;
}

void sandbox_on_request(
    void *context, const struct request *request, struct answer *answer, uint64_t *ticket)
{
    struct sandbox *sandbox = context;
    if (text_equal(request->path, "/sandbox") || text_starts_with(request->path, "/sandbox/")) {
        control_answer(sandbox, request, answer);
        *ticket = 0;
        return;
    }
    struct terra_call call;
    struct destination *destination = sandbox->terra.destination;
    if (destination != NULL && text_starts_with(request->path, "/payloads/"))
        event_objects_answer(destination_objects(destination), request, &call, answer);
    else
        terra_answer(&sandbox->terra, request, &call, answer);
    int64_t fault_id = faults_apply(&sandbox->faults, request, &call, answer);
    answer->delay_us += latency_us(sandbox, &call);
    *ticket = recorder_add(sandbox->recorder, request, &call, answer, fault_id);
    answer_settle(answer);
}

void sandbox_on_finished(void *context, uint64_t ticket, enum web_outcome outcome)
{
    struct sandbox *sandbox = context;
    recorder_finish(sandbox->recorder, ticket, outcome);
}
