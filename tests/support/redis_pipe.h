/*
 * redis_pipe: many commands to a test's Redis in one go, blocking, over its unix socket. For tests
 * that run a script very often; the client under test has nothing to do with it.
 */
#ifndef TESTS_SUPPORT_REDIS_PIPE_H
#define TESTS_SUPPORT_REDIS_PIPE_H

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

struct redis_pipe {
    int socket;
    struct buf unsent;
    char received[65536];
    size_t size, taken; /* of received */
};

void redis_pipe_open(struct redis_pipe *redis, const char *socket_path);
void redis_pipe_close(struct redis_pipe *redis);

void redis_pipe_add(struct redis_pipe *redis, size_t count, const char *const *arguments);
void redis_pipe_flush(struct redis_pipe *redis);

/* The next answer; another kind of it fails the test. */
void redis_pipe_expect_integers(struct redis_pipe *redis, size_t count, int64_t *integers);
void redis_pipe_expect_text(struct redis_pipe *redis, char *text, size_t size);
void redis_pipe_skip_line(struct redis_pipe *redis); /* +OK, :1 */

#endif
