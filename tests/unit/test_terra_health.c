/* terra_health: when it probes, how often, and whom it tells, against a scripted server. What
 * follows from which answer is in test_terra_standing.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/metrics.h"
#include "support/http_fixture.h"
#include "worker/terra_health.h"

#define ACCEPTED "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}"
#define REFUSED "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}"
#define UNAVAILABLE "HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n"

enum { FIRST, SECOND };

static struct http_stub_rule rules[] = {
    [FIRST] = {.path = "/first/v2/userInfo"},
    [SECOND] = {.path = "/second/v2/userInfo"},
    {0},
};
static struct http_fixture fixture;
static struct environments environments;
static struct terra_caller *caller;
static struct terra_health *health;
static int admissions, changes;
static char file_content[64]; /* of the second environment's key */

static void ignore_line(const char *line, size_t size)
{
    (void)line;
    (void)size;
}

static void on_change(void *context)
{
    (void)context;
    changes++;
}

static void on_admitted(void *context)
{
    (void)context;
    admissions++;
}

static char *read_file(const char *path, char *error, size_t error_size)
{
    (void)path;
    (void)error;
    (void)error_size;
    return memory_copy_text(file_content);
}

static void add_environment(const char *name)
{
    char base[128], error[ENVIRONMENT_ERROR_SIZE];
    snprintf(base, sizeof base, "http://127.0.0.1:%d/%s", fixture.stub.port, name);
    const struct environment_defaults defaults = {.base_url = base, .burst = 1};
    assert_int_equal(environments_add(&environments, name, name, "key-1", &defaults, error), 0);
}

static void begin(const char *first, const char *second)
{
    admissions = changes = 0;
    log_set_sink(ignore_line);
    rules[FIRST].answer = first;
    rules[SECOND].answer = second;
    snprintf(file_content, sizeof file_content, "key-1");
    http_fixture_init(&fixture, rules, NULL);
    environments_init(&environments);
    add_environment("first");
    add_environment("second");
    environments_set_key_file(&environments, SECOND, "/its/file");
    caller = terra_caller_new(&fixture.loop,
        &(struct terra_caller_options){
            .environments = &environments,
            .attempt_timeout_us = 300 * CLOCK_US_PER_MS,
            .http = {.calls_in_flight_max = 4, .connect_timeout_us = CLOCK_US_PER_SECOND},
        });
    health = terra_health_new(&fixture.loop, &(struct terra_health_options){
                                                 .environments = &environments,
                                                 .terra = caller,
                                                 .read_file = read_file,
                                                 .on_change = on_change,
                                                 .on_admitted = on_admitted,
                                             });
}

static void end(void)
{
    terra_health_close(health);
    terra_caller_close(caller);
    http_fixture_release(&fixture);
    terra_health_free(health);
    terra_caller_free(caller);
    environments_release(&environments);
    metrics_reset();
}

static enum terra_health_state state_of(int index)
{
    return terra_health_state(health, &environments.items[index]);
}

static bool is_admitted(const void *context)
{
    (void)context;
    return admissions > 0;
}

static bool is_well(const void *index)
{
    return state_of(*(const int *)index) == TERRA_WELL;
}

static bool is_refused(const void *index)
{
    return state_of(*(const int *)index) == TERRA_KEY_REFUSED;
}

static bool is_down(const void *index)
{
    return state_of(*(const int *)index) == TERRA_DOWN;
}

static bool has_probed(const void *requests)
{
    return fixture.stub.requests >= *(const unsigned *)requests;
}

static void on_pause(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static void run_for_ms(uint64_t milliseconds)
{
    bool over = false;
    uv_timer_t timer;
    uv_timer_init(&fixture.loop, &timer);
    timer.data = &over;
    uv_timer_start(&timer, on_pause, milliseconds, 0);
    while (!over)
        uv_run(&fixture.loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&fixture.loop, UV_RUN_NOWAIT);
}

static void note(int index, const char *request, enum terra_verdict verdict, enum connect_code code)
{
    const struct terra_call call = {.environment = &environments.items[index],
        .key_generation = environments.items[index].key_generation,
        .telling = true};
    char digest[DIGEST_HEX_SIZE];
    struct terra_answer answer = {.verdict = verdict};
    connect_error_set(&answer.error, code, "as it was told");
    digest_bytes(request, strlen(request), digest);
    int before = changes;
    terra_health_note(health, &call, digest, &answer);
    assert_int_equal(changes, before); /* never inside */
}

static void test_admitted_when_all_are_tried(void **state)
{
    (void)state;
    begin(ACCEPTED, UNAVAILABLE); /* an outage does not keep anybody out */
    assert_false(terra_health_admitted(health));
    terra_health_start(health);
    assert_int_equal(admissions, 0);
    http_fixture_wait(&fixture, is_admitted, NULL);
    assert_true(terra_health_admitted(health));
    assert_int_equal(fixture.stub.requests, 2);
    assert_non_null(
        strstr(fixture.stub.last_request, "userInfo?reference_id=terra-connect-probe-"));
    assert_non_null(strstr(fixture.stub.last_request, "x-api-key: key-1"));
    assert_int_equal(state_of(FIRST), TERRA_WELL);
    assert_int_equal(state_of(SECOND), TERRA_WELL);
    end();
}

static void test_a_silent_terra_keeps_nobody_out(void **state)
{
    (void)state;
    begin(NULL, NULL);
    terra_health_start(health);
    http_fixture_wait(&fixture, is_admitted, NULL);
    end();
}

static void test_kept_out_while_all_are_refused(void **state)
{
    (void)state;
    const int second = SECOND;
    begin(REFUSED, REFUSED);
    terra_health_start(health);
    http_fixture_wait(&fixture, is_refused, &second);
    const unsigned four = 4; /* each is tried again */
    http_fixture_wait(&fixture, has_probed, &four);
    assert_int_equal(admissions, 0);
    /* Another key in the file is tried before anybody is let in by it. */
    snprintf(file_content, sizeof file_content, "key-2");
    http_fixture_wait(&fixture, is_well, &second);
    http_fixture_wait(&fixture, is_refused, &second);
    assert_int_equal(admissions, 0);
    assert_int_equal(environments.items[SECOND].key_generation, 1);
    rules[SECOND].answer = ACCEPTED;
    http_fixture_wait(&fixture, is_admitted, NULL);
    assert_int_equal(state_of(FIRST), TERRA_KEY_REFUSED);
    rules[FIRST].answer = ACCEPTED;
    const int first = FIRST;
    http_fixture_wait(&fixture, is_well, &first);
    assert_int_equal(admissions, 1);
    end();
}

static void test_a_refusal_is_looked_into_and_heals(void **state)
{
    (void)state;
    const int first = FIRST;
    struct connect_error error;
    begin(REFUSED, ACCEPTED);
    note(FIRST, "a", TERRA_CREDENTIALS, CONNECT_CREDENTIALS_REJECTED);
    assert_int_equal(state_of(FIRST), TERRA_WELL);
    http_fixture_wait(&fixture, is_refused, &first); /* by the probe alone */
    assert_int_equal(state_of(SECOND), TERRA_WELL);
    terra_health_error(health, &environments.items[FIRST], &error);
    assert_int_equal(error.code, CONNECT_CREDENTIALS_REJECTED);
    assert_true(error.retryable && error.retry_after_us >= CLOCK_US_PER_SECOND);
    rules[FIRST].answer = ACCEPTED;
    changes = 0;
    int64_t since_us = clock_monotonic_us();
    http_fixture_wait(&fixture, is_well, &first);
    assert_true(terra_health_key_accepted_since(health, &environments.items[FIRST], since_us));
    assert_false(
        terra_health_key_accepted_since(health, &environments.items[FIRST], clock_monotonic_us()));
    uv_run(&fixture.loop, UV_RUN_NOWAIT);
    assert_true(changes > 0);
    end();
}

static void test_down_is_found_and_heals(void **state)
{
    (void)state;
    const int first = FIRST;
    struct connect_error error;
    begin(NULL, ACCEPTED);
    for (int i = 0; i < 5; i++)
        note(FIRST, i % 2 ? "a" : "b", TERRA_RETRY, CONNECT_TERRA_UNAVAILABLE);
    http_fixture_wait(&fixture, is_down, &first);
    terra_health_error(health, &environments.items[FIRST], &error);
    assert_int_equal(error.code, CONNECT_TERRA_UNAVAILABLE);
    assert_true(error.retryable && error.retry_after_us >= CLOCK_US_PER_SECOND);
    /* What the probe met with, and what that means for the request. */
    assert_non_null(strstr(error.message, "did not answer in time; that has lasted for a while"));
    rules[FIRST].answer = ACCEPTED;
    http_fixture_wait(&fixture, is_well, &first);
    end();
}

/* However many requests are suspicious, or refused. */
static void test_probes_are_few(void **state)
{
    (void)state;
    begin(ACCEPTED, REFUSED);
    int64_t end_us = clock_monotonic_us() + CLOCK_US_PER_SECOND;
    for (int i = 0; clock_monotonic_us() < end_us; i++) {
        char request[16];
        snprintf(request, sizeof request, "r%d", i);
        note(FIRST, request, TERRA_CREDENTIALS, CONNECT_CREDENTIALS_REJECTED);
        note(SECOND, request, TERRA_CREDENTIALS, CONNECT_CREDENTIALS_REJECTED);
        run_for_ms(1);
    }
    assert_in_range(fixture.stub.requests, 2, 6);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_admitted_when_all_are_tried),
        cmocka_unit_test(test_a_silent_terra_keeps_nobody_out),
        cmocka_unit_test(test_kept_out_while_all_are_refused),
        cmocka_unit_test(test_a_refusal_is_looked_into_and_heals),
        cmocka_unit_test(test_down_is_found_and_heals),
        cmocka_unit_test(test_probes_are_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
