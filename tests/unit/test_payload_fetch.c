/* payload_fetch: what comes of a payload, in which order, how often tried, at which cost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <time.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/metrics.h"
#include "support/gzip.h"
#include "support/http_stub.h"
#include "worker/payload_fetch.h"

#define SECRET "s3cr3t"
#define OK "HTTP/1.1 200 OK\r\n"
#define AUTH "{\"type\":\"auth\",\"status\":\"success\",\"user\":{}}"
#define EMPTY "Content-Length: 0\r\n\r\n"
#define MEGABYTE ((size_t)1024 * 1024)
#define MS CLOCK_US_PER_MS
#define MINUTES (60 * CLOCK_US_PER_SECOND)
#define GUARD_MS 30000

enum { PROBES = 8 };

struct probe {
    struct payload_fetch fetch;
    char url[256];
    bool start_again; /* from its on_fetched, once */
    unsigned times;
    enum payload_outcome outcome;
    int place; /* among those that ended; 1: first */
    char reason[PAYLOAD_REASON_SIZE];
    char body[512];
};

static uv_loop_t loop;
static uv_timer_t guard;
static struct http_stub stub;
static struct event_pointer_rules *rules;
static struct payload_fetcher *fetcher;
static struct probe probes[PROBES];
static int ended;
static bool starting; /* no on_fetched may come */
static int64_t clock_ahead_us;

static int64_t shifted_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * CLOCK_US_PER_SECOND + now.tv_nsec / 1000 + clock_ahead_us;
}

static int64_t wall_clock(void)
{
    return 1795000000 * CLOCK_US_PER_SECOND;
}

static void check_line(const char *line, size_t size)
{
    assert_null(memmem(line, size, SECRET, strlen(SECRET)));
}

static void on_guard(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("nothing came for %d ms", GUARD_MS);
}

static void begin_with(const struct http_stub_rule *stub_rules, bool allow_http,
    unsigned fetches_in_flight_max, int64_t attempt_timeout_us)
{
    char error[256];

    metrics_reset();
    log_set_sink(check_line);
    clock_ahead_us = 0;
    clock_set_source(shifted_clock, wall_clock);
    memset(probes, 0, sizeof(probes));
    ended = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    uv_timer_init(&loop, &guard);
    uv_timer_start(&guard, on_guard, GUARD_MS, 0);
    http_stub_init(&stub, &loop, stub_rules);
    rules = event_pointer_rules_new("", allow_http, error, sizeof(error));
    fetcher = payload_fetcher_new(&loop, &(struct payload_fetcher_options){
                                             .rules = rules,
                                             .fetches_in_flight_max = fetches_in_flight_max,
                                             .attempt_timeout_us = attempt_timeout_us,
                                             .user_agent = "terra-connect-test",
                                         });
}

static void begin(const struct http_stub_rule *stub_rules)
{
    begin_with(stub_rules, true, 16, 10 * CLOCK_US_PER_SECOND);
}

static void finish(void)
{
    payload_fetcher_close(fetcher);
    http_stub_close(&stub);
    uv_unref((uv_handle_t *)&guard);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    uv_close((uv_handle_t *)&guard, NULL);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    payload_fetcher_free(fetcher);
    event_pointer_rules_free(rules);
    clock_set_source(NULL, NULL);
    log_set_sink(NULL);
}

static void start(struct probe *probe)
{
    starting = true;
    payload_fetch_start(fetcher, &probe->fetch);
    starting = false;
}

static void on_fetched(
    struct payload_fetch *fetch, enum payload_outcome outcome, const char *reason)
{
    struct probe *probe = fetch->context;

    assert_false(starting);
    probe->times++;
    probe->outcome = outcome;
    probe->place = ++ended;
    snprintf(probe->reason, sizeof(probe->reason), "%s", reason);
    assert_null(strstr(reason, SECRET));
    assert_null(strstr(reason, "://"));
    assert_int_equal(reason[0] == '\0', outcome == PAYLOAD_FETCHED || outcome == PAYLOAD_SKIPPED);
    if (outcome == PAYLOAD_FETCHED)
        snprintf(probe->body, sizeof(probe->body), "%s", buf_text(&fetch->body));
    else
        assert_int_equal(fetch->body.size, 0);
    buf_release(&fetch->body);
    if (probe->start_again && probe->times == 1)
        start(probe);
}

static struct probe *ask(int i, const char *host, const char *path, int64_t life_us)
{
    struct probe *probe = &probes[i];

    snprintf(probe->url, sizeof(probe->url), "http://%s:%d%s?X-Signature=" SECRET, host, stub.port,
        path);
    probe->fetch = (struct payload_fetch){
        .url = probe->url,
        .expires_us = clock_monotonic_us() + life_us,
        .on_fetched = on_fetched,
        .context = probe,
    };
    start(probe);
    return probe;
}

static void run_until_ended(int count)
{
    while (ended < count)
        uv_run(&loop, UV_RUN_ONCE);
}

static void run_until_requests(unsigned count)
{
    while (stub.requests < count)
        uv_run(&loop, UV_RUN_ONCE);
}

/* ---- one answer ---- */

struct answer_case {
    const char *name, *head;
    const char *body; /* its length goes into the head */
    size_t filler_bytes;
    enum payload_outcome outcome;
    enum event_class class;
};

static const struct answer_case answer_cases[] = {
    {"an auth event", OK, AUTH, 0, PAYLOAD_FETCHED, EVENT_AUTH},
    {"data", OK, "{\"type\":\"sleep\",\"data\":[]}", 0, PAYLOAD_SKIPPED, EVENT_DATA},
    {"data, 10 MB of it", OK, "{\"type\":\"sleep\",\"data\":[\"", 10 * MEGABYTE, PAYLOAD_SKIPPED,
        EVENT_DATA},
    {"data before its type", OK, "{\"data\":[{\"x\":\"", 10 * MEGABYTE, PAYLOAD_SKIPPED,
        EVENT_DATA},
    {"data past any ceiling", OK, "{\"data\":[{\"x\":\"", 64 * MEGABYTE, PAYLOAD_SKIPPED,
        EVENT_DATA},
    {"another type", OK, "{\"type\":\"healthcheck\"}", 0, PAYLOAD_SKIPPED, EVENT_OTHER},
    {"another pointer", OK, "{\"type\":\"s3_payload\",\"url\":\"https://a.example/" SECRET "\"}", 0,
        PAYLOAD_FORBIDDEN, EVENT_POINTER},
    {"HTML", OK, "<html>" SECRET, 0, PAYLOAD_UNREADABLE, EVENT_UNREADABLE},
    {"an empty body", OK, "", 0, PAYLOAD_UNREADABLE, EVENT_UNREADABLE},
    {"half an object", OK, "{\"user\":{", 0, PAYLOAD_UNREADABLE, EVENT_UNREADABLE},
    {"an auth event that is too large", OK, "{\"type\":\"auth\",\"x\":\"", 8 * MEGABYTE,
        PAYLOAD_UNREADABLE, EVENT_AUTH},
    {"undecided past the ceiling", OK, "{\"user\":\"", 17 * MEGABYTE, PAYLOAD_UNREADABLE,
        EVENT_UNDECIDED},
    {"compressed, and it is not", OK "Content-Encoding: gzip\r\n", AUTH, 0, PAYLOAD_UNREADABLE,
        EVENT_UNDECIDED},
    {"compressed twice", OK "Content-Encoding: gzip, gzip\r\n", AUTH, 0, PAYLOAD_UNREADABLE,
        EVENT_UNDECIDED},
    {"a redirect", "HTTP/1.1 302 Found\r\nLocation: /ok\r\n", "", 0, PAYLOAD_FORBIDDEN,
        EVENT_UNDECIDED},
    {"a redirect with an event", "HTTP/1.1 307 Moved\r\nLocation: /ok\r\n", AUTH, 0,
        PAYLOAD_FORBIDDEN, EVENT_UNDECIDED},
    {"403", "HTTP/1.1 403 Forbidden\r\n", "<Error>Request has expired</Error>", 0, PAYLOAD_EXPIRED,
        EVENT_UNDECIDED},
    {"404", "HTTP/1.1 404 Not Found\r\n", AUTH, 0, PAYLOAD_EXPIRED, EVENT_UNDECIDED},
    {"410", "HTTP/1.1 410 Gone\r\n", "", 0, PAYLOAD_EXPIRED, EVENT_UNDECIDED},
    {"400, expired", "HTTP/1.1 400 Bad Request\r\n", "<Error><Code>ExpiredToken</Code></Error>", 0,
        PAYLOAD_EXPIRED, EVENT_UNDECIDED},
    {"400, and much text", "HTTP/1.1 400 Bad Request\r\n", "ExpiredTaken", 8 * MEGABYTE,
        PAYLOAD_UNREADABLE, EVENT_UNDECIDED},
    {"401", "HTTP/1.1 401 Unauthorized\r\n", "", 0, PAYLOAD_UNREADABLE, EVENT_UNDECIDED},
};

static void test_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(answer_cases) / sizeof(answer_cases[0]); i++) {
        const struct answer_case *expected = &answer_cases[i];
        char answer[1024];
        snprintf(answer, sizeof(answer), "%sContent-Length: %zu\r\n\r\n%s", expected->head,
            strlen(expected->body) + expected->filler_bytes, expected->body);
        const struct http_stub_rule stub_rules[] = {
            {.path = "/x", .answer = answer, .filler_bytes = expected->filler_bytes},
            {.path = NULL},
        };

        print_message("           %s\n", expected->name);
        begin(stub_rules);
        struct probe *probe = ask(0, "127.0.0.1", "/x", 10 * MINUTES);
        run_until_ended(1);
        assert_string_equal(
            payload_outcome_name(probe->outcome), payload_outcome_name(expected->outcome));
        assert_int_equal(probe->fetch.class_, expected->class);
        if (expected->outcome == PAYLOAD_FETCHED)
            assert_string_equal(probe->body, expected->body);
        if (expected->outcome == PAYLOAD_SKIPPED) /* what the kernel has taken on its way */
            assert_true(stub.bytes_sent < 9 * MEGABYTE);
        assert_int_equal(stub.requests, 1);
        finish();
        assert_int_equal(probe->times, 1);
    }
}

static void check_made_body(const struct buf *body, const char *head, enum payload_outcome outcome)
{
    char answer[256];
    snprintf(answer, sizeof(answer), "%s%sContent-Length: %zu\r\n\r\n", OK, head, body->size);
    const struct http_stub_rule stub_rules[] = {
        {.path = "/x", .answer = answer, .body = body->data, .body_size = body->size},
        {.path = NULL},
    };

    begin(stub_rules);
    struct probe *probe = ask(0, "127.0.0.1", "/x", 10 * MINUTES);
    run_until_ended(1);
    assert_string_equal(payload_outcome_name(probe->outcome), payload_outcome_name(outcome));
    if (outcome == PAYLOAD_FETCHED)
        assert_string_equal(probe->body, AUTH);
    finish();
}

static void test_compressed_event(void **state)
{
    struct buf body;

    (void)state;
    buf_init(&body, MEGABYTE);
    gzip_append_stored(&body, AUTH, strlen(AUTH));
    check_made_body(&body, "Content-Encoding: gzip\r\n", PAYLOAD_FETCHED);
    buf_release(&body);
}

/* Of no class until behind the ceiling for what is stored: looked at, then given up. */
static void test_event_with_a_late_type(void **state)
{
    struct buf body;

    (void)state;
    buf_init(&body, 4 * MEGABYTE);
    buf_append_text(&body, "{\"x\":\"");
    while (body.size < PAYLOAD_EVENT_BYTES_MAX)
        buf_append_text(&body, "0123456789abcdef");
    buf_append_text(&body, "\",\"type\":\"auth\"}");
    check_made_body(&body, "", PAYLOAD_UNREADABLE);
    assert_non_null(strstr(probes[0].reason, "larger"));
    buf_release(&body);
}

/* ---- another attempt ---- */

static void test_passing_failures_are_tried_again(void **state)
{
    static const char *const failures[] = {
        "HTTP/1.1 503 Slow Down\r\n" EMPTY,
        "HTTP/1.1 500 Oops\r\nContent-Length: 5\r\n\r\n<html",
        "HTTP/1.1 429 Too Many\r\nRetry-After: 0\r\n" EMPTY,
        "HTTP/1.1 408 Late\r\n" EMPTY,
    };

    (void)state;
    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
        const struct http_stub_rule stub_rules[] = {
            {.path = "/x",
                .answer = OK "Content-Length: 15\r\n\r\n{\"type\":\"auth\"}",
                .from_request = 3},
            {.path = "/x", .answer = failures[i]},
            {.path = NULL},
        };
        begin(stub_rules);
        struct probe *probe = ask(0, "127.0.0.1", "/x", 10 * MINUTES);
        run_until_ended(1);
        assert_int_equal(probe->outcome, PAYLOAD_FETCHED);
        assert_string_equal(probe->body, "{\"type\":\"auth\"}"); /* nothing of the failures */
        assert_int_equal(stub.requests, 3);
        finish();
    }
}

/* What had come of a broken attempt does not get into the next one's body. */
static void test_another_attempt_begins_anew(void **state)
{
    struct http_stub_rule stub_rules[] = {
        {.path = "/x", .answer = OK "Content-Length: 99\r\n\r\n{\"x\":1,", .then = STUB_CLOSE},
        {.path = NULL},
    };

    (void)state;
    begin(stub_rules);
    struct probe *probe = ask(0, "127.0.0.1", "/x", 10 * MINUTES);
    run_until_requests(1);
    stub_rules[0].answer = OK "Content-Length: 15\r\n\r\n{\"type\":\"auth\"}";
    run_until_ended(1);
    assert_int_equal(probe->outcome, PAYLOAD_FETCHED);
    assert_string_equal(probe->body, "{\"type\":\"auth\"}");
    assert_int_equal(stub.requests, 2);
    finish();
}

static void test_retry_after_is_obeyed(void **state)
{
    static const struct http_stub_rule stub_rules[] = {
        {.path = "/x",
            .answer = OK "Content-Length: 15\r\n\r\n{\"type\":\"auth\"}",
            .from_request = 2},
        {.path = "/x", .answer = "HTTP/1.1 503 No\r\nRetry-After: 1\r\n" EMPTY},
        {.path = NULL},
    };

    (void)state;
    begin(stub_rules);
    int64_t start_us = clock_monotonic_us();
    struct probe *probe = ask(0, "127.0.0.1", "/x", 10 * MINUTES);
    run_until_ended(1);
    assert_int_equal(probe->outcome, PAYLOAD_FETCHED);
    assert_true(clock_monotonic_us() - start_us >= CLOCK_US_PER_SECOND);
    finish();
}

/* Broken connections, stalls: until there is no life left. */
static void test_tries_end_with_life(void **state)
{
    static const struct http_stub_rule rows[] = {
        {.path = "/x", .then = STUB_CLOSE},
        {.path = "/x", .then = STUB_RESET},
        {.path = "/x"},
        {.path = "/x", .answer = OK "Content-Length: 9\r\n\r\n{"},
        {.path = "/x", .answer = OK "Content-Length: 9\r\n\r\n{", .then = STUB_CLOSE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct http_stub_rule stub_rules[] = {rows[i], {.path = NULL}};
        begin_with(stub_rules, true, 4, 50 * MS);
        struct probe *probe = ask(0, "127.0.0.1", "/x", 30 * CLOCK_US_PER_SECOND);
        run_until_requests(2);
        clock_ahead_us = 30 * CLOCK_US_PER_SECOND;
        run_until_ended(1);
        assert_int_equal(probe->outcome, PAYLOAD_EXPIRED);
        finish();
    }
}

static void test_tries_end_long_before_a_long_life(void **state)
{
    static const struct http_stub_rule stub_rules[] = {
        {.path = "/x", .answer = "HTTP/1.1 503 No\r\n" EMPTY}, {.path = NULL}};

    (void)state;
    begin(stub_rules);
    struct probe *probe = ask(0, "127.0.0.1", "/x", 10 * MINUTES);
    run_until_requests(2);
    clock_ahead_us = PAYLOAD_TRIES_US;
    run_until_ended(1);
    assert_int_equal(probe->outcome, PAYLOAD_UNAVAILABLE);
    assert_non_null(strstr(probe->reason, "the store answered HTTP 503, after "));
    finish();
}

/* ---- whose turn it is ---- */

#define AUTH_RULE(path_)                                                                           \
    {                                                                                              \
        .path = (path_), .answer = OK "Content-Length: 15\r\n\r\n{\"type\":\"auth\"}"              \
    }

static const struct http_stub_rule usual_rules[] = {
    AUTH_RULE("/x"),
    {.path = "/small",
        .answer = OK "Content-Length: 26\r\nSet-Cookie: a=b\r\n\r\n"
                     "{\"type\":\"sleep\",\"data\":[]}"},
    {.path = "/stall"},
    {.path = "/503", .answer = "HTTP/1.1 503 No\r\nRetry-After: 10\r\n" EMPTY},
    {.path = NULL},
};

static void test_least_life_first(void **state)
{
    static const int64_t lives_s[PROBES] = {50, 20, 70, 10, 40, 80, 30, 60};

    (void)state;
    begin_with(usual_rules, true, 1, 10 * CLOCK_US_PER_SECOND);
    for (int i = 0; i < PROBES; i++)
        ask(i, "127.0.0.1", "/x", lives_s[i] * CLOCK_US_PER_SECOND);
    run_until_ended(PROBES);
    for (int i = 0; i < PROBES; i++) {
        assert_int_equal(probes[i].outcome, PAYLOAD_FETCHED);
        assert_int_equal(probes[i].place, lives_s[i] / 10);
    }
    assert_int_equal(stub.connections_accepted, 1);
    finish();
}

static void test_no_more_at_once_than_allowed(void **state)
{
    (void)state;
    begin_with(usual_rules, true, 3, 10 * CLOCK_US_PER_SECOND);
    for (int i = 0; i < PROBES; i++)
        ask(i, "127.0.0.1", "/stall", 10 * MINUTES);
    run_until_requests(3);
    for (int i = 0; i < 20; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(stub.requests, 3);
    finish();
    for (int i = 0; i < PROBES; i++) {
        assert_int_equal(probes[i].times, 1);
        assert_int_equal(probes[i].outcome, PAYLOAD_CANCELLED);
    }
}

static void test_no_call_without_life(void **state)
{
    (void)state;
    begin_with(usual_rules, true, 1, 10 * CLOCK_US_PER_SECOND);
    struct probe *over = ask(0, "127.0.0.1", "/x", 0);
    run_until_ended(1);
    assert_int_equal(over->outcome, PAYLOAD_EXPIRED);
    assert_int_equal(stub.connections_accepted, 0);

    struct probe *first = ask(1, "127.0.0.1", "/stall", 10 * MINUTES);
    run_until_requests(1);
    struct probe *waiting = ask(2, "127.0.0.1", "/x", 50 * MS); /* nobody lets it have a turn */
    run_until_ended(2);
    assert_int_equal(waiting->outcome, PAYLOAD_EXPIRED);
    assert_int_equal(first->times, 0);
    assert_int_equal(stub.requests, 1);
    finish();
}

/* ---- cancel, close, again ---- */

static void test_cancel(void **state)
{
    (void)state;
    begin_with(usual_rules, true, 2, 10 * CLOCK_US_PER_SECOND);
    struct probe *paused = ask(0, "127.0.0.1", "/503", MINUTES);
    while (paused->fetch.state != PAYLOAD_PAUSED)
        uv_run(&loop, UV_RUN_ONCE);
    struct probe *calling = ask(1, "127.0.0.1", "/stall", 2 * MINUTES);
    struct probe *other = ask(2, "127.0.0.1", "/stall", 3 * MINUTES);
    run_until_requests(3);
    struct probe *waiting = ask(3, "127.0.0.1", "/x", 4 * MINUTES);
    struct probe *ending = ask(4, "127.0.0.1", "/x", 0);
    while (ending->fetch.state == PAYLOAD_WAITING)
        uv_run(&loop, UV_RUN_ONCE);
    starting = true;
    for (int i = 0; i < 5; i++) {
        payload_fetch_cancel(&probes[i].fetch);
        payload_fetch_cancel(&probes[i].fetch); /* no second time */
    }
    starting = false;
    run_until_ended(5);
    assert_int_equal(paused->outcome, PAYLOAD_CANCELLED);
    assert_int_equal(calling->outcome, PAYLOAD_CANCELLED);
    assert_int_equal(other->outcome, PAYLOAD_CANCELLED);
    assert_int_equal(waiting->outcome, PAYLOAD_CANCELLED);
    assert_int_equal(ending->outcome, PAYLOAD_CANCELLED);
    payload_fetch_cancel(&waiting->fetch); /* ended: nothing happens */

    struct probe *next = ask(5, "127.0.0.1", "/x", MINUTES); /* the permits are free again */
    run_until_ended(6);
    assert_int_equal(next->outcome, PAYLOAD_FETCHED);
    finish();
    for (int i = 0; i < 6; i++)
        assert_int_equal(probes[i].times, 1);
}

/* libcurl refuses this URL before the transfer begins: the call is about to fail already. */
static void test_cancel_of_a_call_that_has_ended(void **state)
{
    const size_t size = 9 * MEGABYTE;
    char *url = memory_new(size + 1);
    struct probe *probe = &probes[0];

    (void)state;
    memset(url, 'a', size);
    begin(usual_rules);
    probe->fetch = (struct payload_fetch){.url = url,
        .expires_us = clock_monotonic_us() + MINUTES,
        .on_fetched = on_fetched,
        .context = probe};
    start(probe);
    while (probe->fetch.state != PAYLOAD_CALLING)
        uv_run(&loop, UV_RUN_ONCE);
    payload_fetch_cancel(&probe->fetch);
    run_until_ended(1);
    assert_int_equal(probe->outcome, PAYLOAD_CANCELLED);
    finish();
    free(url);
}

static void test_close(void **state)
{
    (void)state;
    begin_with(usual_rules, true, 2, 10 * CLOCK_US_PER_SECOND);
    struct probe *paused = ask(0, "127.0.0.1", "/503", MINUTES);
    while (paused->fetch.state != PAYLOAD_PAUSED)
        uv_run(&loop, UV_RUN_ONCE);
    for (int i = 1; i < 5; i++)
        ask(i, "127.0.0.1", "/stall", 2 * MINUTES);
    run_until_requests(3);
    probes[1].start_again = true; /* from its on_fetched, while closing */
    finish();
    for (int i = 0; i < 5; i++) {
        assert_int_equal(probes[i].times, i == 1 ? 2 : 1);
        assert_int_equal(probes[i].outcome, PAYLOAD_CANCELLED);
    }
}

static void test_close_at_rest(void **state)
{
    (void)state;
    begin(usual_rules);
    finish();
}

static void test_start_again(void **state)
{
    (void)state;
    begin(usual_rules);
    probes[0].start_again = true;
    struct probe *probe = &probes[0];
    ask(0, "127.0.0.1", "/x", MINUTES);
    run_until_ended(2);
    assert_int_equal(probe->outcome, PAYLOAD_FETCHED);
    assert_int_equal(stub.requests, 2);
    finish();
}

/* ---- what may be asked, and what is said ---- */

static void test_forbidden_address(void **state)
{
    static const char *const hosts[] = {"localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"};

    (void)state;
    begin_with(usual_rules, false, 4, 10 * CLOCK_US_PER_SECOND);
    for (int i = 0; i < 4; i++) {
        struct probe *probe = ask(i, hosts[i], "/x", MINUTES);
        run_until_ended(i + 1);
        assert_string_equal(payload_outcome_name(probe->outcome), "forbidden");
        assert_int_equal(probe->fetch.attempts, 1);
    }
    assert_int_equal(stub.connections_accepted, 0);
    finish();
}

static void test_request_says_little(void **state)
{
    char expected[512];

    (void)state;
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
    begin(usual_rules);
    ask(0, "127.0.0.1", "/small", MINUTES);
    run_until_ended(1);
    struct probe *probe = ask(1, "127.0.0.1", "/x", MINUTES); /* after a cookie was set */
    run_until_ended(2);
    assert_int_equal(probe->outcome, PAYLOAD_FETCHED);
    snprintf(expected, sizeof(expected),
        "GET /x?X-Signature=" SECRET " HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
        "User-Agent: terra-connect-test\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\n\r\n",
        stub.port);
    assert_string_equal(stub.last_request, expected);
    assert_int_equal(stub.connections_accepted, 1); /* kept, also after data that was dropped */
    finish();
    unsetenv("http_proxy");
}

static void check_metric(const char *line)
{
    struct buf text;

    buf_init(&text, MEGABYTE);
    metrics_print(&text);
    if (!strstr(buf_text(&text), line))
        fail_msg("no \"%s\" in\n%s", line, buf_text(&text));
    buf_release(&text);
}

static void test_metrics(void **state)
{
    (void)state;
    begin(usual_rules);
    ask(0, "127.0.0.1", "/small", 100 * CLOCK_US_PER_SECOND);
    ask(1, "127.0.0.1", "/x", 10 * CLOCK_US_PER_SECOND);
    ask(2, "127.0.0.1", "/x", 0);
    run_until_ended(3);
    check_metric("terra_connect_payload_fetches_total{outcome=\"fetched\"} 1\n");
    check_metric("terra_connect_payload_fetches_total{outcome=\"skipped\"} 1\n");
    check_metric("terra_connect_payload_fetches_total{outcome=\"expired\"} 1\n");
    check_metric("terra_connect_payload_skipped_bytes_total 26\n");
    check_metric("terra_connect_payload_life_left_seconds_bucket{le=\"0\"} 1\n");
    check_metric("terra_connect_payload_life_left_seconds_bucket{le=\"15\"} 2\n");
    check_metric("terra_connect_payload_life_left_seconds_count 3\n");
    check_metric("terra_connect_payload_fetch_seconds_count 2\n");
    check_metric("terra_connect_payloads_in_flight 0\n");
    check_metric("terra_connect_payloads_waiting 0\n");
    finish();
}

/* ---- the cost of what is skipped; figures for the eye (a release build tells) ---- */

static double cpu_us(void)
{
    struct timespec used;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec * 1e6 + (double)used.tv_nsec / 1e3;
}

static void test_cost_of_inline_data(void **state)
{
    static const char user[] =
        "{\"user\":{\"user_id\":\"7d4b2b8e-31f5-4c44-9c0a-0a6d1c7f5e10\",\"provider\":\"OURA\"},"
        "\"type\":\"sleep\",\"data\":[\"";
    static const char *const beginnings[] = {
        "{\"type\":\"sleep\",\"data\":[\"", user, "{\"user\":{},\"x\":\""};
    const size_t size = 10 * MEGABYTE;
    char *record = memory_new(size);

    (void)state;
    for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++) {
        int rounds = i == 2 ? 2 : 10000;
        memset(record, 'x', size);
        memcpy(record, beginnings[i], strlen(beginnings[i]));
        double start_us = cpu_us();
        for (int round = 0; round < rounds; round++) {
            struct event_scan scan;
            event_scan_init(&scan);
            event_scan_feed(&scan, record, size);
            assert_true(event_scan_end(&scan) == (i == 2 ? EVENT_UNREADABLE : EVENT_DATA));
        }
        print_message("           %.3f us for 10 MB that begin with %.30s\n",
            (cpu_us() - start_us) / rounds, beginnings[i]);
    }
    free(record);
}

static void check_cost(const char *name, size_t size)
{
    char answer[256];
    snprintf(answer, sizeof(answer),
        OK "Content-Length: %zu\r\n\r\n{\"type\":\"sleep\",\"data\":[\"", 25 + size);
    const struct http_stub_rule stub_rules[] = {
        {.path = "/x", .answer = answer, .filler_bytes = size}, {.path = NULL}};
    const int rounds = 100;

    begin(stub_rules);
    double start_us = cpu_us();
    for (int round = 0; round < rounds; round++) {
        struct probe *probe = ask(0, "127.0.0.1", "/x", MINUTES);
        run_until_ended(round + 1);
        assert_int_equal(probe->outcome, PAYLOAD_SKIPPED);
    }
    print_message("           %.0f us, %zu bytes received (%zu left the server), for %s\n",
        (cpu_us() - start_us) / rounds,
        (size_t)metric_value(
            metrics_counter("terra_connect_payload_skipped_bytes_total", NULL, "")) /
            (size_t)rounds,
        stub.bytes_sent / (size_t)rounds, name);
    assert_true(stub.bytes_sent < (size_t)rounds * 9 * MEGABYTE);
    finish();
}

static void test_cost_of_fetched_data(void **state)
{
    (void)state;
    check_cost("a body of 1 KB", 1000);
    check_cost("a body of 50 KB", 50000);
    check_cost("a body of 200 KB", 200000);
    check_cost("a body of 10 MB", 10 * MEGABYTE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_compressed_event),
        cmocka_unit_test(test_event_with_a_late_type),
        cmocka_unit_test(test_passing_failures_are_tried_again),
        cmocka_unit_test(test_another_attempt_begins_anew),
        cmocka_unit_test(test_retry_after_is_obeyed),
        cmocka_unit_test(test_tries_end_with_life),
        cmocka_unit_test(test_tries_end_long_before_a_long_life),
        cmocka_unit_test(test_least_life_first),
        cmocka_unit_test(test_no_more_at_once_than_allowed),
        cmocka_unit_test(test_no_call_without_life),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_of_a_call_that_has_ended),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_close_at_rest),
        cmocka_unit_test(test_start_again),
        cmocka_unit_test(test_forbidden_address),
        cmocka_unit_test(test_request_says_little),
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_cost_of_inline_data),
        cmocka_unit_test(test_cost_of_fetched_data),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
