/* payload_fetch: see payload_fetch.h. */
#include "worker/payload_fetch.h"

#include <assert.h>
#include <stdlib.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/metrics.h"
#include "common/url.h"
#include "worker/retry_after.h"

#define CONNECT_TIMEOUT_US (5 * CLOCK_US_PER_SECOND)
/* Longer than this nobody is left alone; the payload's life is short. */
#define RETRY_AFTER_MAX_US (10 * CLOCK_US_PER_SECOND)
/* Of a refusal's text, to see whether it names the signature's end. */
#define COMPLAINT_BYTES_MAX ((size_t)4 * 1024)
#define OUTCOMES (PAYLOAD_CANCELLED + 1)

static const struct backoff attempt_backoff = {
    .base_us = 200 * CLOCK_US_PER_MS,
    .maximum_us = 5 * CLOCK_US_PER_SECOND,
};

struct payload_fetcher {
    struct payload_fetcher_options options;
    struct http_client *http;
    struct time_queue waiting; /* by the end of life */
    struct time_queue paused;  /* by the next attempt */
    unsigned calling;
    unsigned open; /* started and not ended */
    struct deferred_queue deferred;
    struct deferred pump;
    uv_timer_t timer; /* at the next moment at which something changes by itself */
    bool closing;
    struct metric *fetches_total[OUTCOMES], *retries_total, *skipped_bytes_total;
    struct metric *seconds, *life_left, *waiting_gauge, *calling_gauge;
};

const char *payload_outcome_name(enum payload_outcome outcome)
{
    static const char *const names[OUTCOMES] = {
        [PAYLOAD_FETCHED] = "fetched",
        [PAYLOAD_SKIPPED] = "skipped",
        [PAYLOAD_EXPIRED] = "expired",
        [PAYLOAD_UNAVAILABLE] = "unavailable",
        [PAYLOAD_FORBIDDEN] = "forbidden",
        [PAYLOAD_UNREADABLE] = "unreadable",
        [PAYLOAD_CANCELLED] = "cancelled",
    };
    return names[outcome];
}

/* ---- the end of a fetch ---- */

static void take_down_when_done(struct payload_fetcher *fetcher)
{
    if (!fetcher->closing || fetcher->open > 0 || uv_is_closing((uv_handle_t *)&fetcher->timer))
        return;
    uv_close((uv_handle_t *)&fetcher->timer, NULL);
    deferred_queue_close(&fetcher->deferred);
}

static void end(struct payload_fetch *fetch, enum payload_outcome outcome, const char *reason)
{
    struct payload_fetcher *fetcher = fetch->fetcher;
    int64_t now_us = clock_monotonic_us();

    fetch->state = PAYLOAD_IDLE;
    fetcher->open--;
    metric_add(fetcher->fetches_total[outcome], 1);
    if (fetch->attempts > 0)
        metric_observe(
            fetcher->seconds, (double)(now_us - fetch->first_attempt_us) / CLOCK_US_PER_SECOND);
    if (outcome == PAYLOAD_SKIPPED)
        metric_add(fetcher->skipped_bytes_total, (double)fetch->received_bytes);
    if (outcome != PAYLOAD_FETCHED)
        buf_release(&fetch->body);
    fetch->on_fetched(fetch, outcome, reason); /* may free it */
    take_down_when_done(fetcher);
}

static void on_ending(struct deferred *item)
{
    struct payload_fetch *fetch = item->context;

    end(fetch, fetch->outcome, fetch->reason);
}

static void end_soon(struct payload_fetch *fetch, enum payload_outcome outcome, const char *reason)
{
    fetch->state = PAYLOAD_ENDING;
    fetch->outcome = outcome;
    snprintf(fetch->reason, sizeof fetch->reason, "%s", reason);
    deferred_queue_add(&fetch->fetcher->deferred, &fetch->ending);
}

/* ---- what came of an attempt ---- */

static void pump_soon(struct payload_fetcher *fetcher)
{
    if (!fetcher->closing)
        deferred_queue_add(&fetcher->deferred, &fetcher->pump);
}

static void log_attempt(const struct payload_fetch *fetch, const char *reason)
{
    static struct log_limit limit;
    struct url url;
    bool parsed = url_parse_sized(fetch->url, EVENT_POINTER_URL_BYTES_MAX, &url);

    log_limited(&limit, 10000, LOG_LEVEL_WARN, "payload_fetch",
        "a payload could not be fetched and is tried again", LOG_CONTEXT(fetch->log),
        LOG_TEXT("host", parsed ? url.host : NULL), LOG_INT("attempt", fetch->attempts),
        LOG_TEXT("reason", reason));
}

/* Whichever comes first: its life or our patience. */
static int64_t last_moment_us(const struct payload_fetch *fetch)
{
    int64_t patience_us = fetch->first_attempt_us + PAYLOAD_TRIES_US;

    return fetch->expires_us < patience_us ? fetch->expires_us : patience_us;
}

static void try_again(struct payload_fetch *fetch, const char *reason, int64_t retry_after_us)
{
    struct payload_fetcher *fetcher = fetch->fetcher;
    int64_t delay_us = backoff_delay_us(&attempt_backoff, fetch->attempts, backoff_random());
    char text[PAYLOAD_REASON_SIZE];

    if (retry_after_us > RETRY_AFTER_MAX_US)
        retry_after_us = RETRY_AFTER_MAX_US;
    if (delay_us < retry_after_us)
        delay_us = retry_after_us;
    int64_t due_us = clock_monotonic_us() + delay_us;
    if (due_us < last_moment_us(fetch)) {
        log_attempt(fetch, reason);
        metric_add(fetcher->retries_total, 1);
        fetch->state = PAYLOAD_PAUSED;
        time_queue_add(&fetcher->paused, &fetch->turn, due_us);
        return;
    }
    snprintf(text, sizeof text, "%s, after %u attempt%s", reason, fetch->attempts,
        fetch->attempts == 1 ? "" : "s");
    end(fetch, last_moment_us(fetch) == fetch->expires_us ? PAYLOAD_EXPIRED : PAYLOAD_UNAVAILABLE,
        text);
}

static void end_with_status(struct payload_fetch *fetch, enum payload_outcome outcome, int status)
{
    char reason[PAYLOAD_REASON_SIZE];

    snprintf(reason, sizeof reason, "the store answered HTTP %d", status);
    end(fetch, outcome, reason);
}

static void judge_payload(struct payload_fetch *fetch, enum http_outcome outcome)
{
    fetch->class_ = outcome == HTTP_STOPPED ? fetch->class_ : event_scan_end(&fetch->scan);
    switch (fetch->class_) {
    case EVENT_AUTH:
        if (buf_ok(&fetch->body))
            end(fetch, PAYLOAD_FETCHED, "");
        else
            end(fetch, PAYLOAD_UNREADABLE, "the payload is larger than any auth event");
        break;
    case EVENT_DATA:
    case EVENT_OTHER:
        end(fetch, PAYLOAD_SKIPPED, "");
        break;
    case EVENT_POINTER:
        end(fetch, PAYLOAD_FORBIDDEN, "the payload is another pointer");
        break;
    default:
        end(fetch, PAYLOAD_UNREADABLE, "the payload is not a whole JSON object");
        break;
    }
}

static bool may_pass(int status)
{
    return status >= 500 || status == 408 || status == 425 || status == 429;
}

static void judge_answer(struct payload_fetch *fetch, const struct http_response *response)
{
    int status = response->status;
    char reason[PAYLOAD_REASON_SIZE];

    if (status >= 200 && status < 300) {
        judge_payload(fetch, response->outcome);
    } else if (may_pass(status)) {
        snprintf(reason, sizeof reason, "the store answered HTTP %d", status);
        try_again(fetch, reason,
            retry_after_us(http_response_header(response, "retry-after"), clock_wall_us()));
    } else if (status == 403 || status == 404 || status == 410 ||
               (status == 400 && strstr(buf_text(&fetch->body), "ExpiredToken"))) {
        end_with_status(fetch, PAYLOAD_EXPIRED, status);
    } else if (status >= 300 && status < 400) {
        end_with_status(fetch, PAYLOAD_FORBIDDEN, status);
    } else {
        end_with_status(fetch, PAYLOAD_UNREADABLE, status);
    }
}

static void judge(struct payload_fetch *fetch, const struct http_response *response)
{
    if (fetch->cancelled) {
        end(fetch, PAYLOAD_CANCELLED, "cancelled");
        return;
    }
    switch (response->outcome) {
    case HTTP_ANSWERED:
    case HTTP_STOPPED:
        judge_answer(fetch, response);
        break;
    case HTTP_TIMEOUT:
    case HTTP_CONNECT_FAILED:
    case HTTP_BROKEN:
        try_again(fetch, response->error, -1);
        break;
    case HTTP_TLS_UNTRUSTED:
    case HTTP_ADDRESS_FORBIDDEN:
        end(fetch, PAYLOAD_FORBIDDEN, response->error);
        break;
    case HTTP_RESPONSE_TOO_LARGE:
    case HTTP_UNDECODABLE:
        end(fetch, PAYLOAD_UNREADABLE, response->error);
        break;
    case HTTP_CANCELLED:
        end(fetch, PAYLOAD_CANCELLED, "cancelled");
        break;
    }
}

static void on_http_done(struct http_call *http, const struct http_response *response)
{
    struct payload_fetch *fetch = http->context;
    struct payload_fetcher *fetcher = fetch->fetcher;

    fetcher->calling--;
    metric_set(fetcher->calling_gauge, fetcher->calling);
    judge(fetch, response); /* may free it, and with the last one take the fetcher down */
    pump_soon(fetcher);
}

/* ---- the body as it comes ---- */

/* False: enough. */
static bool take_piece(struct payload_fetch *fetch, const void *bytes, size_t size)
{
    fetch->received_bytes += size;
    fetch->class_ = event_scan_feed(&fetch->scan, bytes, size);
    switch (fetch->class_) {
    case EVENT_UNDECIDED:
        buf_append(&fetch->body, bytes, size); /* past its ceiling it is only looked at */
        return true;
    case EVENT_AUTH:
        return buf_append(&fetch->body, bytes, size);
    default:
        return false;
    }
}

static bool on_body(struct http_call *http, int status, const void *bytes, size_t size)
{
    struct payload_fetch *fetch = http->context;

    if (status >= 200 && status < 300)
        return take_piece(fetch, bytes, size);
    if (status != 400 || fetch->body.size >= COMPLAINT_BYTES_MAX)
        return false;
    return buf_append(&fetch->body, bytes, size);
}

/* ---- turns ---- */

static void begin_attempt(struct payload_fetch *fetch, int64_t now_us)
{
    struct payload_fetcher *fetcher = fetch->fetcher;

    if (fetch->attempts++ == 0) {
        fetch->first_attempt_us = now_us;
        metric_observe(
            fetcher->life_left, (double)(fetch->expires_us - now_us) / CLOCK_US_PER_SECOND);
    }
    int64_t timeout_us = last_moment_us(fetch) - now_us;
    if (timeout_us > fetcher->options.attempt_timeout_us)
        timeout_us = fetcher->options.attempt_timeout_us;
    buf_reset(&fetch->body);
    event_scan_init(&fetch->scan);
    fetch->class_ = EVENT_UNDECIDED;
    fetch->received_bytes = 0;
    fetch->state = PAYLOAD_CALLING;
    fetch->http = (struct http_call){
        .method = HTTP_GET,
        .url = fetch->url,
        .timeout_us = timeout_us > 0 ? timeout_us : 1,
        .response_bytes_max = PAYLOAD_BYTES_MAX,
        .accept_compressed = true,
        .on_body = on_body,
        .on_done = on_http_done,
        .context = fetch,
    };
    fetcher->calling++;
    http_client_start(fetcher->http, &fetch->http);
}

static void wait_for_turn(struct payload_fetch *fetch)
{
    fetch->state = PAYLOAD_WAITING;
    time_queue_add(&fetch->fetcher->waiting, &fetch->turn, fetch->expires_us);
}

static void wake_paused(struct payload_fetcher *fetcher, int64_t now_us)
{
    struct time_queue_item *first;

    while ((first = time_queue_first(&fetcher->paused)) && first->time_us <= now_us) {
        time_queue_remove(&fetcher->paused, first);
        wait_for_turn(first->context);
    }
}

static void expire_waiting(struct payload_fetcher *fetcher, int64_t now_us)
{
    struct time_queue_item *first;

    while ((first = time_queue_first(&fetcher->waiting)) && first->time_us <= now_us) {
        struct payload_fetch *fetch = first->context;
        time_queue_remove(&fetcher->waiting, first);
        if (fetch->attempts == 0)
            metric_observe(fetcher->life_left, 0);
        end_soon(fetch, PAYLOAD_EXPIRED, "its life was over before its turn came");
    }
}

static void on_timer(uv_timer_t *timer);

static void set_timer(struct payload_fetcher *fetcher, int64_t now_us)
{
    const struct time_queue_item *retry = time_queue_first(&fetcher->paused);
    const struct time_queue_item *expiry = time_queue_first(&fetcher->waiting);
    int64_t wake_us = INT64_MAX;

    if (retry)
        wake_us = retry->time_us;
    if (expiry && expiry->time_us < wake_us)
        wake_us = expiry->time_us;
    if (wake_us == INT64_MAX) {
        uv_timer_stop(&fetcher->timer);
        return;
    }
    int64_t wait_us = wake_us > now_us ? wake_us - now_us : 0;
    uv_timer_start(&fetcher->timer, on_timer,
        (uint64_t)((wait_us + CLOCK_US_PER_MS - 1) / CLOCK_US_PER_MS), 0);
}

static void pump(struct payload_fetcher *fetcher)
{
    int64_t now_us = clock_monotonic_us();
    struct time_queue_item *first;

    if (fetcher->closing)
        return;
    wake_paused(fetcher, now_us);
    expire_waiting(fetcher, now_us);
    while (fetcher->calling < fetcher->options.fetches_in_flight_max &&
           (first = time_queue_first(&fetcher->waiting))) {
        time_queue_remove(&fetcher->waiting, first);
        begin_attempt(first->context, now_us);
    }
    metric_set(fetcher->waiting_gauge, (double)fetcher->waiting.count);
    metric_set(fetcher->calling_gauge, fetcher->calling);
    set_timer(fetcher, now_us);
}

static void on_timer(uv_timer_t *timer)
{
    pump(timer->data);
}

static void on_pump(struct deferred *item)
{
    pump(item->context);
}

void payload_fetch_start(struct payload_fetcher *fetcher, struct payload_fetch *fetch)
{
    assert(fetch->state == PAYLOAD_IDLE && fetch->url && fetch->on_fetched);
    fetch->fetcher = fetcher;
    fetch->turn = (struct time_queue_item){.context = fetch};
    fetch->ending = (struct deferred){.run = on_ending, .context = fetch};
    fetch->attempts = 0;
    fetch->received_bytes = 0;
    fetch->cancelled = false;
    fetch->class_ = EVENT_UNDECIDED;
    event_scan_init(&fetch->scan);
    buf_init(&fetch->body, PAYLOAD_EVENT_BYTES_MAX);
    fetcher->open++;
    if (fetcher->closing) {
        end_soon(fetch, PAYLOAD_CANCELLED, "cancelled");
        return;
    }
    /* In the next turn, so that of all that are started in this one the right one goes first. */
    wait_for_turn(fetch);
    pump_soon(fetcher);
}

void payload_fetch_cancel(struct payload_fetch *fetch)
{
    switch (fetch->state) {
    case PAYLOAD_IDLE:
        return;
    case PAYLOAD_WAITING:
        time_queue_remove(&fetch->fetcher->waiting, &fetch->turn);
        end_soon(fetch, PAYLOAD_CANCELLED, "cancelled");
        break;
    case PAYLOAD_PAUSED:
        time_queue_remove(&fetch->fetcher->paused, &fetch->turn);
        end_soon(fetch, PAYLOAD_CANCELLED, "cancelled");
        break;
    case PAYLOAD_CALLING:
        fetch->cancelled = true;
        http_client_cancel(fetch->fetcher->http, &fetch->http);
        break;
    case PAYLOAD_ENDING:
        end_soon(fetch, PAYLOAD_CANCELLED, "cancelled");
        break;
    }
    metric_set(fetch->fetcher->waiting_gauge, (double)fetch->fetcher->waiting.count);
}

/* ---- life cycle ---- */

static bool address_allowed(const struct sockaddr *address, const void *rules)
{
    return event_pointer_address_allowed(rules, address);
}

static void register_metrics(struct payload_fetcher *fetcher)
{
    /* Up to the ten minutes that Terra's pointers live. */
    static const double life_bounds[] = {0, 5, 15, 30, 60, 120, 180, 240, 300, 420, 540, 600};
    char label[64];

    for (int i = 0; i < OUTCOMES; i++) {
        snprintf(
            label, sizeof label, "outcome=\"%s\"", payload_outcome_name((enum payload_outcome)i));
        fetcher->fetches_total[i] = metrics_counter("terra_connect_payload_fetches_total", label,
            "Payloads behind pointers by what came of them.");
    }
    fetcher->retries_total = metrics_counter("terra_connect_payload_retries_total", NULL,
        "Attempts at a payload that failed and were made again.");
    fetcher->skipped_bytes_total = metrics_counter("terra_connect_payload_skipped_bytes_total",
        NULL, "Bytes of payloads of no use that had come before they were recognised as such.");
    fetcher->seconds = metrics_histogram("terra_connect_payload_fetch_seconds", NULL,
        "From the first attempt at a payload to its end, pauses included.", metrics_seconds_bounds,
        metrics_seconds_bound_count);
    fetcher->life_left = metrics_histogram("terra_connect_payload_life_left_seconds", NULL,
        "How much longer a pointer was good when its turn came; 0: no longer. Payloads are lost "
        "when the lag grows past their life.",
        life_bounds, sizeof life_bounds / sizeof life_bounds[0]);
    fetcher->waiting_gauge = metrics_gauge(
        "terra_connect_payloads_waiting", NULL, "Payloads that wait for one of the downloads.");
    fetcher->calling_gauge = metrics_gauge(
        "terra_connect_payloads_in_flight", NULL, "Payloads that are being downloaded.");
}

struct payload_fetcher *payload_fetcher_new(
    uv_loop_t *loop, const struct payload_fetcher_options *options)
{
    struct payload_fetcher *fetcher = memory_new(sizeof *fetcher);
    int64_t attempt_us = options->attempt_timeout_us;
    const struct http_client_options http = {
        .calls_in_flight_max = options->fetches_in_flight_max,
        .connect_timeout_us = attempt_us < CONNECT_TIMEOUT_US ? attempt_us : CONNECT_TIMEOUT_US,
        .user_agent = options->user_agent,
        .ca_file = options->ca_file,
        .address_allowed = address_allowed,
        .address_context = options->rules,
    };

    fetcher->options = *options;
    fetcher->http = http_client_new(loop, &http);
    deferred_queue_init(&fetcher->deferred, loop);
    fetcher->pump = (struct deferred){.run = on_pump, .context = fetcher};
    uv_timer_init(loop, &fetcher->timer);
    fetcher->timer.data = fetcher;
    register_metrics(fetcher);
    return fetcher;
}

static void cancel_all(struct time_queue *queue)
{
    struct time_queue_item *first;

    while ((first = time_queue_first(queue)))
        payload_fetch_cancel(first->context);
}

void payload_fetcher_close(struct payload_fetcher *fetcher)
{
    fetcher->closing = true;
    uv_timer_stop(&fetcher->timer);
    cancel_all(&fetcher->waiting);
    cancel_all(&fetcher->paused);
    http_client_close(fetcher->http); /* ends those that are being called */
    take_down_when_done(fetcher);
}

void payload_fetcher_free(struct payload_fetcher *fetcher)
{
    if (!fetcher)
        return;
    assert(fetcher->open == 0);
    time_queue_release(&fetcher->waiting);
    time_queue_release(&fetcher->paused);
    free(fetcher);
}
