/* connection_memory: see connection_memory.h. */
#include "worker/connection_memory.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/digest.h"
#include "common/expiring_table.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/metrics.h"
#include "common/text.h"

#define KEY_SIZE 256
#define LOCAL_BYTES_MAX ((size_t)128 * 1024 * 1024)
#define DAY_US (86400 * CLOCK_US_PER_SECOND)
/* The flow asks again, so giving up early costs nothing but the repetition. */
#define REDIS_TIMEOUT_US (2 * CLOCK_US_PER_SECOND)

static const int64_t keep_us[] = {
    [CONNECTION_MEMORY_LIVE] = 400 * DAY_US,
    [CONNECTION_MEMORY_ENDED] = 30 * DAY_US,
};

struct connection_memory {
    struct connection_memory_options options;
    struct expiring_table *local; /* NULL: in Redis */
    struct deferred_queue deferred;
    struct metric *found_total, *absent_total, *kept_total, *unavailable_total;
};

static void make_key(
    const struct connection_memory *memory, const char *user_id, char key[KEY_SIZE])
{
    char hex[DIGEST_HEX_SIZE];
    digest_bytes(user_id, strlen(user_id), hex);
    /* 128 bits of the digest are plenty. */
    snprintf(key, KEY_SIZE, "%s:connection:%.32s", memory->options.key_prefix, hex);
}

/* ---- answers of Redis ---- */

/* An error of this kind stays for ever, so it must not make the flow ask for ever. */
static bool is_other_type(const struct redis_answer *answer)
{
    return answer->outcome == REDIS_ERROR && text_starts_with(answer->text, "WRONGTYPE");
}

static bool is_unavailable(
    const struct connection_memory_ticket *ticket, const struct redis_answer *answer)
{
    if (answer->outcome == REDIS_ANSWERED || is_other_type(answer))
        return false;
    static struct log_limit limit;
    metric_add(ticket->memory->unavailable_total, 1);
    log_limited(&limit, 10000, LOG_LEVEL_WARN, "connection_memory",
        "Redis did not answer; the states of connections wait until it does",
        LOG_CONTEXT(ticket->log),
        LOG_TEXT("reason", answer->outcome == REDIS_ERROR ? answer->text : "unavailable"));
    return true;
}

static bool is_usable(
    const struct connection_memory_ticket *ticket, const struct redis_answer *answer)
{
    if (answer->outcome == REDIS_ANSWERED &&
        (answer->kind == REDIS_NIL ||
            (answer->kind == REDIS_TEXT && answer->text_size <= CONNECTION_MEMORY_BYTES_MAX)))
        return answer->kind == REDIS_TEXT;
    static struct log_limit limit;
    log_limited(&limit, 10000, LOG_LEVEL_WARN, "connection_memory",
        "what Redis has in the place of a connection's state is none, and is ignored",
        LOG_CONTEXT(ticket->log));
    return false;
}

static void on_found_answer(struct redis_command *command, const struct redis_answer *answer)
{
    struct connection_memory_ticket *ticket = command->context;
    struct connection_memory *memory = ticket->memory;
    if (is_unavailable(ticket, answer)) {
        ticket->on_found(ticket, CONNECTION_MEMORY_UNAVAILABLE, NULL, 0);
    } else if (is_usable(ticket, answer)) {
        metric_add(memory->found_total, 1);
        ticket->on_found(ticket, CONNECTION_MEMORY_FOUND, answer->text, answer->text_size);
    } else {
        metric_add(memory->absent_total, 1);
        ticket->on_found(ticket, CONNECTION_MEMORY_ABSENT, NULL, 0);
    }
}

static void on_kept_answer(struct redis_command *command, const struct redis_answer *answer)
{
    struct connection_memory_ticket *ticket = command->context;
    bool ok = !is_unavailable(ticket, answer);
    if (ok)
        metric_add(ticket->memory->kept_total, 1);
    ticket->on_kept(ticket, ok);
}

/* ---- answers of this process ---- */

static void on_local_answer(struct deferred *item)
{
    struct connection_memory_ticket *ticket = item->context;
    struct connection_memory *memory = ticket->memory;
    if (ticket->keeping) {
        metric_add(memory->kept_total, 1);
        ticket->on_kept(ticket, true);
        return;
    }
    void *found = ticket->found; /* the ticket may be used again, or go, in its callback */
    metric_add(found ? memory->found_total : memory->absent_total, 1);
    ticket->on_found(ticket, found ? CONNECTION_MEMORY_FOUND : CONNECTION_MEMORY_ABSENT, found,
        ticket->found_size);
    free(found);
}

static void answer_locally(struct connection_memory_ticket *ticket)
{
    ticket->deferred = (struct deferred){.run = on_local_answer, .context = ticket};
    deferred_queue_add(&ticket->memory->deferred, &ticket->deferred);
}

/* ---- for the owner ---- */

void connection_memory_find(
    struct connection_memory *memory, struct connection_memory_ticket *ticket, const char *user_id)
{
    char key[KEY_SIZE];
    make_key(memory, user_id, key);
    ticket->memory = memory;
    ticket->keeping = false;
    if (memory->local) {
        ticket->found_size = 0;
        const void *found = expiring_table_find(memory->local, key, &ticket->found_size);
        ticket->found = found ? memory_copy(found, ticket->found_size) : NULL;
        answer_locally(ticket);
        return;
    }
    const char *arguments[] = {"GET", key};
    ticket->command = (struct redis_command){.on_answer = on_found_answer, .context = ticket};
    redis_client_send(
        memory->options.redis, &ticket->command, REDIS_TIMEOUT_US, 2, arguments, NULL);
}

void connection_memory_keep(struct connection_memory *memory,
    struct connection_memory_ticket *ticket, const char *user_id, const void *bytes, size_t size,
    enum connection_memory_life life)
{
    char key[KEY_SIZE], keep_ms[24];
    assert(size <= CONNECTION_MEMORY_BYTES_MAX);
    make_key(memory, user_id, key);
    ticket->memory = memory;
    ticket->keeping = true;
    if (memory->local) {
        expiring_table_put(memory->local, key, bytes, size, keep_us[life]);
        answer_locally(ticket);
        return;
    }
    snprintf(keep_ms, sizeof keep_ms, "%" PRId64, keep_us[life] / CLOCK_US_PER_MS);
    const char *arguments[] = {"SET", key, bytes, "PX", keep_ms};
    const size_t sizes[] = {3, strlen(key), size, 2, strlen(keep_ms)};
    ticket->command = (struct redis_command){.on_answer = on_kept_answer, .context = ticket};
    redis_client_send(memory->options.redis, &ticket->command, REDIS_TIMEOUT_US,
        sizeof arguments / sizeof arguments[0], arguments, sizes);
}

struct connection_memory *connection_memory_new(
    uv_loop_t *loop, const struct connection_memory_options *options)
{
    static const char name[] = "terra_connect_connection_memory_total";
    static const char help[] =
        "Reads (found, absent) and writes (kept) of connection states; unavailable: Redis did not "
        "answer, tried again.";
    struct connection_memory *memory = memory_new(sizeof *memory);
    memory->options = *options;
    deferred_queue_init(&memory->deferred, loop);
    if (!options->redis) {
        unsigned entries_max = options->local_entries_max;
        memory->local = expiring_table_new(
            entries_max > 0 ? entries_max : CONNECTION_MEMORY_LOCAL_ENTRIES_MAX, LOCAL_BYTES_MAX);
    }
    memory->found_total = metrics_counter(name, "outcome=\"found\"", help);
    memory->absent_total = metrics_counter(name, "outcome=\"absent\"", help);
    memory->kept_total = metrics_counter(name, "outcome=\"kept\"", help);
    memory->unavailable_total = metrics_counter(name, "outcome=\"unavailable\"", help);
    return memory;
}

void connection_memory_close(struct connection_memory *memory)
{
    deferred_queue_close(&memory->deferred);
}

void connection_memory_free(struct connection_memory *memory)
{
    if (!memory)
        return;
    expiring_table_free(memory->local);
    free(memory);
}
