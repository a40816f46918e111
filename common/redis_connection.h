/*
 * redis_connection: one connection to one address of a Redis, from connect(2) to its end; never
 * reconnected. For redis_client, which has the queue, the time limits and the next attempt.
 *
 * In order: socket, TLS (rediss://), AUTH, SELECT, else a PING; then it is ready. On the loop it is
 * one uv_poll that stays armed for reading; it is armed for writing only while the socket is full.
 * What is sent in one turn of the loop is written in one go before the loop sleeps.
 *
 * hiredis is used as a codec over our own socket, without redisAsyncContext: that of 0.14 aborts
 * the process on a reply nobody asked for, allocates for each command, and calls back while it is
 * being freed.
 */
#ifndef COMMON_REDIS_CONNECTION_H
#define COMMON_REDIS_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <uv.h>

#include "common/redis_answer.h"
#include "common/redis_tls.h"
#include "common/redis_url.h"

struct redis_connection;

/* Why a connection ended. The texts are fit for a log: what Redis says to AUTH may quote the
 * password and is never in them. */
struct redis_loss {
    bool refused; /* Redis is there and will not have us: other addresses are not tried */
    char reason[256];
    const char *advice; /* what a person can do about it */
};

/* Called from the loop only, never from within a function of this module. */
struct redis_connection_handlers {
    void (*on_ready)(void *context);
    /* The answers in the order of the commands. The connection may be closed in it. */
    void (*on_answer)(void *context, const struct redis_answer *answer);
    /* At most once, and nothing comes after it; the connection is still to be closed. */
    void (*on_lost)(void *context, const struct redis_loss *loss);
    void *context;
};

struct redis_connection_options {
    const struct redis_url *url; /* outlives the connection */
    struct redis_tls *tls;       /* for rediss://; outlives the connection */
    const struct sockaddr *address;
    socklen_t address_size;
    struct redis_connection_handlers handlers;
};

/* NULL and the loss filled in when connect(2) fails at once. */
struct redis_connection *redis_connection_open(
    uv_loop_t *loop, const struct redis_connection_options *options, struct redis_loss *loss);
/* No handler is called any more; the memory goes by itself while the loop runs on. */
void redis_connection_close(struct redis_connection *connection);

/* Once ready. `sizes` may be NULL. */
void redis_connection_send(struct redis_connection *connection, size_t count,
    const char *const *arguments, const size_t *sizes);

/* The same in two steps, for a command that has to wait for its connection. */
struct redis_formatted;
struct redis_formatted *redis_formatted_new(
    size_t count, const char *const *arguments, const size_t *sizes);
void redis_formatted_free(struct redis_formatted *formatted); /* NULL is fine */
void redis_connection_send_formatted(
    struct redis_connection *connection, const struct redis_formatted *formatted);

/* Takes in what the kernel has for us now, so that answers which came while this process stood
 * still are not called late. */
void redis_connection_read(struct redis_connection *connection);

/* How far it has come, to say what was not in time. */
const char *redis_connection_stage(const struct redis_connection *connection);

#endif
