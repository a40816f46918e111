/* check_terra: see check_terra.h. */
#include "worker/check_terra.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/memory.h"
#include "common/text.h"
#include "worker/terra_call.h"
#include "worker/terra_sources.h"

#define CONNECT_TIMEOUT_US (5 * CLOCK_US_PER_SECOND)
/* A Date header has whole seconds: the moment lies half a second behind it, on average. */
#define DATE_MIDDLE_US (CLOCK_US_PER_SECOND / 2)
#define REFERENCE_ID "terra-connect-check"

static const char area[] = "terra";

struct terra_check {
    struct check_terra *owner;
    const struct environment *environment;

    struct terra_probe probe;
    enum terra_probe_verdict verdict;
    struct connect_error error; /* unless accepted */

    struct http_call sources_call;
    struct http_headers *headers;
    int64_t asked_wall_us;
    enum http_outcome outcome;
    int status;
    bool sources_told, skew_told;
    struct terra_sources sources;
    int64_t skew_us;

    /* --widget */
    struct terra_call widget_call;
    struct connect_request request;
    enum terra_verdict widget_verdict;
    struct connect_error widget_error;
};

struct check_terra {
    const struct check_run *run;
    struct check_report *report;
    struct terra_caller *caller;
    struct http_client *http;
    struct terra_check *items; /* one for each environment */
    size_t count;
    size_t open; /* calls that have not been answered */
};

/* ---- what came of it ---- */

static void report_credential(const struct terra_check *item, const char *subject)
{
    struct check_report *report = item->owner->report;
    const struct connect_error *error = &item->error;
    switch (item->verdict) {
    case TERRA_PROBE_ACCEPTED:
        check_report_add(report, CHECK_OK, area, subject, "Terra takes its dev id and API key");
        return;
    case TERRA_PROBE_REFUSED:
        check_report_add(report, CHECK_FAIL, area, subject,
            "Terra refuses its dev id and API key (HTTP %d)", error->http_status);
        check_report_advise(report,
            "check that they belong together, to the right environment of Terra, and that the key "
            "has not been replaced");
        return;
    case TERRA_PROBE_FAILED:
        check_report_add(report, CHECK_FAIL, area, subject, "%s", error->message);
        check_report_advise(report, "check network, proxy, certificates and TERRA_BASE_URL");
        return;
    case TERRA_PROBE_UNCLEAR:
    case TERRA_PROBE_VERDICT_COUNT:
        break;
    }
    check_report_add(report, CHECK_WARN, area, subject,
        "whether Terra takes its dev id and API key cannot be told: %s", error->message);
    check_report_advise(report, "check TERRA_BASE_URL, and try again");
}

static void report_sources(const struct terra_check *item, const char *subject)
{
    struct check_report *report = item->owner->report;
    const struct terra_sources *sources = &item->sources;
    if (!item->sources_told) {
        /* Said already, where Terra cannot be reached at all. */
        if (item->verdict == TERRA_PROBE_FAILED)
            return;
        check_report_add(report, CHECK_WARN, area, subject,
            "which sources are enabled cannot be told (%s, HTTP %d)",
            http_outcome_name(item->outcome), item->status);
        check_report_advise(report, "look at them in Terra's dashboard");
    } else if (sources->enabled == 0) {
        check_report_add(report, CHECK_WARN, area, subject,
            "no source is enabled: Terra answers calls for a link with HTTP 500");
        check_report_advise(
            report, "enable sources for this environment in Terra's dashboard, Connections");
    } else {
        check_report_add(report, CHECK_OK, area, subject, "%zu of %zu sources enabled: %s",
            sources->enabled, sources->all, sources->names);
    }
}

static void report_skew(const struct terra_check *item, const char *subject)
{
    struct check_report *report = item->owner->report;
    if (!item->skew_told)
        return;
    long long seconds = item->skew_us / CLOCK_US_PER_SECOND;
    bool wrong = item->skew_us > CHECK_SKEW_MAX_US || item->skew_us < -CHECK_SKEW_MAX_US;
    check_report_add(report, wrong ? CHECK_WARN : CHECK_OK, area, subject,
        "Terra's clock is %lld s from ours", seconds);
    if (wrong)
        check_report_advise(report,
            "set this machine's clock by time servers: deadlines and link_expires_at count on it");
}

static void advise_current_endpoint(struct check_report *report)
{
    check_report_advise(report, "Terra means to retire it: ask for the current one");
}

static void report_tried_endpoint(const struct terra_check *item, const char *subject)
{
    struct check_report *report = item->owner->report;
    bool older = item->widget_call.endpoint == TERRA_LEGACY_WIDGET;
    const char *name = terra_endpoint_name(item->widget_call.endpoint);
    if (item->widget_verdict != TERRA_LINK) {
        check_report_add(report, CHECK_FAIL, area, subject, "%s gave no session: %s", name,
            item->widget_error.message);
        return;
    }
    check_report_add(report, older ? CHECK_WARN : CHECK_OK, area, subject,
        "the widget endpoint that serves it is %s", name);
    if (older)
        advise_current_endpoint(report);
}

/* Which endpoint serves an account shows only in a call for a session. */
static void report_chosen_endpoint(const struct terra_check *item, const char *subject)
{
    struct check_report *report = item->owner->report;
    switch ((enum terra_widget_choice)item->owner->run->config->terra_widget_endpoint) {
    case TERRA_WIDGET_AUTO:
        check_report_add(report, CHECK_OK, area, subject,
            "asked for widget sessions: the current endpoint, and the older one behind it; which "
            "of them serves it is tried with --widget alone");
        break;
    case TERRA_WIDGET_PIN_SESSION:
        check_report_add(report, CHECK_OK, area, subject,
            "asked for widget sessions: the current endpoint alone; tried with --widget alone");
        break;
    case TERRA_WIDGET_PIN_LEGACY:
        check_report_add(report, CHECK_WARN, area, subject,
            "TERRA_WIDGET_ENDPOINT pins the older widget endpoint");
        advise_current_endpoint(report);
        break;
    }
}

static void finish(struct check_terra *check)
{
    for (size_t i = 0; i < check->count; i++) {
        char subject[100];
        snprintf(subject, sizeof subject, "environment %s", check->items[i].environment->name);
        report_credential(&check->items[i], subject);
        report_sources(&check->items[i], subject);
        if (check->run->options->widget)
            report_tried_endpoint(&check->items[i], subject);
        else
            report_chosen_endpoint(&check->items[i], subject);
        report_skew(&check->items[i], subject);
    }
    terra_caller_close(check->caller);
    http_client_close(check->http);
}

static void count_answer(struct check_terra *check)
{
    if (--check->open == 0)
        finish(check);
}

/* ---- the calls ---- */

static void on_probe(
    struct terra_probe *probe, enum terra_probe_verdict verdict, const struct connect_error *error)
{
    struct terra_check *item = probe->context;
    item->verdict = verdict;
    item->error = *error;
    count_answer(item->owner);
}

static void start_probe(struct terra_check *item)
{
    item->owner->open++;
    item->probe = (struct terra_probe){.on_answer = on_probe, .context = item};
    terra_probe_start(item->owner->caller, &item->probe, item->environment);
}

static void on_sources(struct http_call *call, const struct http_response *response)
{
    struct terra_check *item = call->context;
    int64_t date_us;
    item->outcome = response->outcome;
    item->status = response->status;
    item->sources_told = response->outcome == HTTP_ANSWERED && response->status == 200 &&
                         terra_sources_read(&item->sources, response->body, response->body_size);
    const char *date =
        response->outcome == HTTP_ANSWERED ? http_response_header(response, "date") : NULL;
    if (date && clock_parse_http_date(date, &date_us)) {
        item->skew_told = true;
        item->skew_us = date_us + DATE_MIDDLE_US - (item->asked_wall_us + clock_wall_us()) / 2;
    }
    http_headers_free(item->headers);
    count_answer(item->owner);
}

static void start_sources(struct terra_check *item, int64_t timeout_us)
{
    /* Without the key: see terra_sources.h. */
    const struct http_header headers[] = {
        {"dev-id", item->environment->dev_id}, {"Accept", "application/json"}};
    item->owner->open++;
    item->headers = http_headers_new(headers, sizeof headers / sizeof headers[0]);
    item->asked_wall_us = clock_wall_us();
    item->sources_call = (struct http_call){
        .method = HTTP_GET,
        .url = item->environment->sources_url,
        .headers = item->headers,
        .timeout_us = timeout_us,
        .response_bytes_max = TERRA_SOURCES_ANSWER_BYTES_MAX,
        .on_done = on_sources,
        .context = item,
    };
    http_client_start(item->owner->http, &item->sources_call);
}

static void ask_widget(struct terra_check *item)
{
    terra_call_start(
        item->owner->caller, &item->widget_call, &item->request, item->owner->run->deadline_us);
}

static void on_widget(struct terra_call *call, struct terra_answer *answer)
{
    struct terra_check *item = call->context;
    item->widget_verdict = answer->verdict;
    item->widget_error = answer->error;
    if (answer->verdict == TERRA_OTHER_ENDPOINT &&
        terra_call_has_other_endpoint(item->owner->caller, call))
        ask_widget(item);
    else
        count_answer(item->owner);
}

static void start_widget(struct terra_check *item)
{
    item->owner->open++;
    item->request = (struct connect_request){
        .request_id = REFERENCE_ID,
        .reference_id = REFERENCE_ID,
        .environment = item->environment,
        .environment_name = item->environment->name,
    };
    item->widget_call = (struct terra_call){.on_answer = on_widget, .context = item};
    ask_widget(item);
}

/* ---- the beginning ---- */

static void make_clients(struct check_terra *check, int64_t timeout_us)
{
    const struct config *config = check->run->config;
    const struct terra_caller_options options = {
        .environments = check->run->environments,
        .widget = (enum terra_widget_choice)config->terra_widget_endpoint,
        .attempt_timeout_us = timeout_us,
        .http =
            {
                .calls_in_flight_max = (unsigned)(3 * check->count),
                .connect_timeout_us = CONNECT_TIMEOUT_US,
                .user_agent = "terra-connect/" TERRA_CONNECT_VERSION,
                .proxy = text_empty(config->terra_proxy) ? NULL : config->terra_proxy,
                .ca_file = text_empty(config->terra_ca_file) ? NULL : config->terra_ca_file,
                .http2 = config->terra_http2,
            },
    };
    check->caller = terra_caller_new(check->run->loop, &options);
    check->http = http_client_new(check->run->loop, &options.http);
}

struct check_terra *check_terra_new(const struct check_run *run, struct check_report *report)
{
    int64_t timeout_us = run->options->timeout_us < run->config->terra_timeout_us
                             ? run->options->timeout_us
                             : run->config->terra_timeout_us;
    if (run->environments->count == 0)
        return NULL;
    struct check_terra *check = memory_new(sizeof *check);
    check->run = run;
    check->report = report;
    check->count = run->environments->count;
    check->items = memory_new(check->count * sizeof *check->items);
    make_clients(check, timeout_us);
    for (size_t i = 0; i < check->count; i++) {
        struct terra_check *item = &check->items[i];
        item->owner = check;
        item->environment = &run->environments->items[i];
        start_probe(item);
        start_sources(item, timeout_us);
        if (run->options->widget)
            start_widget(item);
    }
    return check;
}

void check_terra_free(struct check_terra *check)
{
    if (!check)
        return;
    terra_caller_free(check->caller);
    free(check->items);
    free(check);
}
