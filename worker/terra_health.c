/* terra_health: see terra_health.h. */
#include "worker/terra_health.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/deferred.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/metrics.h"
#include "worker/terra_keys.h"

/* Uniform between the two, so that a fleet does not come together. */
#define PROBE_PAUSE_MIN_US CLOCK_US_PER_SECOND
#define PROBE_PAUSE_MAX_US (3 * CLOCK_US_PER_SECOND)
/* Suspicions can come with every request; probes to settle them are this far apart. */
#define SUSPICION_PAUSE_US (500 * CLOCK_US_PER_MS)
#define NEVER_US INT64_MAX
#define LOG_INTERVAL_MS 10000
/* What the reply advises: an outage may end by itself, a refused key wants an operator. */
#define DOWN_RETRY_US (10 * CLOCK_US_PER_SECOND)
#define REFUSED_RETRY_US (30 * CLOCK_US_PER_SECOND)

struct environment_health {
    struct terra_health *health;
    const struct environment *environment;
    struct terra_standing standing;
    struct terra_probe probe;
    bool probing;
    bool tried;                 /* a first probe has been answered */
    int64_t probed_us;          /* when the last one began; 0: never */
    int64_t probe_at_us;        /* when the next one begins; NEVER_US: none */
    int64_t accepted_us;        /* when the last one began that was; 0: none with this key */
    struct connect_error error; /* what the last bad probe said */
    struct log_limit recoveries, refusals, outages;
    struct metric *refused_gauge, *down_gauge;
};

struct terra_health {
    struct terra_health_options options;
    struct terra_keys *keys;
    struct environment_health *items; /* by environment.index */
    size_t count;
    bool admitted, closing;
    uv_timer_t timer;
    struct deferred_queue deferred;
    struct deferred change;
    struct metric *probes_total[TERRA_PROBE_VERDICT_COUNT];
};

/* ---- what changes ---- */

/* Limited: a credential that is good for the neutral GET alone comes and goes with each request. */
static void log_state(struct environment_health *item)
{
    const char *name = item->environment->name;
    switch (item->standing.state) {
    case TERRA_WELL:
        log_limited(&item->recoveries, LOG_INTERVAL_MS, LOG_LEVEL_INFO, "terra_health",
            "Terra or the credential is well again", LOG_TEXT("environment", name));
        return;
    case TERRA_KEY_REFUSED:
        log_limited(&item->refusals, LOG_INTERVAL_MS, LOG_LEVEL_ERROR, "terra_health",
            "Terra refuses the credential; requests are answered so without a call meanwhile",
            LOG_TEXT("environment", name), LOG_TEXT("reason", item->error.message));
        return;
    case TERRA_DOWN:
        log_limited(&item->outages, LOG_INTERVAL_MS, LOG_LEVEL_ERROR, "terra_health",
            "Terra is down; requests are answered so without a call meanwhile",
            LOG_TEXT("environment", name), LOG_TEXT("reason", item->error.message));
        return;
    case TERRA_HEALTH_STATE_COUNT:
        break;
    }
}

/* An outage is no reason not to start, but one to be told. */
static void log_untried(const struct environment_health *item, enum terra_probe_verdict verdict)
{
    if (verdict == TERRA_PROBE_FAILED || verdict == TERRA_PROBE_UNCLEAR)
        log_warn("terra_health", "the credential could not be tried at Terra; going on without",
            LOG_TEXT("environment", item->environment->name),
            LOG_TEXT("reason", item->error.message));
}

static bool any_refused(const struct terra_health *health)
{
    for (size_t i = 0; i < health->count; i++)
        if (health->items[i].standing.state == TERRA_KEY_REFUSED)
            return true;
    return false;
}

static void show_state(struct environment_health *item)
{
    metric_set(item->refused_gauge, item->standing.state == TERRA_KEY_REFUSED);
    metric_set(item->down_gauge, item->standing.state == TERRA_DOWN);
}

static void on_change(struct deferred *item)
{
    struct terra_health *health = item->context;
    bool all_tried = true, any_usable = false;
    for (size_t i = 0; i < health->count; i++) {
        all_tried = all_tried && health->items[i].tried;
        any_usable = any_usable || health->items[i].standing.state != TERRA_KEY_REFUSED;
    }
    if (!health->admitted && all_tried && any_usable) {
        health->admitted = true;
        health->options.on_admitted(health->options.context);
    }
    health->options.on_change(health->options.context);
}

/* ---- probes ---- */

static void on_timer(uv_timer_t *timer);

static void set_timer(struct terra_health *health)
{
    int64_t wake_us = NEVER_US;
    for (size_t i = 0; i < health->count; i++)
        if (health->items[i].probe_at_us < wake_us)
            wake_us = health->items[i].probe_at_us;
    if (wake_us == NEVER_US) {
        uv_timer_stop(&health->timer);
        return;
    }
    int64_t wait_us = wake_us - clock_monotonic_us();
    uv_timer_start(
        &health->timer, on_timer, wait_us > 0 ? (uint64_t)(wait_us / CLOCK_US_PER_MS + 1) : 0, 0);
}

static int64_t probe_pause_us(void)
{
    return PROBE_PAUSE_MIN_US +
           (int64_t)(backoff_random() % (uint64_t)(PROBE_PAUSE_MAX_US - PROBE_PAUSE_MIN_US));
}

/* A probe that stands already keeps its time, unless this one is due sooner. */
static void plan_probe(struct environment_health *item)
{
    const struct terra_standing *standing = &item->standing;
    int64_t now_us = clock_monotonic_us();
    bool calm = standing->state == TERRA_WELL && !standing->wants_probe;
    if (item->probing || (calm && item->probe_at_us == NEVER_US))
        return;
    if (standing->wants_probe) {
        int64_t at_us = item->probed_us + SUSPICION_PAUSE_US;
        if (item->probed_us == 0 || at_us < now_us)
            at_us = now_us;
        if (at_us < item->probe_at_us)
            item->probe_at_us = at_us;
    } else if (calm) {
        item->probe_at_us = NEVER_US;
    } else if (item->probe_at_us == NEVER_US) {
        item->probe_at_us = now_us + probe_pause_us();
    }
    set_timer(item->health);
}

/* After each note: the state may have gone from `before`, and a probe may be wanted. */
static void settle(struct environment_health *item, enum terra_health_state before)
{
    struct terra_health *health = item->health;
    if (item->standing.state != before) {
        log_state(item);
        show_state(item);
        terra_keys_hurry(health->keys, any_refused(health));
        deferred_queue_add(&health->deferred, &health->change);
    }
    plan_probe(item);
}

static void on_probed(
    struct terra_probe *probe, enum terra_probe_verdict verdict, const struct connect_error *error)
{
    struct environment_health *item = probe->context;
    struct terra_health *health = item->health;
    enum terra_health_state before = item->standing.state;
    item->probing = false;
    if (health->closing)
        return;
    metric_add(health->probes_total[verdict], 1);
    if (verdict != TERRA_PROBE_ACCEPTED)
        item->error = *error;
    else if (probe->key_generation == item->environment->key_generation)
        item->accepted_us = item->probed_us;
    terra_standing_note_probe(
        &item->standing, probe->key_generation, verdict, clock_monotonic_us());
    if (!item->tried) {
        log_untried(item, verdict);
        deferred_queue_add(&health->deferred, &health->change);
    }
    /* Not so when it carried an older key. */
    item->tried = !item->standing.wants_probe;
    settle(item, before);
}

static void start_probe(struct environment_health *item)
{
    item->probing = true;
    item->probed_us = clock_monotonic_us();
    item->probe_at_us = NEVER_US;
    item->probe.on_answer = on_probed;
    item->probe.context = item;
    terra_probe_start(item->health->options.terra, &item->probe, item->environment);
}

static void on_timer(uv_timer_t *timer)
{
    struct terra_health *health = timer->data;
    int64_t now_us = clock_monotonic_us();
    for (size_t i = 0; i < health->count; i++)
        if (health->items[i].probe_at_us <= now_us)
            start_probe(&health->items[i]);
    set_timer(health);
}

/* ---- what is told and asked ---- */

void terra_health_note(struct terra_health *health, const struct terra_call *call,
    const char request[DIGEST_HEX_SIZE], const struct terra_answer *answer)
{
    struct environment_health *item = &health->items[call->environment->index];
    enum terra_health_state before = item->standing.state;
    if (health->closing)
        return;
    if (answer->verdict == TERRA_CREDENTIALS) {
        item->error = answer->error;
        terra_keys_read(health->keys);
    } else if (answer->verdict == TERRA_RETRY) {
        item->error = answer->error;
    }
    terra_standing_note_call(&item->standing, call->key_generation, request, answer, call->telling);
    settle(item, before);
}

static void on_key(void *context, const struct environment *environment)
{
    struct terra_health *health = context;
    struct environment_health *item = &health->items[environment->index];
    enum terra_health_state before = item->standing.state;
    terra_standing_set_key(&item->standing, environment->key_generation);
    item->accepted_us = 0;
    item->probed_us = 0; /* a new key is tried at once */
    item->tried = item->tried && health->admitted;
    deferred_queue_add(&health->deferred, &health->change);
    settle(item, before);
}

enum terra_health_state terra_health_state(
    const struct terra_health *health, const struct environment *environment)
{
    return health->items[environment->index].standing.state;
}

void terra_health_error(const struct terra_health *health, const struct environment *environment,
    struct connect_error *error)
{
    const struct environment_health *item = &health->items[environment->index];
    if (item->standing.state == TERRA_KEY_REFUSED) {
        connect_error_set(error, CONNECT_CREDENTIALS_REJECTED,
            "operator: Terra refuses the dev id and API key of this environment, so the request "
            "was not sent; check that they belong together, to the right environment of Terra, "
            "and have the right scope");
        error->retry_after_us = REFUSED_RETRY_US;
    } else {
        connect_error_set(error, CONNECT_TERRA_UNAVAILABLE,
            "%s; that has lasted for a while, so the request was not sent: send the same one again "
            "later",
            item->error.message);
        error->retry_after_us = DOWN_RETRY_US;
    }
}

bool terra_health_key_read_since(
    const struct terra_health *health, const struct environment *environment, int64_t since_us)
{
    return terra_keys_read_since(health->keys, environment, since_us);
}

bool terra_health_key_accepted_since(
    const struct terra_health *health, const struct environment *environment, int64_t since_us)
{
    return health->items[environment->index].accepted_us >= since_us;
}

bool terra_health_admitted(const struct terra_health *health)
{
    return health->admitted;
}

/* ---- life cycle ---- */

static void init_item(
    struct terra_health *health, size_t index, const struct environment *environment)
{
    struct environment_health *item = &health->items[index];
    char labels[160];
    snprintf(labels, sizeof labels, "environment=\"%s\"", environment->name);
    *item = (struct environment_health){
        .health = health,
        .environment = environment,
        .standing.key_generation = environment->key_generation,
        .probe_at_us = NEVER_US,
        .refused_gauge = metrics_gauge("terra_connect_credential_refused", labels,
            "1 while Terra refuses the environment's dev id and API key."),
        .down_gauge = metrics_gauge("terra_connect_terra_down", labels,
            "1 while Terra is known not to answer the environment's calls."),
    };
}

static void register_metrics(struct terra_health *health)
{
    static const char *const labels[TERRA_PROBE_VERDICT_COUNT] = {
        [TERRA_PROBE_ACCEPTED] = "outcome=\"accepted\"",
        [TERRA_PROBE_UNCLEAR] = "outcome=\"unclear\"",
        [TERRA_PROBE_REFUSED] = "outcome=\"refused\"",
        [TERRA_PROBE_FAILED] = "outcome=\"failed\"",
    };
    for (int i = 0; i < TERRA_PROBE_VERDICT_COUNT; i++)
        health->probes_total[i] = metrics_counter("terra_connect_probes_total", labels[i],
            "Neutral calls by which Terra and its credentials were tried, at start and in "
            "trouble.");
}

struct terra_health *terra_health_new(uv_loop_t *loop, const struct terra_health_options *options)
{
    struct terra_health *health = memory_new(sizeof *health);
    health->options = *options;
    health->count = options->environments->count;
    health->items = memory_new(health->count * sizeof *health->items);
    for (size_t i = 0; i < health->count; i++)
        init_item(health, i, &options->environments->items[i]);
    health->keys = terra_keys_new(loop, &(struct terra_keys_options){
                                            .environments = options->environments,
                                            .read_file = options->read_file,
                                            .on_key = on_key,
                                            .context = health,
                                        });
    register_metrics(health);
    deferred_queue_init(&health->deferred, loop);
    health->change = (struct deferred){.run = on_change, .context = health};
    uv_timer_init(loop, &health->timer);
    health->timer.data = health;
    return health;
}

void terra_health_start(struct terra_health *health)
{
    for (size_t i = 0; i < health->count; i++)
        start_probe(&health->items[i]);
}

void terra_health_close(struct terra_health *health)
{
    health->closing = true;
    terra_keys_close(health->keys);
    deferred_queue_close(&health->deferred);
    uv_close((uv_handle_t *)&health->timer, NULL);
}

void terra_health_free(struct terra_health *health)
{
    if (!health)
        return;
    terra_keys_free(health->keys);
    free(health->items);
    free(health);
}
