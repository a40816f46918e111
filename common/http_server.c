/* http_server: see http_server.h. */
#include "common/http_server.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utlist.h>

#include "common/clock.h"
#include "common/memory.h"
#include "common/text.h"

#define CONNECTIONS_MAX 64
#define CONNECTION_LIFE_US (10 * CLOCK_US_PER_SECOND)
#define BACKLOG 128
#define HOST_SIZE 256

struct http_server {
    struct MHD_Daemon *daemon;
    uv_poll_t poll;   /* libmicrohttpd's epoll descriptor */
    uv_timer_t timer; /* when libmicrohttpd wants to run, or a connection's life ends */
    unsigned handles_open;
    struct http_server_page *pages;
    size_t page_count;
    unsigned connections_max;
    int64_t connection_life_us;
    struct connection *connections; /* the oldest first; none that was cut off */
    bool place_free;                /* a connection has ended since libmicrohttpd ran */
    char address[HTTP_SERVER_ADDRESS_SIZE];
};

struct connection {
    int descriptor; /* libmicrohttpd's */
    int64_t ends_us;
    bool cut_off;
    struct connection *previous, *next;
};

/* ---- answering ---- */

static void write_error(struct http_server_answer *answer, int status, const char *text)
{
    buf_reset(&answer->body);
    answer->status = status;
    answer->content_type = "text/plain; charset=utf-8";
    buf_append_text(&answer->body, text);
}

static const struct http_server_page *find_page(const struct http_server *server, const char *path)
{
    for (size_t i = 0; i < server->page_count; i++) {
        if (text_equal(server->pages[i].path, path))
            return &server->pages[i];
    }
    return NULL;
}

static void write_page(
    const struct http_server *server, struct http_server_answer *answer, const char *path)
{
    const struct http_server_page *page = find_page(server, path);
    page->write(page->context, answer);
    if (!buf_ok(&answer->body))
        write_error(answer, MHD_HTTP_INTERNAL_SERVER_ERROR, "this page is too large\n");
}

/* One request per connection, so that a connection's life can have an end. */
static enum MHD_Result send_answer(
    struct MHD_Connection *connection, struct http_server_answer *answer)
{
    size_t size;
    char *body = buf_take(&answer->body, &size);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, body, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(body);
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", answer->content_type);
    MHD_add_response_header(response, "Cache-Control", "no-store");
    MHD_add_response_header(response, "Connection", "close");
    if (answer->status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, "Allow", "GET, HEAD");
    enum MHD_Result result = MHD_queue_response(connection, (unsigned)answer->status, response);
    MHD_destroy_response(response);
    return result;
}

/* Called when the headers are there, and answered at once: a body stays unread. To HEAD
 * libmicrohttpd sends the headers alone. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
    const char *path, const char *method, const char *version, const char *upload,
    size_t *upload_size, void **slot)
{
    (void)version;
    (void)upload;
    (void)upload_size;
    (void)slot;
    const struct http_server *server = context;
    struct http_server_answer answer = {
        .status = MHD_HTTP_OK, .content_type = "text/plain; charset=utf-8"};
    buf_init(&answer.body, HTTP_SERVER_BODY_BYTES_MAX);
    if (!find_page(server, path))
        write_error(&answer, MHD_HTTP_NOT_FOUND, "there is no such page\n");
    else if (!text_equal(method, "GET") && !text_equal(method, "HEAD"))
        write_error(&answer, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    else
        write_page(server, &answer, path);
    return send_answer(connection, &answer);
}

/* ---- connections ---- */

static void start_connection(struct http_server *server, struct MHD_Connection *peer, void **slot)
{
    struct connection *connection = memory_new(sizeof *connection);
    connection->descriptor =
        MHD_get_connection_info(peer, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    connection->ends_us = clock_monotonic_us() + server->connection_life_us;
    DL_APPEND2(server->connections, connection, previous, next);
    *slot = connection;
}

static void end_connection(struct http_server *server, void **slot)
{
    struct connection *connection = *slot;
    if (!connection->cut_off)
        DL_DELETE2(server->connections, connection, previous, next);
    free(connection);
    *slot = NULL;
    server->place_free = true;
}

static void on_connection(void *context, struct MHD_Connection *peer, void **slot,
    enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        start_connection(context, peer, slot);
    else
        end_connection(context, slot);
}

/* Shut down, not closed: the descriptor is libmicrohttpd's, which finds it at its end. */
static void cut_off_overdue(struct http_server *server)
{
    int64_t now_us = clock_monotonic_us();
    while (server->connections && server->connections->ends_us <= now_us) {
        struct connection *connection = server->connections;
        DL_DELETE2(server->connections, connection, previous, next);
        connection->cut_off = true;
        shutdown(connection->descriptor, SHUT_RDWR);
    }
}

/* ---- the loop ---- */

static void on_timer(uv_timer_t *timer);

static void arm_timer(struct http_server *server)
{
    MHD_UNSIGNED_LONG_LONG wanted_ms;
    int64_t wait_ms = INT64_MAX;
    if (MHD_get_timeout(server->daemon, &wanted_ms) == MHD_YES)
        wait_ms = (int64_t)wanted_ms;
    if (server->connections) {
        int64_t left_ms =
            (server->connections->ends_us - clock_monotonic_us()) / CLOCK_US_PER_MS + 1;
        if (left_ms < wait_ms)
            wait_ms = left_ms;
    }
    /* With all places taken libmicrohttpd stops listening, and looks whether it may begin again
     * only at the beginning of a run: none would come by itself. */
    if (server->place_free)
        wait_ms = 0;
    if (wait_ms == INT64_MAX)
        uv_timer_stop(&server->timer);
    else
        uv_timer_start(&server->timer, on_timer, (uint64_t)(wait_ms > 0 ? wait_ms : 0), 0);
}

static void serve(struct http_server *server)
{
    server->place_free = false;
    MHD_run(server->daemon);
    cut_off_overdue(server);
    arm_timer(server);
}

static void on_timer(uv_timer_t *timer)
{
    serve(timer->data);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    serve(poll->data);
}

/* ---- listening ---- */

/* "host:port" or "[IPv6]:port" in two; false: it is neither. */
static bool split(const char *listen, char host[HOST_SIZE], const char **port)
{
    const char *colon = strrchr(listen, ':');
    if (!colon || colon == listen)
        return false;
    const char *first = listen;
    size_t size = (size_t)(colon - listen);
    if (listen[0] == '[' && colon[-1] == ']') {
        first++;
        size -= 2;
    } else if (memchr(listen, ':', size)) {
        return false; /* where the address ends nobody can tell */
    }
    if (size == 0 || size >= HOST_SIZE)
        return false;
    memcpy(host, first, size);
    host[size] = '\0';
    *port = colon + 1;
    size_t digits = strspn(*port, "0123456789");
    return digits > 0 && digits <= 5 && (*port)[digits] == '\0' && strtol(*port, NULL, 10) <= 65535;
}

/* A listening socket, or -1 with errno. [::] takes IPv4 as well, as one expects. */
static int listen_at(const struct addrinfo *address)
{
    int on = 1, off = 0;
    int descriptor = socket(
        address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, address->ai_protocol);
    if (descriptor < 0)
        return -1;
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address->ai_family == AF_INET6)
        setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(descriptor, address->ai_addr, address->ai_addrlen) == 0 &&
        listen(descriptor, BACKLOG) == 0)
        return descriptor;
    int problem = errno;
    close(descriptor);
    errno = problem;
    return -1;
}

/* The first of the name's addresses that can be had; -1 with a message. */
static int listen_on(const char *text, char *error, size_t error_size)
{
    /* What stands in brackets is an address, not a name to look up. */
    const struct addrinfo hints = {
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICSERV | (text[0] == '[' ? AI_NUMERICHOST : 0),
    };
    struct addrinfo *addresses = NULL;
    char host[HOST_SIZE];
    const char *port = NULL;
    if (!split(text, host, &port)) {
        snprintf(error, error_size,
            "\"%s\" is no address to listen on; write host:port, such as 127.0.0.1:9464 or "
            "[::1]:9464",
            text);
        return -1;
    }
    int problem = getaddrinfo(host, port, &hints, &addresses);
    if (problem != 0) {
        snprintf(error, error_size, "cannot listen on %s: %s", text, gai_strerror(problem));
        return -1;
    }
    int descriptor = -1;
    for (struct addrinfo *address = addresses; address && descriptor < 0;
         address = address->ai_next)
        descriptor = listen_at(address);
    if (descriptor < 0)
        snprintf(error, error_size, "cannot listen on %s: %s", text, strerror(errno));
    freeaddrinfo(addresses);
    return descriptor;
}

static void write_address(struct http_server *server, int descriptor)
{
    struct sockaddr_storage bound = {0};
    socklen_t size = sizeof bound;
    char host[48] = "", port[8] = "";
    if (getsockname(descriptor, (struct sockaddr *)&bound, &size) == 0)
        getnameinfo((struct sockaddr *)&bound, size, host, sizeof host, port, sizeof port,
            NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(server->address, sizeof server->address,
        bound.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

/* ---- life cycle ---- */

/* On success the descriptor is libmicrohttpd's, which closes it at its own end. */
static struct MHD_Daemon *start_daemon(struct http_server *server, int descriptor)
{
    return MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, server,
        MHD_OPTION_LISTEN_SOCKET, descriptor, MHD_OPTION_CONNECTION_LIMIT, server->connections_max,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, HTTP_SERVER_REQUEST_BYTES_MAX,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_END);
}

static void start_handles(uv_loop_t *loop, struct http_server *server)
{
    int descriptor = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    int problem = uv_poll_init(loop, &server->poll, descriptor);
    assert(problem == 0);
    (void)problem;
    uv_timer_init(loop, &server->timer);
    server->poll.data = server->timer.data = server;
    server->handles_open = 2;
    uv_poll_start(&server->poll, UV_READABLE, on_readable);
}

static void release(struct http_server *server)
{
    free(server->pages);
    free(server);
}

enum result http_server_new(uv_loop_t *loop, const struct http_server_options *options,
    struct http_server **server, char *error, size_t error_size)
{
    int descriptor = listen_on(options->listen, error, error_size);
    if (descriptor < 0)
        return RESULT_REJECT;
    struct http_server *made = memory_new(sizeof *made);
    made->pages = memory_copy(options->pages, options->page_count * sizeof *options->pages);
    made->page_count = options->page_count;
    made->connections_max =
        options->connections_max > 0 ? options->connections_max : CONNECTIONS_MAX;
    made->connection_life_us =
        options->connection_life_us > 0 ? options->connection_life_us : CONNECTION_LIFE_US;
    write_address(made, descriptor);
    made->daemon = start_daemon(made, descriptor);
    if (!made->daemon) {
        snprintf(error, error_size, "cannot serve HTTP on %s", options->listen);
        release(made);
        return RESULT_REJECT;
    }
    start_handles(loop, made);
    *server = made;
    return RESULT_OK;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct http_server *server = handle->data;
    if (--server->handles_open == 0)
        release(server);
}

/* The loop lets go of the epoll descriptor first, since libmicrohttpd closes it. */
void http_server_close(struct http_server *server)
{
    uv_close((uv_handle_t *)&server->poll, on_handle_closed);
    uv_close((uv_handle_t *)&server->timer, on_handle_closed);
    MHD_stop_daemon(server->daemon);
    server->daemon = NULL;
}

const char *http_server_address(const struct http_server *server)
{
    return server->address;
}

const char *http_server_library_version(void)
{
    return MHD_get_version();
}
