/* redis_stub: see redis_stub.h. */
#include "support/redis_stub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/memory.h"

struct redis_stub_peer {
    uv_tcp_t tcp;
    struct redis_stub *stub;
    char input[65536];
};

static void on_peer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void close_peer(struct redis_stub_peer *peer)
{
    if (peer->stub->peer == peer)
        peer->stub->peer = NULL;
    if (!uv_is_closing((uv_handle_t *)&peer->tcp))
        uv_close((uv_handle_t *)&peer->tcp, on_peer_closed);
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct redis_stub_peer *peer = handle->data;
    *buffer = uv_buf_init(peer->input, sizeof peer->input - 1);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct redis_stub_peer *peer = stream->data;
    (void)buffer;
    if (size < 0) {
        close_peer(peer);
        return;
    }
    if (size == 0)
        return;
    peer->input[size] = '\0';
    peer->stub->receives++;
    if (peer->stub->on_received)
        peer->stub->on_received(peer->stub, peer->input, (size_t)size);
    uv_stop(stream->loop);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct redis_stub *stub = listener->data;
    assert_int_equal(status, 0);
    struct redis_stub_peer *peer = memory_new(sizeof *peer);
    peer->stub = stub;
    peer->tcp.data = peer;
    uv_tcp_init(listener->loop, &peer->tcp);
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&peer->tcp), 0);
    uv_tcp_nodelay(&peer->tcp, 1);
    uv_read_start((uv_stream_t *)&peer->tcp, on_allocate, on_read);
    stub->peer = peer;
    stub->connections++;
    uv_stop(listener->loop);
}

void redis_stub_init(struct redis_stub *stub, uv_loop_t *loop)
{
    struct sockaddr_in address;
    int size = sizeof address;
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_init(loop, &stub->listener);
    stub->listener.data = stub;
    assert_int_equal(uv_tcp_bind(&stub->listener, (struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&stub->listener, 16, on_connection), 0);
    uv_tcp_getsockname(&stub->listener, (struct sockaddr *)&address, &size);
    stub->port = ntohs(address.sin_port);
}

void redis_stub_say(struct redis_stub *stub, const char *bytes)
{
    uv_buf_t buffer = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)strlen(bytes));
    if (stub->peer) /* else the client has gone */
        uv_try_write((uv_stream_t *)&stub->peer->tcp, &buffer, 1);
}

void redis_stub_hang_up(struct redis_stub *stub)
{
    if (stub->peer)
        close_peer(stub->peer);
}

void redis_stub_close(struct redis_stub *stub)
{
    redis_stub_hang_up(stub);
    uv_close((uv_handle_t *)&stub->listener, NULL);
}
