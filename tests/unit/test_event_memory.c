/* The event memory against a real redis-server, frozen and gone, and the in-process one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/metrics.h"
#include "support/redis_fixture.h"
#include "support/redis_server.h"
#include "worker/event_memory.h"

#define SECOND CLOCK_US_PER_SECOND
#define KEEP_US (3600 * SECOND)
/* printf u1 | sha256sum | cut -c 1-32 */
#define U1_KEY "test:event:bb82030dbc2bcaba32a90bf2e207a84a"

static struct redis_server server;
static struct redis_fixture fixture;
static struct event_memory *memory;

struct asker {
    struct event_memory_ticket ticket;
    unsigned times;
    bool is_repeat;
};

static bool asking; /* inside a call of the memory: no callback may come */

static void on_answer(struct event_memory_ticket *ticket, bool is_repeat)
{
    struct asker *asker = ticket->context;
    assert_false(asking);
    asker->times++;
    asker->is_repeat = is_repeat;
}

static void begin_ask(struct asker *asker, const char *subject, const char *name)
{
    char identity[DIGEST_HEX_SIZE];
    digest_bytes(name, strlen(name), identity);
    *asker = (struct asker){.ticket = {.on_answer = on_answer, .context = asker}};
    asking = true;
    event_memory_ask(memory, &asker->ticket, subject, identity);
    asking = false;
}

static bool is_repeat(const char *subject, const char *name)
{
    struct asker asker;
    begin_ask(&asker, subject, name);
    redis_fixture_wait_times(&fixture, &asker.times, 1);
    assert_int_equal(asker.times, 1);
    return asker.is_repeat;
}

static void note(const char *subject, const char *name)
{
    char identity[DIGEST_HEX_SIZE];
    digest_bytes(name, strlen(name), identity);
    event_memory_note(memory, subject, identity);
}

static double notes(const char *outcome)
{
    char labels[64];
    snprintf(labels, sizeof labels, "outcome=\"%s\"", outcome);
    return metric_value(metrics_counter("terra_connect_event_notes_total", labels, ""));
}

static struct event_memory *open_memory(struct redis_client *redis, unsigned local_entries_max)
{
    memory = event_memory_new(&fixture.loop, &(struct event_memory_options){
                                                 .redis = redis,
                                                 .key_prefix = "test",
                                                 .keep_us = KEEP_US,
                                                 .local_entries_max = local_entries_max,
                                             });
    return memory;
}

static void begin_local(unsigned local_entries_max)
{
    redis_fixture_init(&fixture);
    open_memory(NULL, local_entries_max);
}

static void begin_redis(void)
{
    struct redis_probe probe;
    redis_fixture_init(&fixture);
    redis_fixture_open_port(&fixture, server.port, "");
    redis_probe_run(&probe, &fixture, "FLUSHALL");
    open_memory(fixture.client, 0);
}

static void end(void)
{
    event_memory_close(memory);
    redis_fixture_release(&fixture);
    event_memory_free(memory);
}

static int start_server(void **state)
{
    (void)state;
    redis_server_start(&server);
    return 0;
}

static int end_server(void **state)
{
    (void)state;
    redis_server_end(&server);
    return 0;
}

/* ---- what both kinds promise ---- */

static void check_only_the_last_is_a_repeat(void)
{
    assert_false(is_repeat("u1", "added"));
    assert_false(is_repeat("u1", "added")); /* asking notes nothing */
    note("u1", "added");
    assert_true(is_repeat("u1", "added"));
    assert_true(is_repeat("u1", "added"));
    assert_false(is_repeat("u2", "added"));
    assert_false(is_repeat("u1", "removed"));
    note("u1", "removed");
    assert_true(is_repeat("u1", "removed"));
    assert_false(is_repeat("u1", "added")); /* added again is an event */
    note("u1", "added");
    assert_true(is_repeat("u1", "added"));
    note("", "of nobody"); /* any subject will do */
    assert_true(is_repeat("", "of nobody"));
}

static void test_promises_in_process(void **state)
{
    (void)state;
    begin_local(0);
    check_only_the_last_is_a_repeat();
    end();
}

static void test_promises_in_redis(void **state)
{
    (void)state;
    begin_redis();
    check_only_the_last_is_a_repeat();
    end();
}

/* ---- several workers ---- */

/* Redis knows what came last, whoever noted it. */
static void test_two_workers(void **state)
{
    (void)state;
    begin_redis();
    struct event_memory *first = memory;
    struct event_memory *second = open_memory(fixture.client, 0);
    memory = first;
    note("u1", "added");
    assert_true(is_repeat("u1", "added"));
    memory = second;
    assert_true(is_repeat("u1", "added"));
    note("u1", "removed");
    memory = first;
    assert_false(is_repeat("u1", "added"));
    assert_true(is_repeat("u1", "removed"));
    event_memory_close(second);
    end();
    event_memory_free(second);
}

/* ---- in Redis ---- */

static void test_key_and_life(void **state)
{
    (void)state;
    struct redis_probe probe;
    begin_redis();
    note("u1", "added");
    assert_true(is_repeat("u1", "added"));
    redis_probe_run(&probe, &fixture, "PTTL " U1_KEY);
    assert_in_range(probe.integer, (KEEP_US - 60 * SECOND) / 1000, KEEP_US / 1000);
    end();
}

static void test_what_is_no_identity(void **state)
{
    (void)state;
    struct redis_probe probe;
    begin_redis();
    redis_probe_run(&probe, &fixture, "SET " U1_KEY " garbage");
    assert_false(is_repeat("u1", "added"));
    redis_probe_run(&probe, &fixture, "DEL " U1_KEY);
    redis_probe_run(&probe, &fixture, "LPUSH " U1_KEY " x");
    assert_false(is_repeat("u1", "added"));
    note("u1", "added"); /* takes its place */
    assert_true(is_repeat("u1", "added"));
    end();
}

static int64_t ahead_us;

static int64_t clock_ahead(void)
{
    return (int64_t)(uv_hrtime() / 1000) + ahead_us;
}

/* What Redis forgot this process still knows, for a minute. */
static void test_redis_emptied(void **state)
{
    (void)state;
    struct redis_probe probe;
    begin_redis();
    note("u1", "added");
    redis_probe_run(&probe, &fixture, "FLUSHALL");
    assert_true(is_repeat("u1", "added"));
    assert_false(is_repeat("u1", "removed"));
    ahead_us = 0;
    clock_set_source(clock_ahead, clock_ahead);
    note("u1", "added");
    assert_true(is_repeat("u1", "added"));
    redis_probe_run(&probe, &fixture, "FLUSHALL");
    ahead_us += 60 * SECOND;
    assert_false(is_repeat("u1", "added"));
    end();
    clock_set_source(NULL, NULL);
}

/* ---- Redis away ---- */

/* Not in Redis, but in this process; and nobody who asks is kept waiting. */
static void test_redis_that_is_not_there(void **state)
{
    (void)state;
    struct redis_server absent = {0};
    redis_server_prepare(&absent);
    redis_fixture_init(&fixture);
    redis_fixture_open_port(&fixture, absent.port, "");
    open_memory(fixture.client, 0);
    double lost = notes("lost");
    assert_false(is_repeat("u1", "added"));
    note("u1", "added");
    assert_true(is_repeat("u1", "added"));
    assert_false(is_repeat("u1", "removed"));
    assert_true(notes("lost") == lost + 1);
    end();
    redis_server_end(&absent);
}

/* Redis missed "removed": its "added" is not the last one, and must not swallow the next. */
static void test_redis_that_is_behind(void **state)
{
    (void)state;
    begin_redis();
    note("u1", "added");
    assert_true(is_repeat("u1", "added"));
    redis_server_freeze(&server);
    double lost = notes("lost");
    note("u1", "removed");
    uv_run(&fixture.loop, UV_RUN_NOWAIT);
    redis_server_kill(&server);
    while (notes("lost") < lost + 1)
        uv_run(&fixture.loop, UV_RUN_ONCE);
    redis_server_start(&server); /* it comes back with what another worker noted before */
    redis_fixture_wait_connected(&fixture);
    struct redis_probe probe;
    char command[256], identity[DIGEST_HEX_SIZE];
    digest_bytes("added", 5, identity);
    snprintf(command, sizeof command, "SET " U1_KEY " %s", identity);
    redis_probe_run(&probe, &fixture, command);
    assert_false(is_repeat("u1", "added"));
    assert_false(is_repeat("u1", "removed")); /* in doubt: seen twice is better than lost */
    note("u1", "added");
    assert_true(is_repeat("u1", "added"));
    end();
}

/* ---- in this process ---- */

static int64_t clock_us;

static int64_t fake_clock(void)
{
    return clock_us;
}

static void test_life_and_ceiling_in_process(void **state)
{
    (void)state;
    clock_us = SECOND;
    clock_set_source(fake_clock, fake_clock);
    begin_local(2);
    note("u1", "added");
    clock_us += KEEP_US - 1;
    assert_true(is_repeat("u1", "added"));
    clock_us += 1;
    assert_false(is_repeat("u1", "added"));
    note("u1", "added");
    note("u2", "added");
    note("u3", "added");
    assert_false(is_repeat("u1", "added"));
    assert_true(is_repeat("u2", "added"));
    assert_true(is_repeat("u3", "added"));
    end();
    clock_set_source(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_promises_in_process),
        cmocka_unit_test(test_promises_in_redis),
        cmocka_unit_test(test_two_workers),
        cmocka_unit_test(test_key_and_life),
        cmocka_unit_test(test_what_is_no_identity),
        cmocka_unit_test(test_redis_emptied),
        cmocka_unit_test(test_redis_that_is_not_there),
        cmocka_unit_test(test_redis_that_is_behind),
        cmocka_unit_test(test_life_and_ceiling_in_process),
    };
    return cmocka_run_group_tests(tests, start_server, end_server);
}
