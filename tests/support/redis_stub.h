/*
 * redis_stub: a scripted Redis on the test's own loop, for what the real one does not do on demand:
 * answers in pieces, too late, unasked, or garbage. It accepts on a free loopback port and hands
 * what it receives to the test. Each thing that happens to it ends the current uv_run, so that a
 * test sees it at once.
 */
#ifndef TESTS_SUPPORT_REDIS_STUB_H
#define TESTS_SUPPORT_REDIS_STUB_H

#include <stddef.h>
#include <uv.h>

struct redis_stub {
    int port;
    unsigned connections; /* accepted so far */
    unsigned receives;    /* reads that brought bytes: what came in one write is one */
    /* One read's bytes, NUL-terminated. May be NULL: nothing is ever answered. */
    void (*on_received)(struct redis_stub *stub, const char *bytes, size_t size);
    void *context;

    /* private */
    uv_tcp_t listener;
    struct redis_stub_peer *peer; /* the newest connection; redis_stub_say speaks to it */
};

/* on_received and context are set by the caller before. */
void redis_stub_init(struct redis_stub *stub, uv_loop_t *loop);
void redis_stub_say(struct redis_stub *stub, const char *bytes);
void redis_stub_hang_up(struct redis_stub *stub);
void redis_stub_close(struct redis_stub *stub);

#endif
