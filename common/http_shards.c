/* http_shards: see http_shards.h. */
#include "common/http_shards.h"

#include <assert.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/memory.h"

/* Transfers in a shard before the next one is used. From 8 to 32 the cost is the same within the
 * noise (libcurl 7.88 and 8.14, 256 and 1,000 in flight); one multi handle with 1,000 costs twice
 * as much on 8.14. */
#define SHARD_TRANSFERS 16
#define SHARDS_MAX 64
/* Twice as many, so that idle connections to one host do not push out those to another. */
#define SHARD_CONNECTIONS_MAX (2L * SHARD_TRANSFERS)

/* A descriptor that curl may ask us to watch. */
struct http_socket {
    struct http_shards *shards;
    struct http_shard *shard; /* the one that uses it now */
    uv_poll_t poll;
    curl_socket_t descriptor;
    int wanted;       /* what curl asks for: UV_READABLE, UV_WRITABLE; 0 after its removal */
    int armed;        /* what libuv watches */
    bool opened;      /* by http_shards_open_socket */
    bool established; /* and connected: on_close_socket will tell when it goes */
};

struct http_shard {
    struct http_shards *shards;
    CURLM *multi;
    unsigned transfers;
    uv_timer_t timer;
    uint64_t timer_ms; /* on the loop's clock, when the timer fires; 0: not armed */
    uint64_t due_ms;   /* when curl wants to be called; 0: no wish */
    bool due;          /* curl wants to be called in the next turn */
};

struct http_shards {
    uv_loop_t *loop;
    void (*on_finished)(CURL *easy, CURLcode result);
    struct http_shard *items;
    unsigned count;
    struct http_socket **sockets; /* by descriptor */
    size_t socket_slots;
    uv_idle_t idle; /* active while a shard is due */
    unsigned handles_open;
    void (*on_closed)(void *context);
    void *context;
};

static void on_poll(uv_poll_t *poll, int status, int events);
static void on_timer(uv_timer_t *timer);

/* ---- closing handles ---- */

static void one_handle_less(struct http_shards *shards)
{
    if (--shards->handles_open > 0)
        return;
    shards->on_closed(shards->context);
    free(shards->sockets);
    free(shards->items);
    free(shards);
}

static void on_idle_closed(uv_handle_t *handle)
{
    one_handle_less(handle->data);
}

static void on_timer_closed(uv_handle_t *handle)
{
    const struct http_shard *shard = handle->data;

    one_handle_less(shard->shards);
}

static void on_socket_closed(uv_handle_t *handle)
{
    struct http_socket *socket = handle->data;
    struct http_shards *shards = socket->shards;

    free(socket);
    one_handle_less(shards);
}

/* ---- descriptors ---- */

static struct http_socket *find_socket(const struct http_shards *shards, curl_socket_t descriptor)
{
    return (size_t)descriptor < shards->socket_slots ? shards->sockets[descriptor] : NULL;
}

static void make_slot(struct http_shards *shards, curl_socket_t descriptor)
{
    const size_t slot_size = sizeof(struct http_socket *);
    size_t slots = shards->socket_slots;

    if ((size_t)descriptor < slots)
        return;
    shards->socket_slots = 2 * (size_t)descriptor + 16;
    shards->sockets = memory_resize(shards->sockets, shards->socket_slots * slot_size);
    memset(shards->sockets + slots, 0, (shards->socket_slots - slots) * slot_size);
}

/* Before the descriptor is closed: its number is soon used again. */
static void remove_socket(struct http_socket *socket)
{
    socket->shards->sockets[socket->descriptor] = NULL;
    uv_close((uv_handle_t *)&socket->poll, on_socket_closed);
}

/* NULL when libuv refuses the descriptor. */
static struct http_socket *add_socket(struct http_shards *shards, curl_socket_t descriptor)
{
    struct http_socket *socket = memory_new(sizeof(*socket));

    if (uv_poll_init(shards->loop, &socket->poll, descriptor) != 0) {
        free(socket);
        return NULL;
    }
    shards->handles_open++;
    socket->poll.data = socket;
    socket->shards = shards;
    socket->descriptor = descriptor;
    make_slot(shards, descriptor);
    shards->sockets[descriptor] = socket;
    return socket;
}

static void arm_socket(struct http_socket *socket)
{
    if (socket->wanted == 0)
        uv_poll_stop(&socket->poll);
    else
        uv_poll_start(&socket->poll, socket->wanted, on_poll);
    socket->armed = socket->wanted;
}

/* curl removes a connection's descriptor at the end of each transfer and asks for it again in the
 * next one. Each change costs two system calls, so a connection stays armed; should something come
 * while nobody waits for it, on_poll disarms it. Other descriptors are given up at once, since curl
 * may have closed them without a word: the resolver's, and with libcurl 7.88 those that were never
 * connected. (Before it is connected nothing is read from a socket.) */
static int on_socket(
    CURL *easy, curl_socket_t descriptor, int what, void *shard_pointer, void *unused)
{
    struct http_shard *shard = shard_pointer;
    struct http_socket *socket = find_socket(shard->shards, descriptor);

    (void)easy;
    (void)unused;
    if (what == CURL_POLL_REMOVE) {
        if (socket != NULL)
            socket->wanted = 0;
        if (socket != NULL && !socket->established)
            remove_socket(socket);
        return 0;
    }
    if (socket == NULL)
        socket = add_socket(shard->shards, descriptor);
    if (socket == NULL)
        return -1;
    socket->shard = shard;
    socket->wanted =
        ((what & CURL_POLL_IN) ? UV_READABLE : 0) | ((what & CURL_POLL_OUT) ? UV_WRITABLE : 0);
    if (socket->opened && (socket->wanted & UV_READABLE))
        socket->established = true;
    if (socket->wanted != socket->armed)
        arm_socket(socket);
    return 0;
}

curl_socket_t http_shards_open_socket(
    void *shards_pointer, curlsocktype purpose, struct curl_sockaddr *address)
{
    int descriptor = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    struct http_shards *shards = shards_pointer;

    (void)purpose;
    if (descriptor < 0)
        return CURL_SOCKET_BAD;
    struct http_socket *socket = find_socket(shards, descriptor);
    if (socket != NULL) /* closed without a word, and not even removed yet */
        remove_socket(socket);
    socket = add_socket(shards, descriptor);
    if (socket == NULL) {
        close(descriptor);
        return CURL_SOCKET_BAD;
    }
    socket->opened = true;
    return descriptor;
}

static int on_close_socket(void *shards_pointer, curl_socket_t descriptor)
{
    struct http_socket *socket = find_socket(shards_pointer, descriptor);

    if (socket != NULL)
        remove_socket(socket);
    return close(descriptor);
}

/* ---- calling curl ---- */

static void run_shard(struct http_shard *shard, curl_socket_t descriptor, int events)
{
    const struct CURLMsg *message;
    int count;

    curl_multi_socket_action(shard->multi, descriptor, events, &count);
    while ((message = curl_multi_info_read(shard->multi, &count)) != NULL) {
        CURL *easy = message->easy_handle;
        CURLcode result = message->data.result;
        http_shard_remove(shard, easy); /* the message goes with it */
        shard->shards->on_finished(easy, result);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct http_socket *socket = poll->data;

    if (status < 0) { /* libuv has stopped watching */
        socket->armed = 0;
        /* curl learns the error by reading or writing. CURL_CSELECT_ERR would rob it of the chance
         * to see that a kept connection has gone, and to send the request again. */
        events = socket->wanted;
    }
    if ((events & socket->wanted) != 0)
        run_shard(socket->shard, socket->descriptor,
            ((events & UV_READABLE) ? CURL_CSELECT_IN : 0) |
                ((events & UV_WRITABLE) ? CURL_CSELECT_OUT : 0));
    else if (socket->armed != socket->wanted)
        arm_socket(socket); /* nobody waited for this */
    if (socket->armed == 0 && socket->wanted != 0 && !uv_is_closing((uv_handle_t *)poll))
        arm_socket(socket);
}

/* Some may have become due in this turn only; they are not worth telling apart. */
static void on_idle(uv_idle_t *idle)
{
    struct http_shards *shards = idle->data;

    uv_idle_stop(idle);
    for (unsigned i = 0; i < shards->count; i++) {
        struct http_shard *shard = &shards->items[i];
        if (!shard->due)
            continue;
        shard->due = false;
        run_shard(shard, CURL_SOCKET_TIMEOUT, 0);
    }
}

static void arm_timer(struct http_shard *shard)
{
    shard->timer_ms = shard->due_ms;
    uv_timer_start(&shard->timer, on_timer, shard->due_ms - uv_now(shard->timer.loop), 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct http_shard *shard = timer->data;

    shard->timer_ms = 0;
    if (shard->due_ms > uv_now(timer->loop)) {
        arm_timer(shard);
    } else if (shard->due_ms != 0) {
        shard->due_ms = 0;
        run_shard(shard, CURL_SOCKET_TIMEOUT, 0);
    }
}

/* curl moves this time with nearly every transfer, mostly to a later one; so the timer is only ever
 * moved to an earlier time, and looks again when it fires. A timer that fires a little early does
 * no harm: curl, told of a timeout, names the next one anew. */
static int on_timeout(CURLM *multi, long timeout_ms, void *shard_pointer)
{
    struct http_shard *shard = shard_pointer;
    struct http_shards *shards = shard->shards;

    (void)multi;
    if (timeout_ms < 0) {
        shard->due_ms = 0;
    } else if (timeout_ms == 0) {
        shard->due = true;
        uv_idle_start(&shards->idle, on_idle);
    } else {
        shard->due_ms = uv_now(shards->loop) + (uint64_t)timeout_ms;
        if (shard->timer_ms == 0 || shard->due_ms < shard->timer_ms)
            arm_timer(shard);
    }
    return 0;
}

/* ---- transfers ---- */

static struct http_shard *choose_shard(struct http_shards *shards)
{
    struct http_shard *least = &shards->items[0];

    for (unsigned i = 0; i < shards->count; i++) {
        struct http_shard *shard = &shards->items[i];
        if (shard->transfers < SHARD_TRANSFERS)
            return shard;
        if (shard->transfers < least->transfers)
            least = shard;
    }
    return least;
}

struct http_shard *http_shards_add(struct http_shards *shards, CURL *easy)
{
    struct http_shard *shard = choose_shard(shards);

    if (curl_multi_add_handle(shard->multi, easy) != CURLM_OK)
        return NULL;
    shard->transfers++;
    return shard;
}

void http_shard_remove(struct http_shard *shard, CURL *easy)
{
    curl_multi_remove_handle(shard->multi, easy);
    shard->transfers--;
}

void http_shards_set_options(struct http_shards *shards, CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, http_shards_open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, shards);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, shards); /* connections outlive easy handles */
}

/* ---- life cycle ---- */

static void init_shard(
    struct http_shard *shard, struct http_shards *shards, const struct http_shards_options *options)
{
    shard->shards = shards;
    shard->multi = curl_multi_init();
    if (shard->multi == NULL)
        abort(); /* out of memory, as in memory.h */
    curl_multi_setopt(shard->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(shard->multi, CURLMOPT_SOCKETDATA, shard);
    curl_multi_setopt(shard->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
    curl_multi_setopt(shard->multi, CURLMOPT_TIMERDATA, shard);
    curl_multi_setopt(shard->multi, CURLMOPT_MAXCONNECTS, SHARD_CONNECTIONS_MAX);
    curl_multi_setopt(shard->multi, CURLMOPT_PIPELINING,
        options->multiplex ? CURLPIPE_MULTIPLEX : CURLPIPE_NOTHING);
    uv_timer_init(shards->loop, &shard->timer);
    shard->timer.data = shard;
    shards->handles_open++;
}

struct http_shards *http_shards_new(uv_loop_t *loop, const struct http_shards_options *options)
{
    struct http_shards *shards = memory_new(sizeof(*shards));
    unsigned count = (options->transfers_max + SHARD_TRANSFERS - 1) / SHARD_TRANSFERS;

    assert(count > 0);
    shards->loop = loop;
    shards->on_finished = options->on_finished;
    uv_idle_init(loop, &shards->idle);
    shards->idle.data = shards;
    shards->handles_open++;
    shards->count = count < SHARDS_MAX ? count : SHARDS_MAX;
    shards->items = memory_new(shards->count * sizeof(struct http_shard));
    for (unsigned i = 0; i < shards->count; i++)
        init_shard(&shards->items[i], shards, options);
    return shards;
}

void http_shards_close(struct http_shards *shards, void (*on_closed)(void *context), void *context)
{
    shards->on_closed = on_closed;
    shards->context = context;
    for (unsigned i = 0; i < shards->count; i++) {
        assert(shards->items[i].transfers == 0);
        curl_multi_cleanup(shards->items[i].multi); /* connections go through on_close_socket */
        uv_close((uv_handle_t *)&shards->items[i].timer, on_timer_closed);
    }
    uv_close((uv_handle_t *)&shards->idle, on_idle_closed);
}
