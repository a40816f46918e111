/* link_memory: see link_memory.h. */
#include "worker/link_memory.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/digest.h"
#include "common/expiring_table.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/metrics.h"
#include "common/redis_notes.h"
#include "common/text.h"

#define KEY_SIZE 256
#define VALUE_BYTES_MAX 4096
#define LOCAL_BYTES_MAX ((size_t)32 * 1024 * 1024)
/* Nobody waits in front of a screen for an event, and what is not found now is missing from it for
 * good: longer than for a reply. */
#define REDIS_TIMEOUT_US (2 * CLOCK_US_PER_SECOND)
/* 2^53: up to here a double holds every integer. */
#define WALL_US_MAX 9007199254740992.0

struct link_memory {
    struct link_memory_options options;
    struct redis_notes *notes;    /* NULL: in this process only */
    struct expiring_table *local; /* NULL: in Redis */
    struct deferred_queue deferred;
    struct metric *asked_total[LINK_MATCH_COUNT]; /* by what was found */
    struct metric *unavailable_total;
    struct metric *notes_kept_total, *notes_lost_total;
};

static void make_key(
    const struct link_memory *memory, enum link_match kind, const char *id, char key[KEY_SIZE])
{
    static const char *const names[LINK_MATCH_COUNT] = {"", "session", "user", "reference"};
    char hex[DIGEST_HEX_SIZE];
    digest_bytes(id, strlen(id), hex);
    /* 128 bits of the digest are plenty. */
    snprintf(key, KEY_SIZE, "%s:link:%s:%.32s", memory->options.key_prefix, names[kind], hex);
}

/* ---- values ---- */

static void encode_fact(const struct link_fact *fact, struct buf *json)
{
    struct json_writer writer;
    json_writer_init(&writer, json);
    json_open_object(&writer, NULL);
    json_put_text(&writer, "request_id", fact->request_id);
    json_put_text(&writer, "reference_id", fact->reference_id);
    json_put_text(&writer, "environment", fact->environment);
    json_put_text(&writer, "provider", fact->provider);
    json_put_integer(&writer, "answered_wall_us", fact->answered_wall_us);
    json_close_object(&writer);
}

/* What lies in Redis is input like any other. The tree owns the fact's texts; NULL: nothing. */
static json_value *decode_fact(
    const char *data, size_t size, struct link_fact *fact, const struct log_context *log)
{
    static const struct json_limits limits = {
        .bytes_max = VALUE_BYTES_MAX, .depth_max = 2, .values_max = 32};
    struct json_error error = {0};
    json_value *tree = json_parse(data, size, &limits, &error);
    double answered = 0;
    *fact = (struct link_fact){0};
    if (tree && json_get_text(tree, "request_id", &fact->request_id) == JSON_FOUND &&
        json_get_text(tree, "reference_id", &fact->reference_id) != JSON_WRONG_TYPE &&
        json_get_text(tree, "environment", &fact->environment) != JSON_WRONG_TYPE &&
        json_get_text(tree, "provider", &fact->provider) != JSON_WRONG_TYPE &&
        json_get_number(tree, "answered_wall_us", &answered) == JSON_FOUND && answered >= 0 &&
        answered <= WALL_US_MAX) {
        fact->answered_wall_us = (int64_t)answered;
        return tree;
    }
    static struct log_limit limit;
    log_limited(&limit, 10000, LOG_LEVEL_WARN, "link_memory",
        "what is noted about a link cannot be read and is ignored", LOG_CONTEXT(log),
        LOG_TEXT("reason", error.message));
    json_free(tree);
    return NULL;
}

/* ---- finding ---- */

/* The most telling id is looked at first; what it told stays. */
static void take_value(
    struct link_memory_ticket *ticket, enum link_match kind, const char *data, size_t size)
{
    if (ticket->tree)
        return;
    ticket->tree = decode_fact(data, size, &ticket->fact, ticket->log);
    if (ticket->tree)
        ticket->match = kind;
}

static void tell(struct link_memory_ticket *ticket)
{
    struct link_memory *memory = ticket->memory;
    bool is_unavailable = ticket->failed && !ticket->tree;
    metric_add(is_unavailable ? memory->unavailable_total : memory->asked_total[ticket->match], 1);
    ticket->on_found(ticket, ticket->tree ? &ticket->fact : NULL, ticket->match);
}

/* Redis answers in the order in which it is asked. */
static void on_answer(struct redis_command *command, const struct redis_answer *answer)
{
    struct link_memory_ticket *ticket = command->context;
    if (answer->outcome == REDIS_ANSWERED && answer->kind == REDIS_TEXT)
        take_value(
            ticket, (enum link_match)(command - ticket->commands), answer->text, answer->text_size);
    if (answer->outcome != REDIS_ANSWERED) {
        static struct log_limit limit;
        ticket->failed = true;
        log_limited(&limit, 10000, LOG_LEVEL_WARN, "link_memory",
            "Redis did not answer; events do not say which request they belong to until it does",
            LOG_CONTEXT(ticket->log),
            LOG_TEXT("reason", answer->outcome == REDIS_ERROR ? answer->text : "unavailable"));
    }
    if (--ticket->unanswered == 0)
        tell(ticket);
}

static void on_local_answer(struct deferred *item)
{
    tell(item->context);
}

static void ask_for(struct link_memory_ticket *ticket, enum link_match kind, const char *id)
{
    struct link_memory *memory = ticket->memory;
    char key[KEY_SIZE];
    make_key(memory, kind, id, key);
    if (memory->local) {
        size_t size = 0;
        const char *value = expiring_table_find(memory->local, key, &size);
        if (value)
            take_value(ticket, kind, value, size);
        return;
    }
    ticket->unanswered++;
    ticket->commands[kind] = (struct redis_command){.on_answer = on_answer, .context = ticket};
    redis_client_send(memory->options.redis, &ticket->commands[kind], REDIS_TIMEOUT_US, 2,
        (const char *const[]){"GET", key}, NULL);
}

/* A GET for each id, since their keys need not lie together in a cluster; the client sends what is
 * asked for in one turn in one write. */
void link_memory_find(struct link_memory *memory, struct link_memory_ticket *ticket,
    const char *session_id, const char *user_id, const char *reference_id)
{
    const char *const ids[LINK_MATCH_COUNT] = {NULL, session_id, user_id, reference_id};
    link_memory_ticket_release(ticket);
    ticket->memory = memory;
    ticket->match = LINK_MATCH_NONE;
    ticket->unanswered = 0;
    ticket->failed = false;
    for (enum link_match kind = LINK_MATCH_SESSION; kind < LINK_MATCH_COUNT; kind++)
        if (!text_empty(ids[kind]))
            ask_for(ticket, kind, ids[kind]);
    if (ticket->unanswered > 0)
        return;
    ticket->deferred = (struct deferred){.run = on_local_answer, .context = ticket};
    deferred_queue_add(&memory->deferred, &ticket->deferred);
}

void link_memory_ticket_release(struct link_memory_ticket *ticket)
{
    json_free(ticket->tree);
    ticket->tree = NULL;
}

/* ---- noting ---- */

static void note_under(
    struct link_memory *memory, enum link_match kind, const char *id, const struct buf *value)
{
    char key[KEY_SIZE];
    if (text_empty(id))
        return;
    make_key(memory, kind, id, key);
    if (memory->local) {
        expiring_table_put(
            memory->local, key, buf_text(value), value->size, memory->options.keep_us);
        metric_add(memory->notes_kept_total, 1);
    } else {
        redis_notes_set(memory->notes, key, buf_text(value), memory->options.keep_us);
    }
}

/* A SET for each id; the client sends what is asked for in one turn in one write. */
void link_memory_note(struct link_memory *memory, const char *session_id, const char *user_id,
    const struct link_fact *fact)
{
    struct buf value;
    buf_init(&value, VALUE_BYTES_MAX);
    encode_fact(fact, &value);
    if (buf_ok(&value)) {
        note_under(memory, LINK_MATCH_SESSION, session_id, &value);
        note_under(memory, LINK_MATCH_USER, user_id, &value);
        note_under(memory, LINK_MATCH_REFERENCE, fact->reference_id, &value);
    } else {
        metric_add(memory->notes_lost_total, 1);
    }
    buf_release(&value);
}

/* ---- life cycle ---- */

static void register_metrics(struct link_memory *memory)
{
    static const char asked[] = "terra_connect_link_memory_total";
    static const char asked_help[] =
        "Questions which request an event's link answered, by the id that told it.";
    static const char notes[] = "terra_connect_link_notes_total";
    static const char notes_help[] =
        "Notes that tie an id to the request its link answered, by what became of them.";
    static const char *const labels[LINK_MATCH_COUNT] = {
        "outcome=\"missed\"", "outcome=\"session\"", "outcome=\"user\"", "outcome=\"reference\""};
    for (size_t match = 0; match < LINK_MATCH_COUNT; match++)
        memory->asked_total[match] = metrics_counter(asked, labels[match], asked_help);
    memory->unavailable_total = metrics_counter(asked, "outcome=\"unavailable\"", asked_help);
    memory->notes_kept_total = metrics_counter(notes, "outcome=\"kept\"", notes_help);
    memory->notes_lost_total = metrics_counter(notes, "outcome=\"lost\"", notes_help);
}

struct link_memory *link_memory_new(uv_loop_t *loop, const struct link_memory_options *options)
{
    struct link_memory *memory = memory_new(sizeof *memory);
    memory->options = *options;
    deferred_queue_init(&memory->deferred, loop);
    register_metrics(memory);
    if (options->redis) {
        memory->notes = redis_notes_new(&(struct redis_notes_options){
            .client = options->redis,
            .area = "link_memory",
            .kept_total = memory->notes_kept_total,
            .lost_total = memory->notes_lost_total,
        });
    } else {
        unsigned entries_max = options->local_entries_max;
        memory->local = expiring_table_new(
            entries_max > 0 ? entries_max : LINK_MEMORY_LOCAL_ENTRIES_MAX, LOCAL_BYTES_MAX);
    }
    return memory;
}

void link_memory_close(struct link_memory *memory)
{
    deferred_queue_close(&memory->deferred);
}

void link_memory_free(struct link_memory *memory)
{
    if (!memory)
        return;
    redis_notes_free(memory->notes);
    expiring_table_free(memory->local);
    free(memory);
}
