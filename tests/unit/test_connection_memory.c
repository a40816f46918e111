/* The connection memory against a real redis-server, killed and frozen, and the in-process one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/redis_fixture.h"
#include "support/redis_server.h"
#include "worker/connection_memory.h"

#define SECOND CLOCK_US_PER_SECOND
#define DAY_US (86400 * SECOND)
/* printf u1 | sha256sum | cut -c 1-32 */
#define U1_KEY "test:connection:bb82030dbc2bcaba32a90bf2e207a84a"

static struct redis_server server;
static struct redis_fixture fixture;
static struct connection_memory *memory;

struct asker {
    struct connection_memory_ticket ticket;
    unsigned times;
    enum connection_memory_outcome outcome;
    bool kept;
    char bytes[64];
    size_t size;
};

static bool asking; /* inside a call of the memory: no callback may come */

static void on_found(struct connection_memory_ticket *ticket,
    enum connection_memory_outcome outcome, const void *bytes, size_t size)
{
    struct asker *asker = ticket->context;
    assert_false(asking);
    assert_true((bytes != NULL) == (outcome == CONNECTION_MEMORY_FOUND));
    asker->times++;
    asker->outcome = outcome;
    asker->size = size;
    if (bytes)
        memcpy(asker->bytes, bytes, size < sizeof asker->bytes ? size : sizeof asker->bytes);
}

static void on_kept(struct connection_memory_ticket *ticket, bool ok)
{
    struct asker *asker = ticket->context;
    assert_false(asking);
    asker->times++;
    asker->kept = ok;
}

static void init_asker(struct asker *asker)
{
    *asker = (struct asker){.ticket = {.on_found = on_found, .on_kept = on_kept, .context = asker}};
}

static void begin_find(struct asker *asker, const char *user_id)
{
    init_asker(asker);
    asking = true;
    connection_memory_find(memory, &asker->ticket, user_id);
    asking = false;
}

static void find(struct asker *asker, const char *user_id)
{
    begin_find(asker, user_id);
    redis_fixture_wait_times(&fixture, &asker->times, 1);
    assert_int_equal(asker->times, 1);
}

static bool keep_bytes(
    const char *user_id, const void *bytes, size_t size, enum connection_memory_life life)
{
    struct asker asker;
    init_asker(&asker);
    char *copy = malloc(size + 1);
    memcpy(copy, bytes, size);
    asking = true;
    connection_memory_keep(memory, &asker.ticket, user_id, copy, size, life);
    asking = false;
    memset(copy, 'x', size); /* copied at once */
    free(copy);
    redis_fixture_wait_times(&fixture, &asker.times, 1);
    assert_int_equal(asker.times, 1);
    return asker.kept;
}

static bool keep(const char *user_id, const char *text, enum connection_memory_life life)
{
    return keep_bytes(user_id, text, strlen(text), life);
}

static void assert_found(const char *user_id, const char *text)
{
    struct asker asker;
    find(&asker, user_id);
    assert_int_equal(asker.outcome, CONNECTION_MEMORY_FOUND);
    assert_int_equal(asker.size, strlen(text));
    assert_memory_equal(asker.bytes, text, asker.size);
}

static void assert_outcome(const char *user_id, enum connection_memory_outcome outcome)
{
    struct asker asker;
    find(&asker, user_id);
    assert_int_equal(asker.outcome, outcome);
}

static void open_memory(struct redis_client *redis, unsigned local_entries_max)
{
    memory = connection_memory_new(&fixture.loop, &(struct connection_memory_options){
                                                      .redis = redis,
                                                      .key_prefix = "test",
                                                      .local_entries_max = local_entries_max,
                                                  });
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
    connection_memory_close(memory);
    redis_fixture_release(&fixture);
    connection_memory_free(memory);
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

static void check_find_and_keep(void)
{
    struct asker asker;
    assert_outcome("u1", CONNECTION_MEMORY_ABSENT);
    assert_true(keep("u1", "{\"status\":\"connected\"}", CONNECTION_MEMORY_LIVE));
    assert_found("u1", "{\"status\":\"connected\"}");
    assert_outcome("u2", CONNECTION_MEMORY_ABSENT);
    assert_true(keep("u1", "over", CONNECTION_MEMORY_ENDED));
    assert_found("u1", "over");
    /* Any bytes, none among them, and as many as may be. */
    assert_true(keep_bytes("u3", "a\0b", 3, CONNECTION_MEMORY_LIVE));
    find(&asker, "u3");
    assert_int_equal(asker.size, 3);
    assert_memory_equal(asker.bytes, "a\0b", 3);
    assert_true(keep("u4", "", CONNECTION_MEMORY_LIVE));
    assert_found("u4", "");
    char *much = malloc(CONNECTION_MEMORY_BYTES_MAX);
    memset(much, 'm', CONNECTION_MEMORY_BYTES_MAX);
    assert_true(keep_bytes("u5", much, CONNECTION_MEMORY_BYTES_MAX, CONNECTION_MEMORY_LIVE));
    find(&asker, "u5");
    assert_int_equal(asker.size, CONNECTION_MEMORY_BYTES_MAX);
    free(much);
    /* What is found is what was there when it was asked for. */
    begin_find(&asker, "u1");
    assert_true(keep("u1", "later", CONNECTION_MEMORY_LIVE));
    redis_fixture_wait_times(&fixture, &asker.times, 1);
    assert_memory_equal(asker.bytes, "over", 4);
    assert_found("u1", "later");
}

static void test_promises_in_process(void **state)
{
    (void)state;
    begin_local(0);
    check_find_and_keep();
    end();
}

static void test_promises_in_redis(void **state)
{
    (void)state;
    begin_redis();
    check_find_and_keep();
    end();
}

/* ---- in Redis ---- */

static void assert_days_in_redis(int64_t days)
{
    struct redis_probe probe;
    redis_probe_run(&probe, &fixture, "PTTL " U1_KEY);
    assert_in_range(probe.integer, (days * DAY_US - 60 * SECOND) / 1000, days * DAY_US / 1000);
}

static void test_life_in_redis(void **state)
{
    (void)state;
    begin_redis();
    assert_true(keep("u1", "live", CONNECTION_MEMORY_LIVE));
    assert_days_in_redis(400);
    assert_true(keep("u1", "over", CONNECTION_MEMORY_ENDED));
    assert_days_in_redis(30);
    end();
}

/* It would stay, and the flow would ask for ever. */
static void test_what_is_no_state_counts_as_absent(void **state)
{
    (void)state;
    struct redis_probe probe;
    begin_redis();
    redis_probe_run(&probe, &fixture, "LPUSH " U1_KEY " x");
    assert_outcome("u1", CONNECTION_MEMORY_ABSENT);
    assert_true(keep("u1", "live", CONNECTION_MEMORY_LIVE));
    assert_found("u1", "live");
    redis_probe_run(&probe, &fixture, "SETRANGE " U1_KEY " 16384 x");
    assert_outcome("u1", CONNECTION_MEMORY_ABSENT);
    assert_int_equal(redis_fixture_logged("is none, and is ignored"), 1);
    end();
}

static void test_redis_that_is_not_there(void **state)
{
    (void)state;
    struct redis_server absent = {0};
    redis_server_prepare(&absent);
    redis_fixture_init(&fixture);
    redis_fixture_open_port(&fixture, absent.port, "");
    open_memory(fixture.client, 0);
    assert_outcome("u1", CONNECTION_MEMORY_UNAVAILABLE);
    assert_false(keep("u1", "live", CONNECTION_MEMORY_LIVE));
    assert_outcome("u1", CONNECTION_MEMORY_UNAVAILABLE); /* nor is it kept here instead */
    end();
    redis_server_end(&absent);
}

/* An error is no answer: a Redis that loads its data, or is a replica, knows nothing for sure. */
static void test_redis_that_refuses(void **state)
{
    (void)state;
    struct redis_probe probe;
    begin_redis();
    redis_probe_run(&probe, &fixture, "REPLICAOF 127.0.0.1 1");
    assert_false(keep("u1", "live", CONNECTION_MEMORY_LIVE));
    redis_probe_run(&probe, &fixture, "CONFIG SET replica-serve-stale-data no");
    assert_outcome("u1", CONNECTION_MEMORY_UNAVAILABLE);
    redis_probe_run(&probe, &fixture, "REPLICAOF NO ONE");
    redis_probe_run(&probe, &fixture, "CONFIG SET replica-serve-stale-data yes");
    assert_true(keep("u1", "live", CONNECTION_MEMORY_LIVE));
    end();
}

static void test_redis_frozen_killed_and_back(void **state)
{
    (void)state;
    struct asker asker;
    begin_redis();
    assert_true(keep("u1", "live", CONNECTION_MEMORY_LIVE));
    redis_server_freeze(&server);
    begin_find(&asker, "u1");
    uv_run(&fixture.loop, UV_RUN_NOWAIT);
    assert_int_equal(asker.times, 0);
    redis_server_kill(&server);
    redis_fixture_wait_times(&fixture, &asker.times, 1);
    assert_int_equal(asker.outcome, CONNECTION_MEMORY_UNAVAILABLE);
    redis_server_start(&server);
    redis_fixture_wait_connected(&fixture);
    assert_true(keep("u1", "live", CONNECTION_MEMORY_LIVE)); /* kept again, it is there */
    assert_found("u1", "live");
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
    assert_true(keep("u1", "over", CONNECTION_MEMORY_ENDED));
    assert_true(keep("u2", "live", CONNECTION_MEMORY_LIVE));
    clock_us += 30 * DAY_US - 1;
    assert_found("u1", "over");
    clock_us += 1;
    assert_outcome("u1", CONNECTION_MEMORY_ABSENT);
    assert_found("u2", "live");
    clock_us += 370 * DAY_US;
    assert_outcome("u2", CONNECTION_MEMORY_ABSENT);
    assert_true(keep("u1", "1", CONNECTION_MEMORY_LIVE));
    assert_true(keep("u2", "2", CONNECTION_MEMORY_LIVE));
    assert_true(keep("u3", "3", CONNECTION_MEMORY_LIVE));
    assert_outcome("u1", CONNECTION_MEMORY_ABSENT);
    assert_found("u2", "2");
    assert_found("u3", "3");
    end();
    clock_set_source(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_promises_in_process),
        cmocka_unit_test(test_promises_in_redis),
        cmocka_unit_test(test_life_in_redis),
        cmocka_unit_test(test_what_is_no_state_counts_as_absent),
        cmocka_unit_test(test_redis_that_is_not_there),
        cmocka_unit_test(test_redis_that_refuses),
        cmocka_unit_test(test_redis_frozen_killed_and_back),
        cmocka_unit_test(test_life_and_ceiling_in_process),
    };
    return cmocka_run_group_tests(tests, start_server, end_server);
}
