/* event_memory: see event_memory.h. */
#include "worker/event_memory.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/expiring_table.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/metrics.h"
#include "common/redis_notes.h"

#define LOCAL_BYTES_MAX ((size_t)16 * 1024 * 1024)
/* How long this process goes by its own notes beside Redis: a repeat follows soon (Terra sends
 * again what it believes lost), and another worker may have accepted a newer event since. */
#define RECENT_US (60 * CLOCK_US_PER_SECOND)
/* Nobody waits in front of a screen for an event. */
#define REDIS_TIMEOUT_US (2 * CLOCK_US_PER_SECOND)

/* What this process noted itself about a subject. */
struct recent {
    char identity[DIGEST_HEX_SIZE];
    bool kept; /* Redis has taken it */
};

struct event_memory {
    struct event_memory_options options;
    struct redis_notes *notes; /* NULL: in this process only */
    struct expiring_table *recent;
    struct deferred_queue deferred;
    struct metric *new_total, *repeat_total, *unavailable_total;
    struct metric *notes_kept_total, *notes_lost_total;
};

static void make_key(
    const struct event_memory *memory, const char *subject, char key[EVENT_MEMORY_KEY_SIZE])
{
    char hex[DIGEST_HEX_SIZE];
    digest_bytes(subject, strlen(subject), hex);
    /* 128 bits of the digest are plenty. */
    snprintf(key, EVENT_MEMORY_KEY_SIZE, "%s:event:%.32s", memory->options.key_prefix, hex);
}

/* ---- asking ---- */

/* The table in event_memory.h. text: what Redis has, or NULL. What lies there is only compared. */
static bool is_repeat(struct event_memory_ticket *ticket, const char *text)
{
    const struct recent *recent = expiring_table_find(ticket->memory->recent, ticket->key, NULL);
    bool same_here = recent && strcmp(recent->identity, ticket->identity) == 0;
    if (!text)
        return same_here;
    if (recent && !recent->kept && !same_here)
        return false;
    return strcmp(text, ticket->identity) == 0;
}

static void tell(struct event_memory_ticket *ticket, const char *text)
{
    struct event_memory *memory = ticket->memory;
    bool repeat = is_repeat(ticket, text);
    metric_add(repeat ? memory->repeat_total : memory->new_total, 1);
    ticket->on_answer(ticket, repeat);
}

static void on_answer(struct redis_command *command, const struct redis_answer *answer)
{
    struct event_memory_ticket *ticket = command->context;
    if (answer->outcome != REDIS_ANSWERED) {
        static struct log_limit limit;
        metric_add(ticket->memory->unavailable_total, 1);
        log_limited(&limit, 10000, LOG_LEVEL_WARN, "event_memory",
            "Redis did not answer; repeated events may pass until it does",
            LOG_CONTEXT(ticket->log),
            LOG_TEXT("reason", answer->outcome == REDIS_ERROR ? answer->text : "unavailable"));
    }
    bool known = answer->outcome == REDIS_ANSWERED && answer->kind == REDIS_TEXT;
    tell(ticket, known ? answer->text : NULL);
}

static void on_local_answer(struct deferred *item)
{
    tell(item->context, NULL);
}

void event_memory_ask(struct event_memory *memory, struct event_memory_ticket *ticket,
    const char *subject, const char identity[DIGEST_HEX_SIZE])
{
    ticket->memory = memory;
    make_key(memory, subject, ticket->key);
    memcpy(ticket->identity, identity, DIGEST_HEX_SIZE);
    if (!memory->options.redis) {
        ticket->deferred = (struct deferred){.run = on_local_answer, .context = ticket};
        deferred_queue_add(&memory->deferred, &ticket->deferred);
        return;
    }
    const char *arguments[] = {"GET", ticket->key};
    ticket->command = (struct redis_command){.on_answer = on_answer, .context = ticket};
    redis_client_send(
        memory->options.redis, &ticket->command, REDIS_TIMEOUT_US, 2, arguments, NULL);
}

/* ---- noting ---- */

static void on_note_kept(void *context, const char *key, const char *value)
{
    struct event_memory *memory = context;
    struct recent *recent = expiring_table_find(memory->recent, key, NULL);
    if (recent && strcmp(recent->identity, value) == 0)
        recent->kept = true;
}

void event_memory_note(
    struct event_memory *memory, const char *subject, const char identity[DIGEST_HEX_SIZE])
{
    char key[EVENT_MEMORY_KEY_SIZE];
    int64_t keep_us = memory->options.keep_us;
    struct recent recent = {.kept = false};
    memcpy(recent.identity, identity, DIGEST_HEX_SIZE);
    make_key(memory, subject, key);
    if (memory->notes) {
        redis_notes_set(memory->notes, key, identity, keep_us);
        if (keep_us > RECENT_US)
            keep_us = RECENT_US;
    } else {
        metric_add(memory->notes_kept_total, 1);
    }
    expiring_table_put(memory->recent, key, &recent, sizeof recent, keep_us);
}

/* ---- life cycle ---- */

static void register_metrics(struct event_memory *memory)
{
    static const char asked[] = "terra_connect_event_memory_total";
    static const char asked_help[] = "Questions whether an event is a repeat, by the answer.";
    static const char notes[] = "terra_connect_event_notes_total";
    static const char notes_help[] =
        "Accepted events noted, to know their repeats, by what became of the note.";
    memory->new_total = metrics_counter(asked, "outcome=\"new\"", asked_help);
    memory->repeat_total = metrics_counter(asked, "outcome=\"repeat\"", asked_help);
    memory->unavailable_total = metrics_counter("terra_connect_event_memory_unavailable_total",
        NULL, "Questions whether an event is a repeat that Redis did not answer.");
    memory->notes_kept_total = metrics_counter(notes, "outcome=\"kept\"", notes_help);
    memory->notes_lost_total = metrics_counter(notes, "outcome=\"lost\"", notes_help);
}

struct event_memory *event_memory_new(uv_loop_t *loop, const struct event_memory_options *options)
{
    struct event_memory *memory = memory_new(sizeof *memory);
    unsigned entries_max = options->local_entries_max;
    memory->options = *options;
    memory->recent = expiring_table_new(
        entries_max > 0 ? entries_max : EVENT_MEMORY_LOCAL_ENTRIES_MAX, LOCAL_BYTES_MAX);
    deferred_queue_init(&memory->deferred, loop);
    register_metrics(memory);
    if (options->redis) {
        memory->notes = redis_notes_new(&(struct redis_notes_options){
            .client = options->redis,
            .area = "event_memory",
            .kept_total = memory->notes_kept_total,
            .lost_total = memory->notes_lost_total,
            .on_kept = on_note_kept,
            .context = memory,
        });
    }
    return memory;
}

void event_memory_close(struct event_memory *memory)
{
    deferred_queue_close(&memory->deferred);
}

void event_memory_free(struct event_memory *memory)
{
    if (!memory)
        return;
    redis_notes_free(memory->notes);
    expiring_table_free(memory->recent);
    free(memory);
}
