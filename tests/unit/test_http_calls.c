/* http_client: start, cancel and close, at any time and from any on_done. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/memory.h"
#include "support/http_fixture.h"

static const struct http_stub_rule rules[] = {
    {.path = "/ok", .answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
    {.path = "/stall"},
    {.path = NULL},
};

static bool has_request(const void *stub_pointer)
{
    const struct http_stub *stub = stub_pointer;

    return stub->requests > 0;
}

static void test_cancel(void **state)
{
    struct http_fixture fixture;
    struct http_probe probe;

    (void)state;
    http_fixture_init(&fixture, rules, NULL);
    http_probe_init(&probe, &fixture, "/stall");
    http_probe_start(&probe);
    assert_int_equal(http_client_calls_in_flight(fixture.client), 1);
    http_fixture_wait(&fixture, has_request, &fixture.stub);
    http_probe_cancel(&probe);
    http_probe_cancel(&probe); /* no second time */
    http_probe_wait(&probe);
    assert_int_equal(probe.outcome, HTTP_CANCELLED);
    assert_int_equal(http_client_calls_in_flight(fixture.client), 0);
    http_probe_cancel(&probe);

    http_probe_init(&probe, &fixture, "/stall"); /* before curl has seen it */
    http_probe_start(&probe);
    http_probe_cancel(&probe);
    http_probe_wait(&probe);
    assert_int_equal(probe.outcome, HTTP_CANCELLED);
    assert_int_equal(http_probe_run(&probe, &fixture, "/ok"), HTTP_ANSWERED);
    http_fixture_release(&fixture);
    assert_int_equal(probe.times, 1);
}

static void cancel_other(struct http_probe *probe, const struct http_response *response)
{
    (void)response;
    http_probe_cancel(probe->other);
    http_probe_cancel(probe); /* not in flight: nothing happens */
}

/* Both may have finished in the same turn: whoever is told first cancels the other. */
static void test_cancel_from_on_done(void **state)
{
    struct http_fixture fixture;
    struct http_probe first;
    struct http_probe second;

    (void)state;
    http_fixture_init(&fixture, rules, NULL);
    http_probe_init(&first, &fixture, "/ok");
    http_probe_init(&second, &fixture, "/ok");
    first.then = second.then = cancel_other;
    first.other = &second;
    second.other = &first;
    http_probe_start(&first);
    http_probe_start(&second);
    http_probe_wait(&first);
    http_probe_wait(&second);
    http_fixture_release(&fixture);
    assert_int_equal(first.times + second.times, 2);
    assert_true(first.outcome == HTTP_ANSWERED || second.outcome == HTTP_ANSWERED);
    assert_true(first.outcome == HTTP_CANCELLED || second.outcome == HTTP_CANCELLED);
}

static void start_again(struct http_probe *probe, const struct http_response *response)
{
    (void)response;
    if (probe->times < 100)
        http_probe_start(probe);
}

static bool is_done_100_times(const void *probe_pointer)
{
    const struct http_probe *probe = probe_pointer;

    return probe->times == 100;
}

static void test_start_from_on_done(void **state)
{
    struct http_fixture fixture;
    struct http_probe probe;

    (void)state;
    http_fixture_init(&fixture, rules, NULL);
    http_probe_init(&probe, &fixture, "/ok");
    probe.then = start_again;
    http_probe_start(&probe);
    http_fixture_wait(&fixture, is_done_100_times, &probe);
    http_fixture_release(&fixture);
    assert_int_equal(probe.times, 100);
    assert_int_equal(probe.outcome, HTTP_ANSWERED);
    assert_int_equal(fixture.stub.requests, 100);
}

static unsigned freed;

static void free_itself(struct http_probe *probe, const struct http_response *response)
{
    (void)response;
    freed++;
    free(probe);
}

static bool is_freed(const void *unused)
{
    (void)unused;
    return freed > 0;
}

static void test_free_from_on_done(void **state)
{
    struct http_fixture fixture;
    struct http_probe *probe = memory_new(sizeof(*probe));

    (void)state;
    http_fixture_init(&fixture, rules, NULL);
    http_probe_init(probe, &fixture, "/ok");
    probe->then = free_itself;
    http_probe_start(probe);
    http_fixture_wait(&fixture, is_freed, NULL);
    http_fixture_release(&fixture);
    assert_int_equal(freed, 1);
}

static void test_close_with_calls_in_flight(void **state)
{
    struct http_fixture fixture;
    struct http_probe probes[40];

    (void)state;
    http_fixture_init(&fixture, rules, NULL);
    for (int i = 0; i < 40; i++) {
        http_probe_init(&probes[i], &fixture, "/stall");
        http_probe_start(&probes[i]);
        if (i == 20) /* half of them on their way, half not yet */
            http_fixture_wait(&fixture, has_request, &fixture.stub);
    }
    http_probe_cancel(&probes[7]);
    http_fixture_release(&fixture);
    for (int i = 0; i < 40; i++) {
        assert_int_equal(probes[i].times, 1);
        assert_int_equal(probes[i].outcome, HTTP_CANCELLED);
    }
}

static void start_once_more(struct http_probe *probe, const struct http_response *response)
{
    (void)response;
    if (probe->times == 1)
        http_probe_start(probe);
}

static void close_client(struct http_probe *probe, const struct http_response *response)
{
    (void)response;
    http_client_close(probe->fixture->client);
    probe->fixture->client = NULL;
}

static void test_close_from_on_done(void **state)
{
    struct http_fixture fixture;
    struct http_probe closing;
    struct http_probe restarting;

    (void)state;
    http_fixture_init(&fixture, rules, NULL);
    http_probe_init(&restarting, &fixture, "/stall");
    http_probe_init(&closing, &fixture, "/ok");
    closing.then = close_client;
    http_probe_start(&restarting);
    http_probe_start(&closing);
    http_probe_wait(&closing);
    http_fixture_release(&fixture);
    assert_int_equal(closing.times, 1);
    assert_int_equal(closing.outcome, HTTP_ANSWERED);
    assert_int_equal(restarting.times, 1);
    assert_int_equal(restarting.outcome, HTTP_CANCELLED);
}

static void test_start_while_closing(void **state)
{
    struct http_fixture fixture;
    struct http_probe probe;

    (void)state;
    http_fixture_init(&fixture, rules, NULL);
    http_probe_init(&probe, &fixture, "/stall");
    probe.then = start_once_more;
    http_probe_start(&probe);
    http_client_close(fixture.client);
    http_probe_wait(&probe);
    fixture.client = NULL;
    http_fixture_release(&fixture);
    assert_int_equal(probe.times, 2);
    assert_int_equal(probe.outcome, HTTP_CANCELLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_from_on_done),
        cmocka_unit_test(test_start_from_on_done),
        cmocka_unit_test(test_free_from_on_done),
        cmocka_unit_test(test_close_with_calls_in_flight),
        cmocka_unit_test(test_close_from_on_done),
        cmocka_unit_test(test_start_while_closing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
