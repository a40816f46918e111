/*
 * http_fixture: what the tests of the HTTP client share: a loop with a guard against hanging, a
 * scripted server, a client, and probes: calls that remember how they ended.
 */
#ifndef TESTS_SUPPORT_HTTP_FIXTURE_H
#define TESTS_SUPPORT_HTTP_FIXTURE_H

#include "common/http_client.h"
#include "support/http_stub.h"

/* In every URL of a probe; no error text may contain it. */
#define HTTP_PROBE_SECRET "s3cr3t"

struct http_fixture {
    uv_loop_t loop;
    uv_timer_t guard;
    struct http_stub stub;
    struct http_client *client;
    unsigned starting; /* inside http_client_start or _cancel: no on_done may come */
};

struct http_probe {
    struct http_call call;
    struct http_fixture *fixture;
    char url[256];
    void (*then)(struct http_probe *probe, const struct http_response *response); /* or NULL */
    struct http_probe *other;                                                     /* for `then` */

    unsigned times; /* how often on_done came */
    enum http_outcome outcome;
    int status;
    size_t body_size;
    char body[1024]; /* cut to this size */
    char error[128];
    int64_t duration_us;
};

/* NULL for the options a test does not care about. */
void http_fixture_init(struct http_fixture *fixture, const struct http_stub_rule *rules,
    const struct http_client_options *options);
/* Closes all; fails the test when the loop does not run dry. */
void http_fixture_release(struct http_fixture *fixture);

/* A GET of a path of the stub, with ten seconds of time. */
void http_probe_init(struct http_probe *probe, struct http_fixture *fixture, const char *path);
void http_probe_start(struct http_probe *probe);
void http_probe_cancel(struct http_probe *probe);

/* Runs the loop until the probe is done, or until the condition holds. */
void http_probe_wait(const struct http_probe *probe);
void http_fixture_wait(
    struct http_fixture *fixture, bool (*condition)(const void *context), const void *context);

/* One call from start to end; the outcome. */
enum http_outcome http_probe_run(
    struct http_probe *probe, struct http_fixture *fixture, const char *path);

#endif
