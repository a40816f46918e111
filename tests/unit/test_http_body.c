/* http_client: bodies that are looked at as they come, compressed ones, and who may be asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>

#include "common/clock.h"
#include "support/gzip.h"
#include "support/http_fixture.h"

#define HEAD "HTTP/1.1 200 OK\r\n"
#define GZIP HEAD "Content-Encoding: gzip\r\n"
#define CEILING ((size_t)256 * 1024)
#define HUGE_BYTES ((size_t)64 * 1024 * 1024)

/* ---- on_body ---- */

static struct {
    size_t enough_bytes; /* after so many */
    size_t bytes;
    unsigned pieces_after_enough;
    bool had_enough;
    int status;
} watch;

static bool watch_body(struct http_call *call, int status, const void *bytes, size_t size)
{
    (void)call;
    assert_non_null(bytes);
    watch.pieces_after_enough += watch.had_enough;
    watch.bytes += size;
    watch.status = status;
    watch.had_enough = watch.bytes >= watch.enough_bytes;
    return !watch.had_enough;
}

static void watch_call(struct http_probe *probe, struct http_fixture *fixture, size_t enough_bytes)
{
    memset(&watch, 0, sizeof(watch));
    watch.enough_bytes = enough_bytes;
    http_probe_init(probe, fixture, "/");
    probe->call.on_body = watch_body;
    probe->call.response_bytes_max = CEILING;
    http_probe_start(probe);
    http_probe_wait(probe);
    assert_int_equal(probe->times, 1);
    assert_int_equal(probe->body_size, 0);
    assert_int_equal(watch.pieces_after_enough, 0);
}

struct watch_case {
    const char *name, *answer;
    size_t filler_bytes, enough_bytes;
    enum http_stub_then then;
    enum http_outcome outcome;
    int status;
    bool kept; /* the connection serves the next call too */
};

#define NEVER SIZE_MAX

static const struct watch_case watch_cases[] = {
    {"seen whole, not stored", HEAD "Content-Length: 100000\r\n\r\n", 100000, NEVER, STUB_KEEP,
        HTTP_ANSWERED, 200, true},
    {"no body", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 0, NEVER, STUB_KEEP,
        HTTP_ANSWERED, 404, true},
    {"enough at the first byte, little left", HEAD "Content-Length: 60000\r\n\r\n", 60000, 1,
        STUB_KEEP, HTTP_STOPPED, 200, true},
    {"enough at the last byte", HEAD "Content-Length: 5000\r\n\r\n", 5000, 5000, STUB_KEEP,
        HTTP_STOPPED, 200, true},
    {"the status is told", "HTTP/1.1 503 No\r\nContent-Length: 10\r\n\r\n", 10, 1, STUB_KEEP,
        HTTP_STOPPED, 503, true},
    {"enough, much left", HEAD "Content-Length: 67108864\r\n\r\n", HUGE_BYTES, 1, STUB_KEEP,
        HTTP_STOPPED, 200, false},
    {"enough, much left, and it does not come", HEAD "Content-Length: 67108864\r\n\r\n", 10, 1,
        STUB_KEEP, HTTP_STOPPED, 200, false},
    {"enough, nobody knows how much is left", HEAD "Transfer-Encoding: chunked\r\n\r\n4000000\r\n",
        HUGE_BYTES, 1, STUB_KEEP, HTTP_STOPPED, 200, false},
    {"enough, and the rest breaks off", HEAD "Content-Length: 60000\r\n\r\n", 10, 1, STUB_CLOSE,
        HTTP_STOPPED, 200, false},
    {"past the ceiling though not stored", HEAD "Content-Length: 262145\r\n\r\n", CEILING + 1,
        NEVER, STUB_KEEP, HTTP_RESPONSE_TOO_LARGE, 0, false},
    {"broken off", HEAD "Content-Length: 60000\r\n\r\n", 10, NEVER, STUB_CLOSE, HTTP_BROKEN, 0,
        false},
};

static void test_watched_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(watch_cases) / sizeof(watch_cases[0]); i++) {
        const struct watch_case *expected = &watch_cases[i];
        const struct http_stub_rule rules[] = {
            {.path = "/",
                .answer = expected->answer,
                .filler_bytes = expected->filler_bytes,
                .then = expected->then},
            {.path = "/next", .answer = HEAD "Content-Length: 2\r\n\r\nok"},
            {.path = NULL},
        };
        struct http_fixture fixture;
        struct http_probe probe;

        print_message("           %s\n", expected->name);
        http_fixture_init(&fixture, rules, NULL);
        watch_call(&probe, &fixture, expected->enough_bytes);
        assert_string_equal(http_outcome_name(probe.outcome), http_outcome_name(expected->outcome));
        assert_int_equal(probe.status, expected->status);
        if (expected->outcome == HTTP_ANSWERED)
            assert_int_equal(watch.bytes, expected->filler_bytes);
        if (watch.bytes > 0 && expected->status != 0)
            assert_int_equal(watch.status, expected->status);
        assert_true(fixture.stub.bytes_sent < HUGE_BYTES / 2);
        assert_true(probe.duration_us < probe.call.timeout_us);

        assert_int_equal(http_probe_run(&probe, &fixture, "/next"), HTTP_ANSWERED);
        assert_string_equal(probe.body, "ok"); /* on the same easy handle, and stored again */
        assert_int_equal(fixture.stub.connections_accepted, expected->kept ? 1 : 2);
        http_fixture_release(&fixture);
    }
}

/* ---- compression ---- */

static const char text[] = "{\"type\":\"auth\"}";

struct coding_case {
    const char *name, *head;
    void (*append)(struct buf *body); /* NULL: the text as it stands */
    enum http_outcome outcome;
    bool not_asked;
};

static void append_stored(struct buf *body)
{
    gzip_append_stored(body, text, strlen(text));
}

static void append_raw_bomb(struct buf *body)
{
    gzip_append_bomb(body, HUGE_BYTES);
}

static void append_nothing(struct buf *body)
{
    gzip_append_nothing(body, 4 * CEILING);
}

static void append_twice(struct buf *body)
{
    struct buf inner;

    buf_init(&inner, CEILING);
    append_stored(&inner);
    gzip_append_stored(body, inner.data, inner.size);
    buf_release(&inner);
}

static void append_other_bytes(struct buf *body)
{
    buf_append_text(body, "<html>not compressed at all</html>");
}

static const struct coding_case coding_cases[] = {
    {"gzip", GZIP, append_stored, HTTP_ANSWERED, false},
    {"not compressed", HEAD, NULL, HTTP_ANSWERED, false},
    {"identity", HEAD "Content-Encoding: identity\r\n", NULL, HTTP_ANSWERED, false},
    {"a bomb", GZIP, append_raw_bomb, HTTP_RESPONSE_TOO_LARGE, false},
    {"much that becomes nothing", GZIP, append_nothing, HTTP_RESPONSE_TOO_LARGE, false},
    {"two layers", HEAD "Content-Encoding: gzip, gzip\r\n", append_twice, HTTP_UNDECODABLE, false},
    {"two layers in two headers", GZIP "Content-Encoding: gzip\r\n", append_twice, HTTP_UNDECODABLE,
        false},
    {"two layers in different headers", GZIP "Transfer-Encoding: gzip\r\nConnection: close\r\n",
        append_twice, HTTP_UNDECODABLE, false},
    {"a header in two lines", HEAD "Content-Encoding:\r\n gzip\r\n", append_stored,
        HTTP_UNDECODABLE, false},
    {"a coding not asked for", HEAD "Content-Encoding: br\r\n", append_stored, HTTP_UNDECODABLE,
        false},
    {"not what the head says", GZIP, append_other_bytes, HTTP_UNDECODABLE, false},
    {"asked for by nobody: left alone", GZIP, NULL, HTTP_ANSWERED, true},
    {"asked for by nobody: on the way", HEAD "Transfer-Encoding: gzip\r\n", append_stored,
        HTTP_UNDECODABLE, true},
};

static void check_coding(const struct coding_case *expected)
{
    struct buf body, answer;
    struct http_fixture fixture;
    struct http_probe probe;

    buf_init(&body, HUGE_BYTES);
    buf_init(&answer, 1024);
    if (expected->append)
        expected->append(&body);
    else
        buf_append_text(&body, text);
    buf_printf(&answer, "%sContent-Length: %zu\r\n\r\n", expected->head, body.size);
    const struct http_stub_rule rules[] = {
        {.path = "/", .answer = buf_text(&answer), .body = body.data, .body_size = body.size},
        {.path = NULL},
    };
    http_fixture_init(&fixture, rules, NULL);
    http_probe_init(&probe, &fixture, "/");
    probe.call.accept_compressed = !expected->not_asked;
    probe.call.response_bytes_max = CEILING;
    http_probe_start(&probe);
    http_probe_wait(&probe);
    assert_string_equal(http_outcome_name(probe.outcome), http_outcome_name(expected->outcome));
    if (expected->outcome == HTTP_ANSWERED)
        assert_string_equal(probe.body, text);
    assert_int_equal(
        strstr(fixture.stub.last_request, "\r\nAccept-Encoding: gzip, deflate\r\n") != NULL,
        !expected->not_asked);
    http_fixture_release(&fixture);
    buf_release(&body);
    buf_release(&answer);
}

static void test_codings(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(coding_cases) / sizeof(coding_cases[0]); i++) {
        print_message("           %s\n", coding_cases[i].name);
        check_coding(&coding_cases[i]);
    }
}

/* A bomb is stopped by what has come out of it, long before all of it has come in. */
static void test_bomb_stops_early(void **state)
{
    struct buf bomb;
    struct http_fixture fixture;
    struct http_probe probe;

    (void)state;
    buf_init(&bomb, HUGE_BYTES);
    gzip_append_bomb(&bomb, HUGE_BYTES);
    const struct http_stub_rule rules[] = {
        /* No length, so that nothing but its bytes tells. */
        {.path = "/", .answer = GZIP "\r\n", .body = bomb.data, .body_size = 16384},
        {.path = NULL},
    };
    http_fixture_init(&fixture, rules, NULL);
    http_probe_init(&probe, &fixture, "/");
    probe.call.accept_compressed = true;
    probe.call.response_bytes_max = CEILING;
    http_probe_start(&probe);
    http_probe_wait(&probe);
    assert_int_equal(probe.outcome, HTTP_RESPONSE_TOO_LARGE); /* not HTTP_TIMEOUT: it stalls here */
    http_fixture_release(&fixture);

    /* Told early that it is enough, the rest of a bomb is not drained either. */
    http_fixture_init(&fixture, rules, NULL);
    memset(&watch, 0, sizeof(watch));
    watch.enough_bytes = 1;
    http_probe_init(&probe, &fixture, "/");
    probe.call.on_body = watch_body;
    probe.call.accept_compressed = true;
    probe.call.response_bytes_max = CEILING;
    http_probe_start(&probe);
    http_probe_wait(&probe);
    assert_int_equal(probe.outcome, HTTP_STOPPED);
    assert_true(probe.duration_us < 5 * CLOCK_US_PER_SECOND);
    http_fixture_release(&fixture);
    buf_release(&bomb);
}

/* A pooled handle forgets that the call before accepted compression. */
static void test_coding_is_per_call(void **state)
{
    static const struct http_stub_rule rules[] = {
        {.path = "/", .answer = HEAD "Content-Length: 2\r\n\r\nok"}, {.path = NULL}};
    struct http_fixture fixture;
    struct http_probe probe;

    (void)state;
    http_fixture_init(&fixture, rules, NULL);
    for (int round = 0; round < 4; round++) {
        http_probe_init(&probe, &fixture, "/");
        probe.call.accept_compressed = round % 2 == 0;
        http_probe_start(&probe);
        http_probe_wait(&probe);
        assert_int_equal(probe.outcome, HTTP_ANSWERED);
        assert_int_equal(strstr(fixture.stub.last_request, "Accept-Encoding") != NULL,
            probe.call.accept_compressed);
    }
    assert_int_equal(fixture.stub.connections_accepted, 1);
    http_fixture_release(&fixture);
}

/* ---- addresses ---- */

static unsigned judged;

static bool no_loopback(const struct sockaddr *address, const void *context)
{
    assert_ptr_equal(context, &judged);
    judged++;
    if (address->sa_family == AF_INET6)
        return !IN6_IS_ADDR_LOOPBACK(
            &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
    assert_int_equal(address->sa_family, AF_INET);
    const struct sockaddr_in *internet = (const void *)address;
    return ntohl(internet->sin_addr.s_addr) >> 24 != 127;
}

static bool any_address(const struct sockaddr *address, const void *context)
{
    (void)address;
    (void)context;
    judged++;
    return true;
}

static const struct http_stub_rule ok_rules[] = {
    {.path = "/", .answer = HEAD "Content-Length: 2\r\n\r\nok"}, {.path = NULL}};

/* Whatever the name is: what it leads to counts. */
static void test_forbidden_addresses(void **state)
{
    static const char *const hosts[] = {"localhost", "127.0.0.1", "127.1", "2130706433", "[::1]"};
    const struct http_client_options options = {
        .calls_in_flight_max = 4,
        .connect_timeout_us = 5 * CLOCK_US_PER_SECOND,
        .address_allowed = no_loopback,
        .address_context = &judged,
    };
    struct http_fixture fixture;
    struct http_probe probe;

    (void)state;
    http_fixture_init(&fixture, ok_rules, &options);
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        judged = 0;
        http_probe_init(&probe, &fixture, "/");
        snprintf(probe.url, sizeof(probe.url), "http://%s:%d/?token=" HTTP_PROBE_SECRET, hosts[i],
            fixture.stub.port);
        http_probe_start(&probe);
        http_probe_wait(&probe);
        assert_string_equal(http_outcome_name(probe.outcome), "address_forbidden");
        assert_true(judged > 0);
    }
    assert_int_equal(fixture.stub.connections_accepted, 0);
    http_fixture_release(&fixture);
}

static void test_allowed_addresses(void **state)
{
    const struct http_client_options options = {
        .calls_in_flight_max = 4,
        .connect_timeout_us = 5 * CLOCK_US_PER_SECOND,
        .address_allowed = any_address,
    };
    struct http_fixture fixture;
    struct http_probe probe;

    (void)state;
    judged = 0;
    http_fixture_init(&fixture, ok_rules, &options);
    assert_int_equal(http_probe_run(&probe, &fixture, "/"), HTTP_ANSWERED);
    assert_int_equal(http_probe_run(&probe, &fixture, "/"), HTTP_ANSWERED);
    assert_int_equal(judged, 1); /* the second call went over the first one's connection */

    /* Allowed, but nobody there: not the same thing. */
    http_probe_init(&probe, &fixture, "/");
    snprintf(probe.url, sizeof(probe.url), "http://127.0.0.1:1/");
    http_probe_start(&probe);
    http_probe_wait(&probe);
    assert_int_equal(probe.outcome, HTTP_CONNECT_FAILED);
    http_fixture_release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_watched_bodies),
        cmocka_unit_test(test_codings),
        cmocka_unit_test(test_bomb_stops_early),
        cmocka_unit_test(test_coding_is_per_call),
        cmocka_unit_test(test_forbidden_addresses),
        cmocka_unit_test(test_allowed_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
