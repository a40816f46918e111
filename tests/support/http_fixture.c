/* http_fixture: see http_fixture.h. */
#include "support/http_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"

#define GUARD_MS 30000

static void on_guard(uv_timer_t *guard)
{
    (void)guard;
    fail_msg("nothing came for %d ms", GUARD_MS);
}

void http_fixture_init(struct http_fixture *fixture, const struct http_stub_rule *rules,
    const struct http_client_options *options)
{
    const struct http_client_options usual = {
        .calls_in_flight_max = 64,
        .connect_timeout_us = 5 * CLOCK_US_PER_SECOND,
        .user_agent = "terra-connect-test",
    };

    *fixture = (struct http_fixture){0};
    assert_int_equal(uv_loop_init(&fixture->loop), 0);
    assert_int_equal(uv_timer_init(&fixture->loop, &fixture->guard), 0);
    assert_int_equal(uv_timer_start(&fixture->guard, on_guard, GUARD_MS, 0), 0);
    http_stub_init(&fixture->stub, &fixture->loop, rules);
    fixture->client = http_client_new(&fixture->loop, options ? options : &usual);
}

void http_fixture_release(struct http_fixture *fixture)
{
    if (fixture->client != NULL)
        http_client_close(fixture->client);
    http_stub_close(&fixture->stub);
    uv_unref((uv_handle_t *)&fixture->guard);
    assert_int_equal(uv_run(&fixture->loop, UV_RUN_DEFAULT), 0);
    uv_close((uv_handle_t *)&fixture->guard, NULL);
    assert_int_equal(uv_run(&fixture->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
}

static void on_done(struct http_call *call, const struct http_response *response)
{
    struct http_probe *probe = call->context;

    assert_int_equal(probe->fixture->starting, 0);
    probe->times++;
    probe->outcome = response->outcome;
    probe->status = response->status;
    probe->body_size = response->body_size;
    probe->duration_us = response->duration_us;
    assert_int_equal(response->body[response->body_size], 0);
    snprintf(probe->body, sizeof(probe->body), "%s", response->body);
    snprintf(probe->error, sizeof(probe->error), "%s", response->error);
    assert_null(strstr(response->error, HTTP_PROBE_SECRET));
    assert_null(strstr(response->error, "127.0.0.1"));
    bool has_head = response->outcome == HTTP_ANSWERED || response->outcome == HTTP_STOPPED;
    assert_true(has_head == (response->error[0] == '\0'));
    assert_true(has_head == (response->status != 0));
    if (probe->then != NULL)
        probe->then(probe, response);
}

void http_probe_init(struct http_probe *probe, struct http_fixture *fixture, const char *path)
{
    *probe = (struct http_probe){.fixture = fixture};
    snprintf(probe->url, sizeof(probe->url), "http://127.0.0.1:%d%s?token=" HTTP_PROBE_SECRET,
        fixture->stub.port, path);
    probe->call = (struct http_call){
        .method = HTTP_GET,
        .url = probe->url,
        .timeout_us = 10 * CLOCK_US_PER_SECOND,
        .response_bytes_max = (size_t)64 * 1024,
        .on_done = on_done,
        .context = probe,
    };
}

void http_probe_start(struct http_probe *probe)
{
    probe->fixture->starting++;
    http_client_start(probe->fixture->client, &probe->call);
    probe->fixture->starting--;
}

void http_probe_cancel(struct http_probe *probe)
{
    probe->fixture->starting++;
    http_client_cancel(probe->fixture->client, &probe->call);
    probe->fixture->starting--;
}

static bool is_done(const void *probe_pointer)
{
    const struct http_probe *probe = probe_pointer;

    return probe->times > 0;
}

void http_probe_wait(const struct http_probe *probe)
{
    http_fixture_wait(probe->fixture, is_done, probe);
}

void http_fixture_wait(
    struct http_fixture *fixture, bool (*condition)(const void *context), const void *context)
{
    while (!condition(context))
        uv_run(&fixture->loop, UV_RUN_ONCE);
}

enum http_outcome http_probe_run(
    struct http_probe *probe, struct http_fixture *fixture, const char *path)
{
    http_probe_init(probe, fixture, path);
    http_probe_start(probe);
    http_probe_wait(probe);
    assert_int_equal(probe->times, 1);
    return probe->outcome;
}
