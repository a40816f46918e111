/* redis_fixture: see redis_fixture.h. */
#include "support/redis_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/log.h"

#define GUARD_MS 60000
#define LOG_BYTES_MAX ((size_t)1024 * 1024)

/* One log for all: two fixtures at the same time are two clients of one process. */
static struct buf log_lines;
static unsigned fixtures;

static void collect_line(const char *line, size_t size)
{
    buf_append(&log_lines, line, size);
}

static void on_guard(uv_timer_t *timer)
{
    (void)timer;
    fprintf(stderr, "the test hangs; its log:\n%s\n", buf_text(&log_lines));
    abort();
}

void redis_fixture_init(struct redis_fixture *fixture)
{
    *fixture = (struct redis_fixture){0};
    if (fixtures++ == 0) {
        buf_init(&log_lines, LOG_BYTES_MAX);
        log_set_sink(collect_line);
    }
    uv_loop_init(&fixture->loop);
    uv_timer_init(&fixture->loop, &fixture->guard);
    uv_timer_start(&fixture->guard, on_guard, GUARD_MS, 0);
    uv_unref((uv_handle_t *)&fixture->guard);
}

static void on_connection(void *context, bool connected)
{
    struct redis_fixture *fixture = context;
    assert_false(fixture->asking);
    if (connected)
        fixture->ups++;
    else
        fixture->downs++;
    assert_int_equal(fixture->ups, fixture->downs + (connected ? 1 : 0)); /* they alternate */
    if (fixture->on_connection)
        fixture->on_connection(fixture, connected);
    uv_stop(&fixture->loop); /* else it may sleep before the condition is looked at again */
}

static void on_trouble(void *context, bool refused, const char *reason, const char *advice)
{
    struct redis_fixture *fixture = context;
    assert_false(fixture->asking);
    assert_non_null(advice);
    fixture->refused = refused;
    snprintf(fixture->trouble, sizeof fixture->trouble, "%s", reason);
}

void redis_fixture_open_with(
    struct redis_fixture *fixture, const struct redis_client_options *options)
{
    char error[256] = "";
    struct redis_client_options complete = *options;
    fixture->ups = fixture->downs = 0;
    complete.on_connection = on_connection;
    complete.on_trouble = on_trouble;
    complete.context = fixture;
    if (complete.connect_timeout_us == 0)
        complete.connect_timeout_us = CLOCK_US_PER_SECOND / 2;
    if (complete.reconnect_max_us == 0)
        complete.reconnect_max_us = 50 * CLOCK_US_PER_MS;
    if (redis_client_new(&fixture->loop, &complete, &fixture->client, error, sizeof error) !=
        RESULT_OK)
        fail_msg("%s", error);
}

void redis_fixture_open(struct redis_fixture *fixture, const char *url)
{
    redis_fixture_open_with(fixture, &(struct redis_client_options){.url = url});
}

void redis_fixture_open_port(struct redis_fixture *fixture, int port, const char *path)
{
    char url[128];
    snprintf(url, sizeof url, "redis://127.0.0.1:%d%s", port, path);
    redis_fixture_open(fixture, url);
}

void redis_fixture_close(struct redis_fixture *fixture)
{
    fixture->asking = true;
    redis_client_close(fixture->client);
    fixture->asking = false;
    fixture->client = NULL;
}

void redis_fixture_release(struct redis_fixture *fixture)
{
    if (fixture->client)
        redis_fixture_close(fixture);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&fixture->guard, NULL);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    assert_null(strstr(buf_text(&log_lines), REDIS_SECRET));
    if (--fixtures == 0) {
        log_set_sink(NULL);
        buf_release(&log_lines);
    }
}

void redis_fixture_wait(
    struct redis_fixture *fixture, bool (*condition)(const void *context), const void *context)
{
    while (!condition(context))
        uv_run(&fixture->loop, UV_RUN_ONCE);
}

void redis_fixture_wait_connected(struct redis_fixture *fixture)
{
    while (!redis_client_connected(fixture->client))
        uv_run(&fixture->loop, UV_RUN_ONCE);
}

void redis_fixture_wait_times(
    struct redis_fixture *fixture, const unsigned *counter, unsigned times)
{
    while (*counter < times)
        uv_run(&fixture->loop, UV_RUN_ONCE);
}

unsigned redis_fixture_logged(const char *text)
{
    unsigned times = 0;
    const char *found = buf_text(&log_lines);
    while ((found = strstr(found, text))) {
        times++;
        found += strlen(text);
    }
    return times;
}

static void on_answer(struct redis_command *command, const struct redis_answer *answer)
{
    struct redis_probe *probe = command->context;
    assert_false(probe->fixture->asking);
    assert_non_null(answer->text);
    assert_int_equal(++probe->times, 1);
    probe->outcome = answer->outcome;
    probe->kind = answer->kind;
    probe->integer = answer->integer;
    probe->text_size = answer->text_size;
    size_t kept =
        answer->text_size < sizeof probe->text ? answer->text_size : sizeof probe->text - 1;
    memcpy(probe->text, answer->text, kept);
    probe->text[kept] = '\0';
    probe->answered_us = clock_monotonic_us();
    if (probe->then)
        probe->then(probe, answer);
    uv_stop(&probe->fixture->loop);
}

void redis_probe_init(struct redis_probe *probe, struct redis_fixture *fixture)
{
    *probe = (struct redis_probe){.fixture = fixture};
    probe->command = (struct redis_command){.on_answer = on_answer, .context = probe};
}

void redis_probe_send_within(struct redis_probe *probe, int64_t timeout_us, const char *text)
{
    const char *arguments[REDIS_ARGUMENTS_MAX];
    size_t sizes[REDIS_ARGUMENTS_MAX];
    size_t count = 0;
    while (*text) {
        arguments[count] = text;
        sizes[count] = strcspn(text, " ");
        text += sizes[count++];
        text += strspn(text, " ");
    }
    probe->sent_us = clock_monotonic_us();
    bool asking = probe->fixture->asking;
    probe->fixture->asking = true;
    redis_client_send(probe->fixture->client, &probe->command, timeout_us, count, arguments, sizes);
    probe->fixture->asking = asking;
}

void redis_probe_send(struct redis_probe *probe, const char *text)
{
    redis_probe_send_within(probe, 10 * CLOCK_US_PER_SECOND, text);
}

void redis_probe_wait(struct redis_probe *probe)
{
    redis_fixture_wait_times(probe->fixture, &probe->times, 1);
}

void redis_probe_run(struct redis_probe *probe, struct redis_fixture *fixture, const char *text)
{
    redis_probe_init(probe, fixture);
    redis_probe_send(probe, text);
    redis_probe_wait(probe);
}

unsigned long redis_fixture_calls(struct redis_fixture *fixture, const char *command)
{
    struct redis_probe probe;
    char start[64];
    snprintf(start, sizeof start, "cmdstat_%s:calls=", command);
    redis_probe_run(&probe, fixture, "INFO commandstats");
    assert_true(probe.text_size < sizeof probe.text);
    const char *found = strstr(probe.text, start);
    return found ? strtoul(found + strlen(start), NULL, 10) : 0;
}
