/* redis_pipe: see redis_pipe.h. */
#include "support/redis_pipe.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define LINE_SIZE 512

void redis_pipe_open(struct redis_pipe *redis, const char *socket_path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
    redis->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    redis->size = redis->taken = 0;
    buf_init(&redis->unsent, (size_t)64 * 1024 * 1024);
    assert_int_equal(connect(redis->socket, (const struct sockaddr *)&address, sizeof address), 0);
}

void redis_pipe_close(struct redis_pipe *redis)
{
    buf_release(&redis->unsent);
    close(redis->socket);
}

void redis_pipe_add(struct redis_pipe *redis, size_t count, const char *const *arguments)
{
    buf_printf(&redis->unsent, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        buf_printf(&redis->unsent, "$%zu\r\n", strlen(arguments[i]));
        buf_append_text(&redis->unsent, arguments[i]);
        buf_append_text(&redis->unsent, "\r\n");
    }
}

void redis_pipe_flush(struct redis_pipe *redis)
{
    const char *bytes = buf_text(&redis->unsent);
    for (size_t sent = 0; sent < redis->unsent.size;) {
        ssize_t size = send(redis->socket, bytes + sent, redis->unsent.size - sent, MSG_NOSIGNAL);
        assert_true(size > 0);
        sent += (size_t)size;
    }
    buf_reset(&redis->unsent);
}

static char next_byte(struct redis_pipe *redis)
{
    if (redis->taken == redis->size) {
        ssize_t size = recv(redis->socket, redis->received, sizeof redis->received, 0);
        assert_true(size > 0);
        redis->size = (size_t)size;
        redis->taken = 0;
    }
    return redis->received[redis->taken++];
}

static void next_line(struct redis_pipe *redis, char line[LINE_SIZE])
{
    size_t size = 0;
    char byte;
    while ((byte = next_byte(redis)) != '\n') {
        if (byte != '\r' && size + 1 < LINE_SIZE)
            line[size++] = byte;
    }
    line[size] = '\0';
    if (line[0] == '-')
        fail_msg("Redis: %s", line);
}

static int64_t next_number(struct redis_pipe *redis, char kind)
{
    char line[LINE_SIZE];
    next_line(redis, line);
    if (line[0] != kind)
        fail_msg("Redis: %s", line);
    return strtoll(line + 1, NULL, 10);
}

void redis_pipe_expect_integers(struct redis_pipe *redis, size_t count, int64_t *integers)
{
    assert_int_equal(next_number(redis, '*'), count);
    for (size_t i = 0; i < count; i++)
        integers[i] = next_number(redis, ':');
}

void redis_pipe_expect_text(struct redis_pipe *redis, char *text, size_t size)
{
    size_t length = (size_t)next_number(redis, '$');
    assert_true(length < size);
    for (size_t i = 0; i < length; i++)
        text[i] = next_byte(redis);
    text[length] = '\0';
    next_byte(redis);
    next_byte(redis);
}

void redis_pipe_skip_line(struct redis_pipe *redis)
{
    char line[LINE_SIZE];
    next_line(redis, line);
}
