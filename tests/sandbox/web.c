/* web: an HTTP/1.1 server on the libuv loop; see web.h. */
#include "web.h"

#include <arpa/inet.h>
#include <assert.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "common/memory.h"
#include "hold.h"

#define WEB_CONNECTIONS_MAX 16384
#define WEB_BACKLOG 4096

struct web {
    struct MHD_Daemon *daemon;
    struct web_options options;
    uv_poll_t poll;   /* libmicrohttpd's epoll descriptor */
    uv_timer_t timer; /* when libmicrohttpd wants to run although nothing came */
    unsigned handles_open;
    struct holds holds;
    uint64_t connections; /* so far; numbers them */
    bool closing;
};

struct web_connection {
    uint64_t number;
    uint64_t requests;
};

struct web_call {
    struct web *web;
    struct MHD_Connection *connection;
    char *target;
    struct buf body;
    bool begun;   /* the headers are there */
    bool decided; /* answer and ticket are filled in */
    bool broken;  /* broken off on purpose */
    bool client_gone;
    struct answer answer;
    uint64_t ticket;
};

const char *web_outcome_name(enum web_outcome outcome)
{
    switch (outcome) {
    case WEB_SENT:
        return "sent";
    case WEB_BROKEN:
        return "broken";
    case WEB_CLIENT_GONE:
        return "client_gone";
    }
    return "unknown";
}

/* --- the socket under a call --- */

static int call_socket(const struct web_call *call)
{
    return MHD_get_connection_info(call->connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

/* What was written leaves now, and close() sends a reset instead of the end of the stream. */
static void call_arm_reset(const struct web_call *call)
{
    int on = 1;
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(call_socket(call), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(call_socket(call), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

/* --- waiting --- */

static void on_timer(uv_timer_t *timer);

static void on_hold_end(void *context, enum hold_end end)
{
    struct web_call *call = context;
    call->client_gone = end == HOLD_CLIENT_GONE;
    MHD_resume_connection(call->connection);
    uv_timer_start(&call->web->timer, on_timer, 0, 0);
}

static void call_hold(struct web_call *call, int64_t duration_us)
{
    MHD_suspend_connection(call->connection);
    hold_start(&call->web->holds, call_socket(call), duration_us, on_hold_end, call);
}

/* --- sending --- */

/* Half of the body, then whatever the manner has in store. */
static ssize_t read_half_body(void *context, uint64_t position, char *to, size_t size)
{
    struct web_call *call = context;
    size_t half = call->answer.body.size / 2;
    if (position < half) {
        size_t part = half - position < size ? half - position : size;
        memcpy(to, call->answer.body.data + position, part);
        return (ssize_t)part;
    }
    bool stall = call->answer.manner == ANSWER_STALL_MID_BODY;
    if (stall && !call->client_gone && !call->web->closing) {
        call_hold(call, HOLD_FOREVER);
        return 0;
    }
    if (!stall) {
        call->broken = true;
        call_arm_reset(call);
    }
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static ssize_t read_huge_body(void *context, uint64_t position, char *to, size_t size)
{
    struct web_call *call = context;
    const struct buf *body = &call->answer.body;
    if (position >= call->answer.huge_bytes)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (position < body->size) {
        size_t part = body->size - position < size ? body->size - position : size;
        memcpy(to, body->data + position, part);
        return (ssize_t)part;
    }
    uint64_t left = call->answer.huge_bytes - position;
    size_t part = left < size ? (size_t)left : size;
    memset(to, ' ', part);
    return (ssize_t)part;
}

static struct MHD_Response *call_response(struct web_call *call)
{
    struct answer *answer = &call->answer;
    switch (answer->manner) {
    case ANSWER_STALL_MID_BODY:
    case ANSWER_RESET_MID_BODY:
        return MHD_create_response_from_callback(
            answer->body.size, 4096, read_half_body, call, NULL);
    case ANSWER_HUGE:
        return MHD_create_response_from_callback(
            answer->chunked ? MHD_SIZE_UNKNOWN : answer->huge_bytes, 65536, read_huge_body, call,
            NULL);
    default:
        break;
    }
    size_t size;
    char *body = buf_take(&answer->body, &size);
    return MHD_create_response_from_buffer(size, body, MHD_RESPMEM_MUST_FREE);
}

static enum MHD_Result call_send(struct web_call *call)
{
    struct answer *answer = &call->answer;
    struct MHD_Response *response = call_response(call);
    for (size_t i = 0; i < answer->header_count; i++)
        MHD_add_response_header(response, answer->headers[i].name, answer->headers[i].value);
    enum MHD_Result result = MHD_queue_response(call->connection, answer->status, response);
    MHD_destroy_response(response);
    return result;
}

/* MHD_NO makes libmicrohttpd close the connection without a word. */
static enum MHD_Result call_answer(struct web_call *call)
{
    if (call->client_gone || call->web->closing)
        return MHD_NO;
    switch (call->answer.manner) {
    case ANSWER_STALL:
        call_hold(call, HOLD_FOREVER);
        return MHD_YES;
    case ANSWER_RESET:
        call_arm_reset(call);
        call->broken = true;
        return MHD_NO;
    case ANSWER_RAW:
        (void)!send(
            call_socket(call), buf_text(&call->answer.body), call->answer.body.size, MSG_NOSIGNAL);
        call->broken = true;
        return MHD_NO;
    case ANSWER_DROP:
        call->broken = true;
        return MHD_NO;
    default:
        return call_send(call);
    }
}

/* --- receiving --- */

static enum MHD_Result take_header(
    void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    struct request *request = context;
    if (request->header_count < REQUEST_HEADERS_MAX)
        request->headers[request->header_count++] =
            (struct request_pair){name, value != NULL ? value : ""};
    return MHD_YES;
}

static enum MHD_Result take_query(
    void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    struct request *request = context;
    if (request->query_count < REQUEST_QUERIES_MAX)
        request->queries[request->query_count++] =
            (struct request_pair){name, value != NULL ? value : ""};
    return MHD_YES;
}

static void call_decide(struct web_call *call, const char *method, const char *path)
{
    call->decided = true;
    if (!buf_ok(&call->body)) {
        answer_begin(&call->answer, 413, NULL);
        return;
    }
    struct web_connection *connection =
        MHD_get_connection_info(call->connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
            ->socket_context;
    struct request request = {
        .method = method,
        .path = path,
        .target = call->target,
        .body = buf_text(&call->body),
        .body_size = call->body.size,
        .connection = connection->number,
        .connection_request = connection->requests,
    };
    MHD_get_connection_values(call->connection, MHD_HEADER_KIND, take_header, &request);
    MHD_get_connection_values(call->connection, MHD_GET_ARGUMENT_KIND, take_query, &request);
    const struct web_options *options = &call->web->options;
    options->on_request(options->context, &request, &call->answer, &call->ticket);
}

/* Called when the headers are there, for each piece of the body, at its end, and after a hold. */
static enum MHD_Result on_access(void *context, struct MHD_Connection *connection, const char *path,
    const char *method, const char *version, const char *upload, size_t *upload_size,
    void **call_slot)
{
    (void)version;
    struct web_call *call = *call_slot;
    if (!call->begun) {
        call->begun = true;
        call->web = context;
        call->connection = connection;
        struct web_connection *web_connection =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
        web_connection->requests++;
        return MHD_YES;
    }
    if (*upload_size > 0) {
        buf_append(&call->body, upload, *upload_size);
        *upload_size = 0;
        return MHD_YES;
    }
    if (!call->decided) {
        call_decide(call, method, path);
        if (call->answer.delay_us > 0) {
            call_hold(call, call->answer.delay_us);
            return MHD_YES;
        }
    }
    return call_answer(call);
}

/* The first libmicrohttpd says about a request, and the only time it shows the raw target. */
static void *on_target(void *context, const char *target, struct MHD_Connection *connection)
{
    (void)context;
    (void)connection;
    struct web_call *call = memory_new(sizeof(*call));
    call->target = memory_copy_text(target);
    buf_init(&call->body, REQUEST_BODY_BYTES_MAX);
    answer_init(&call->answer);
    return call;
}

static enum web_outcome call_outcome(
    const struct web_call *call, enum MHD_RequestTerminationCode code)
{
    if (code == MHD_REQUEST_TERMINATED_COMPLETED_OK)
        return WEB_SENT;
    return call->broken ? WEB_BROKEN : WEB_CLIENT_GONE;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **call_slot,
    enum MHD_RequestTerminationCode code)
{
    (void)connection;
    struct web *web = context;
    struct web_call *call = *call_slot;
    if (call == NULL)
        return;
    *call_slot = NULL;
    if (call->ticket != 0)
        web->options.on_finished(web->options.context, call->ticket, call_outcome(call, code));
    if (call->decided && call->answer.manner == ANSWER_CLOSE)
        shutdown(call_socket(call), SHUT_RDWR);
    answer_release(&call->answer);
    buf_release(&call->body);
    free(call->target);
    free(call);
}

static void on_connection(void *context, struct MHD_Connection *connection, void **slot,
    enum MHD_ConnectionNotificationCode code)
{
    (void)connection;
    struct web *web = context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        struct web_connection *web_connection = memory_new(sizeof(*web_connection));
        web_connection->number = ++web->connections;
        *slot = web_connection;
    } else {
        free(*slot);
        *slot = NULL;
    }
}

/* --- the loop --- */

static void web_run(struct web *web)
{
    MHD_run(web->daemon);
    MHD_UNSIGNED_LONG_LONG timeout_ms;
    if (MHD_get_timeout(web->daemon, &timeout_ms) == MHD_YES)
        uv_timer_start(&web->timer, on_timer, timeout_ms, 0);
    else
        uv_timer_stop(&web->timer);
}

static void on_timer(uv_timer_t *timer)
{
    web_run(timer->data);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    web_run(poll->data);
}

/* TURBO: no shutdown() before close(), which would make an end of the stream out of a reset. */
static struct MHD_Daemon *start_daemon(struct web *web)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(web->options.port)};
    if (inet_pton(AF_INET, web->options.listen, &address.sin_addr) != 1)
        return NULL;
    return MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_TURBO, 0, NULL, NULL,
        on_access, web, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)WEB_CONNECTIONS_MAX, MHD_OPTION_LISTEN_BACKLOG_SIZE,
        (unsigned)WEB_BACKLOG, MHD_OPTION_URI_LOG_CALLBACK, on_target, web,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, web, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
        web, MHD_OPTION_END);
}

struct web *web_new(uv_loop_t *loop, const struct web_options *options)
{
    struct web *web = memory_new(sizeof(*web));
    web->options = *options;
    holds_init(&web->holds, loop);
    web->daemon = start_daemon(web);
    if (web->daemon == NULL) {
        free(web);
        return NULL;
    }
    uv_timer_init(loop, &web->timer);
    web->timer.data = web;
    int epoll = MHD_get_daemon_info(web->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    int error = uv_poll_init(loop, &web->poll, epoll);
    assert(error == 0);
    (void)error;
    web->poll.data = web;
    uv_poll_start(&web->poll, UV_READABLE, on_readable);
    web->handles_open = 2;
    return web;
}

uint16_t web_port(const struct web *web)
{
    return MHD_get_daemon_info(web->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct web *web = handle->data;
    if (--web->handles_open == 0)
        free(web);
}

/* libmicrohttpd may only be stopped when nothing is suspended, and resumes in MHD_run. */
void web_close(struct web *web)
{
    web->closing = true;
    holds_end_all(&web->holds);
    MHD_run(web->daemon);
    uv_close((uv_handle_t *)&web->poll, on_handle_closed);
    uv_close((uv_handle_t *)&web->timer, on_handle_closed);
    MHD_stop_daemon(web->daemon);
}
