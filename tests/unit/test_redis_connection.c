/* redis_client and redis_connection against a scripted Redis that does what the real
 * one does not on demand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/memory.h"
#include "support/redis_fixture.h"
#include "support/redis_stub.h"

#define MS CLOCK_US_PER_MS

struct stub_fixture {
    struct redis_fixture base;
    struct redis_stub stub;
    const char *greeting; /* the answer to PING; NULL: none */
    void (*on_command)(struct stub_fixture *fixture, const char *bytes); /* or NULL */
};

static void on_received(struct redis_stub *stub, const char *bytes, size_t size)
{
    struct stub_fixture *fixture = stub->context;
    (void)size;
    bool greeting = strcmp(bytes, "*1\r\n$4\r\nPING\r\n") == 0;
    if (greeting && fixture->greeting)
        redis_stub_say(stub, fixture->greeting);
    else if (!greeting && fixture->on_command)
        fixture->on_command(fixture, bytes);
}

static void stub_fixture_init(struct stub_fixture *fixture)
{
    *fixture = (struct stub_fixture){.greeting = "+PONG\r\n"};
    redis_fixture_init(&fixture->base);
    fixture->stub.on_received = on_received;
    fixture->stub.context = fixture;
    redis_stub_init(&fixture->stub, &fixture->base.loop);
}

static void stub_fixture_connect(struct stub_fixture *fixture)
{
    redis_fixture_open_port(&fixture->base, fixture->stub.port, "");
    redis_fixture_wait_connected(&fixture->base);
}

static void stub_fixture_release(struct stub_fixture *fixture)
{
    redis_stub_close(&fixture->stub);
    redis_fixture_release(&fixture->base);
}

/* ---- writing ---- */

static void answer_a_hundred(struct stub_fixture *fixture, const char *bytes)
{
    (void)bytes;
    for (int i = 0; i < 100; i++)
        redis_stub_say(&fixture->stub, "+OK\r\n");
}

static void test_one_turn_is_one_write(void **state)
{
    (void)state;
    struct stub_fixture fixture;
    struct redis_probe *probes = memory_new(100 * sizeof *probes);
    stub_fixture_init(&fixture);
    fixture.on_command = answer_a_hundred;
    stub_fixture_connect(&fixture);
    for (unsigned round = 1; round <= 3; round++) {
        for (size_t i = 0; i < 100; i++) {
            redis_probe_init(&probes[i], &fixture.base);
            redis_probe_send(&probes[i], "GET a");
        }
        for (size_t i = 0; i < 100; i++)
            redis_probe_wait(&probes[i]);
        assert_int_equal(fixture.stub.receives, 1 + round); /* the first was the PING */
    }
    stub_fixture_release(&fixture);
    free(probes);
}

/* Sent while the first connection is being made: these wait for it, and leave together too. */
static void test_first_commands_wait(void **state)
{
    (void)state;
    struct stub_fixture fixture;
    struct redis_probe *probes = memory_new(100 * sizeof *probes);
    stub_fixture_init(&fixture);
    fixture.on_command = answer_a_hundred;
    redis_fixture_open_port(&fixture.base, fixture.stub.port, "");
    for (size_t i = 0; i < 100; i++) {
        redis_probe_init(&probes[i], &fixture.base);
        redis_probe_send(&probes[i], "GET a");
    }
    for (size_t i = 0; i < 100; i++) {
        redis_probe_wait(&probes[i]);
        assert_int_equal(probes[i].outcome, REDIS_ANSWERED);
    }
    assert_int_equal(fixture.stub.receives, 2);
    stub_fixture_release(&fixture);
    free(probes);
}

/* ---- reading ---- */

struct piece_case {
    const char *first, *second;
    enum redis_outcome outcome;
    const char *text;
};

static const struct piece_case *piece;

static void say_first_piece(struct stub_fixture *fixture, const char *bytes)
{
    (void)bytes;
    redis_stub_say(&fixture->stub, piece->first);
}

static void test_answer_in_pieces(void **state)
{
    (void)state;
    static const struct piece_case pieces[] = {
        {"$5\r\nab", "cde\r\n", REDIS_ANSWERED, "abcde"},
        {"$", "5\r\nabcde\r\n", REDIS_ANSWERED, "abcde"},
        {"+abc", "de\r\n", REDIS_ANSWERED, "abcde"},
        {"-LOADING Redis is ", "loading\r\n", REDIS_ERROR, "LOADING Redis is loading"},
        {"-READONLY You can't write against a read only replica.\r", "\n", REDIS_ERROR,
            "READONLY You can't write against a read only replica."},
    };
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct stub_fixture fixture;
        struct redis_probe probe;
        piece = &pieces[i];
        stub_fixture_init(&fixture);
        fixture.on_command = say_first_piece;
        stub_fixture_connect(&fixture);
        redis_probe_init(&probe, &fixture.base);
        redis_probe_send(&probe, "GET a");
        redis_fixture_wait_times(&fixture.base, &fixture.stub.receives, 2);
        uv_run(&fixture.base.loop, UV_RUN_ONCE); /* the first piece is read by itself */
        assert_int_equal(probe.times, 0);
        redis_stub_say(&fixture.stub, piece->second);
        redis_probe_wait(&probe);
        assert_int_equal(probe.outcome, piece->outcome);
        assert_string_equal(probe.text, piece->text);
        assert_int_equal(fixture.base.downs, 0);
        stub_fixture_release(&fixture);
    }
}

static void say_half_and_hang_up(struct stub_fixture *fixture, const char *bytes)
{
    (void)bytes;
    redis_stub_say(&fixture->stub, "+one\r\n$10\r\nhalf");
    redis_stub_hang_up(&fixture->stub);
}

static void test_hang_up_inside_an_answer(void **state)
{
    (void)state;
    struct stub_fixture fixture;
    struct redis_probe whole, half, none;
    stub_fixture_init(&fixture);
    fixture.on_command = say_half_and_hang_up;
    stub_fixture_connect(&fixture);
    redis_probe_init(&whole, &fixture.base);
    redis_probe_init(&half, &fixture.base);
    redis_probe_init(&none, &fixture.base);
    redis_probe_send(&whole, "GET a");
    redis_probe_send(&half, "GET b");
    redis_probe_send(&none, "GET c");
    redis_probe_wait(&none);
    assert_int_equal(whole.outcome, REDIS_ANSWERED);
    assert_string_equal(whole.text, "one");
    assert_int_equal(half.outcome, REDIS_UNAVAILABLE);
    assert_int_equal(none.outcome, REDIS_UNAVAILABLE);
    redis_fixture_wait_times(&fixture.base, &fixture.base.ups, 2);
    stub_fixture_release(&fixture);
}

static void say_garbage(struct stub_fixture *fixture, const char *bytes)
{
    (void)bytes;
    redis_stub_say(&fixture->stub, "HTTP/1.1 400 Bad Request\r\n\r\n");
}

static void test_garbage(void **state)
{
    (void)state;
    struct stub_fixture fixture;
    struct redis_probe probe;
    stub_fixture_init(&fixture);
    fixture.on_command = say_garbage;
    stub_fixture_connect(&fixture);
    redis_probe_run(&probe, &fixture.base, "GET a");
    assert_int_equal(probe.outcome, REDIS_UNAVAILABLE);
    assert_int_equal(redis_fixture_logged("Protocol error"), 1);
    stub_fixture_release(&fixture);
}

/* The real risk is a proxy or a push message; taken for an answer it would shift all later ones. */
static void test_answer_nobody_asked_for(void **state)
{
    (void)state;
    static const char *const unasked[] = {
        "+hello\r\n", ":1\r\n", "-ERR idle for too long\r\n", "*1\r\n$1\r\na\r\n"};
    for (size_t i = 0; i < sizeof unasked / sizeof unasked[0]; i++) {
        struct stub_fixture fixture;
        stub_fixture_init(&fixture);
        stub_fixture_connect(&fixture);
        redis_stub_say(&fixture.stub, unasked[i]);
        redis_fixture_wait_times(&fixture.base, &fixture.base.downs, 1);
        redis_fixture_wait_times(&fixture.base, &fixture.base.ups, 2);
        assert_int_equal(redis_fixture_logged("nobody asked for"), 1);
        stub_fixture_release(&fixture);
    }
}

/* ---- time ---- */

static void answer_only_second(struct stub_fixture *fixture, const char *bytes)
{
    if (strstr(bytes, "second"))
        redis_stub_say(&fixture->stub, "+second\r\n");
}

static void test_late_answer_goes_to_nobody(void **state)
{
    (void)state;
    struct stub_fixture fixture;
    struct redis_probe first, second;
    stub_fixture_init(&fixture);
    fixture.on_command = answer_only_second;
    stub_fixture_connect(&fixture);
    redis_probe_init(&first, &fixture.base);
    redis_probe_send_within(&first, 60 * MS, "GET first");
    redis_fixture_wait_times(&fixture.base, &fixture.stub.receives, 2);
    redis_probe_wait(&first);
    assert_int_equal(first.outcome, REDIS_TIMEOUT);
    redis_stub_say(&fixture.stub, "+first\r\n"); /* too late by one turn */
    redis_fixture_wait_times(&fixture.base, &fixture.base.ups, 2);
    assert_int_equal(fixture.stub.connections, 2);
    redis_probe_run(&second, &fixture.base, "GET second");
    assert_string_equal(second.text, "second");
    stub_fixture_release(&fixture);
}

/* Each has its own time, also when a shorter one is sent behind a longer one. */
static void test_expiry_out_of_order(void **state)
{
    (void)state;
    struct stub_fixture fixture;
    struct redis_probe probes[3];
    static const int64_t timeouts_us[] = {400 * MS, 100 * MS, 250 * MS};
    stub_fixture_init(&fixture);
    fixture.greeting = NULL; /* never connected, so that all keep waiting */
    char url[64];
    snprintf(url, sizeof url, "redis://127.0.0.1:%d", fixture.stub.port);
    redis_fixture_open_with(&fixture.base,
        &(struct redis_client_options){.url = url, .connect_timeout_us = 30 * CLOCK_US_PER_SECOND});
    for (size_t i = 0; i < 3; i++) {
        redis_probe_init(&probes[i], &fixture.base);
        redis_probe_send_within(&probes[i], timeouts_us[i], "GET a");
    }
    redis_probe_wait(&probes[0]);
    for (size_t i = 0; i < 3; i++) {
        int64_t took_us = probes[i].answered_us - probes[i].sent_us;
        assert_int_equal(probes[i].times, 1);
        assert_int_equal(probes[i].outcome, REDIS_TIMEOUT);
        assert_true(took_us >= timeouts_us[i]);
        assert_true(took_us < timeouts_us[i] + 1000 * MS);
    }
    assert_true(probes[1].answered_us < probes[2].answered_us);
    assert_true(probes[2].answered_us < probes[0].answered_us);
    stub_fixture_release(&fixture);
}

static void answer_at_once(struct stub_fixture *fixture, const char *bytes)
{
    (void)bytes;
    redis_stub_say(&fixture->stub, "+in time\r\n");
}

#define MANY 2000
#define LONG_ANSWER "+0123456789012345678901234567890123456789012345678901234567890123\r\n"

static void answer_two_thousand(struct stub_fixture *fixture, const char *bytes)
{
    (void)bytes;
    for (int i = 0; i < MANY; i++)
        redis_stub_say(&fixture->stub, LONG_ANSWER);
}

/* The answers lie in the socket, more than one read brings, while this process does not run: Redis
 * is not to blame. */
static void test_process_that_stood_still(void **state)
{
    (void)state;
    struct stub_fixture fixture;
    struct redis_probe *probes = memory_new(MANY * sizeof *probes);
    stub_fixture_init(&fixture);
    fixture.on_command = answer_two_thousand;
    stub_fixture_connect(&fixture);
    for (size_t i = 0; i < MANY; i++) {
        redis_probe_init(&probes[i], &fixture.base);
        redis_probe_send_within(&probes[i], 500 * MS, "GET a");
    }
    redis_fixture_wait_times(&fixture.base, &fixture.stub.receives, 2);
    nanosleep(&(struct timespec){.tv_nsec = 600000000}, NULL);
    for (size_t i = 0; i < MANY; i++) {
        redis_probe_wait(&probes[i]);
        assert_int_equal(probes[i].outcome, REDIS_ANSWERED);
    }
    assert_int_equal(fixture.base.downs, 0);
    stub_fixture_release(&fixture);
    free(probes);
}

/* ---- the greeting ---- */

static void test_server_that_says_nothing(void **state)
{
    (void)state;
    struct stub_fixture fixture;
    struct redis_probe probe;
    char url[64];
    stub_fixture_init(&fixture);
    fixture.greeting = NULL;
    snprintf(url, sizeof url, "redis://127.0.0.1:%d", fixture.stub.port);
    redis_fixture_open_with(
        &fixture.base, &(struct redis_client_options){.url = url, .connect_timeout_us = 50 * MS});
    redis_probe_run(&probe, &fixture.base, "GET a");
    assert_int_equal(probe.outcome, REDIS_UNAVAILABLE);
    assert_int_equal(redis_fixture_logged("no answer in time to PING"), 1);
    redis_fixture_wait_times(&fixture.base, &fixture.stub.connections, 3);
    assert_int_equal(redis_fixture_logged("Redis is away"), 1);
    fixture.greeting = "+PONG\r\n";
    redis_fixture_wait_connected(&fixture.base);
    stub_fixture_release(&fixture);
}

struct greeting_case {
    const char *greeting;
    bool connects;
};

static void test_greetings(void **state)
{
    (void)state;
    static const struct greeting_case cases[] = {
        {"+PONG\r\n", true},
        {"-LOADING Redis is loading the dataset in memory\r\n", true},
        {"-BUSY Redis is busy running a script.\r\n", true},
        {"-MASTERDOWN Link with MASTER is down.\r\n", true},
        {"-NOPERM this user has no permissions to run the 'ping' command\r\n", true},
        {"-NOAUTH Authentication required.\r\n", false},
        {"-DENIED Redis is running in protected mode\r\n", false},
        {"-ERR unknown command\r\n", false},
        {"HTTP/1.1 400 Bad Request\r\n", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stub_fixture fixture;
        struct redis_probe probe;
        stub_fixture_init(&fixture);
        fixture.greeting = cases[i].greeting;
        fixture.on_command = answer_at_once;
        redis_fixture_open_port(&fixture.base, fixture.stub.port, "");
        redis_probe_run(&probe, &fixture.base, "GET a");
        if ((probe.outcome == REDIS_ANSWERED) != cases[i].connects)
            fail_msg("%s", cases[i].greeting);
        stub_fixture_release(&fixture);
    }
}

/* ---- ceilings ---- */

static unsigned refused;

static void count_refused(struct redis_command *command, const struct redis_answer *answer)
{
    assert_int_equal(answer->outcome, REDIS_UNAVAILABLE);
    refused++;
    uv_stop(command->context);
}

static void test_ceiling(void **state)
{
    (void)state;
    struct stub_fixture fixture;
    size_t count = REDIS_COMMANDS_MAX + 10;
    struct redis_command *commands = memory_new(count * sizeof *commands);
    const char *arguments[] = {"GET", "a"};
    stub_fixture_init(&fixture);
    stub_fixture_connect(&fixture);
    refused = 0;
    for (size_t i = 0; i < count; i++) {
        commands[i].on_answer = count_refused;
        commands[i].context = &fixture.base.loop;
        redis_client_send(
            fixture.base.client, &commands[i], 60 * CLOCK_US_PER_SECOND, 2, arguments, NULL);
    }
    redis_fixture_wait_times(&fixture.base, &refused, 1);
    assert_int_equal(refused, 10);
    stub_fixture_release(&fixture);
    assert_int_equal(refused, count);
    free(commands);
}

static void test_bad_url(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct redis_client *client = NULL;
    char error[256] = "";
    const struct redis_client_options options = {
        .url = "redis://:s3cr3t/@host", .connect_timeout_us = 1, .reconnect_max_us = 1};
    uv_loop_init(&loop);
    assert_int_equal(
        redis_client_new(&loop, &options, &client, error, sizeof error), RESULT_REJECT);
    assert_null(client);
    assert_null(strstr(error, REDIS_SECRET));
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_turn_is_one_write),
        cmocka_unit_test(test_first_commands_wait),
        cmocka_unit_test(test_answer_in_pieces),
        cmocka_unit_test(test_hang_up_inside_an_answer),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_answer_nobody_asked_for),
        cmocka_unit_test(test_late_answer_goes_to_nobody),
        cmocka_unit_test(test_expiry_out_of_order),
        cmocka_unit_test(test_process_that_stood_still),
        cmocka_unit_test(test_server_that_says_nothing),
        cmocka_unit_test(test_greetings),
        cmocka_unit_test(test_ceiling),
        cmocka_unit_test(test_bad_url),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
