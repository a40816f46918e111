/*
 * redis_subscriber: see redis_subscriber.h.
 *
 * A redis_client of its own does the connecting. SUBSCRIBE is a command like any other to it, with
 * one answer for the one channel; messages come unasked (on_message of its options). Of the
 * commands that are allowed on such a connection PING is the one that shows whether it lives.
 */
#include "common/redis_subscriber.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"

#define ANSWER_TIMEOUT_US (2 * CLOCK_US_PER_SECOND)
#define PING_MS 5000
#define REFUSAL_LOG_MS (10 * 60 * 1000)

struct redis_subscriber {
    struct redis_client *client;
    struct redis_subscription *subscriptions;
    uv_timer_t ping_timer;
    struct redis_command ping;
    bool pinging;
    bool closing;
    unsigned held_by; /* the timer, and commands that are out */
};

static void release(struct redis_subscriber *subscriber)
{
    if (--subscriber->held_by == 0)
        free(subscriber);
}

static void on_subscribe_answer(struct redis_command *command, const struct redis_answer *answer)
{
    struct redis_subscription *subscription = command->context;
    struct redis_subscriber *subscriber = subscription->subscriber;
    subscription->asking = false;
    subscription->active = answer->outcome == REDIS_ANSWERED && !subscriber->closing;
    if (answer->outcome == REDIS_ERROR) {
        static struct log_limit limit;
        log_limited(&limit, REFUSAL_LOG_MS, LOG_LEVEL_WARN, "redis",
            "Redis refuses a subscription; its news come late",
            LOG_TEXT("channel", subscription->channel), LOG_TEXT("reason", answer->text),
            LOG_TEXT("advice", "allow the channel in Redis' ACL"));
    }
    if (subscription->active && subscription->on_subscribed)
        subscription->on_subscribed(subscription);
    release(subscriber);
}

static void subscribe(struct redis_subscription *subscription)
{
    struct redis_subscriber *subscriber = subscription->subscriber;
    if (subscription->asking || subscription->active)
        return;
    const char *arguments[] = {"SUBSCRIBE", subscription->channel};
    subscription->asking = true;
    subscription->command =
        (struct redis_command){.on_answer = on_subscribe_answer, .context = subscription};
    subscriber->held_by++;
    redis_client_send(
        subscriber->client, &subscription->command, ANSWER_TIMEOUT_US, 2, arguments, NULL);
}

static void on_connection(void *context, bool connected)
{
    struct redis_subscriber *subscriber = context;
    struct redis_subscription *subscription;
    DL_FOREACH2(subscriber->subscriptions, subscription, next)
    {
        if (connected)
            subscribe(subscription);
        else
            subscription->active = false;
    }
}

static void on_message(
    void *context, const struct redis_answer *channel, const struct redis_answer *message)
{
    struct redis_subscriber *subscriber = context;
    struct redis_subscription *subscription;
    DL_FOREACH2(subscriber->subscriptions, subscription, next)
    {
        if (strcmp(subscription->channel, channel->text) == 0)
            subscription->on_message(subscription, message->text, message->text_size);
    }
}

static void on_ping_answer(struct redis_command *command, const struct redis_answer *answer)
{
    (void)answer; /* none in time, and the client connects anew */
    struct redis_subscriber *subscriber = command->context;
    subscriber->pinging = false;
    release(subscriber);
}

static void on_ping_timer(uv_timer_t *timer)
{
    struct redis_subscriber *subscriber = timer->data;
    struct redis_subscription *subscription;
    if (!redis_client_connected(subscriber->client))
        return;
    DL_FOREACH2(subscriber->subscriptions, subscription, next)
    {
        subscribe(subscription); /* refused before */
    }
    if (subscriber->pinging)
        return;
    const char *arguments[] = {"PING"};
    subscriber->pinging = true;
    subscriber->ping = (struct redis_command){.on_answer = on_ping_answer, .context = subscriber};
    subscriber->held_by++;
    redis_client_send(subscriber->client, &subscriber->ping, ANSWER_TIMEOUT_US, 1, arguments, NULL);
}

enum result redis_subscriber_new(uv_loop_t *loop, const struct redis_client_options *options,
    struct redis_subscriber **subscriber, char *error, size_t error_size)
{
    struct redis_subscriber *made = memory_new(sizeof *made);
    struct redis_client_options own = *options;
    own.quiet = true;
    own.on_connection = on_connection;
    own.on_message = on_message;
    own.context = made;
    enum result result = redis_client_new(loop, &own, &made->client, error, error_size);
    if (result != RESULT_OK) {
        free(made);
        return result;
    }
    uv_timer_init(loop, &made->ping_timer);
    made->ping_timer.data = made;
    made->held_by = 1;
    uv_timer_start(&made->ping_timer, on_ping_timer, PING_MS, PING_MS);
    *subscriber = made;
    return RESULT_OK;
}

void redis_subscriber_add(
    struct redis_subscriber *subscriber, struct redis_subscription *subscription)
{
    subscription->subscriber = subscriber;
    subscription->asking = subscription->active = false;
    DL_APPEND2(subscriber->subscriptions, subscription, previous, next);
    if (redis_client_connected(subscriber->client))
        subscribe(subscription);
}

static void on_timer_closed(uv_handle_t *handle)
{
    release(handle->data);
}

void redis_subscriber_close(struct redis_subscriber *subscriber)
{
    subscriber->closing = true;
    redis_client_close(subscriber->client);
    uv_close((uv_handle_t *)&subscriber->ping_timer, on_timer_closed);
}
