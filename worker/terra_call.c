/* terra_call: see terra_call.h. */
#include "worker/terra_call.h"

#include <stdlib.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/metrics.h"

#define WIDGET_MEMORY_US (600 * CLOCK_US_PER_SECOND)
#define REQUEST_BYTES_MAX (64 * 1024)
#define URL_MAX (4 * 1024)
/* An attempt that has less time than this left is given this much: zero would mean "for ever". */
#define ATTEMPT_MIN_US (10 * CLOCK_US_PER_MS)

/* Within this Terra answers when it is well; a shorter attempt that fails says nothing. */
#define TELLING_US (5 * CLOCK_US_PER_SECOND)
#define PROBE_TIMEOUT_US (3 * CLOCK_US_PER_SECOND)

/* What goes with one environment's calls. */
struct caller_environment {
    struct http_headers *headers; /* with the key of that generation */
    unsigned key_generation;
    enum terra_endpoint widget; /* what served the last widget session */
    int64_t widget_until_us;    /* monotonic; the memory is void after it */
};

struct terra_caller {
    struct terra_caller_options options;
    struct http_client *http;
    struct caller_environment *environments; /* by environment.index */
    struct metric *calls_total[TERRA_ENDPOINT_COUNT], *seconds;
};

/* ---- credentials ---- */

static struct http_headers *make_headers(const struct environment *environment)
{
    /* Names exactly so: title-cased ones were once blamed for refusals. */
    const struct http_header headers[] = {
        {"dev-id", environment->dev_id},
        {"x-api-key", environment->api_key},
        {"Content-Type", "application/json"},
        {"Accept", "application/json"},
    };
    return http_headers_new(headers, sizeof headers / sizeof headers[0]);
}

/* A reference to the headers with the key that the environment has now. */
static struct http_headers *share_headers(
    struct terra_caller *caller, const struct environment *environment)
{
    struct caller_environment *known = &caller->environments[environment->index];
    if (known->key_generation != environment->key_generation) {
        http_headers_free(known->headers);
        known->headers = make_headers(environment);
        known->key_generation = environment->key_generation;
    }
    return http_headers_share(known->headers);
}

/* ---- which of the widget endpoints ---- */

static unsigned bit(enum terra_endpoint endpoint)
{
    return 1u << endpoint;
}

static enum terra_endpoint choose_widget(
    const struct terra_caller *caller, const struct terra_call *call)
{
    const struct caller_environment *known = &caller->environments[call->environment->index];
    switch (caller->options.widget) {
    case TERRA_WIDGET_PIN_SESSION:
        return TERRA_WIDGET_SESSION;
    case TERRA_WIDGET_PIN_LEGACY:
        return TERRA_LEGACY_WIDGET;
    case TERRA_WIDGET_AUTO:
        break;
    }
    enum terra_endpoint first =
        known->widget_until_us > clock_monotonic_us() ? known->widget : TERRA_WIDGET_SESSION;
    enum terra_endpoint other =
        first == TERRA_WIDGET_SESSION ? TERRA_LEGACY_WIDGET : TERRA_WIDGET_SESSION;
    return call->endpoints_gone & bit(first) ? other : first;
}

bool terra_call_has_other_endpoint(const struct terra_caller *caller, const struct terra_call *call)
{
    unsigned both = bit(TERRA_WIDGET_SESSION) | bit(TERRA_LEGACY_WIDGET);
    return caller->options.widget == TERRA_WIDGET_AUTO &&
           call->endpoint != TERRA_AUTHENTICATE_USER && (call->endpoints_gone & both) != both;
}

static void remember_widget(struct terra_call *call, const struct terra_answer *answer)
{
    struct caller_environment *known = &call->caller->environments[call->environment->index];
    if (call->endpoint == TERRA_AUTHENTICATE_USER)
        return;
    if (answer->verdict == TERRA_LINK && known->widget_until_us <= clock_monotonic_us()) {
        known->widget = call->endpoint;
        known->widget_until_us = clock_monotonic_us() + WIDGET_MEMORY_US;
    } else if (answer->verdict == TERRA_OTHER_ENDPOINT && known->widget == call->endpoint) {
        known->widget_until_us = 0;
    }
}

/* ---- a call ---- */

static void log_refusal(
    const struct terra_call *call, const struct terra_answer *answer, const char *deprecation)
{
    static struct log_limit limit;
    log_limited(&limit, 1000, LOG_LEVEL_WARN, "terra_call", "Terra gave no link",
        LOG_CONTEXT(call->log), LOG_TEXT("environment", call->environment->name),
        LOG_TEXT("endpoint", terra_endpoint_name(call->endpoint)),
        LOG_TEXT("code", connect_code_name(answer->error.code)),
        LOG_INT("http_status", answer->error.http_status),
        LOG_TEXT("reason", answer->error.message),
        LOG_TEXT("terra_trace_id", answer->trace_id[0] ? answer->trace_id : NULL),
        LOG_TEXT("deprecation", deprecation));
}

static bool had_time(const struct terra_call *call)
{
    return call->http.timeout_us >= TELLING_US ||
           call->http.timeout_us >= call->caller->options.attempt_timeout_us;
}

static void on_http_done(struct http_call *http, const struct http_response *response)
{
    struct terra_call *call = http->context;
    const struct terra_response_headers headers = {
        .retry_after = http_response_header(response, "retry-after"),
        .deprecation = http_response_header(response, "deprecation"),
        .link = http_response_header(response, "link"),
        .trace_id = http_response_header(response, "x-terra-trace-id"),
    };
    struct terra_answer answer;
    terra_api_judge(
        call->endpoint, response, &headers, call->called_wall_us, clock_wall_us(), &answer);
    call->duration_us = response->duration_us;
    metric_observe(call->caller->seconds, (double)response->duration_us / CLOCK_US_PER_SECOND);
    remember_widget(call, &answer);
    /* Only then: a repeat after a 503 belongs to the same endpoint. */
    if (answer.verdict == TERRA_OTHER_ENDPOINT)
        call->endpoints_gone |= bit(call->endpoint);
    if (answer.verdict != TERRA_LINK)
        log_refusal(call, &answer, headers.deprecation);
    call->telling = response->outcome != HTTP_CANCELLED &&
                    (response->outcome != HTTP_TIMEOUT || had_time(call));
    http_headers_free(call->headers);
    buf_release(&call->url);
    buf_release(&call->body);
    call->on_answer(call, &answer);
    terra_answer_release(&answer);
}

void terra_call_start(struct terra_caller *caller, struct terra_call *call,
    const struct connect_request *request, int64_t deadline_us)
{
    int64_t timeout_us = deadline_us - clock_monotonic_us();
    if (timeout_us > caller->options.attempt_timeout_us)
        timeout_us = caller->options.attempt_timeout_us;
    if (timeout_us < ATTEMPT_MIN_US)
        timeout_us = ATTEMPT_MIN_US;

    call->caller = caller;
    call->environment = request->environment;
    call->key_generation = request->environment->key_generation;
    call->headers = share_headers(caller, request->environment);
    call->endpoint = request->provider ? TERRA_AUTHENTICATE_USER : choose_widget(caller, call);
    buf_init(&call->url, URL_MAX);
    buf_init(&call->body, REQUEST_BYTES_MAX);
    terra_api_encode(call->endpoint, request, &call->url, &call->body);
    call->called_wall_us = clock_wall_us();
    call->http = (struct http_call){
        .method = HTTP_POST,
        .url = buf_text(&call->url),
        .headers = call->headers,
        .body = buf_text(&call->body),
        .body_size = call->body.size,
        .timeout_us = timeout_us,
        .response_bytes_max = TERRA_ANSWER_BYTES_MAX,
        .on_done = on_http_done,
        .context = call,
    };
    metric_add(caller->calls_total[call->endpoint], 1);
    http_client_start(caller->http, &call->http);
}

/* ---- the neutral GET ---- */

static void on_probe_done(struct http_call *http, const struct http_response *response)
{
    struct terra_probe *probe = http->context;
    struct connect_error error;
    enum terra_probe_verdict verdict = terra_api_judge_probe(response, &error);
    http_headers_free(probe->headers);
    buf_release(&probe->url);
    probe->on_answer(probe, verdict, &error);
}

void terra_probe_start(
    struct terra_caller *caller, struct terra_probe *probe, const struct environment *environment)
{
    int64_t timeout_us = caller->options.attempt_timeout_us;
    probe->key_generation = environment->key_generation;
    probe->headers = share_headers(caller, environment);
    buf_init(&probe->url, URL_MAX);
    terra_api_encode_probe(environment, backoff_random(), &probe->url);
    probe->http = (struct http_call){
        .method = HTTP_GET,
        .url = buf_text(&probe->url),
        .headers = probe->headers,
        .timeout_us = timeout_us < PROBE_TIMEOUT_US ? timeout_us : PROBE_TIMEOUT_US,
        .response_bytes_max = TERRA_ANSWER_BYTES_MAX,
        .on_done = on_probe_done,
        .context = probe,
    };
    http_client_start(caller->http, &probe->http);
}

/* ---- life cycle ---- */

static void register_metrics(struct terra_caller *caller)
{
    static const char help[] = "Calls to Terra by endpoint, retries included.";
    static const char *const labels[TERRA_ENDPOINT_COUNT] = {
        [TERRA_WIDGET_SESSION] = "endpoint=\"widget_session\"",
        [TERRA_LEGACY_WIDGET] = "endpoint=\"legacy_widget\"",
        [TERRA_AUTHENTICATE_USER] = "endpoint=\"authenticate_user\"",
    };
    for (unsigned i = 0; i < TERRA_ENDPOINT_COUNT; i++)
        caller->calls_total[i] =
            metrics_counter("terra_connect_terra_calls_total", labels[i], help);
    caller->seconds = metrics_histogram("terra_connect_terra_call_seconds", NULL,
        "How long calls to Terra take.", metrics_seconds_bounds, metrics_seconds_bound_count);
}

struct terra_caller *terra_caller_new(uv_loop_t *loop, const struct terra_caller_options *options)
{
    struct terra_caller *caller = memory_new(sizeof *caller);
    caller->options = *options;
    caller->http = http_client_new(loop, &options->http);
    caller->environments = memory_new(options->environments->count * sizeof *caller->environments);
    for (size_t i = 0; i < options->environments->count; i++) {
        const struct environment *environment = &options->environments->items[i];
        caller->environments[i].headers = make_headers(environment);
        caller->environments[i].key_generation = environment->key_generation;
    }
    register_metrics(caller);
    return caller;
}

void terra_caller_close(struct terra_caller *caller)
{
    http_client_close(caller->http);
}

void terra_caller_free(struct terra_caller *caller)
{
    if (!caller)
        return;
    for (size_t i = 0; i < caller->options.environments->count; i++)
        http_headers_free(caller->environments[i].headers);
    free(caller->environments);
    free(caller);
}
