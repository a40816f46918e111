/* http_client: what comes of a call, and what goes over the wire. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/memory.h"
#include "support/http_fixture.h"

#define HEAD "HTTP/1.1 "
#define JSON "Content-Type: application/json\r\n"
#define SHORT_US (100 * CLOCK_US_PER_MS)
#define CEILING ((size_t)64 * 1024)
#define HUGE_BYTES ((size_t)64 * 1024 * 1024)

/* ---- answers and faults, as data ---- */

struct answer_case {
    const char *name;
    const char *answer;
    size_t filler_bytes;
    enum http_stub_then then;
    enum http_outcome outcome;
    int status;
    const char *body; /* NULL: not compared */
};

/* An HTTP_TIMEOUT is expected at the deadline, which is short then. */
static const struct answer_case answer_cases[] = {
    {.name = "200 with a body",
        .answer = HEAD "200 OK\r\n" JSON "Content-Length: 8\r\n\r\n{\"a\": 1}",
        .outcome = HTTP_ANSWERED,
        .status = 200,
        .body = "{\"a\": 1}"},
    {.name = "201",
        .answer = HEAD "201 Created\r\nContent-Length: 2\r\n\r\n{}",
        .outcome = HTTP_ANSWERED,
        .status = 201,
        .body = "{}"},
    {.name = "chunked",
        .answer =
            HEAD "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        .outcome = HTTP_ANSWERED,
        .status = 200,
        .body = "abcde"},
    {.name = "HTML",
        .answer =
            HEAD "502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
        .outcome = HTTP_ANSWERED,
        .status = 502,
        .body = "<html>"},
    {.name = "an empty body",
        .answer = HEAD "200 OK\r\nContent-Length: 0\r\n\r\n",
        .outcome = HTTP_ANSWERED,
        .status = 200,
        .body = ""},
    {.name = "204",
        .answer = HEAD "204 No Content\r\n\r\n",
        .outcome = HTTP_ANSWERED,
        .status = 204,
        .body = ""},
    {.name = "a body up to the end of the connection",
        .answer = HEAD "200 OK\r\nConnection: close\r\n\r\nto the end",
        .then = STUB_CLOSE,
        .outcome = HTTP_ANSWERED,
        .status = 200,
        .body = "to the end"},
    {.name = "HTTP/1.0",
        .answer = "HTTP/1.0 200 OK\r\n\r\nold",
        .then = STUB_CLOSE,
        .outcome = HTTP_ANSWERED,
        .status = 200,
        .body = "old"},
    {.name = "interim responses",
        .answer = HEAD "100 Continue\r\n\r\n" HEAD "103 Early Hints\r\nLink: </a>\r\n\r\n" HEAD
                       "200 OK\r\nContent-Length: 2\r\n\r\nok",
        .outcome = HTTP_ANSWERED,
        .status = 200,
        .body = "ok"},
    {.name = "a redirect, not followed",
        .answer = HEAD "302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
        .outcome = HTTP_ANSWERED,
        .status = 302,
        .body = ""},
    {.name = "a redirect to another protocol",
        .answer = HEAD "302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
        .outcome = HTTP_ANSWERED,
        .status = 302,
        .body = ""},
    {.name = "a redirect that is not a URL",
        .answer = HEAD "302 Found\r\nLocation: http://[::1/\r\nContent-Length: 0\r\n\r\n",
        .outcome = HTTP_ANSWERED,
        .status = 302,
        .body = ""},
    {.name = "a body at the ceiling",
        .answer = HEAD "200 OK\r\nContent-Length: 65536\r\n\r\n",
        .filler_bytes = CEILING,
        .outcome = HTTP_ANSWERED,
        .status = 200},
    {.name = "a body one byte past the ceiling",
        .answer = HEAD "200 OK\r\nContent-Length: 65537\r\n\r\n",
        .filler_bytes = CEILING + 1,
        .outcome = HTTP_RESPONSE_TOO_LARGE},
    {.name = "a huge body",
        .answer = HEAD "200 OK\r\nContent-Length: 67108864\r\n\r\n",
        .filler_bytes = HUGE_BYTES,
        .outcome = HTTP_RESPONSE_TOO_LARGE},
    {.name = "a huge body without a length",
        .answer = HEAD "200 OK\r\n\r\n",
        .filler_bytes = HUGE_BYTES,
        .outcome = HTTP_RESPONSE_TOO_LARGE},
    {.name = "a huge chunked body",
        .answer = HEAD "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4000000\r\n",
        .filler_bytes = HUGE_BYTES,
        .outcome = HTTP_RESPONSE_TOO_LARGE},
    {.name = "no answer", .outcome = HTTP_TIMEOUT},
    {.name = "a stall in the head", .answer = HEAD "200 OK\r\nContent-Le", .outcome = HTTP_TIMEOUT},
    {.name = "a stall in the body",
        .answer = HEAD "200 OK\r\nContent-Length: 8\r\n\r\n{\"a\"",
        .outcome = HTTP_TIMEOUT},
    {.name = "closed without a byte", .then = STUB_CLOSE, .outcome = HTTP_BROKEN},
    {.name = "reset without a byte", .then = STUB_RESET, .outcome = HTTP_BROKEN},
    {.name = "closed in the head",
        .answer = HEAD "200 OK\r\nContent-Le",
        .then = STUB_CLOSE,
        .outcome = HTTP_BROKEN},
    {.name = "a truncated body",
        .answer = HEAD "200 OK\r\nContent-Length: 8\r\n\r\n{",
        .then = STUB_CLOSE,
        .outcome = HTTP_BROKEN},
    {.name = "a reset body",
        .answer = HEAD "200 OK\r\nContent-Length: 8\r\n\r\n{",
        .then = STUB_RESET,
        .outcome = HTTP_BROKEN},
    {.name = "a truncated chunk",
        .answer = HEAD "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
        .then = STUB_CLOSE,
        .outcome = HTTP_BROKEN},
    {.name = "chunks without an end",
        .answer = HEAD "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        .then = STUB_CLOSE,
        .outcome = HTTP_BROKEN},
    {.name = "bad chunks",
        .answer = HEAD "200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        .outcome = HTTP_BROKEN},
    {.name = "garbage",
        .answer = "SSH-2.0-OpenSSH_9.2\r\n",
        .then = STUB_CLOSE,
        .outcome = HTTP_BROKEN},
    {.name = "binary garbage",
        .answer = "\x16\x03\x01\x02\x80\x7f\r\n\r\n",
        .then = STUB_CLOSE,
        .outcome = HTTP_BROKEN},
    {.name = "a status past 599",
        .answer = HEAD "999 Request denied\r\nContent-Length: 0\r\n\r\n",
        .outcome = HTTP_BROKEN},
};

static void test_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(answer_cases) / sizeof(answer_cases[0]); i++) {
        const struct answer_case *expected = &answer_cases[i];
        const struct http_stub_rule rules[] = {
            {.path = "/",
                .answer = expected->answer,
                .filler_bytes = expected->filler_bytes,
                .then = expected->then},
            {.path = NULL},
        };
        struct http_fixture fixture;
        struct http_probe probe;

        print_message("           %s\n", expected->name);
        http_fixture_init(&fixture, rules, NULL);
        http_probe_init(&probe, &fixture, "/");
        if (expected->outcome == HTTP_TIMEOUT)
            probe.call.timeout_us = SHORT_US;
        http_probe_start(&probe);
        http_probe_wait(&probe);

        assert_string_equal(http_outcome_name(probe.outcome), http_outcome_name(expected->outcome));
        assert_int_equal(probe.status, expected->status);
        if (expected->body != NULL)
            assert_string_equal(probe.body, expected->body);
        if (expected->outcome != HTTP_ANSWERED)
            assert_int_equal(probe.body_size, 0);
        if (expected->outcome == HTTP_TIMEOUT)
            assert_in_range(probe.duration_us, SHORT_US, 50 * SHORT_US);
        http_fixture_release(&fixture);

        assert_int_equal(probe.times, 1);
        assert_int_equal(fixture.stub.requests, 1);
        assert_true(fixture.stub.bytes_sent < HUGE_BYTES / 2);
    }
}

/* ---- no server ---- */

static const struct http_stub_rule no_rules[] = {{.path = NULL}};

static void test_refused_port(void **state)
{
    struct http_fixture fixture;
    struct http_probe probe;

    (void)state;
    http_fixture_init(&fixture, no_rules, NULL);
    http_probe_init(&probe, &fixture, "/");
    uv_close((uv_handle_t *)&fixture.stub.listener, NULL); /* its port is free again */
    uv_run(&fixture.loop, UV_RUN_NOWAIT);
    http_probe_start(&probe);
    http_probe_wait(&probe);
    assert_int_equal(probe.outcome, HTTP_CONNECT_FAILED);
    assert_int_equal(uv_tcp_init(&fixture.loop, &fixture.stub.listener), 0);
    http_fixture_release(&fixture);
}

/* Accepts no further connection: the kernel drops the handshakes. */
static int open_full_listener(int *port, int *filling)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *filling = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 0), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(connect(*filling, (struct sockaddr *)&address, size), 0);
    *port = ntohs(address.sin_port);
    return listener;
}

static void test_connect_timeout(void **state)
{
    const struct http_client_options options = {
        .calls_in_flight_max = 1, .connect_timeout_us = SHORT_US};
    struct http_fixture fixture;
    struct http_probe probe;
    int port;
    int filling;
    int listener = open_full_listener(&port, &filling);

    (void)state;
    http_fixture_init(&fixture, no_rules, &options);
    http_probe_init(&probe, &fixture, "/");
    snprintf(probe.url, sizeof(probe.url), "http://127.0.0.1:%d/", port);
    http_probe_start(&probe);
    http_probe_wait(&probe);
    assert_int_equal(probe.outcome, HTTP_CONNECT_FAILED);

    http_probe_init(&probe, &fixture, "/");
    snprintf(probe.url, sizeof(probe.url), "http://127.0.0.1:%d/", port);
    probe.call.timeout_us = SHORT_US / 2;
    http_probe_start(&probe);
    http_probe_wait(&probe);
    assert_int_equal(probe.outcome, HTTP_TIMEOUT);
    http_fixture_release(&fixture);
    close(filling);
    close(listener);
}

static void test_bad_urls(void **state)
{
    static const char *const urls[] = {
        "",
        "http://",
        "http:///" HTTP_PROBE_SECRET,
        "/relative?" HTTP_PROBE_SECRET,
        "http://127.0.0.1:99999/" HTTP_PROBE_SECRET,
        "http://127.0.0.1:1/a b?" HTTP_PROBE_SECRET,
        "http://[::1/" HTTP_PROBE_SECRET,
        "ht!tp://" HTTP_PROBE_SECRET,
        "file:///etc/passwd",
        "ftp://127.0.0.1:1/" HTTP_PROBE_SECRET,
        "gopher://127.0.0.1:1/" HTTP_PROBE_SECRET,
    };
    struct http_fixture fixture;
    struct http_probe probe;

    (void)state;
    http_fixture_init(&fixture, no_rules, NULL);
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        http_probe_init(&probe, &fixture, "/");
        probe.call.url = urls[i];
        http_probe_start(&probe);
        http_probe_wait(&probe);
        assert_int_equal(probe.outcome, HTTP_CONNECT_FAILED);
    }

    /* libcurl refuses this one before the transfer begins. */
    const size_t size = (size_t)9 * 1024 * 1024;
    char *url = memory_new(size + 1);
    memset(url, 'a', size);
    http_probe_init(&probe, &fixture, "/");
    probe.call.url = url;
    http_probe_start(&probe);
    http_probe_cancel(&probe); /* it has ended already */
    http_probe_wait(&probe);
    assert_int_equal(probe.outcome, HTTP_CONNECT_FAILED);
    http_fixture_release(&fixture);
    assert_int_equal(probe.times, 1);
    free(url);
}

/* ---- what goes out and comes in ---- */

static const struct http_stub_rule ok_rules[] = {
    {.path = "/ok", .answer = HEAD "200 OK\r\nContent-Length: 2\r\n\r\nok"},
    {.path = "/stall"},
    {.path = "/headers",
        .answer = HEAD "429 Too Many Requests\r\nRetry-After: 1\r\nretry-after:  7 \r\nX-Empty:\r\n"
                       "Content-Length: 0\r\n\r\n"},
    {.path = NULL},
};

static void test_request_bytes(void **state)
{
    const struct http_header list[] = {{"dev-id", "my-dev"},
        {"x-api-key", "my-key\r\nInjected: yes"}, {"Content-Type", "application/json"},
        {"X-Empty", ""}};
    struct http_headers *headers = http_headers_new(list, 4);
    struct http_fixture fixture;
    struct http_probe probe;
    char expected[1024];

    (void)state;
    http_fixture_init(&fixture, ok_rules, NULL);
    for (int round = 0; round < 2; round++) { /* also on handles that did the other method before */
        http_probe_init(&probe, &fixture, "/ok");
        probe.call.method = HTTP_POST;
        probe.call.headers = headers;
        probe.call.body = "{\"a\":1}\nand what is not of the body";
        probe.call.body_size = 7;
        http_probe_start(&probe);
        http_probe_wait(&probe);
        assert_int_equal(probe.outcome, HTTP_ANSWERED);
        snprintf(expected, sizeof(expected),
            "POST /ok?token=" HTTP_PROBE_SECRET " HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
            "User-Agent: terra-connect-test\r\nAccept: */*\r\ndev-id: my-dev\r\nx-api-key: "
            "my-key\r\n"
            "Content-Type: application/json\r\nX-Empty:\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
            fixture.stub.port);
        assert_string_equal(fixture.stub.last_request, expected);

        assert_int_equal(http_probe_run(&probe, &fixture, "/ok"), HTTP_ANSWERED);
        snprintf(expected, sizeof(expected),
            "GET /ok?token=" HTTP_PROBE_SECRET " HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
            "User-Agent: terra-connect-test\r\nAccept: */*\r\n\r\n",
            fixture.stub.port);
        assert_string_equal(fixture.stub.last_request, expected);
    }
    http_fixture_release(&fixture);
    http_headers_free(headers);
}

static void test_large_and_empty_bodies(void **state)
{
    static const size_t sizes[] = {0, 1, 1023, 1024, 1025, 65536, 1024 * 1024 + 1, 4 * 1024 * 1024};
    char *body = memory_new(4 * 1024 * 1024);
    struct http_fixture fixture;
    struct http_probe probe;
    char length[64];

    (void)state;
    http_fixture_init(&fixture, ok_rules, NULL);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        http_probe_init(&probe, &fixture, "/ok");
        probe.call.method = HTTP_POST;
        probe.call.body = sizes[i] ? body : NULL;
        probe.call.body_size = sizes[i];
        http_probe_start(&probe);
        http_probe_wait(&probe);
        assert_int_equal(probe.outcome, HTTP_ANSWERED);
        snprintf(length, sizeof(length), "\r\nContent-Length: %zu\r\n", sizes[i]);
        assert_non_null(strstr(fixture.stub.last_request, length));
        assert_null(strcasestr(fixture.stub.last_request, "\r\nExpect:"));
    }
    http_fixture_release(&fixture);
    free(body);
}

static void read_headers(struct http_probe *probe, const struct http_response *response)
{
    (void)probe;
    assert_string_equal(http_response_header(response, "Retry-After"), "7");
    assert_string_equal(http_response_header(response, "RETRY-AFTER"), "7");
    assert_string_equal(http_response_header(response, "x-empty"), "");
    assert_null(http_response_header(response, "X-None"));
}

static void read_no_headers(struct http_probe *probe, const struct http_response *response)
{
    (void)probe;
    assert_null(http_response_header(response, "Retry-After"));
}

static void test_response_headers(void **state)
{
    struct http_fixture fixture;
    struct http_probe probe;

    (void)state;
    http_fixture_init(&fixture, ok_rules, NULL);
    http_probe_init(&probe, &fixture, "/headers");
    probe.then = read_headers;
    http_probe_start(&probe);
    http_probe_wait(&probe);
    assert_int_equal(probe.status, 429);

    /* The same handle without the header, and without an answer. */
    http_probe_init(&probe, &fixture, "/ok");
    probe.then = read_no_headers;
    http_probe_start(&probe);
    http_probe_wait(&probe);
    http_probe_init(&probe, &fixture, "/stall");
    probe.then = read_no_headers;
    probe.call.timeout_us = SHORT_US;
    http_probe_start(&probe);
    http_probe_wait(&probe);
    http_fixture_release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_refused_port),
        cmocka_unit_test(test_connect_timeout),
        cmocka_unit_test(test_bad_urls),
        cmocka_unit_test(test_request_bytes),
        cmocka_unit_test(test_large_and_empty_bodies),
        cmocka_unit_test(test_response_headers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
