/* redis_notes: see redis_notes.h. */
#include "common/redis_notes.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"

#define NOTE_TIMEOUT_US (2 * CLOCK_US_PER_SECOND)

struct redis_notes {
    struct redis_notes_options options;
    unsigned outstanding;
};

struct note {
    struct redis_notes *notes;
    struct redis_command command;
    char *key, *value; /* for on_kept; NULL where nobody wants to know */
};

static void count_lost(struct redis_notes *notes, const char *reason)
{
    static struct log_limit limit;
    metric_add(notes->options.lost_total, 1);
    log_limited(&limit, 10000, LOG_LEVEL_WARN, notes->options.area,
        "Redis did not take what was to be remembered", LOG_TEXT("reason", reason));
}

static const char *reason_of(const struct redis_answer *answer)
{
    if (answer->outcome == REDIS_ERROR)
        return answer->text;
    return answer->outcome == REDIS_TIMEOUT ? "no answer in time" : "unavailable";
}

static void on_answer(struct redis_command *command, const struct redis_answer *answer)
{
    struct note *note = command->context;
    struct redis_notes *notes = note->notes;
    notes->outstanding--;
    if (answer->outcome == REDIS_ANSWERED) {
        metric_add(notes->options.kept_total, 1);
        if (notes->options.on_kept)
            notes->options.on_kept(notes->options.context, note->key, note->value);
    } else {
        count_lost(notes, reason_of(answer));
    }
    free(note->key);
    free(note->value);
    free(note);
}

void redis_notes_set(struct redis_notes *notes, const char *key, const char *value, int64_t keep_us)
{
    if (notes->outstanding >= REDIS_NOTES_MAX) {
        count_lost(notes, "too many wait for Redis");
        return;
    }
    notes->outstanding++;
    struct note *note = memory_new(sizeof *note);
    note->notes = notes;
    note->command = (struct redis_command){.on_answer = on_answer, .context = note};
    if (notes->options.on_kept) {
        note->key = memory_copy_text(key);
        note->value = memory_copy_text(value);
    }
    char keep_ms[24];
    int64_t ms = keep_us / CLOCK_US_PER_MS;
    snprintf(keep_ms, sizeof keep_ms, "%" PRId64, ms > 0 ? ms : 1);
    const char *arguments[] = {"SET", key, value, "PX", keep_ms};
    redis_client_send(notes->options.client, &note->command, NOTE_TIMEOUT_US,
        sizeof arguments / sizeof arguments[0], arguments, NULL);
}

struct redis_notes *redis_notes_new(const struct redis_notes_options *options)
{
    struct redis_notes *notes = memory_new(sizeof *notes);
    notes->options = *options;
    return notes;
}

void redis_notes_free(struct redis_notes *notes)
{
    if (!notes)
        return;
    assert(notes->outstanding == 0);
    free(notes);
}
