/*
 * redis_client: see redis_client.h.
 *
 * A command is in exactly one of three lists: `waiting` for the first connection, `pending` for its
 * answer (in the order of sending, which is the order of Redis' answers), or `failed`, to be told
 * in the next turn. One timer serves all of them: it is set to the earliest expiry and never
 * touched when a command is answered.
 */
#include "common/redis_client.h"

#include <assert.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <utlist.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/redis_answer.h"
#include "common/redis_connection.h"
#include "common/text.h"

#define RECONNECT_BASE_US (100 * CLOCK_US_PER_MS)
#define LATE_READS_MAX 64 /* of 16 KiB each */

enum client_state {
    STATE_PAUSING,    /* until the next attempt */
    STATE_RESOLVING,  /* the name, on libuv's thread pool */
    STATE_CONNECTING, /* to one of the addresses */
    STATE_CONNECTED,
    STATE_CLOSING,
};

/* What EVALSHA and, if need be, EVAL are made of. */
struct redis_script_run {
    const struct redis_script *script;
    bool evaluating; /* EVAL is under way: what it answers is the answer */
    size_t count;
    char keys[8];
    const char *arguments[REDIS_ARGUMENTS_MAX];
    size_t sizes[REDIS_ARGUMENTS_MAX];
};

struct redis_client {
    uv_loop_t *loop;
    struct redis_client_options options; /* its texts are not ours to keep */
    struct redis_url url;
    struct redis_tls *tls; /* NULL unless rediss:// */
    enum client_state state;

    uv_timer_t step;   /* ends a pause, or a step of connecting that takes too long */
    uv_timer_t expiry; /* set to expiry_us while there are commands */
    uv_idle_t telling; /* started while `failed` holds commands */
    uv_getaddrinfo_t resolver;
    unsigned held_by; /* handles not yet closed, and a resolver still under way */

    struct sockaddr_un socket_path; /* for unix:// */
    struct addrinfo socket_address;
    struct addrinfo *addresses; /* what the name resolved to, in this attempt */
    const struct addrinfo *next_address;
    struct redis_connection *connection;
    unsigned attempts; /* failed in a row, or short-lived */
    int64_t connected_us;

    bool away; /* known to be: commands are refused instead of kept */
    int64_t away_since_us;
    bool away_logged, refusal_logged;

    struct redis_command *waiting, *pending, *failed;
    size_t commands; /* waiting and pending */
    int64_t expiry_us;
};

static void try_next_address(struct redis_client *client, const struct redis_loss *loss);

static uint64_t milliseconds_up(int64_t duration_us)
{
    if (duration_us <= 0)
        return 0;
    return (uint64_t)((duration_us + CLOCK_US_PER_MS - 1) / CLOCK_US_PER_MS);
}

/* ---- commands and their ends ---- */

static void release(struct redis_client *client)
{
    if (--client->held_by > 0)
        return;
    redis_url_release(&client->url);
    redis_tls_free(client->tls);
    free(client);
}

static void on_handle_closed(uv_handle_t *handle)
{
    release(handle->data);
}

/* The command is its owner's again when this returns, and perhaps gone. */
static void answer_command(struct redis_command *command, const struct redis_answer *answer)
{
    redis_formatted_free(command->unsent);
    free(command->run);
    command->unsent = NULL;
    command->run = NULL;
    command->on_answer(command, answer);
}

static void on_telling(uv_idle_t *idle)
{
    struct redis_client *client = idle->data;
    /* Only what has failed by now: an owner who sends again at once gets the loop's next turn. */
    struct redis_command *told = client->failed;
    client->failed = NULL;
    while (told) {
        struct redis_command *command = told;
        DL_DELETE2(told, command, previous, next);
        struct redis_answer answer = redis_answer_without_reply(command->failure);
        answer_command(command, &answer);
    }
    if (client->failed)
        return;
    uv_idle_stop(idle);
    if (client->state == STATE_CLOSING)
        uv_close((uv_handle_t *)idle, on_handle_closed);
}

static void fail_later(
    struct redis_client *client, struct redis_command *command, enum redis_outcome outcome)
{
    command->failure = outcome;
    DL_APPEND2(client->failed, command, previous, next);
    uv_idle_start(&client->telling, on_telling);
}

static void fail_list(
    struct redis_client *client, struct redis_command **list, enum redis_outcome outcome)
{
    while (*list) {
        struct redis_command *command = *list;
        DL_DELETE2(*list, command, previous, next);
        client->commands--;
        fail_later(client, command, outcome);
    }
}

/* ---- going away and coming back ---- */

static void mark_away(struct redis_client *client, const struct redis_loss *loss)
{
    if (!client->away)
        client->away_since_us = clock_monotonic_us();
    client->away = true;
    fail_list(client, &client->waiting, REDIS_UNAVAILABLE);
    if (client->options.on_trouble)
        client->options.on_trouble(
            client->options.context, loss->refused, loss->reason, loss->advice);

    if (client->options.quiet)
        return;
    bool *logged = loss->refused ? &client->refusal_logged : &client->away_logged;
    if (*logged)
        return;
    *logged = true;
    log_write(loss->refused ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "redis",
        loss->refused ? "Redis refuses this client; will be tried again"
                      : "Redis is away; will be tried again",
        LOG_FIELDS(LOG_TEXT("server", client->url.label), LOG_TEXT("reason", loss->reason),
            LOG_TEXT("advice", loss->advice)));
}

static void mark_back(struct redis_client *client)
{
    if (client->options.quiet) {
        client->away = false;
        return;
    }
    if (client->away) {
        int64_t away_us = clock_monotonic_us() - client->away_since_us;
        log_info("redis", "Redis is back", LOG_TEXT("server", client->url.label),
            LOG_INT("away_ms", away_us / CLOCK_US_PER_MS));
    } else {
        log_info("redis", "connected to Redis", LOG_TEXT("server", client->url.label));
    }
    client->away = client->away_logged = client->refusal_logged = false;
}

static void tell_connection(struct redis_client *client, bool connected)
{
    if (client->options.on_connection)
        client->options.on_connection(client->options.context, connected);
}

/* ---- expiry ---- */

static void on_expiry(uv_timer_t *timer);

static void expect_expiry(struct redis_client *client, int64_t expires_us)
{
    if (uv_is_active((uv_handle_t *)&client->expiry) && client->expiry_us <= expires_us)
        return;
    client->expiry_us = expires_us;
    int64_t left_us = expires_us - clock_monotonic_us();
    uv_timer_start(&client->expiry, on_expiry, milliseconds_up(left_us), 0);
}

/* How many of the list had no time left; the timer is set for the first of the others. */
static size_t expire_list(struct redis_client *client, struct redis_command **list, int64_t now_us)
{
    size_t expired = 0;
    struct redis_command *command, *following;
    DL_FOREACH_SAFE2(*list, command, following, next)
    {
        if (command->expires_us > now_us) {
            expect_expiry(client, command->expires_us);
            continue;
        }
        DL_DELETE2(*list, command, previous, next);
        client->commands--;
        fail_later(client, command, REDIS_TIMEOUT);
        expired++;
    }
    return expired;
}

static void lose_connection(struct redis_client *client, const struct redis_loss *loss);

/* Timers run before the sockets are looked at. After this process itself stood still, the answers
 * lie in the socket, and it would be wrong to blame Redis. */
static void take_what_came(struct redis_client *client)
{
    for (int reads = 0; reads < LATE_READS_MAX; reads++) {
        const struct redis_command *first = client->pending;
        if (client->state != STATE_CONNECTED || !first)
            return;
        redis_connection_read(client->connection);
        if (client->pending == first)
            return; /* nothing more had come */
    }
}

static void on_expiry(uv_timer_t *timer)
{
    struct redis_client *client = timer->data;
    take_what_came(client);
    if (client->state == STATE_CLOSING)
        return;

    int64_t now_us = clock_monotonic_us();
    expire_list(client, &client->waiting, now_us);
    if (expire_list(client, &client->pending, now_us) == 0)
        return;
    /* The late answers must not be taken for those of later commands: only a
     * new connection is sure. */
    struct redis_loss loss = {.reason = "a command was not answered in time; connecting anew",
        .advice = "find out what keeps Redis busy, or the network between"};
    lose_connection(client, &loss);
}

/* ---- connecting ---- */

static void on_step(uv_timer_t *timer);

static void set_step(struct redis_client *client, enum client_state state, int64_t most_us)
{
    client->state = state;
    uv_timer_start(&client->step, on_step, milliseconds_up(most_us), 0);
}

static void pause_before_attempt(struct redis_client *client)
{
    const struct backoff backoff = {RECONNECT_BASE_US, client->options.reconnect_max_us};
    client->attempts++;
    set_step(client, STATE_PAUSING, backoff_delay_us(&backoff, client->attempts, backoff_random()));
}

static void lose_connection(struct redis_client *client, const struct redis_loss *loss)
{
    redis_connection_close(client->connection);
    client->connection = NULL;
    uv_timer_stop(&client->expiry);
    fail_list(client, &client->pending, REDIS_UNAVAILABLE);
    mark_away(client, loss);
    /* Else a connection that breaks again at once would be made anew many times a second. */
    if (clock_monotonic_us() - client->connected_us >= client->options.reconnect_max_us)
        client->attempts = 0;
    pause_before_attempt(client);
    tell_connection(client, false);
}

static void drop_addresses(struct redis_client *client)
{
    uv_freeaddrinfo(client->addresses); /* NULL is fine */
    client->addresses = NULL;
    client->next_address = NULL;
}

static void fail_attempt(struct redis_client *client, const struct redis_loss *loss)
{
    drop_addresses(client);
    mark_away(client, loss);
    pause_before_attempt(client);
}

static void submit(struct redis_client *client, struct redis_command *command)
{
    redis_connection_send_formatted(client->connection, command->unsent);
    redis_formatted_free(command->unsent);
    command->unsent = NULL;
    DL_APPEND2(client->pending, command, previous, next);
}

static void on_ready(void *context)
{
    struct redis_client *client = context;
    drop_addresses(client);
    uv_timer_stop(&client->step);
    client->state = STATE_CONNECTED;
    client->connected_us = clock_monotonic_us();
    while (client->waiting) {
        struct redis_command *command = client->waiting;
        DL_DELETE2(client->waiting, command, previous, next);
        submit(client, command);
    }
    mark_back(client);
    tell_connection(client, true);
}

/* True when the script has to be sent whole, which is done then. */
static bool evaluate_instead(
    struct redis_client *client, struct redis_command *command, const struct redis_answer *answer)
{
    struct redis_script_run *run = command->run;
    if (!run || run->evaluating || answer->outcome != REDIS_ERROR ||
        !text_starts_with(answer->text, "NOSCRIPT"))
        return false;
    run->evaluating = true;
    run->arguments[0] = "EVAL";
    run->sizes[0] = strlen(run->arguments[0]);
    run->arguments[1] = run->script->text;
    run->sizes[1] = strlen(run->arguments[1]);
    redis_connection_send(client->connection, run->count, run->arguments, run->sizes);
    DL_APPEND2(client->pending, command, previous, next);
    return true;
}

/* True when it was a published message, which is handed over. */
static bool take_message(struct redis_client *client, const struct redis_answer *answer)
{
    if (!client->options.on_message || answer->kind != REDIS_ARRAY || answer->integer != 3)
        return false;
    struct redis_answer kind = redis_answer_item(answer, 0);
    struct redis_answer channel = redis_answer_item(answer, 1);
    struct redis_answer message = redis_answer_item(answer, 2);
    if (strcmp(kind.text, "message") != 0 || channel.kind != REDIS_TEXT ||
        message.kind != REDIS_TEXT)
        return false;
    client->options.on_message(client->options.context, &channel, &message);
    return true;
}

static void on_answer(void *context, const struct redis_answer *answer)
{
    struct redis_client *client = context;
    if (take_message(client, answer))
        return;
    struct redis_command *command = client->pending;
    if (!command) {
        struct redis_loss loss = {.reason = "Redis sent an answer that nobody asked for",
            .advice = "check what answers at this address"};
        lose_connection(client, &loss);
        return;
    }
    DL_DELETE2(client->pending, command, previous, next);
    if (evaluate_instead(client, command, answer))
        return;
    client->commands--;
    answer_command(command, answer);
}

static void on_lost(void *context, const struct redis_loss *loss)
{
    struct redis_client *client = context;
    if (client->state == STATE_CONNECTED)
        lose_connection(client, loss);
    else
        try_next_address(client, loss);
}

/* loss: why the address before was of no use; NULL for the first. */
static void try_next_address(struct redis_client *client, const struct redis_loss *loss)
{
    struct redis_loss last = {.reason = "the name has no address", .advice = "check the Redis URL"};
    if (loss)
        last = *loss;
    if (client->connection)
        redis_connection_close(client->connection);
    client->connection = NULL;

    while (client->next_address && !last.refused) {
        const struct redis_connection_options options = {
            .url = &client->url,
            .tls = client->tls,
            .address = client->next_address->ai_addr,
            .address_size = client->next_address->ai_addrlen,
            .handlers = {on_ready, on_answer, on_lost, client},
        };
        client->next_address = client->next_address->ai_next;
        client->connection = redis_connection_open(client->loop, &options, &last);
        if (client->connection) {
            set_step(client, STATE_CONNECTING, client->options.connect_timeout_us);
            return;
        }
    }
    fail_attempt(client, &last);
}

static void on_resolved(uv_getaddrinfo_t *resolver, int status, struct addrinfo *addresses)
{
    struct redis_client *client = resolver->data;
    if (client->state == STATE_CLOSING) {
        uv_freeaddrinfo(addresses);
        release(client);
        return;
    }
    client->held_by--;
    if (status != 0) {
        struct redis_loss loss = {.advice = "check the host in the Redis URL"};
        snprintf(loss.reason, sizeof loss.reason, "the host name does not resolve: %s",
            uv_strerror(status));
        fail_attempt(client, &loss);
        return;
    }
    client->addresses = addresses;
    client->next_address = addresses;
    try_next_address(client, NULL);
}

static void start_attempt(struct redis_client *client)
{
    if (client->url.socket_path) {
        client->next_address = &client->socket_address;
        try_next_address(client, NULL);
        return;
    }
    char port[8];
    snprintf(port, sizeof port, "%d", client->url.port);
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    client->held_by++;
    client->resolver.data = client;
    set_step(client, STATE_RESOLVING, client->options.connect_timeout_us);
    int problem = uv_getaddrinfo(
        client->loop, &client->resolver, on_resolved, client->url.host, port, &hints);
    if (problem != 0)
        on_resolved(&client->resolver, problem, NULL);
}

static void on_step(uv_timer_t *timer)
{
    struct redis_client *client = timer->data;
    struct redis_loss loss = {.advice = "check the name servers of this machine"};
    switch (client->state) {
    case STATE_PAUSING:
        start_attempt(client);
        break;
    case STATE_RESOLVING:
        /* The resolver cannot be stopped; the attempt goes on when it comes back. */
        snprintf(loss.reason, sizeof loss.reason, "the host name takes long to resolve");
        mark_away(client, &loss);
        break;
    case STATE_CONNECTING:
        loss.advice = "check that Redis can be reached from here and is not overloaded";
        snprintf(loss.reason, sizeof loss.reason, "no answer in time to %s",
            redis_connection_stage(client->connection));
        try_next_address(client, &loss);
        break;
    case STATE_CONNECTED:
    case STATE_CLOSING:
        break;
    }
}

/* ---- for the owner ---- */

static void prepare_socket_address(struct redis_client *client)
{
    client->socket_path.sun_family = AF_UNIX;
    snprintf(client->socket_path.sun_path, sizeof client->socket_path.sun_path, "%s",
        client->url.socket_path);
    client->socket_address.ai_addr = (struct sockaddr *)&client->socket_path;
    client->socket_address.ai_addrlen = sizeof client->socket_path;
}

enum result redis_client_new(uv_loop_t *loop, const struct redis_client_options *options,
    struct redis_client **client, char *error, size_t error_size)
{
    assert(options->connect_timeout_us > 0 && options->reconnect_max_us > 0);
    struct redis_url url;
    struct redis_tls *tls = NULL;
    if (redis_url_parse(options->url, &url, error, error_size) != RESULT_OK)
        return RESULT_REJECT;
    if (url.tls) {
        tls = redis_tls_new(url.host, options->ca_file, error, error_size);
        if (!tls) {
            redis_url_release(&url);
            return RESULT_REJECT;
        }
    }
    signal(SIGPIPE, SIG_IGN);

    struct redis_client *made = memory_new(sizeof *made);
    made->loop = loop;
    made->options = *options;
    made->options.url = made->options.ca_file = NULL;
    made->url = url;
    made->tls = tls;
    if (url.socket_path)
        prepare_socket_address(made);
    uv_timer_init(loop, &made->step);
    uv_timer_init(loop, &made->expiry);
    uv_idle_init(loop, &made->telling);
    made->step.data = made->expiry.data = made->telling.data = made;
    made->held_by = 3;
    set_step(made, STATE_PAUSING, 0); /* the first attempt begins when the loop runs */
    *client = made;
    return RESULT_OK;
}

void redis_client_close(struct redis_client *client)
{
    assert(client->state != STATE_CLOSING);
    if (client->state == STATE_RESOLVING)
        uv_cancel((uv_req_t *)&client->resolver);
    client->state = STATE_CLOSING;
    if (client->connection)
        redis_connection_close(client->connection);
    client->connection = NULL;
    drop_addresses(client);
    fail_list(client, &client->pending, REDIS_UNAVAILABLE);
    fail_list(client, &client->waiting, REDIS_UNAVAILABLE);
    uv_close((uv_handle_t *)&client->step, on_handle_closed);
    uv_close((uv_handle_t *)&client->expiry, on_handle_closed);
    uv_idle_start(&client->telling, on_telling); /* which closes itself when all is told */
}

bool redis_client_connected(const struct redis_client *client)
{
    return client->state == STATE_CONNECTED;
}

static void send_command(struct redis_client *client, struct redis_command *command,
    int64_t timeout_us, size_t count, const char *const *arguments, const size_t *sizes)
{
    assert(count > 0 && count <= REDIS_ARGUMENTS_MAX);
    bool connected = client->state == STATE_CONNECTED;
    bool first_connection_comes = !client->away && client->state != STATE_CLOSING;
    command->unsent = NULL;
    if ((!connected && !first_connection_comes) || client->commands >= REDIS_COMMANDS_MAX) {
        fail_later(client, command, REDIS_UNAVAILABLE);
        return;
    }
    client->commands++;
    if (connected) {
        redis_connection_send(client->connection, count, arguments, sizes);
        DL_APPEND2(client->pending, command, previous, next);
    } else {
        command->unsent = redis_formatted_new(count, arguments, sizes);
        DL_APPEND2(client->waiting, command, previous, next);
    }
    command->expires_us = clock_monotonic_us() + timeout_us;
    expect_expiry(client, command->expires_us);
}

void redis_client_send(struct redis_client *client, struct redis_command *command,
    int64_t timeout_us, size_t count, const char *const *arguments, const size_t *sizes)
{
    command->run = NULL;
    send_command(client, command, timeout_us, count, arguments, sizes);
}

void redis_client_run_script(struct redis_client *client, struct redis_command *command,
    int64_t timeout_us, const struct redis_script *script, size_t keys, size_t count,
    const char *const *arguments, const size_t *sizes)
{
    assert(keys <= count && count <= REDIS_ARGUMENTS_MAX - 3);
    struct redis_script_run *run = memory_new(sizeof *run);
    snprintf(run->keys, sizeof run->keys, "%zu", keys);
    run->script = script;
    run->count = count + 3;
    run->arguments[0] = "EVALSHA";
    run->arguments[1] = script->sha1;
    run->arguments[2] = run->keys;
    for (size_t i = 0; i < run->count; i++) {
        if (i >= 3)
            run->arguments[i] = arguments[i - 3];
        run->sizes[i] = i >= 3 && sizes ? sizes[i - 3] : strlen(run->arguments[i]);
    }
    command->run = run;
    send_command(client, command, timeout_us, run->count, run->arguments, run->sizes);
}
