/* redis_client against a real redis-server, which is killed, frozen and restarted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/memory.h"
#include "support/redis_fixture.h"
#include "support/redis_server.h"

#define MS CLOCK_US_PER_MS

/* The group's server, without a password, never killed. */
static struct redis_server common_server;

static int start_common_server(void **state)
{
    (void)state;
    redis_server_start(&common_server);
    return 0;
}

static int end_common_server(void **state)
{
    (void)state;
    redis_server_end(&common_server);
    return 0;
}

static void open_common(struct redis_fixture *fixture)
{
    redis_fixture_init(fixture);
    redis_fixture_open_port(fixture, common_server.port, "");
    struct redis_probe probe;
    redis_probe_run(&probe, fixture, "FLUSHALL");
    assert_string_equal(probe.text, "OK");
}

/* ---- values ---- */

static void test_binary_values(void **state)
{
    (void)state;
    struct redis_fixture fixture;
    struct redis_probe probe;
    open_common(&fixture);

    static const char value[] = "a\0b\r\n$5\r\n\xff";
    const char *arguments[] = {"SET", "binary key", value};
    const size_t sizes[] = {3, 10, sizeof value - 1};
    redis_probe_init(&probe, &fixture);
    redis_client_send(fixture.client, &probe.command, CLOCK_US_PER_SECOND, 3, arguments, sizes);
    redis_probe_wait(&probe);
    assert_int_equal(probe.outcome, REDIS_ANSWERED);
    assert_int_equal(probe.kind, REDIS_TEXT);

    redis_probe_init(&probe, &fixture);
    const char *get[] = {"GET", "binary key"};
    redis_client_send(fixture.client, &probe.command, CLOCK_US_PER_SECOND, 2, get, NULL);
    redis_probe_wait(&probe);
    assert_int_equal(probe.text_size, sizeof value - 1);
    assert_memory_equal(probe.text, value, sizeof value - 1);
    redis_fixture_release(&fixture);
}

static void check_array(struct redis_probe *probe, const struct redis_answer *answer)
{
    (void)probe;
    assert_int_equal(answer->kind, REDIS_ARRAY);
    assert_int_equal(answer->integer, 5);
    struct redis_answer first = redis_answer_item(answer, 0);
    assert_int_equal(first.outcome, REDIS_ANSWERED);
    assert_int_equal(first.kind, REDIS_INTEGER);
    assert_int_equal(first.integer, INT64_C(9007199254740991));
    struct redis_answer second = redis_answer_item(answer, 1);
    assert_int_equal(second.kind, REDIS_TEXT);
    assert_string_equal(second.text, "two");
    struct redis_answer third = redis_answer_item(answer, 2);
    assert_int_equal(third.kind, REDIS_ARRAY);
    struct redis_answer inner = redis_answer_item(&third, 0);
    assert_int_equal(inner.integer, -3);
    struct redis_answer fourth = redis_answer_item(answer, 3);
    assert_int_equal(fourth.kind, REDIS_NIL);
    assert_string_equal(fourth.text, "");
    struct redis_answer fifth = redis_answer_item(answer, 4);
    assert_int_equal(fifth.outcome, REDIS_ERROR);
    assert_string_equal(fifth.text, "MINE it is");
}

static void test_kinds(void **state)
{
    (void)state;
    struct redis_fixture fixture;
    struct redis_probe probe;
    open_common(&fixture);

    redis_probe_run(&probe, &fixture, "GET nothing");
    assert_int_equal(probe.outcome, REDIS_ANSWERED);
    assert_int_equal(probe.kind, REDIS_NIL);
    redis_probe_run(&probe, &fixture, "INCRBY number -7");
    assert_int_equal(probe.kind, REDIS_INTEGER);
    assert_int_equal(probe.integer, -7);
    redis_probe_run(&probe, &fixture, "SET most 9223372036854775806");
    redis_probe_run(&probe, &fixture, "INCR most");
    assert_int_equal(probe.integer, INT64_MAX);
    redis_probe_run(&probe, &fixture, "LRANGE list 0 -1");
    assert_int_equal(probe.kind, REDIS_ARRAY);
    assert_int_equal(probe.integer, 0);
    redis_probe_run(&probe, &fixture, "LPUSH number 1");
    assert_int_equal(probe.outcome, REDIS_ERROR);
    assert_int_equal(probe.kind, REDIS_NIL);
    assert_int_equal(strncmp(probe.text, "WRONGTYPE ", 10), 0);

    redis_probe_init(&probe, &fixture);
    probe.then = check_array;
    const char *eval[] = {
        "EVAL", "return {9007199254740991, 'two', {-3}, false, {err='MINE it is'}}", "0"};
    redis_client_send(fixture.client, &probe.command, CLOCK_US_PER_SECOND, 3, eval, NULL);
    redis_probe_wait(&probe);
    redis_fixture_release(&fixture);
}

/* ---- order ---- */

#define PIPELINED 10000

struct order {
    unsigned answered;
    int64_t last;
};

static void check_order(struct redis_command *command, const struct redis_answer *answer)
{
    struct order *order = command->context;
    assert_int_equal(answer->outcome, REDIS_ANSWERED);
    assert_int_equal(answer->integer, ++order->last);
    order->answered++;
}

static void test_order_of_many(void **state)
{
    (void)state;
    struct redis_fixture fixture;
    open_common(&fixture);
    struct order order = {0};
    struct redis_command *commands = memory_new(PIPELINED * sizeof *commands);
    const char *arguments[] = {"INCR", "order"};
    for (size_t i = 0; i < PIPELINED; i++) {
        commands[i] = (struct redis_command){.on_answer = check_order, .context = &order};
        redis_client_send(
            fixture.client, &commands[i], 20 * CLOCK_US_PER_SECOND, 2, arguments, NULL);
    }
    redis_fixture_wait_times(&fixture, &order.answered, PIPELINED);
    redis_fixture_release(&fixture);
    assert_int_equal(order.answered, PIPELINED);
    free(commands);
}

/* A value larger than what a socket takes at once, so that writing goes on later. */
static void test_large_value(void **state)
{
    (void)state;
    struct redis_fixture fixture;
    struct redis_probe probe, after;
    open_common(&fixture);
    size_t size = (size_t)32 * 1024 * 1024;
    char *value = memory_new(size);
    const char *arguments[] = {"SET", "large", value};
    const size_t sizes[] = {3, 5, size};
    redis_probe_init(&probe, &fixture);
    redis_client_send(
        fixture.client, &probe.command, 20 * CLOCK_US_PER_SECOND, 3, arguments, sizes);
    free(value); /* copied */
    redis_probe_run(&after, &fixture, "STRLEN large");
    assert_int_equal(probe.times, 1);
    assert_int_equal(after.integer, size);
    redis_fixture_release(&fixture);
}

/* ---- scripts ---- */

static char script_sha1[41];
static const struct redis_script script = {
    .text = "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('APPEND', KEYS[1], ARGV[2])",
    .sha1 = script_sha1,
};

static void learn_sha1(struct redis_fixture *fixture)
{
    struct redis_probe probe;
    const char *load[] = {"SCRIPT", "LOAD", script.text};
    redis_probe_init(&probe, fixture);
    redis_client_send(fixture->client, &probe.command, CLOCK_US_PER_SECOND, 3, load, NULL);
    redis_probe_wait(&probe);
    assert_int_equal(probe.text_size, 40);
    memcpy(script_sha1, probe.text, 41);
    redis_probe_run(&probe, fixture, "SCRIPT FLUSH");
}

static void send_script(struct redis_probe *probe, struct redis_fixture *fixture)
{
    const char *arguments[] = {"key", "ab\0c", "de"};
    const size_t sizes[] = {3, 4, 2};
    redis_probe_init(probe, fixture);
    redis_client_run_script(
        fixture->client, &probe->command, 5 * CLOCK_US_PER_SECOND, &script, 1, 3, arguments, sizes);
    memset(arguments, 0, sizeof arguments); /* the texts must stay, the array need not */
}

static void expect_stat(struct redis_fixture *fixture, const char *present, const char *absent)
{
    struct redis_probe probe;
    redis_probe_run(&probe, fixture, "INFO commandstats");
    if (present)
        assert_non_null(strstr(probe.text, present));
    if (absent)
        assert_null(strstr(probe.text, absent));
    redis_probe_run(&probe, fixture, "CONFIG RESETSTAT");
}

static void test_script(void **state)
{
    (void)state;
    struct redis_fixture fixture;
    struct redis_probe probes[20];
    open_common(&fixture);
    learn_sha1(&fixture);
    expect_stat(&fixture, NULL, NULL);

    for (int round = 0; round < 2; round++) {
        send_script(&probes[0], &fixture);
        redis_probe_wait(&probes[0]);
        assert_int_equal(probes[0].outcome, REDIS_ANSWERED);
        assert_int_equal(probes[0].integer, 6);
        expect_stat(&fixture, "cmdstat_eval:calls=1,", NULL);

        send_script(&probes[0], &fixture);
        redis_probe_wait(&probes[0]);
        assert_int_equal(probes[0].integer, 6);
        expect_stat(&fixture, "cmdstat_evalsha:calls=1,", "cmdstat_eval:"); /* known by now */
        redis_probe_run(&probes[0], &fixture, "SCRIPT FLUSH");
    }
    /* Many at once, none of them known to the server. */
    for (size_t i = 0; i < 20; i++)
        send_script(&probes[i], &fixture);
    for (size_t i = 0; i < 20; i++) {
        redis_probe_wait(&probes[i]);
        assert_int_equal(probes[i].integer, 6);
    }
    redis_fixture_release(&fixture);
}

/* Sent before there is a connection, to a server that does not know it. */
static void test_script_first(void **state)
{
    (void)state;
    struct redis_fixture fixture;
    struct redis_probe probe;
    open_common(&fixture);
    learn_sha1(&fixture);
    redis_fixture_close(&fixture);
    redis_fixture_open_port(&fixture, common_server.port, "");
    send_script(&probe, &fixture);
    redis_probe_wait(&probe);
    assert_int_equal(probe.outcome, REDIS_ANSWERED);
    assert_int_equal(probe.integer, 6);
    redis_fixture_release(&fixture);
}

static void test_script_that_fails(void **state)
{
    (void)state;
    struct redis_fixture fixture;
    struct redis_probe probe;
    open_common(&fixture);
    static const struct redis_script failing = {
        .text = "return redis.error_reply('NOSCRIPT of my own')",
        .sha1 = "0000000000000000000000000000000000000000"};
    redis_probe_init(&probe, &fixture);
    redis_client_run_script(
        fixture.client, &probe.command, CLOCK_US_PER_SECOND, &failing, 0, 0, NULL, NULL);
    redis_probe_wait(&probe);
    assert_int_equal(probe.outcome, REDIS_ERROR);
    assert_string_equal(probe.text, "NOSCRIPT of my own");
    redis_fixture_release(&fixture);
}

/* ---- from within callbacks ---- */

static void send_next(struct redis_probe *probe, const struct redis_answer *answer)
{
    (void)answer;
    redis_probe_send(probe->context, "INCR chain");
}

static void test_send_in_answer(void **state)
{
    (void)state;
    struct redis_fixture fixture;
    struct redis_probe probes[50];
    open_common(&fixture);
    for (size_t i = 0; i < 50; i++) {
        redis_probe_init(&probes[i], &fixture);
        probes[i].then = i < 49 ? send_next : NULL;
        probes[i].context = i < 49 ? &probes[i + 1] : NULL;
    }
    redis_probe_send(&probes[0], "INCR chain");
    redis_probe_wait(&probes[49]);
    assert_int_equal(probes[49].integer, 50);
    redis_fixture_release(&fixture);
}

static void close_client(struct redis_probe *probe, const struct redis_answer *answer)
{
    assert_int_equal(answer->outcome, REDIS_ANSWERED);
    redis_fixture_close(probe->fixture);
    assert_string_equal(answer->text, "OK"); /* still there */
}

static void test_close_in_answer(void **state)
{
    (void)state;
    struct redis_fixture fixture;
    struct redis_probe probes[3];
    open_common(&fixture);
    for (size_t i = 0; i < 3; i++)
        redis_probe_init(&probes[i], &fixture);
    probes[0].then = close_client;
    for (size_t i = 0; i < 3; i++)
        redis_probe_send(&probes[i], "SET a b");
    redis_probe_wait(&probes[2]);
    assert_int_equal(probes[1].outcome, REDIS_UNAVAILABLE);
    assert_int_equal(probes[2].outcome, REDIS_UNAVAILABLE);
    redis_fixture_release(&fixture);
    assert_int_equal(fixture.downs, 0);
}

static void send_from_connection(struct redis_fixture *fixture, bool connected)
{
    struct redis_probe *probes = fixture->context;
    redis_probe_send(&probes[connected ? 0 : 1], "INCR from");
}

static void test_send_in_connection(void **state)
{
    (void)state;
    struct redis_server server = {0};
    struct redis_fixture fixture;
    struct redis_probe probes[2];
    redis_server_start(&server);
    redis_fixture_init(&fixture);
    redis_probe_init(&probes[0], &fixture);
    redis_probe_init(&probes[1], &fixture);
    fixture.on_connection = send_from_connection;
    fixture.context = probes;
    redis_fixture_open_port(&fixture, server.port, "");
    redis_probe_wait(&probes[0]);
    assert_int_equal(probes[0].integer, 1);
    redis_server_kill(&server);
    redis_probe_wait(&probes[1]);
    assert_int_equal(probes[1].outcome, REDIS_UNAVAILABLE);
    redis_fixture_release(&fixture);
    redis_server_end(&server);
}

/* ---- a server that goes, stalls, comes back ---- */

#define IN_FLIGHT 50

static void test_kill_and_restart(void **state)
{
    (void)state;
    struct redis_server server = {0};
    struct redis_fixture fixture;
    struct redis_probe probes[IN_FLIGHT], probe;
    redis_server_start(&server);
    redis_fixture_init(&fixture);
    redis_fixture_open_port(&fixture, server.port, "");
    redis_fixture_wait_connected(&fixture);
    for (unsigned round = 1; round <= 3; round++) {
        redis_server_freeze(&server); /* so that all are in flight for sure */
        for (size_t i = 0; i < IN_FLIGHT; i++) {
            redis_probe_init(&probes[i], &fixture);
            redis_probe_send(&probes[i], "PING");
        }
        uv_run(&fixture.loop, UV_RUN_NOWAIT);
        redis_server_kill(&server);
        for (size_t i = 0; i < IN_FLIGHT; i++) {
            redis_probe_wait(&probes[i]);
            assert_int_equal(probes[i].outcome, REDIS_UNAVAILABLE);
        }
        assert_int_equal(fixture.downs, round);
        redis_probe_run(&probe, &fixture, "PING"); /* refused at once, not kept */
        assert_int_equal(probe.outcome, REDIS_UNAVAILABLE);
        assert_true(probe.answered_us - probe.sent_us < CLOCK_US_PER_SECOND);

        redis_server_start(&server);
        redis_fixture_wait_connected(&fixture);
        redis_probe_run(&probe, &fixture, "PING");
        assert_string_equal(probe.text, "PONG");
    }
    assert_int_equal(redis_fixture_logged("Redis is away"), 3);
    assert_int_equal(redis_fixture_logged("Redis is back"), 3);
    redis_fixture_release(&fixture);
    redis_server_end(&server);
}

static void test_freeze_and_thaw(void **state)
{
    (void)state;
    struct redis_server server = {0};
    struct redis_fixture fixture;
    struct redis_probe long_one, short_one, second_short, probe;
    redis_server_start(&server);
    redis_fixture_init(&fixture);
    redis_fixture_open_port(&fixture, server.port, "");
    redis_fixture_wait_connected(&fixture);
    redis_server_freeze(&server);
    redis_probe_init(&long_one, &fixture);
    redis_probe_init(&short_one, &fixture);
    redis_probe_init(&second_short, &fixture);
    redis_probe_send(&long_one, "INCR a");
    redis_probe_send_within(&short_one, 150 * MS, "INCR b");
    redis_probe_send_within(&second_short, 150 * MS, "INCR c");
    redis_probe_wait(&long_one);
    assert_int_equal(short_one.outcome, REDIS_TIMEOUT);
    assert_int_equal(long_one.outcome, REDIS_UNAVAILABLE);
    assert_int_equal(second_short.times, 1);
    assert_true(short_one.answered_us - short_one.sent_us >= 150 * MS);
    assert_true(short_one.answered_us - short_one.sent_us < 1000 * MS);
    assert_int_equal(fixture.downs, 1);

    redis_server_thaw(&server);
    redis_fixture_wait_connected(&fixture);
    redis_probe_run(&probe, &fixture, "ECHO healed");
    assert_string_equal(probe.text, "healed");
    redis_fixture_release(&fixture);
    redis_server_end(&server);
}

static void test_started_later(void **state)
{
    (void)state;
    struct redis_server server = {0};
    struct redis_fixture fixture;
    struct redis_probe early, probe;
    redis_server_prepare(&server);
    redis_fixture_init(&fixture);
    redis_fixture_open_port(&fixture, server.port, "");
    redis_probe_run(&early, &fixture, "PING");
    assert_int_equal(early.outcome, REDIS_UNAVAILABLE);
    redis_server_start(&server);
    redis_fixture_wait_connected(&fixture);
    redis_probe_run(&probe, &fixture, "PING");
    assert_string_equal(probe.text, "PONG");
    assert_int_equal(redis_fixture_logged("Redis is away"), 1);
    assert_int_equal(redis_fixture_logged("Connection refused"), 1);
    redis_fixture_release(&fixture);
    redis_server_end(&server);
}

static void test_close_in_flight(void **state)
{
    (void)state;
    struct redis_fixture fixture;
    struct redis_probe probes[IN_FLIGHT];
    open_common(&fixture);
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        redis_probe_init(&probes[i], &fixture);
        redis_probe_send(&probes[i], "BLPOP nothing 0");
    }
    uv_run(&fixture.loop, UV_RUN_NOWAIT);
    redis_fixture_release(&fixture);
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        assert_int_equal(probes[i].times, 1);
        assert_int_equal(probes[i].outcome, REDIS_UNAVAILABLE);
    }
}

/* At every point of the way: before the loop has run, while resolving, connecting, greeting. */
static void test_close_while_connecting(void **state)
{
    (void)state;
    for (int turns = 0; turns < 8; turns++) {
        struct redis_fixture fixture;
        struct redis_probe probe;
        redis_fixture_init(&fixture);
        redis_fixture_open_port(&fixture, common_server.port, "");
        redis_probe_init(&probe, &fixture);
        redis_probe_send(&probe, "PING");
        for (int i = 0; i < turns; i++)
            uv_run(&fixture.loop, UV_RUN_NOWAIT);
        redis_fixture_release(&fixture);
        assert_int_equal(probe.times, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_binary_values),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_order_of_many),
        cmocka_unit_test(test_large_value),
        cmocka_unit_test(test_script),
        cmocka_unit_test(test_script_first),
        cmocka_unit_test(test_script_that_fails),
        cmocka_unit_test(test_send_in_answer),
        cmocka_unit_test(test_close_in_answer),
        cmocka_unit_test(test_send_in_connection),
        cmocka_unit_test(test_kill_and_restart),
        cmocka_unit_test(test_freeze_and_thaw),
        cmocka_unit_test(test_started_later),
        cmocka_unit_test(test_close_in_flight),
        cmocka_unit_test(test_close_while_connecting),
    };
    return cmocka_run_group_tests(tests, start_common_server, end_common_server);
}
