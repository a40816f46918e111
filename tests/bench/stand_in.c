/*
 * stand_in: a Terra that does nothing but answer, for benchmarks: every POST gets a link, at once
 * or after a fixed delay, over kept connections. One thread; far cheaper per request than what is
 * measured against it.
 *
 *   stand_in [--delay-ms N]     prints its port on stdout, then serves until it is ended
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "common/memory.h"
#include "common/text.h"

enum { REQUEST_BYTES_MAX = 16 * 1024, ANSWER_BYTES_MAX = 512 };

struct answer {
    uv_write_t write;
    uv_tcp_t *connection;
    uint64_t due_ms;
    size_t size;
    struct answer *next;
    char bytes[ANSWER_BYTES_MAX];
};

struct connection {
    uv_tcp_t tcp;
    size_t size;
    unsigned answers_out; /* the memory stays until they are written */
    bool closed;
    char bytes[REQUEST_BYTES_MAX];
};

static uv_loop_t loop;
static uv_timer_t timer;
static uint64_t delay_ms;
static uint64_t served;
static struct answer *first_due, **last_due = &first_due; /* the delay is fixed: in order */

static void free_when_done(struct connection *connection)
{
    if (connection->closed && connection->answers_out == 0)
        free(connection);
}

static void on_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    connection->closed = true;
    free_when_done(connection);
}

static void on_written(uv_write_t *write, int status)
{
    struct answer *answer = write->data;
    struct connection *connection = answer->connection->data;
    (void)status;
    connection->answers_out--;
    free(answer);
    free_when_done(connection);
}

static void write_answer(struct answer *answer)
{
    struct connection *connection = answer->connection->data;
    uv_buf_t bytes = uv_buf_init(answer->bytes, (unsigned)answer->size);
    answer->write.data = answer;
    if (uv_is_closing((uv_handle_t *)answer->connection) ||
        uv_write(&answer->write, (uv_stream_t *)answer->connection, &bytes, 1, on_written) != 0) {
        connection->answers_out--;
        free(answer);
        free_when_done(connection);
    }
}

static void on_timer(uv_timer_t *handle)
{
    uint64_t now_ms = uv_now(&loop);
    (void)handle;
    while (first_due && first_due->due_ms <= now_ms) {
        struct answer *answer = first_due;
        first_due = answer->next;
        if (!first_due)
            last_due = &first_due;
        write_answer(answer);
    }
    if (first_due)
        uv_timer_start(&timer, on_timer, first_due->due_ms - now_ms, 0);
}

static void answer_one(struct connection *connection)
{
    struct answer *answer = memory_new(sizeof *answer);
    char body[256];
    int body_size = snprintf(body, sizeof body,
        "{\"status\":\"success\",\"session_id\":\"%016llx\","
        "\"url\":\"https://widget.stand-in.invalid/session/%016llx\",\"expires_in\":86400}",
        (unsigned long long)served, (unsigned long long)served);
    served++;
    answer->size = (size_t)snprintf(answer->bytes, sizeof answer->bytes,
        "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
        body_size, body);
    answer->connection = &connection->tcp;
    connection->answers_out++;
    if (delay_ms == 0) {
        write_answer(answer);
        return;
    }
    answer->due_ms = uv_now(&loop) + delay_ms;
    if (!first_due)
        uv_timer_start(&timer, on_timer, delay_ms, 0);
    *last_due = answer;
    last_due = &answer->next;
}

/* Bytes of the first whole request; 0: not whole yet. */
static size_t whole_request(const struct connection *connection)
{
    const char *end = memmem(connection->bytes, connection->size, "\r\n\r\n", 4);
    if (!end)
        return 0;
    size_t body = 0, head = (size_t)(end - connection->bytes) + 4;
    const char *length = strcasestr(connection->bytes, "\r\ncontent-length:");
    if (length && length < end)
        body = strtoul(length + strlen("\r\ncontent-length:"), NULL, 10);
    return connection->size >= head + body ? head + body : 0;
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct connection *connection = stream->data;
    (void)buffer;
    if (size < 0) {
        if (!uv_is_closing((uv_handle_t *)stream))
            uv_close((uv_handle_t *)stream, on_closed);
        return;
    }
    connection->size += (size_t)size;
    connection->bytes[connection->size] = '\0';
    size_t request;
    while ((request = whole_request(connection)) > 0) {
        connection->size -= request;
        memmove(connection->bytes, connection->bytes + request, connection->size + 1);
        answer_one(connection);
    }
}

static void give_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct connection *connection = handle->data;
    (void)suggested;
    *buffer = uv_buf_init(connection->bytes + connection->size,
        (unsigned)(sizeof connection->bytes - 1 - connection->size));
}

static void on_connection(uv_stream_t *server, int status)
{
    if (status != 0)
        return;
    struct connection *connection = memory_new(sizeof *connection);
    uv_tcp_init(&loop, &connection->tcp);
    connection->tcp.data = connection;
    uv_accept(server, (uv_stream_t *)&connection->tcp);
    uv_tcp_nodelay(&connection->tcp, 1);
    uv_read_start((uv_stream_t *)&connection->tcp, give_room, on_read);
}

int main(int argc, char **argv)
{
    if (argc == 3 && text_equal(argv[1], "--delay-ms"))
        delay_ms = strtoul(argv[2], NULL, 10);
    uv_tcp_t server;
    struct sockaddr_in address;
    int address_size = sizeof address;
    uv_loop_init(&loop);
    uv_timer_init(&loop, &timer);
    uv_tcp_init(&loop, &server);
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_bind(&server, (const struct sockaddr *)&address, 0);
    if (uv_listen((uv_stream_t *)&server, 4096, on_connection) != 0)
        return 1;
    uv_tcp_getsockname(&server, (struct sockaddr *)&address, &address_size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    uv_run(&loop, UV_RUN_DEFAULT);
    return 0;
}
