/* http_shards, and http_client on top of it: connections that are kept,
 * die, or never come about. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <assert.h>
#include <netdb.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/memory.h"
#include "support/http_fixture.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define SHORT_US (200 * CLOCK_US_PER_MS)

static const struct http_stub_rule rules[] = {
    {.path = "/ok", .answer = OK},
    {.path = "/closes", .answer = OK, .then = STUB_CLOSE},
    {.path = "/says-close",
        .answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"},
    /* Answers the first request of each connection only. */
    {.path = "/resets-second", .from_request = 2, .then = STUB_RESET},
    {.path = "/resets-second", .answer = OK},
    {.path = "/closes-second", .from_request = 2, .then = STUB_CLOSE},
    {.path = "/closes-second", .answer = OK},
    {.path = "/resets-second-early", .from_request = 2, .then = STUB_RESET, .early = true},
    {.path = "/resets-second-early", .answer = OK},
    {.path = "/half-of-second",
        .answer = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal",
        .from_request = 2,
        .then = STUB_RESET},
    {.path = "/half-of-second", .answer = OK},
    {.path = "/stalls", .from_request = 2, .then = STUB_RESET},
    {.path = "/stalls"},
    {.path = "/never", .then = STUB_CLOSE},
    {.path = "/stall"},
    {.path = "http://elsewhere.invalid/ok", .answer = OK},
    {.path = NULL},
};

/* ---- names: the resolver of this program ---- */

static sem_t resolver_release; /* lets one look-up of slow.test end */

struct address {
    struct addrinfo info;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } socket;
};

static struct addrinfo *make_address(const char *text, const char *service)
{
    struct address *made = memory_new(sizeof(*made));
    uint16_t port = htons((uint16_t)(service ? strtoul(service, NULL, 10) : 0));

    made->info.ai_socktype = SOCK_STREAM;
    made->info.ai_protocol = IPPROTO_TCP;
    made->info.ai_addr = &made->socket.any;
    if (strchr(text, ':') != NULL) {
        made->socket.v6.sin6_port = port;
        inet_pton(AF_INET6, text, &made->socket.v6.sin6_addr);
        made->info.ai_addrlen = sizeof(made->socket.v6);
        made->info.ai_family = made->socket.v6.sin6_family = AF_INET6;
    } else {
        made->socket.v4.sin_port = port;
        inet_pton(AF_INET, text, &made->socket.v4.sin_addr);
        made->info.ai_addrlen = sizeof(made->socket.v4);
        made->info.ai_family = made->socket.v4.sin_family = AF_INET;
    }
    return &made->info;
}

static void wait_for_release(void)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10; /* and then the test has failed */
    sem_timedwait(&resolver_release, &until);
}

/* Takes the place of libc's, for libcurl too. */
__attribute__((visibility("default"))) int getaddrinfo(
    const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    (void)hints;
    if (strcmp(name, "unknown.test") == 0)
        return EAI_NONAME;
    if (strcmp(name, "slow.test") == 0)
        wait_for_release();
    *found = make_address("127.0.0.1", service);
    if (strcmp(name, "two.test") == 0 || strcmp(name, "six.test") == 0) {
        struct addrinfo *second = *found;
        *found = make_address(strcmp(name, "two.test") == 0 ? "127.0.0.2" : "::1", service);
        (*found)->ai_next = second;
    }
    return 0;
}

__attribute__((visibility("default"))) void freeaddrinfo(struct addrinfo *info)
{
    while (info != NULL) {
        struct addrinfo *next = info->ai_next;
        free(info);
        info = next;
    }
}

static void set_host(struct http_probe *probe, const char *host)
{
    snprintf(probe->url, sizeof(probe->url), "http://%s:%d/ok?" HTTP_PROBE_SECRET, host,
        probe->fixture->stub.port);
}

static enum http_outcome run_with_host(
    struct http_probe *probe, struct http_fixture *fixture, const char *host)
{
    http_probe_init(probe, fixture, "/ok");
    set_host(probe, host);
    http_probe_start(probe);
    http_probe_wait(probe);
    return probe->outcome;
}

static void test_names(void **state)
{
    struct http_fixture fixture;
    struct http_probe probe;

    (void)state;
    http_fixture_init(&fixture, rules, NULL);
    for (int i = 0; i < 3; i++)
        assert_int_equal(run_with_host(&probe, &fixture, "known.test"), HTTP_ANSWERED);
    assert_int_equal(fixture.stub.connections_accepted, 1);
    /* Last, for libcurl 8.14 leaks a name that was not found when the easy handle asks again. */
    assert_int_equal(run_with_host(&probe, &fixture, "unknown.test"), HTTP_CONNECT_FAILED);
    http_fixture_release(&fixture);
}

/* Neither the end of a call nor that of the client waits for a name. */
static void test_hanging_resolver(void **state)
{
    struct http_fixture fixture;
    struct http_probe slow;
    struct http_probe closed;
    struct http_probe probe;

    (void)state;
    http_fixture_init(&fixture, rules, NULL);
    http_probe_init(&slow, &fixture, "/ok");
    set_host(&slow, "slow.test");
    slow.call.timeout_us = SHORT_US;
    http_probe_start(&slow);
    http_probe_wait(&slow);
    assert_int_equal(slow.outcome, HTTP_TIMEOUT);
    assert_in_range(slow.duration_us, SHORT_US, 20 * SHORT_US);
    assert_int_equal(http_probe_run(&probe, &fixture, "/ok"), HTTP_ANSWERED);

    http_probe_init(&closed, &fixture, "/ok");
    set_host(&closed, "slow.test");
    http_probe_start(&closed);
    assert_int_equal(http_probe_run(&probe, &fixture, "/ok"), HTTP_ANSWERED);
    http_fixture_release(&fixture);
    assert_int_equal(closed.outcome, HTTP_CANCELLED);
    assert_in_range(closed.duration_us, 0, 20 * SHORT_US);
    sem_post(&resolver_release);
    sem_post(&resolver_release);
}

/* Of two addresses the first refuses, and the second is the stub's. */
static void test_next_address(void **state)
{
    struct http_fixture fixture;
    struct http_probe probe;

    (void)state;
    http_fixture_init(&fixture, rules, NULL);
    for (unsigned i = 1; i <= 10; i++) {
        const char *host = i % 2 ? "two.test" : "six.test";
        assert_int_equal(run_with_host(&probe, &fixture, host), HTTP_ANSWERED);
        assert_int_equal(fixture.stub.connections_accepted, i);
        http_stub_close_connections(&fixture.stub);
    }
    http_fixture_release(&fixture);
}

/* ---- kept connections ---- */

static void test_connections_are_kept(void **state)
{
    struct http_fixture fixture;
    struct http_probe probe;

    (void)state;
    http_fixture_init(&fixture, rules, NULL);
    for (int i = 0; i < 50; i++)
        assert_int_equal(http_probe_run(&probe, &fixture, "/ok"), HTTP_ANSWERED);
    assert_int_equal(fixture.stub.connections_accepted, 1);
    for (unsigned i = 2; i < 6; i++) {
        assert_int_equal(http_probe_run(&probe, &fixture, "/says-close"), HTTP_ANSWERED);
        assert_int_equal(http_probe_run(&probe, &fixture, "/ok"), HTTP_ANSWERED);
        assert_int_equal(fixture.stub.connections_accepted, i);
    }
    http_fixture_release(&fixture);
}

static bool has_no_connections(const void *stub_pointer)
{
    const struct http_stub *stub = stub_pointer;

    return stub->connections_open == 0;
}

static void test_closed_between_calls(void **state)
{
    struct http_fixture fixture;
    struct http_probe probe;

    (void)state;
    http_fixture_init(&fixture, rules, NULL);
    for (unsigned i = 1; i < 10; i++) {
        assert_int_equal(http_probe_run(&probe, &fixture, "/ok"), HTTP_ANSWERED);
        assert_int_equal(fixture.stub.connections_accepted, i);
        http_stub_close_connections(&fixture.stub);
        uv_run(&fixture.loop, UV_RUN_NOWAIT);
    }
    for (int i = 0; i < 10; i++) { /* with the answer, so that it can be noticed with it or later */
        assert_int_equal(http_probe_run(&probe, &fixture, "/closes"), HTTP_ANSWERED);
        if (i % 2 == 0)
            http_fixture_wait(&fixture, has_no_connections, &fixture.stub);
    }
    http_fixture_release(&fixture);
}

static void count_turn(uv_prepare_t *prepare)
{
    unsigned *turns = prepare->data;

    (*turns)++;
}

static void end_wait(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

/* An idle connection that the server closed stays readable for ever. */
static void test_closed_connections_do_not_spin(void **state)
{
    struct http_fixture fixture;
    struct http_probe probe;
    uv_prepare_t prepare;
    uv_timer_t timer;
    unsigned turns = 0;

    (void)state;
    http_fixture_init(&fixture, rules, NULL);
    assert_int_equal(http_probe_run(&probe, &fixture, "/ok"), HTTP_ANSWERED);
    http_stub_close_connections(&fixture.stub);
    uv_prepare_init(&fixture.loop, &prepare);
    uv_timer_init(&fixture.loop, &timer);
    prepare.data = &turns;
    uv_prepare_start(&prepare, count_turn);
    uv_timer_start(&timer, end_wait, SHORT_US / CLOCK_US_PER_MS, 0);
    uv_run(&fixture.loop, UV_RUN_DEFAULT);
    assert_in_range(turns, 1, 20);
    uv_close((uv_handle_t *)&prepare, NULL);
    uv_close((uv_handle_t *)&timer, NULL);
    http_fixture_release(&fixture);
}

/* More often than curl itself repeats a request in the life of an easy handle. */
static void test_closed_as_the_request_comes(void **state)
{
    static const char *const paths[] = {"/resets-second", "/closes-second"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct http_fixture fixture;
        struct http_probe probe;

        http_fixture_init(&fixture, rules, NULL);
        for (unsigned call = 1; call <= 20; call++) {
            assert_int_equal(http_probe_run(&probe, &fixture, paths[i]), HTTP_ANSWERED);
            assert_string_equal(probe.body, "ok");
            assert_int_equal(fixture.stub.connections_accepted, call);
            assert_int_equal(fixture.stub.requests, 2 * call - 1);
        }
        http_fixture_release(&fixture);
    }
}

static void test_closed_as_a_large_request_comes(void **state)
{
    const size_t size = (size_t)8 * 1024 * 1024;
    char *body = memory_new(size);
    struct http_fixture fixture;
    struct http_probe probe;

    (void)state;
    http_fixture_init(&fixture, rules, NULL);
    for (int i = 0; i < 10; i++) {
        http_probe_init(&probe, &fixture, "/resets-second-early");
        probe.call.method = HTTP_POST;
        probe.call.body = body;
        probe.call.body_size = size;
        http_probe_start(&probe);
        http_probe_wait(&probe);
        assert_int_equal(probe.outcome, HTTP_ANSWERED);
    }
    http_fixture_release(&fixture);
    free(body);
}

/* What may have been acted upon is the caller's to repeat. */
static void test_no_repeat_otherwise(void **state)
{
    struct http_fixture fixture;
    struct http_probe probe;

    (void)state;
    http_fixture_init(&fixture, rules, NULL);
    assert_int_equal(http_probe_run(&probe, &fixture, "/never"), HTTP_BROKEN);
    assert_int_equal(fixture.stub.requests, 1);
    assert_int_equal(http_probe_run(&probe, &fixture, "/half-of-second"), HTTP_ANSWERED);
    assert_int_equal(http_probe_run(&probe, &fixture, "/half-of-second"), HTTP_BROKEN);
    assert_int_equal(fixture.stub.requests, 3);
    http_fixture_release(&fixture);
}

static void test_repeat_within_the_deadline(void **state)
{
    struct http_fixture fixture;
    struct http_probe probe;

    (void)state;
    http_fixture_init(&fixture, rules, NULL);
    assert_int_equal(http_probe_run(&probe, &fixture, "/ok"), HTTP_ANSWERED);
    http_probe_init(&probe, &fixture, "/stalls");
    probe.call.timeout_us = SHORT_US;
    http_probe_start(&probe);
    http_probe_wait(&probe);
    assert_int_equal(probe.outcome, HTTP_TIMEOUT);
    assert_in_range(probe.duration_us, SHORT_US, 10 * SHORT_US);
    assert_int_equal(fixture.stub.requests, 3);
    http_fixture_release(&fixture);
}

/* ---- many at once ---- */

#define MANY 1000

/* Both ends of each connection are ours. */
static bool may_open_descriptors(rlim_t count)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur >= count;
}

static void test_many_at_once(void **state)
{
    const struct http_client_options options = {
        .calls_in_flight_max = 200, /* fewer than there will be */
        .connect_timeout_us = 20 * CLOCK_US_PER_SECOND,
    };
    static const char *const paths[] = {"/ok", "/ok", "/says-close", "/never"};
    struct http_fixture fixture;

    (void)state;
    if (!may_open_descriptors(3 * MANY))
        skip();
    struct http_probe *probes = memory_new(MANY * sizeof(*probes));
    http_fixture_init(&fixture, rules, &options);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MANY; i++) {
            http_probe_init(&probes[i], &fixture, paths[i % 4]);
            probes[i].call.timeout_us = 20 * CLOCK_US_PER_SECOND;
            http_probe_start(&probes[i]);
        }
        assert_int_equal(http_client_calls_in_flight(fixture.client), MANY);
        for (int i = 0; i < MANY; i++)
            http_probe_wait(&probes[i]);
        for (int i = 0; i < MANY; i++) {
            assert_int_equal(probes[i].times, 1);
            assert_int_equal(probes[i].outcome, i % 4 == 3 ? HTTP_BROKEN : HTTP_ANSWERED);
        }
        assert_int_equal(http_client_calls_in_flight(fixture.client), 0);
    }
    http_fixture_release(&fixture);
    free(probes);
}

/* ---- proxies ---- */

static void test_proxies(void **state)
{
    static const char *const names[] = {
        "http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"};
    struct http_fixture fixture;
    struct http_probe probe;
    char proxy[64];

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        setenv(names[i], "http://unknown.test:8080", 1);
    http_fixture_init(&fixture, rules, NULL);
    assert_int_equal(http_probe_run(&probe, &fixture, "/ok"), HTTP_ANSWERED);
    assert_int_equal(fixture.stub.requests, 1);
    http_fixture_release(&fixture);

    setenv("no_proxy", "*", 1); /* our own setting wins over this, too */
    http_fixture_init(&fixture, rules, NULL);
    snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d", fixture.stub.port);
    const struct http_client_options options = {
        .calls_in_flight_max = 1, .connect_timeout_us = CLOCK_US_PER_SECOND, .proxy = proxy};
    http_client_close(fixture.client);
    fixture.client = http_client_new(&fixture.loop, &options);
    http_probe_init(&probe, &fixture, "/ok");
    probe.call.url = "http://elsewhere.invalid/ok";
    http_probe_start(&probe);
    http_probe_wait(&probe);
    assert_int_equal(probe.outcome, HTTP_ANSWERED);
    assert_int_equal(fixture.stub.requests, 1);
    http_fixture_release(&fixture);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unsetenv(names[i]);
    unsetenv("no_proxy");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_hanging_resolver),
        cmocka_unit_test(test_next_address),
        cmocka_unit_test(test_connections_are_kept),
        cmocka_unit_test(test_closed_between_calls),
        cmocka_unit_test(test_closed_connections_do_not_spin),
        cmocka_unit_test(test_closed_as_the_request_comes),
        cmocka_unit_test(test_closed_as_a_large_request_comes),
        cmocka_unit_test(test_no_repeat_otherwise),
        cmocka_unit_test(test_repeat_within_the_deadline),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_proxies),
    };

    assert(sem_init(&resolver_release, 0, 0) == 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
