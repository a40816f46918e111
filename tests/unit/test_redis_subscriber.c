/* Subscriptions on a real redis-server that is killed and comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/redis_subscriber.h"
#include "support/redis_fixture.h"
#include "support/redis_server.h"

static struct redis_server server;
static struct redis_fixture fixture;
static struct redis_subscriber *subscriber;

struct listener {
    struct redis_subscription subscription;
    unsigned subscribed, messages;
    char last[64];
};

static void on_subscribed(struct redis_subscription *subscription)
{
    struct listener *listener = subscription->context;
    listener->subscribed++;
    uv_stop(&fixture.loop);
}

static void on_message(struct redis_subscription *subscription, const char *text, size_t size)
{
    struct listener *listener = subscription->context;
    assert_int_equal(strlen(text), size);
    listener->messages++;
    snprintf(listener->last, sizeof listener->last, "%s", text);
    uv_stop(&fixture.loop);
}

static void listen_to(struct listener *listener, const char *channel)
{
    *listener = (struct listener){
        .subscription = {.channel = channel,
            .on_subscribed = on_subscribed,
            .on_message = on_message,
            .context = listener},
    };
    redis_subscriber_add(subscriber, &listener->subscription);
    assert_int_equal(listener->subscribed, 0);
}

static void begin(void)
{
    char url[64], error[128];
    redis_fixture_init(&fixture);
    redis_fixture_open_port(&fixture, server.port, "");
    snprintf(url, sizeof url, "redis://127.0.0.1:%d", server.port);
    const struct redis_client_options options = {.url = url,
        .connect_timeout_us = CLOCK_US_PER_SECOND,
        .reconnect_max_us = 50 * CLOCK_US_PER_MS};
    assert_int_equal(
        redis_subscriber_new(&fixture.loop, &options, &subscriber, error, sizeof error), RESULT_OK);
}

static void end(void)
{
    redis_subscriber_close(subscriber);
    redis_fixture_release(&fixture);
}

static void publish(const char *command, int64_t listeners)
{
    struct redis_probe probe;
    redis_probe_run(&probe, &fixture, command);
    assert_int_equal(probe.integer, listeners);
}

static void test_each_channel_has_its_messages(void **state)
{
    (void)state;
    struct listener first, second;
    begin();
    listen_to(&first, "first");
    redis_fixture_wait_times(&fixture, &first.subscribed, 1);
    listen_to(&second, "second"); /* also on a connection that is there already */
    redis_fixture_wait_times(&fixture, &second.subscribed, 1);
    publish("PUBLISH first one", 1);
    publish("PUBLISH second two", 1);
    publish("PUBLISH third three", 0);
    publish("PUBLISH first four", 1);
    redis_fixture_wait_times(&fixture, &first.messages, 2);
    redis_fixture_wait_times(&fixture, &second.messages, 1);
    assert_string_equal(first.last, "four");
    assert_string_equal(second.last, "two");
    end();
}

/* The messages of one come in between the answers to the subscriptions of the others. */
static void test_messages_while_subscribing(void **state)
{
    (void)state;
    enum { CHANNELS = 40 };
    static struct listener listeners[CHANNELS];
    static char names[CHANNELS][24];
    begin();
    for (int i = 0; i < CHANNELS; i++) {
        snprintf(names[i], sizeof names[i], "channel-%d", i);
        listen_to(&listeners[i], names[i]);
    }
    struct redis_probe probes[CHANNELS];
    redis_fixture_wait_connected(&fixture);
    for (int i = 0; i < CHANNELS; i++) {
        redis_probe_init(&probes[i], &fixture);
        redis_probe_send(&probes[i], i % 2 ? "PUBLISH channel-0 now" : "PUBLISH channel-1 now");
    }
    for (int i = 0; i < CHANNELS; i++) {
        redis_probe_wait(&probes[i]);
        redis_fixture_wait_times(&fixture, &listeners[i].subscribed, 1);
        assert_int_equal(listeners[i].subscribed, 1);
    }
    publish("PUBLISH channel-39 end", 1);
    redis_fixture_wait_times(&fixture, &listeners[39].messages, 1);
    end();
}

static void test_subscribes_again(void **state)
{
    (void)state;
    struct listener listener;
    begin();
    listen_to(&listener, "news");
    redis_fixture_wait_times(&fixture, &listener.subscribed, 1);
    redis_fixture_wait_connected(&fixture); /* else the other client may have nothing to lose */
    redis_server_kill(&server);
    redis_server_start(&server);
    redis_fixture_wait_times(&fixture, &listener.subscribed, 2);
    redis_fixture_wait_connected(&fixture);
    publish("PUBLISH news again", 1);
    redis_fixture_wait_times(&fixture, &listener.messages, 1);
    assert_string_equal(listener.last, "again");
    /* The other client told of it. */
    assert_int_equal(redis_fixture_logged("Redis is away"), 1);
    assert_int_equal(redis_fixture_logged("Redis is back"), 1);
    end();
}

static void test_refused(void **state)
{
    (void)state;
    struct redis_probe probe;
    struct listener listener;
    begin();
    redis_probe_run(&probe, &fixture, "ACL SETUSER default resetchannels &allowed");
    listen_to(&listener, "news");
    while (redis_fixture_logged("Redis refuses a subscription") == 0)
        uv_run(&fixture.loop, UV_RUN_ONCE);
    assert_int_equal(listener.subscribed, 0);
    redis_probe_run(&probe, &fixture, "ACL SETUSER default allchannels");
    end();
}

static void test_close_at_any_time(void **state)
{
    (void)state;
    for (int turns = 0; turns < 8; turns++) {
        struct listener listener;
        begin();
        listen_to(&listener, "news");
        for (int turn = 0; turn < turns; turn++)
            uv_run(&fixture.loop, UV_RUN_ONCE);
        unsigned subscribed = listener.subscribed;
        end();
        assert_int_equal(listener.subscribed, subscribed);
    }
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
        cmocka_unit_test(test_each_channel_has_its_messages),
        cmocka_unit_test(test_messages_while_subscribing),
        cmocka_unit_test(test_subscribes_again),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_close_at_any_time),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
