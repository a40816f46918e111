/* reply_cache: see reply_cache.h. */
#include "worker/reply_cache.h"

#include <assert.h>
#include <inttypes.h>

#include <utlist.h>

#include "common/clock.h"
#include "common/deferred.h"
#include "common/expiring_table.h"
#include "common/json.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/metrics.h"
#include "common/text.h"
#include "reply_cache_script.h"

#define VALUE_BYTES_MAX (16 * 1024)
#define LOCAL_BYTES_MAX ((size_t)64 * 1024 * 1024)
/* A person waits: a Redis slower than this is as good as away. */
#define REDIS_TIMEOUT_US (500 * CLOCK_US_PER_MS)
/* A link that is about to expire helps nobody. */
#define LIFE_LEFT_MIN_US (60 * CLOCK_US_PER_SECOND)

static const struct redis_script script = {
    .text = reply_cache_script_text,
    .sha1 = reply_cache_script_sha1,
};

struct reply_cache {
    struct reply_cache_options options;
    char prefix[REPLY_CACHE_PREFIX_SIZE + 16];
    size_t prefix_size;
    struct expiring_table *local;        /* NULL: in Redis */
    struct reply_cache_ticket *answered; /* local answers, given in the next turn */
    struct deferred_queue deferred;
    struct deferred give_answers;
    struct metric *found_total, *missed_total, *unavailable_total, *lost_race_total;
};

static void encode_link(const struct terra_link *link, struct buf *json)
{
    struct json_writer writer;
    json_writer_init(&writer, json);
    json_open_object(&writer, NULL);
    json_put_boolean(&writer, "widget", link->widget);
    json_put_text(&writer, "link", link->link);
    json_put_text(&writer, "id", link->id);
    json_put_integer(&writer, "expires_wall_us", link->expires_wall_us);
    text_list_put_json(&link->warnings, &writer, "warnings");
    json_close_object(&writer);
}

/* What lies in Redis is input like any other: something else there counts as nothing. */
static bool decode_link(
    const char *data, size_t size, struct terra_link *link, const struct log_context *log)
{
    static const struct json_limits limits = {
        .bytes_max = VALUE_BYTES_MAX, .depth_max = 3, .values_max = 64};
    struct json_error error = {0};
    json_value *tree = json_parse(data, size, &limits, &error);
    const char *text = NULL, *id = NULL;
    double expires = 0;
    const json_value *warnings = NULL;
    *link = (struct terra_link){0};
    bool usable = tree && json_get_boolean(tree, "widget", &link->widget) == JSON_FOUND &&
                  json_get_text(tree, "link", &text) == JSON_FOUND &&
                  json_get_text(tree, "id", &id) != JSON_WRONG_TYPE &&
                  json_get_number(tree, "expires_wall_us", &expires) == JSON_FOUND &&
                  json_get_array(tree, "warnings", &warnings) != JSON_WRONG_TYPE;
    if (usable) {
        link->link = memory_copy_text(text);
        link->id = memory_copy_text(id);
        link->expires_wall_us = (int64_t)expires;
        for (const json_value *item = warnings ? json_first(warnings) : NULL; item;
             item = json_next(item)) {
            if (json_is_string(item))
                text_list_add(&link->warnings, "%s", json_text(item));
        }
    } else {
        static struct log_limit limit;
        log_limited(&limit, 10000, LOG_LEVEL_WARN, "reply_cache",
            "a kept link cannot be read and is ignored", LOG_CONTEXT(log),
            LOG_TEXT("reason", error.message));
    }
    json_free(tree);
    return usable;
}

static void answer_with_value(struct reply_cache_ticket *ticket, const char *value, size_t size)
{
    struct terra_link link;
    if (!value || !decode_link(value, size, &link, ticket->log)) {
        ticket->on_link(ticket, NULL);
        return;
    }
    ticket->on_link(ticket, &link);
    terra_link_release(&link);
}

static void on_answer(struct redis_command *command, const struct redis_answer *answer)
{
    struct reply_cache_ticket *ticket = command->context;
    struct reply_cache *cache = ticket->cache;
    bool own_won = ticket->keeping && answer->kind == REDIS_TEXT &&
                   answer->text_size == ticket->value.size &&
                   memcmp(answer->text, buf_text(&ticket->value), answer->text_size) == 0;
    buf_release(&ticket->value);
    if (answer->outcome != REDIS_ANSWERED) {
        static struct log_limit limit;
        metric_add(cache->unavailable_total, 1);
        log_limited(&limit, 10000, LOG_LEVEL_WARN, "reply_cache",
            "Redis did not answer; a repeated request may cost a second call until it does",
            LOG_CONTEXT(ticket->log),
            LOG_TEXT("reason", answer->outcome == REDIS_ERROR ? answer->text : "unavailable"));
        ticket->on_link(ticket, NULL);
    } else if (own_won) {
        ticket->on_link(ticket, NULL); /* the caller has it already */
    } else if (answer->kind == REDIS_TEXT) {
        metric_add(ticket->keeping ? cache->lost_race_total : cache->found_total, 1);
        answer_with_value(ticket, answer->text, answer->text_size);
    } else {
        metric_add(cache->missed_total, 1);
        ticket->on_link(ticket, NULL);
    }
}

static void set_key(struct reply_cache_ticket *ticket, const char digest[DIGEST_HEX_SIZE])
{
    memcpy(ticket->key, ticket->cache->prefix, ticket->cache->prefix_size);
    memcpy(ticket->key + ticket->cache->prefix_size, digest, DIGEST_HEX_SIZE);
}

/* The value is put into the ticket and handed over in the next turn. */
static void answer_locally(struct reply_cache_ticket *ticket, const char *value)
{
    struct reply_cache *cache = ticket->cache;
    buf_reset(&ticket->value);
    if (value)
        buf_append_text(&ticket->value, value);
    DL_APPEND2(cache->answered, ticket, previous, next);
    deferred_queue_add(&cache->deferred, &cache->give_answers);
}

static void on_give_answers(struct deferred *item)
{
    struct reply_cache *cache = item->context;
    struct reply_cache_ticket *answered = cache->answered;
    cache->answered = NULL; /* those asked for meanwhile wait for the next turn */
    while (answered) {
        struct reply_cache_ticket *ticket = answered;
        DL_DELETE2(answered, ticket, previous, next);
        struct buf value = ticket->value; /* the ticket may be used again in its callback */
        if (value.size > 0)
            metric_add(ticket->keeping ? cache->lost_race_total : cache->found_total, 1);
        else if (!ticket->keeping)
            metric_add(cache->missed_total, 1);
        answer_with_value(ticket, value.size > 0 ? buf_text(&value) : NULL, value.size);
        buf_release(&value);
    }
}

void reply_cache_find(struct reply_cache *cache, struct reply_cache_ticket *ticket,
    const char digest[DIGEST_HEX_SIZE])
{
    ticket->cache = cache;
    ticket->keeping = false;
    buf_init(&ticket->value, VALUE_BYTES_MAX);
    set_key(ticket, digest);
    if (cache->local) {
        answer_locally(ticket, expiring_table_find(cache->local, ticket->key, NULL));
        return;
    }
    ticket->command = (struct redis_command){.on_answer = on_answer, .context = ticket};
    const char *arguments[] = {"GET", ticket->key};
    redis_client_send(cache->options.redis, &ticket->command, REDIS_TIMEOUT_US, 2, arguments, NULL);
}

static void keep_local(
    struct reply_cache *cache, struct reply_cache_ticket *ticket, int64_t keep_us)
{
    const char *kept = expiring_table_find(cache->local, ticket->key, NULL);
    if (!kept)
        expiring_table_put(
            cache->local, ticket->key, buf_text(&ticket->value), ticket->value.size, keep_us);
    answer_locally(ticket, kept);
}

void reply_cache_keep(struct reply_cache *cache, struct reply_cache_ticket *ticket,
    const char digest[DIGEST_HEX_SIZE], const struct terra_link *link)
{
    int64_t keep_us = cache->options.keep_us;
    ticket->cache = cache;
    ticket->keeping = true;
    buf_init(&ticket->value, VALUE_BYTES_MAX);
    set_key(ticket, digest);
    if (link->expires_wall_us > 0) {
        int64_t life_us = link->expires_wall_us - clock_wall_us() - LIFE_LEFT_MIN_US;
        if (life_us < keep_us)
            keep_us = life_us;
    }
    encode_link(link, &ticket->value);
    if (keep_us < CLOCK_US_PER_MS || !buf_ok(&ticket->value)) {
        answer_locally(ticket, NULL);
        return;
    }
    if (cache->local) {
        keep_local(cache, ticket, keep_us);
        return;
    }
    snprintf(ticket->keep_ms, sizeof ticket->keep_ms, "%" PRId64, keep_us / CLOCK_US_PER_MS);
    ticket->arguments[0] = ticket->key;
    ticket->arguments[1] = buf_text(&ticket->value);
    ticket->arguments[2] = ticket->keep_ms;
    ticket->command = (struct redis_command){.on_answer = on_answer, .context = ticket};
    redis_client_run_script(cache->options.redis, &ticket->command, REDIS_TIMEOUT_US, &script, 1, 3,
        ticket->arguments, NULL);
}

struct reply_cache *reply_cache_new(uv_loop_t *loop, const struct reply_cache_options *options)
{
    struct reply_cache *cache = memory_new(sizeof *cache);
    cache->options = *options;
    if (!options->redis) {
        unsigned entries_max = options->local_entries_max;
        cache->local = expiring_table_new(
            entries_max > 0 ? entries_max : REPLY_CACHE_LOCAL_ENTRIES_MAX, LOCAL_BYTES_MAX);
    }
    snprintf(cache->prefix, sizeof cache->prefix, "%s:reply:", options->key_prefix);
    cache->prefix_size = strlen(cache->prefix);
    deferred_queue_init(&cache->deferred, loop);
    cache->give_answers = (struct deferred){.run = on_give_answers, .context = cache};
    static const char help[] = "Questions to the reply cache by what came of them.";
    cache->found_total =
        metrics_counter("terra_connect_reply_cache_total", "outcome=\"found\"", help);
    cache->missed_total =
        metrics_counter("terra_connect_reply_cache_total", "outcome=\"missed\"", help);
    cache->unavailable_total =
        metrics_counter("terra_connect_reply_cache_total", "outcome=\"unavailable\"", help);
    cache->lost_race_total =
        metrics_counter("terra_connect_reply_cache_total", "outcome=\"kept_by_another\"", help);
    return cache;
}

void reply_cache_close(struct reply_cache *cache)
{
    deferred_queue_close(&cache->deferred);
}

void reply_cache_free(struct reply_cache *cache)
{
    if (!cache)
        return;
    assert(!cache->answered);
    expiring_table_free(cache->local);
    free(cache);
}
