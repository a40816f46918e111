/*
 * redis_subscriber: messages of channels of one Redis, on a connection of its own that is kept.
 *
 *  - A subscription lasts until the subscriber is closed; after a lost connection it is made anew.
 *    What was published meanwhile is lost: on_subscribed is called each time the subscription has
 *    come into force, so that the owner can look for himself.
 *  - A connection on which nothing is heard is tried every few seconds and replaced when it is
 *    dead.
 *  - Its comings and goings are not logged: there is another client to the same Redis that does. A
 *    Redis that does not allow the subscription is logged, once in ten minutes, and asked again.
 *  - Callbacks come on the loop's thread, none inside a call of this module.
 *
 * Life cycle: redis_subscriber_new; redis_subscriber_add; redis_subscriber_close, after which no
 * callback comes and the subscriber frees itself. A subscription's memory stays until the loop has
 * run dry.
 */
#ifndef COMMON_REDIS_SUBSCRIBER_H
#define COMMON_REDIS_SUBSCRIBER_H

#include "common/redis_client.h"

struct redis_subscriber;

struct redis_subscription {
    const char *channel; /* valid as long as the subscription */
    void (*on_subscribed)(struct redis_subscription *subscription); /* may be NULL */
    /* text: NUL-terminated; lives only during the call. */
    void (*on_message)(struct redis_subscription *subscription, const char *text, size_t size);
    void *context;

    /* private */
    struct redis_subscriber *subscriber;
    struct redis_command command;
    bool asking; /* the command is out */
    bool active;
    struct redis_subscription *previous, *next;
};

/* As for redis_client_new; its callbacks are not used. */
enum result redis_subscriber_new(uv_loop_t *loop, const struct redis_client_options *options,
    struct redis_subscriber **subscriber, char *error, size_t error_size) MUST_CHECK;
void redis_subscriber_add(
    struct redis_subscriber *subscriber, struct redis_subscription *subscription);
void redis_subscriber_close(struct redis_subscriber *subscriber);

#endif
