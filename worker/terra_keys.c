/* terra_keys: see terra_keys.h. */
#include "worker/terra_keys.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/metrics.h"
#include "common/text.h"

enum {
    INTERVAL_MS = 1000,
    HURRY_INTERVAL_MS = 200,
    CONFIRM_INTERVAL_MS = 100, /* between two readings that must agree */
    REASON_SIZE = 160,
};

/* One environment's file. `content` and `reason` are the reading thread's during a round. */
struct key_file {
    struct environment *environment;
    char *content; /* NULL: it could not be read */
    char reason[REASON_SIZE];

    char *candidate;      /* another key, seen once; NULL: none */
    int64_t candidate_us; /* when the reading began that saw it */
    int64_t unchanged_us; /* when the last reading began that found the key we have */
    bool faulty;          /* and the log says so */
};

struct terra_keys {
    struct terra_keys_options options;
    uv_loop_t *loop;
    uv_timer_t timer;
    uv_work_t work;
    struct key_file *files;
    size_t count;
    bool reading, again, hurry, closing;
    int64_t round_us; /* when this round began */
    struct metric *reloads_total;
};

static void forget(char **key)
{
    if (*key)
        explicit_bzero(*key, strlen(*key));
    free(*key);
    *key = NULL;
}

/* ---- on the thread pool ---- */

static void read_files(uv_work_t *work)
{
    struct terra_keys *keys = work->data;
    for (size_t i = 0; i < keys->count; i++) {
        struct key_file *file = &keys->files[i];
        file->content = keys->options.read_file(
            file->environment->api_key_file, file->reason, sizeof file->reason);
    }
}

/* ---- on the loop ---- */

static void note_fault(struct terra_keys *keys, struct key_file *file, const char *reason)
{
    forget(&file->candidate);
    file->unchanged_us = keys->round_us; /* it holds no other key */
    if (file->faulty)
        return;
    file->faulty = true;
    log_error("terra_keys", "the API key's file cannot be used, the key from before stays",
        LOG_TEXT("environment", file->environment->name),
        LOG_TEXT("file", file->environment->api_key_file), LOG_TEXT("reason", reason));
}

static void take_key(struct terra_keys *keys, struct key_file *file)
{
    char error[ENVIRONMENT_ERROR_SIZE];
    if (environments_set_key(keys->options.environments, file->environment->index, file->candidate,
            error) != RESULT_OK) {
        note_fault(keys, file, error);
        return;
    }
    forget(&file->candidate);
    file->unchanged_us = keys->round_us;
    metric_add(keys->reloads_total, 1);
    log_info("terra_keys", "the API key was read again and is another one now",
        LOG_TEXT("environment", file->environment->name));
    keys->options.on_key(keys->options.context, file->environment);
}

static void judge(struct terra_keys *keys, struct key_file *file)
{
    const char *fault = file->content ? environments_key_fault(file->content) : file->reason;
    if (fault) {
        note_fault(keys, file, fault);
        return;
    }
    file->faulty = false;
    if (text_equal(file->content, file->environment->api_key)) {
        forget(&file->candidate);
        file->unchanged_us = keys->round_us;
    } else if (!text_equal(file->content, file->candidate)) {
        forget(&file->candidate);
        file->candidate = memory_copy_text(file->content);
        file->candidate_us = keys->round_us;
    } else if (keys->round_us - file->candidate_us >= CONFIRM_INTERVAL_MS * CLOCK_US_PER_MS) {
        take_key(keys, file);
    }
}

static bool any_candidate(const struct terra_keys *keys)
{
    for (size_t i = 0; i < keys->count; i++)
        if (keys->files[i].candidate)
            return true;
    return false;
}

static void on_timer(uv_timer_t *timer);

static void set_timer(struct terra_keys *keys)
{
    int wait_ms = keys->hurry ? HURRY_INTERVAL_MS : INTERVAL_MS;
    if (any_candidate(keys))
        wait_ms = CONFIRM_INTERVAL_MS;
    uv_timer_start(&keys->timer, on_timer, (uint64_t)wait_ms, 0);
}

static void on_read(uv_work_t *work, int status)
{
    struct terra_keys *keys = work->data;
    keys->reading = false;
    for (size_t i = 0; i < keys->count; i++) {
        if (status == 0 && !keys->closing)
            judge(keys, &keys->files[i]);
        forget(&keys->files[i].content);
    }
    if (keys->closing)
        return;
    set_timer(keys);
    if (keys->again)
        terra_keys_read(keys);
}

static void on_timer(uv_timer_t *timer)
{
    terra_keys_read(timer->data);
}

void terra_keys_read(struct terra_keys *keys)
{
    if (keys->count == 0 || keys->closing)
        return;
    keys->again = keys->reading;
    if (keys->reading)
        return;
    keys->reading = true;
    keys->round_us = clock_monotonic_us();
    uv_timer_stop(&keys->timer);
    if (uv_queue_work(keys->loop, &keys->work, read_files, on_read) != 0)
        abort(); /* only when called without a function */
}

void terra_keys_hurry(struct terra_keys *keys, bool hurry)
{
    if (hurry && !keys->hurry)
        terra_keys_read(keys);
    keys->hurry = hurry;
}

bool terra_keys_read_since(
    const struct terra_keys *keys, const struct environment *environment, int64_t since_us)
{
    for (size_t i = 0; i < keys->count; i++)
        if (keys->files[i].environment == environment)
            return keys->files[i].unchanged_us >= since_us;
    return true;
}

/* ---- life cycle ---- */

struct terra_keys *terra_keys_new(uv_loop_t *loop, const struct terra_keys_options *options)
{
    struct terra_keys *keys = memory_new(sizeof *keys);
    keys->options = *options;
    keys->loop = loop;
    keys->work.data = keys;
    keys->files = memory_new((options->environments->count + 1) * sizeof *keys->files);
    for (size_t i = 0; i < options->environments->count; i++) {
        struct environment *environment = &options->environments->items[i];
        if (environment->api_key_file)
            keys->files[keys->count++].environment = environment;
    }
    keys->reloads_total = metrics_counter("terra_connect_key_reloads_total", NULL,
        "API keys that were replaced by another one from their file.");
    uv_timer_init(loop, &keys->timer);
    keys->timer.data = keys;
    if (keys->count > 0)
        set_timer(keys);
    return keys;
}

void terra_keys_close(struct terra_keys *keys)
{
    keys->closing = true;
    uv_close((uv_handle_t *)&keys->timer, NULL);
}

void terra_keys_free(struct terra_keys *keys)
{
    if (!keys)
        return;
    for (size_t i = 0; i < keys->count; i++)
        forget(&keys->files[i].candidate);
    free(keys->files);
    free(keys);
}
