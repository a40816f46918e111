/* The shared limit seen and changed, on a real redis-server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/redis_fixture.h"
#include "support/redis_server.h"
#include "worker/admission_control.h"

static struct redis_server server;
static struct redis_fixture fixture;

struct asker {
    struct admission_change change;
    unsigned times;
    struct admission_state state;
    char problem[128]; /* "": none */
};

static struct asker asker;

static void on_done(
    struct admission_change *change, const struct admission_state *state, const char *problem)
{
    assert_ptr_equal(change->context, &asker);
    asker.times++;
    if (state)
        asker.state = *state;
    snprintf(asker.problem, sizeof asker.problem, "%s", problem ? problem : "");
    uv_stop(&fixture.loop);
}

static struct admission_change *begin_change(void)
{
    asker = (struct asker){
        .change = {.redis = fixture.client,
            .key_prefix = "test",
            .dev_id = "acme",
            .on_done = on_done,
            .context = &asker},
    };
    return &asker.change;
}

static const struct admission_state *result(void)
{
    assert_int_equal(asker.times, 0);
    redis_fixture_wait_times(&fixture, &asker.times, 1);
    assert_string_equal(asker.problem, "");
    return &asker.state;
}

static const struct admission_state *show(void)
{
    admission_control_show(begin_change());
    return result();
}

static void begin(void)
{
    struct redis_probe probe;
    redis_fixture_init(&fixture);
    redis_fixture_open_port(&fixture, server.port, "");
    redis_fixture_wait_connected(&fixture);
    redis_probe_run(&probe, &fixture, "FLUSHALL");
}

static void end(void)
{
    redis_fixture_release(&fixture);
}

static void test_nothing_yet(void **state)
{
    (void)state;
    begin();
    const struct admission_state *seen = show();
    assert_false(seen->overridden || seen->paused);
    assert_int_equal(seen->interval_us, 0);
    assert_int_equal(seen->waiting + seen->workers + seen->reserved_us + seen->use_permille, 0);
    end();
}

static void test_set_and_unset(void **state)
{
    (void)state;
    static const struct {
        const char *rate;
        int64_t burst, for_us, left_us, interval_us;
    } rows[] = {
        {"1000/m", 5, 0, -1, 60900},
        {"5/s", 2, 7200 * CLOCK_US_PER_SECOND, 7200 * CLOCK_US_PER_SECOND, 203000},
        {"1/h", 1, 0, -1, 3654000000},
    };
    begin();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rate rate;
        assert_true(rate_parse(rows[i].rate, &rate));
        admission_control_set(begin_change(), &rate, rows[i].burst, rows[i].for_us);
        result();
        const struct admission_state *seen = show();
        assert_true(seen->overridden);
        assert_int_equal(seen->override_rate.calls, rate.calls);
        assert_int_equal(seen->override_rate.period_us, rate.period_us);
        assert_int_equal(seen->override_burst, rows[i].burst);
        assert_int_equal(seen->interval_us, rows[i].interval_us);
        if (rows[i].left_us < 0)
            assert_int_equal(seen->override_left_us, -1);
        else
            assert_in_range(seen->override_left_us, rows[i].left_us - 10 * CLOCK_US_PER_SECOND,
                rows[i].left_us);
    }
    admission_control_unset(begin_change());
    assert_false(result()->overridden);
    end();
}

static void test_pause_and_resume(void **state)
{
    (void)state;
    begin();
    admission_control_pause(begin_change());
    assert_true(result()->paused);
    assert_true(show()->paused);
    admission_control_resume(begin_change());
    assert_false(result()->paused);
    end();
}

static void test_longer_cooldown_counts(void **state)
{
    (void)state;
    begin();
    admission_control_cool_down(begin_change(), 30 * CLOCK_US_PER_SECOND);
    result();
    admission_control_cool_down(begin_change(), CLOCK_US_PER_SECOND);
    assert_in_range(result()->cooldown_left_us, 20 * CLOCK_US_PER_SECOND, 30 * CLOCK_US_PER_SECOND);
    end();
}

/* What changed is told to whoever listens; what did not is not. */
static void test_news(void **state)
{
    (void)state;
    struct redis_probe epoch;
    begin();
    admission_control_pause(begin_change());
    result();
    struct admission_keys keys = asker.change.keys;
    char command[256], first[32];
    snprintf(command, sizeof command, "HGET %s epoch", keys.state);
    redis_probe_run(&epoch, &fixture, command);
    snprintf(first, sizeof first, "%.31s", epoch.text);
    admission_control_pause(begin_change());
    result();
    admission_control_unset(begin_change());
    result();
    redis_probe_run(&epoch, &fixture, command);
    assert_string_equal(epoch.text, first);
    admission_control_resume(begin_change());
    result();
    redis_probe_run(&epoch, &fixture, command);
    assert_string_not_equal(epoch.text, first);
    end();
}

static void test_keys_expire(void **state)
{
    (void)state;
    struct redis_probe keys, left;
    begin();
    const struct rate rate = {.calls = 1, .period_us = CLOCK_US_PER_SECOND};
    admission_control_set(begin_change(), &rate, 1, CLOCK_US_PER_SECOND);
    result();
    char command[256];
    snprintf(command, sizeof command, "PTTL %s", asker.change.keys.state);
    redis_probe_run(&left, &fixture, command);
    assert_in_range(left.integer, 1, INT64_C(8) * 24 * 3600 * 1000);
    redis_probe_run(&keys, &fixture, "DBSIZE");
    assert_int_equal(keys.integer, 2);
    end();
}

static void test_problems(void **state)
{
    (void)state;
    struct redis_probe probe;
    begin();
    redis_probe_run(&probe, &fixture, "REPLICAOF 127.0.0.1 1");
    admission_control_pause(begin_change());
    redis_fixture_wait_times(&fixture, &asker.times, 1);
    assert_non_null(strstr(asker.problem, "READONLY"));
    redis_probe_run(&probe, &fixture, "REPLICAOF NO ONE");

    redis_server_kill(&server);
    admission_control_show(begin_change());
    redis_fixture_wait_times(&fixture, &asker.times, 1);
    assert_string_equal(asker.problem, "Redis cannot be reached");
    redis_server_start(&server);
    end();
}

static int set_up(void **state)
{
    (void)state;
    redis_server_start(&server);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    redis_server_end(&server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_yet),
        cmocka_unit_test(test_set_and_unset),
        cmocka_unit_test(test_pause_and_resume),
        cmocka_unit_test(test_longer_cooldown_counts),
        cmocka_unit_test(test_news),
        cmocka_unit_test(test_keys_expire),
        cmocka_unit_test(test_problems),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
