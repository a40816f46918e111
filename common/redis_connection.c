/* redis_connection: see redis_connection.h. */
#include "common/redis_connection.h"

#include <assert.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/memory.h"
#include "common/text.h"

#define GREETINGS_MAX 2
#define ADVICE_REACHABLE "check the Redis URL, and that Redis runs and can be reached from here"
#define ADVICE_CREDENTIALS "check the user and the password in the Redis URL"
#define ADVICE_CERTIFICATE "check the host in the Redis URL, its certificate, and the CA file"

enum connection_state {
    STATE_CONNECTING, /* connect(2) is under way */
    STATE_SECURING,   /* the TLS handshake is */
    STATE_GREETING,   /* AUTH, SELECT or PING wait for their answers */
    STATE_READY,
    STATE_ENDED, /* lost or closed: nothing is read, written or told any more */
};

enum greeting { GREETING_AUTH, GREETING_SELECT, GREETING_PING };

static const char *const greeting_names[] = {"AUTH", "SELECT", "PING"};

struct redis_connection {
    uv_poll_t poll;
    uv_prepare_t flush; /* started while something is to be written */
    unsigned handles;   /* of the two above, not yet closed */
    int armed;          /* what the poll waits for */
    enum connection_state state;
    const struct redis_url *url;
    struct redis_tls *tls;
    struct redis_connection_handlers handlers;

    int socket;             /* ours until hiredis has it, then -1 */
    redisContext *redis;    /* from the moment the socket is connected */
    struct ssl_st *session; /* owned by redis */

    enum greeting greetings[GREETINGS_MAX]; /* sent, in order */
    size_t greeting_count, greeting_answered;
};

struct redis_formatted {
    char *text; /* made by hiredis */
    size_t size;
};

static void arm(struct redis_connection *connection, int events);
static void stop(struct redis_connection *connection);

/* ---- the end ---- */

static void set_loss(struct redis_loss *loss, bool refused, const char *reason, const char *advice)
{
    loss->refused = refused;
    loss->advice = advice;
    snprintf(loss->reason, sizeof loss->reason, "%s", reason);
}

static void lose_for(struct redis_connection *connection, const struct redis_loss *loss)
{
    stop(connection);
    connection->handlers.on_lost(connection->handlers.context, loss);
}

static void lose(struct redis_connection *connection, const char *reason)
{
    struct redis_loss loss;
    set_loss(&loss, false, reason, ADVICE_REACHABLE);
    lose_for(connection, &loss);
}

static void stop(struct redis_connection *connection)
{
    connection->state = STATE_ENDED;
    uv_poll_stop(&connection->poll);
    uv_prepare_stop(&connection->flush);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct redis_connection *connection = handle->data;
    if (--connection->handles == 0)
        free(connection);
}

void redis_connection_close(struct redis_connection *connection)
{
    /* The descriptor is given back below, and its number soon belongs to somebody else: the poll
     * must have let go of it before. */
    stop(connection);
    uv_close((uv_handle_t *)&connection->poll, on_handle_closed);
    uv_close((uv_handle_t *)&connection->flush, on_handle_closed);
    if (connection->redis)
        redisFree(connection->redis);
    else
        close(connection->socket);
    connection->redis = NULL;
}

/* ---- writing ---- */

static void flush(struct redis_connection *connection)
{
    int done = 0;
    if (redisBufferWrite(connection->redis, &done) != REDIS_OK)
        lose(connection, connection->redis->errstr);
    else
        arm(connection, done ? UV_READABLE : UV_READABLE | UV_WRITABLE);
}

/* The last moment before the loop sleeps: all that was sent in this turn goes in one write. */
static void on_before_sleep(uv_prepare_t *prepare)
{
    struct redis_connection *connection = prepare->data;
    uv_prepare_stop(prepare);
    flush(connection);
}

static void schedule_flush(struct redis_connection *connection)
{
    if (!(connection->armed & UV_WRITABLE)) /* else the poll says when there is room */
        uv_prepare_start(&connection->flush, on_before_sleep);
}

void redis_connection_send(struct redis_connection *connection, size_t count,
    const char *const *arguments, const size_t *sizes)
{
    /* hiredis changes neither the array nor the texts; its prototype is older than const. */
    int appended = redisAppendCommandArgv(
        connection->redis, (int)count, (const char **)(uintptr_t)arguments, sizes);
    if (appended != REDIS_OK)
        abort(); /* out of memory only */
    schedule_flush(connection);
}

struct redis_formatted *redis_formatted_new(
    size_t count, const char *const *arguments, const size_t *sizes)
{
    struct redis_formatted *formatted = memory_new(sizeof *formatted);
    long long size = redisFormatCommandArgv(
        &formatted->text, (int)count, (const char **)(uintptr_t)arguments, sizes);
    if (size < 0)
        abort(); /* out of memory only */
    formatted->size = (size_t)size;
    return formatted;
}

void redis_formatted_free(struct redis_formatted *formatted)
{
    if (!formatted)
        return;
    redisFreeCommand(formatted->text);
    free(formatted);
}

void redis_connection_send_formatted(
    struct redis_connection *connection, const struct redis_formatted *formatted)
{
    if (redisAppendFormattedCommand(connection->redis, formatted->text, formatted->size) !=
        REDIS_OK)
        abort(); /* out of memory only */
    schedule_flush(connection);
}

/* ---- the greeting ---- */

static void send_greeting(struct redis_connection *connection, enum greeting greeting, size_t count,
    const char *const *arguments)
{
    connection->greetings[connection->greeting_count++] = greeting;
    redis_connection_send(connection, count, arguments, NULL);
}

static void greet(struct redis_connection *connection)
{
    const struct redis_url *url = connection->url;
    connection->state = STATE_GREETING;
    if (url->user)
        send_greeting(
            connection, GREETING_AUTH, 3, (const char *[]){"AUTH", url->user, url->password});
    else if (url->password)
        send_greeting(connection, GREETING_AUTH, 2, (const char *[]){"AUTH", url->password});
    if (url->database != 0) {
        char database[16];
        snprintf(database, sizeof database, "%d", url->database);
        send_greeting(connection, GREETING_SELECT, 2, (const char *[]){"SELECT", database});
    }
    if (connection->greeting_count == 0)
        send_greeting(connection, GREETING_PING, 1, (const char *[]){"PING"});
}

/* These say that Redis knows us and cannot serve us yet, or only does not let us ping. */
static bool may_pass_ping(const char *text)
{
    static const char *const codes[] = {"LOADING ", "BUSY ", "MASTERDOWN ", "NOPERM "};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (text_starts_with(text, codes[i]))
            return true;
    }
    return false;
}

static void set_refusal(struct redis_loss *loss, enum greeting greeting, const char *text)
{
    char reason[200];
    if (text_starts_with(text, "ERR max number of clients")) {
        set_loss(loss, true, "Redis has as many clients as it allows",
            "raise maxclients in Redis or find out who holds the connections");
        return;
    }
    if (greeting == GREETING_AUTH) {
        /* The first word only: a Redis without AUTH answers with the
         * arguments it did not understand. */
        snprintf(reason, sizeof reason, "Redis refused AUTH (%.*s)",
            (int)strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), text);
        set_loss(loss, true, reason, ADVICE_CREDENTIALS);
        return;
    }
    snprintf(reason, sizeof reason, "Redis refused %s: %s", greeting_names[greeting], text);
    const char *advice = "do what Redis says";
    if (text_starts_with(text, "NOAUTH"))
        advice = "Redis wants a password: write it into the Redis URL";
    else if (greeting == GREETING_SELECT)
        advice = "check the database in the Redis URL, and that the user may SELECT";
    set_loss(loss, true, reason, advice);
}

static void take_greeting_answer(
    struct redis_connection *connection, const struct redis_answer *answer)
{
    enum greeting greeting = connection->greetings[connection->greeting_answered++];
    if (answer->outcome == REDIS_ERROR &&
        !(greeting == GREETING_PING && may_pass_ping(answer->text))) {
        struct redis_loss loss;
        set_refusal(&loss, greeting, answer->text);
        lose_for(connection, &loss);
        return;
    }
    if (connection->greeting_answered < connection->greeting_count)
        return;
    connection->state = STATE_READY;
    connection->handlers.on_ready(connection->handlers.context);
}

/* ---- reading ---- */

static void take_reply(struct redis_connection *connection, const redisReply *reply)
{
    struct redis_answer answer = redis_answer_from_reply(reply);
    if (connection->state == STATE_GREETING)
        take_greeting_answer(connection, &answer);
    else
        connection->handlers.on_answer(connection->handlers.context, &answer);
}

void redis_connection_read(struct redis_connection *connection)
{
    if (redisBufferRead(connection->redis) != REDIS_OK) {
        lose(connection, connection->redis->errstr);
        return;
    }
    /* A handler may end the connection; its memory stays until the loop closes the handles. */
    while (connection->state != STATE_ENDED) {
        void *reply = NULL;
        if (redisGetReplyFromReader(connection->redis, &reply) != REDIS_OK) {
            lose(connection, connection->redis->errstr);
            return;
        }
        if (!reply)
            return;
        take_reply(connection, reply);
        freeReplyObject(reply);
    }
}

/* ---- connecting ---- */

static void shake_hands(struct redis_connection *connection)
{
    struct redis_loss loss = {.refused = true, .advice = ADVICE_CERTIFICATE};
    switch (redis_tls_handshake(connection->session, loss.reason, sizeof loss.reason)) {
    case REDIS_TLS_DONE:
        arm(connection, UV_READABLE);
        greet(connection);
        break;
    case REDIS_TLS_WANTS_READ:
        arm(connection, UV_READABLE);
        break;
    case REDIS_TLS_WANTS_WRITE:
        arm(connection, UV_WRITABLE);
        break;
    case REDIS_TLS_FAILED:
        lose_for(connection, &loss);
        break;
    }
}

static void secure(struct redis_connection *connection)
{
    struct redis_loss loss = {.refused = true, .advice = ADVICE_CERTIFICATE};
    connection->state = STATE_SECURING;
    connection->session =
        redis_tls_start(connection->tls, connection->redis, loss.reason, sizeof loss.reason);
    if (connection->session)
        shake_hands(connection);
    else
        lose_for(connection, &loss);
}

static void finish_connect(struct redis_connection *connection)
{
    int problem = 0, on = 1;
    socklen_t size = sizeof problem;
    if (getsockopt(connection->socket, SOL_SOCKET, SO_ERROR, &problem, &size) != 0)
        problem = errno;
    if (problem != 0) {
        lose(connection, strerror(problem));
        return;
    }
    if (!connection->url->socket_path) {
        /* Our writes are whole batches; and a peer that is gone is
         * noticed while nothing is sent. */
        setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(connection->socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    }
    connection->redis = redisConnectFd(connection->socket);
    if (!connection->redis)
        abort(); /* out of memory only */
    connection->redis->flags &= ~REDIS_BLOCK;
    connection->socket = -1;
    if (connection->tls) {
        secure(connection);
    } else {
        arm(connection, UV_READABLE);
        greet(connection);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct redis_connection *connection = poll->data;
    if (status < 0)
        connection->armed = 0; /* libuv has stopped the poll: the socket is in error */

    if (connection->state == STATE_CONNECTING) {
        finish_connect(connection);
        return;
    }
    if (connection->state == STATE_SECURING) {
        shake_hands(connection);
        return;
    }
    if (status < 0 || events & UV_READABLE)
        redis_connection_read(connection); /* an error shows there, behind the last bytes */
    if (connection->state == STATE_ENDED)
        return;
    if (status < 0)
        lose(connection, uv_strerror(status));
    else if (events & UV_WRITABLE)
        flush(connection);
}

static void arm(struct redis_connection *connection, int events)
{
    if (connection->armed == events)
        return;
    connection->armed = events;
    uv_poll_start(&connection->poll, events, on_poll);
}

static int open_socket(const struct redis_connection_options *options, struct redis_loss *loss)
{
    int descriptor =
        socket(options->address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor >= 0) {
        if (connect(descriptor, options->address, options->address_size) == 0 ||
            errno == EINPROGRESS)
            return descriptor;
        set_loss(loss, false, strerror(errno), ADVICE_REACHABLE);
        close(descriptor);
        return -1;
    }
    set_loss(loss, false, strerror(errno), ADVICE_REACHABLE);
    return -1;
}

struct redis_connection *redis_connection_open(
    uv_loop_t *loop, const struct redis_connection_options *options, struct redis_loss *loss)
{
    int descriptor = open_socket(options, loss);
    if (descriptor < 0)
        return NULL;

    struct redis_connection *connection = memory_new(sizeof *connection);
    int problem = uv_poll_init(loop, &connection->poll, descriptor);
    if (problem != 0) {
        set_loss(loss, false, uv_strerror(problem), ADVICE_REACHABLE);
        close(descriptor);
        free(connection);
        return NULL;
    }
    connection->socket = descriptor;
    connection->url = options->url;
    connection->tls = options->tls;
    connection->handlers = options->handlers;
    connection->state = STATE_CONNECTING;
    uv_prepare_init(loop, &connection->flush);
    connection->poll.data = connection->flush.data = connection;
    connection->handles = 2;
    arm(connection, UV_WRITABLE);
    return connection;
}

const char *redis_connection_stage(const struct redis_connection *connection)
{
    switch (connection->state) {
    case STATE_CONNECTING:
        return "connecting";
    case STATE_SECURING:
        return "the TLS handshake";
    case STATE_GREETING:
        return greeting_names[connection->greetings[connection->greeting_answered]];
    default:
        return "a command";
    }
}
