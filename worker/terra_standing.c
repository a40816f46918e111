/* terra_standing: see terra_standing.h. */
#include "worker/terra_standing.h"

#include <stdio.h>

#include "common/clock.h"
#include "common/text.h"

enum { RUN_FAILURES = 5 };
#define DOWN_FORGOTTEN_US (10 * CLOCK_US_PER_SECOND)

static void end_run(struct terra_standing *standing)
{
    standing->failures = 0;
    standing->failed[0] = '\0';
    standing->failed_others = false;
}

/* Terra answers, whatever it says. */
static void note_answer(struct terra_standing *standing)
{
    end_run(standing);
    if (standing->state == TERRA_DOWN)
        standing->state = TERRA_WELL;
}

static void note_accepted(struct terra_standing *standing)
{
    note_answer(standing);
    standing->refused[0] = '\0';
    standing->state = TERRA_WELL;
}

static bool is_run(const struct terra_standing *standing)
{
    return standing->failures >= RUN_FAILURES && standing->failed_others;
}

static void note_failure(struct terra_standing *standing, const char *request)
{
    if (standing->failures == 0)
        snprintf(standing->failed, sizeof standing->failed, "%s", request);
    else if (!text_equal(standing->failed, request))
        standing->failed_others = true;
    standing->failures++;
    if (is_run(standing) && standing->state == TERRA_WELL)
        standing->wants_probe = true;
}

static void note_refusal(struct terra_standing *standing, const char *request)
{
    note_answer(standing);
    if (text_empty(standing->refused))
        snprintf(standing->refused, sizeof standing->refused, "%s", request);
    else if (!text_equal(standing->refused, request))
        standing->state = TERRA_KEY_REFUSED;
    standing->wants_probe = true;
}

void terra_standing_note_call(struct terra_standing *standing, unsigned key_generation,
    const char request[DIGEST_HEX_SIZE], const struct terra_answer *answer, bool telling)
{
    bool current = key_generation == standing->key_generation;
    switch (answer->verdict) {
    case TERRA_LINK:
        if (current)
            note_accepted(standing);
        else
            note_answer(standing);
        return;
    case TERRA_CREDENTIALS:
        if (current)
            note_refusal(standing, request);
        return;
    case TERRA_RETRY:
        if (answer->error.code != CONNECT_TERRA_UNAVAILABLE)
            note_answer(standing);
        else if (telling)
            note_failure(standing, request);
        return;
    case TERRA_RETRY_FEW:
        /* Terra's own 500 is often one request's, or the account's; an answer that is too large is
         * nobody's. */
        if (answer->error.http_status != 0)
            note_answer(standing);
        return;
    case TERRA_OTHER_ENDPOINT:
    case TERRA_REJECT:
        note_answer(standing);
        return;
    }
}

static void note_failed_probe(struct terra_standing *standing, int64_t now_us)
{
    if (standing->state == TERRA_WELL && is_run(standing)) {
        standing->state = TERRA_DOWN;
        standing->down_since_us = now_us;
    } else if (standing->state == TERRA_DOWN && !standing->probe_answered &&
               now_us - standing->down_since_us >= DOWN_FORGOTTEN_US) {
        note_answer(standing);
    }
}

void terra_standing_note_probe(struct terra_standing *standing, unsigned key_generation,
    enum terra_probe_verdict verdict, int64_t now_us)
{
    standing->wants_probe = false;
    standing->probe_answered = standing->probe_answered || verdict != TERRA_PROBE_FAILED;
    if (key_generation != standing->key_generation && verdict != TERRA_PROBE_FAILED) {
        note_answer(standing);
        standing->wants_probe = true; /* with the key that it has now */
        return;
    }
    switch (verdict) {
    case TERRA_PROBE_ACCEPTED:
        note_accepted(standing);
        return;
    case TERRA_PROBE_UNCLEAR:
        note_answer(standing);
        return;
    case TERRA_PROBE_REFUSED:
        note_answer(standing);
        standing->state = TERRA_KEY_REFUSED;
        return;
    case TERRA_PROBE_FAILED:
        note_failed_probe(standing, now_us);
        return;
    case TERRA_PROBE_VERDICT_COUNT:
        break;
    }
}

void terra_standing_set_key(struct terra_standing *standing, unsigned key_generation)
{
    standing->key_generation = key_generation;
    standing->refused[0] = '\0';
    standing->wants_probe = true;
    if (standing->state == TERRA_KEY_REFUSED)
        standing->state = TERRA_WELL;
}
