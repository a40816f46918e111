/* http_stub: see http_stub.h. */
#include "support/http_stub.h"

#include <assert.h>
#include <stdio.h>
#include <strings.h>
#include <utlist.h>

#include "common/buf.h"
#include "common/memory.h"

#define REQUEST_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define READ_BYTES ((size_t)64 * 1024)
#define BACKLOG 1024

struct http_stub_connection {
    uv_tcp_t tcp;
    struct http_stub *stub;
    struct buf received;
    unsigned requests;
    struct http_stub_connection *prev, *next;
};

struct stub_write {
    uv_write_t request;
    const void *body; /* NULL: none, or written already */
    size_t body_size;
    size_t filler_left;
    enum http_stub_then then;
};

static char read_area[READ_BYTES];
static char filler[READ_BYTES];

static void on_connection_closed(uv_handle_t *handle)
{
    struct http_stub_connection *connection = handle->data;

    buf_release(&connection->received);
    free(connection);
}

static void end_connection(struct http_stub_connection *connection, enum http_stub_then how)
{
    uv_handle_t *handle = (uv_handle_t *)&connection->tcp;

    if (how == STUB_KEEP || uv_is_closing(handle))
        return;
    DL_DELETE(connection->stub->connections, connection);
    connection->stub->connections_open--;
    if (how == STUB_CLOSE || uv_tcp_close_reset(&connection->tcp, on_connection_closed) != 0)
        uv_close(handle, on_connection_closed);
}

static void on_written(uv_write_t *request, int status);

static void write_on(struct http_stub_connection *connection, struct stub_write *write,
    const char *data, size_t size)
{
    uv_buf_t bytes = uv_buf_init((char *)data, (unsigned)size);

    connection->stub->bytes_sent += size;
    write->request.data = write;
    if (uv_write(&write->request, (uv_stream_t *)&connection->tcp, &bytes, 1, on_written) != 0)
        abort();
}

static void on_written(uv_write_t *request, int status)
{
    struct stub_write *write = request->data;
    struct http_stub_connection *connection = request->handle->data;
    const void *body = write->body;
    size_t size = write->filler_left < sizeof(filler) ? write->filler_left : sizeof(filler);

    /* Written, but told only while the connection is taken down. */
    if (uv_is_closing((uv_handle_t *)&connection->tcp))
        status = UV_ECANCELED;
    write->body = NULL;
    if (status == 0 && body != NULL) {
        write_on(connection, write, body, write->body_size);
        return;
    }
    if (status == 0 && size > 0) {
        write->filler_left -= size;
        write_on(connection, write, filler, size);
        return;
    }
    end_connection(connection, status == 0 ? write->then : STUB_CLOSE);
    free(write);
}

static bool rule_applies(const struct http_stub_rule *rule, const char *request, unsigned number)
{
    const char *path = strchr(request, ' ');
    size_t size = strlen(rule->path);

    return path != NULL && strncmp(path + 1, rule->path, size) == 0 &&
           strchr(" ?", path[1 + size]) != NULL && number >= rule->from_request;
}

static const struct http_stub_rule *find_rule(
    const struct http_stub_connection *connection, const char *request)
{
    const struct http_stub_rule *rule = connection->stub->rules;

    while (rule->path != NULL && !rule_applies(rule, request, connection->requests + 1))
        rule++;
    assert(rule->path != NULL);
    return rule;
}

static void follow_rule(struct http_stub_connection *connection, const struct http_stub_rule *rule)
{
    struct stub_write *write = memory_new(sizeof(*write));

    write->body = rule->body;
    write->body_size = rule->body_size;
    write->filler_left = rule->filler_bytes;
    write->then = rule->then;
    if (rule->answer != NULL) {
        write_on(connection, write, rule->answer, strlen(rule->answer));
        return;
    }
    free(write);
    end_connection(connection, rule->then);
}

static size_t body_size_of(const char *head)
{
    const char *field = strcasestr(head, "\r\nContent-Length:");

    return field ? strtoul(field + strlen("\r\nContent-Length:"), NULL, 10) : 0;
}

/* False when there is no whole request yet, or no connection any more. */
static bool serve_one(struct http_stub_connection *connection)
{
    struct http_stub *stub = connection->stub;
    struct buf *received = &connection->received;
    const char *end = received->size ? strstr(received->data, "\r\n\r\n") : NULL;

    if (end == NULL || uv_is_closing((uv_handle_t *)&connection->tcp))
        return false;
    const struct http_stub_rule *rule = find_rule(connection, received->data);
    size_t size = (size_t)(end + 4 - received->data) + body_size_of(received->data);
    if (received->size < size && !rule->early)
        return false;
    if (received->size < size)
        size = received->size;

    stub->requests++;
    connection->requests++;
    snprintf(stub->last_request, sizeof(stub->last_request), "%.*s", (int)size, received->data);
    memmove(received->data, received->data + size, received->size - size + 1);
    received->size -= size;
    follow_rule(connection, rule);
    return true;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *bytes)
{
    (void)handle;
    (void)suggested;
    *bytes = uv_buf_init(read_area, sizeof(read_area));
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *bytes)
{
    struct http_stub_connection *connection = stream->data;

    if (size < 0) {
        end_connection(connection, STUB_CLOSE);
        return;
    }
    if (!buf_append(&connection->received, bytes->base, (size_t)size))
        abort();
    while (serve_one(connection))
        continue;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct http_stub *stub = listener->data;
    struct http_stub_connection *connection = memory_new(sizeof(*connection));

    if (status != 0 || uv_tcp_init(listener->loop, &connection->tcp) != 0 ||
        uv_accept(listener, (uv_stream_t *)&connection->tcp) != 0)
        abort();
    uv_tcp_nodelay(&connection->tcp, 1);
    connection->tcp.data = connection;
    connection->stub = stub;
    buf_init(&connection->received, REQUEST_BYTES_MAX);
    DL_APPEND(stub->connections, connection);
    stub->connections_accepted++;
    stub->connections_open++;
    uv_read_start((uv_stream_t *)&connection->tcp, on_alloc, on_read);
}

void http_stub_init(struct http_stub *stub, uv_loop_t *loop, const struct http_stub_rule *rules)
{
    struct sockaddr_in address;
    int size = sizeof(address);

    *stub = (struct http_stub){.rules = rules};
    memset(filler, 'x', sizeof(filler));
    stub->listener.data = stub;
    if (uv_ip4_addr("127.0.0.1", 0, &address) != 0 || uv_tcp_init(loop, &stub->listener) != 0 ||
        uv_tcp_bind(&stub->listener, (const struct sockaddr *)&address, 0) != 0 ||
        uv_listen((uv_stream_t *)&stub->listener, BACKLOG, on_connection) != 0 ||
        uv_tcp_getsockname(&stub->listener, (struct sockaddr *)&address, &size) != 0)
        abort();
    stub->port = ntohs(address.sin_port);
}

void http_stub_close_connections(struct http_stub *stub)
{
    struct http_stub_connection *connection, *following;

    DL_FOREACH_SAFE (stub->connections, connection, following) {
        end_connection(connection, STUB_CLOSE);
    }
}

void http_stub_close(struct http_stub *stub)
{
    http_stub_close_connections(stub);
    uv_close((uv_handle_t *)&stub->listener, NULL);
}
