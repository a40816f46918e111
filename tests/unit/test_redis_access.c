/* redis_client: which Redis it gets into, and how it says that it does
 * not. Against real servers. */
#include <dlfcn.h>
#include <netdb.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/memory.h"
#include "support/redis_fixture.h"
#include "support/redis_server.h"

#define MS CLOCK_US_PER_MS

/* The group's server, without a password, never killed. */
static struct redis_server common_server;

static int start_common_server(void **state)
{
    (void)state;
    redis_server_start(&common_server);
    return 0;
}

static int end_common_server(void **state)
{
    (void)state;
    redis_server_end(&common_server);
    return 0;
}

/* ---- credentials ---- */

/* The URL is made of what is before the port and what is behind it. */
static void expect_refusal(const char *before, int port, const char *behind, const char *reason)
{
    struct redis_fixture fixture;
    struct redis_probe probe;
    char url[256];
    snprintf(url, sizeof url, "%s:%d%s", before, port, behind);
    redis_fixture_init(&fixture);
    redis_fixture_open(&fixture, url);
    redis_probe_run(&probe, &fixture, "PING");
    assert_int_equal(probe.outcome, REDIS_UNAVAILABLE);
    int64_t until_us = clock_monotonic_us() + 300 * MS; /* in which it tries again and again */
    while (clock_monotonic_us() < until_us)
        uv_run(&fixture.loop, UV_RUN_ONCE);
    if (redis_fixture_logged(reason) != 1)
        fail_msg("%u lines say \"%s\"", redis_fixture_logged(reason), reason);
    assert_int_equal(redis_fixture_logged("advice"), 1);
    assert_non_null(strstr(fixture.trouble, reason));
    assert_true(fixture.refused);
    assert_int_equal(fixture.ups, 0);
    redis_fixture_release(&fixture);
}

static void expect_access(const char *before, int port, const char *behind)
{
    struct redis_fixture fixture;
    struct redis_probe probe;
    char url[256];
    snprintf(url, sizeof url, "%s:%d%s", before, port, behind);
    redis_fixture_init(&fixture);
    redis_fixture_open(&fixture, url);
    redis_probe_run(&probe, &fixture, "PING");
    assert_string_equal(probe.text, "PONG");
    redis_fixture_release(&fixture);
}

static void test_password(void **state)
{
    (void)state;
    struct redis_server server = {.arguments = {"--requirepass", "s3cr3t p/w@:%\xc3\xa4", "--user",
                                      "ann", "on", ">s3cr3tann", "~*", "+@all"}};
    redis_server_start(&server);
    expect_access("redis://:s3cr3t%20p%2Fw%40%3a%25%c3%A4@127.0.0.1", server.port, "");
    expect_access("redis://default:s3cr3t%20p%2Fw%40%3a%25%c3%A4@127.0.0.1", server.port, "");
    expect_access("redis://ann:s3cr3tann@127.0.0.1", server.port, "/3");
    expect_refusal("redis://:s3cr3t@127.0.0.1", server.port, "", "WRONGPASS");
    expect_refusal("redis://ann:s3cr3t@127.0.0.1", server.port, "", "WRONGPASS");
    expect_refusal("redis://127.0.0.1", server.port, "", "NOAUTH");
    expect_refusal("redis://127.0.0.1", server.port, "/2", "NOAUTH");
    redis_server_end(&server);
}

/* Such a Redis quotes what it did not understand: the password. */
static void test_password_is_never_quoted(void **state)
{
    (void)state;
    struct redis_server server = {.arguments = {"--rename-command", "AUTH", ""}};
    redis_server_start(&server);
    expect_refusal("redis://:s3cr3t@127.0.0.1", server.port, "", "Redis refused AUTH (ERR)");
    redis_server_end(&server);
}

/* A refusal ends when the password of the server is put right. */
static void test_password_put_right(void **state)
{
    (void)state;
    struct redis_fixture fixture, operator_fixture;
    struct redis_probe probe;
    struct redis_server server = {.arguments = {"--requirepass", "s3cr3t-old"}};
    char url[128];
    redis_server_start(&server);
    redis_fixture_init(&fixture);
    snprintf(url, sizeof url, "redis://:s3cr3t-new@127.0.0.1:%d", server.port);
    redis_fixture_open(&fixture, url);
    redis_probe_run(&probe, &fixture, "PING");
    assert_int_equal(probe.outcome, REDIS_UNAVAILABLE);
    assert_int_equal(redis_fixture_logged("WRONGPASS"), 1);

    redis_fixture_init(&operator_fixture);
    snprintf(url, sizeof url, "redis://:s3cr3t-old@127.0.0.1:%d", server.port);
    redis_fixture_open(&operator_fixture, url);
    redis_probe_run(&probe, &operator_fixture, "CONFIG SET requirepass s3cr3t-new");
    assert_string_equal(probe.text, "OK");
    redis_fixture_wait_connected(&fixture);
    assert_int_equal(redis_fixture_logged("Redis is back"), 1);
    redis_fixture_release(&operator_fixture);
    redis_fixture_release(&fixture);
    redis_server_end(&server);
}

/* ---- databases and addresses ---- */

static void test_database(void **state)
{
    (void)state;
    struct redis_fixture fixture;
    struct redis_probe probe;
    redis_fixture_init(&fixture);
    redis_fixture_open_port(&fixture, common_server.port, "/5");
    redis_probe_run(&probe, &fixture, "SET where five");
    redis_fixture_close(&fixture);
    redis_fixture_open_port(&fixture, common_server.port, "");
    redis_probe_run(&probe, &fixture, "GET where");
    assert_int_equal(probe.kind, REDIS_NIL);
    redis_probe_run(&probe, &fixture, "SELECT 5");
    redis_probe_run(&probe, &fixture, "GET where");
    assert_string_equal(probe.text, "five");
    redis_fixture_release(&fixture);
    expect_refusal("redis://127.0.0.1", common_server.port, "/99", "DB index is out of range");
}

static void test_unix_socket(void **state)
{
    (void)state;
    struct redis_fixture fixture;
    struct redis_probe probe;
    char url[160];
    redis_fixture_init(&fixture);
    snprintf(url, sizeof url, "unix://%s?db=4", common_server.socket_path);
    redis_fixture_open(&fixture, url);
    redis_probe_run(&probe, &fixture, "CLIENT INFO");
    assert_non_null(strstr(probe.text, " db=4 "));
    redis_fixture_release(&fixture);

    redis_fixture_init(&fixture);
    redis_fixture_open(&fixture, "unix:///nowhere/redis.sock");
    redis_probe_run(&probe, &fixture, "PING");
    assert_int_equal(probe.outcome, REDIS_UNAVAILABLE);
    assert_int_equal(redis_fixture_logged("No such file"), 1);
    redis_fixture_release(&fixture);
}

/* Takes the place of libc's, so that there is a name with two addresses: the server listens only on
 * the second one. */
__attribute__((visibility("default"))) int getaddrinfo(const char *name, const char *service,
    const struct addrinfo *hints, struct addrinfo **addresses)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (strcmp(name, "two-addresses.test") != 0)
        return real(name, service, hints, addresses);
    if (real("127.0.0.2", service, hints, addresses) != 0)
        return EAI_FAIL;
    return real("127.0.0.1", service, hints, &(*addresses)->ai_next);
}

static void test_addresses_in_turn(void **state)
{
    (void)state;
    expect_access("redis://two-addresses.test", common_server.port, "");
    expect_access("redis://localhost", common_server.port, "");
}

static void test_name_that_does_not_resolve(void **state)
{
    (void)state;
    struct redis_fixture fixture;
    struct redis_probe probes[3];
    redis_fixture_init(&fixture);
    redis_fixture_open(&fixture, "redis://no-such-host.invalid");
    for (size_t i = 0; i < 3; i++) {
        redis_probe_init(&probes[i], &fixture);
        redis_probe_send(&probes[i], "PING");
    }
    redis_probe_wait(&probes[2]);
    assert_int_equal(probes[0].outcome, REDIS_UNAVAILABLE);
    assert_int_equal(probes[2].outcome, REDIS_UNAVAILABLE);
    assert_int_equal(redis_fixture_logged("Redis is away"), 1);
    redis_fixture_release(&fixture);
}

static void test_max_clients(void **state)
{
    (void)state;
    struct redis_fixture first, second;
    struct redis_probe probe;
    struct redis_server server = {.arguments = {"--maxclients", "1"}};
    redis_server_start(&server);
    redis_fixture_init(&first);
    redis_fixture_init(&second);
    redis_fixture_open_port(&first, server.port, "");
    redis_fixture_wait_connected(&first);
    redis_fixture_open_port(&second, server.port, "");
    redis_probe_run(&probe, &second, "PING");
    assert_int_equal(probe.outcome, REDIS_UNAVAILABLE);
    assert_int_equal(redis_fixture_logged("as many clients as it allows"), 1);
    redis_fixture_release(&first);
    redis_fixture_wait_connected(&second);
    redis_fixture_release(&second);
    redis_server_end(&server);
}

/* ---- TLS, where hiredis has it ---- */

static bool tls_is_there(void)
{
    uv_loop_t loop;
    struct redis_client *client = NULL;
    char error[256] = "";
    const struct redis_client_options options = {
        .url = "rediss://:s3cr3t@localhost", .connect_timeout_us = 1, .reconnect_max_us = 1};
    uv_loop_init(&loop);
    bool there = redis_client_new(&loop, &options, &client, error, sizeof error) == RESULT_OK;
    if (there)
        redis_client_close(client);
    else
        assert_non_null(strstr(error, "not in this build"));
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    return there;
}

/* Takes the place of OpenSSL's, which hiredis calls to begin a handshake. When told so it waits for
 * the server's part, so that all of the handshake happens within that first call, as it does when
 * this process is kept from running meanwhile. */
struct ssl_st;
int SSL_connect(struct ssl_st *session);
static bool handshake_in_one;

__attribute__((visibility("default"))) int SSL_connect(struct ssl_st *session)
{
    int (*connect_real)(struct ssl_st *), (*descriptor)(const struct ssl_st *);
    int (*wants)(const struct ssl_st *);
    *(void **)&connect_real = dlsym(RTLD_NEXT, "SSL_connect");
    *(void **)&descriptor = dlsym(RTLD_NEXT, "SSL_get_fd");
    *(void **)&wants = dlsym(RTLD_NEXT, "SSL_want");
    int done = connect_real(session);
    while (handshake_in_one && done != 1 && wants(session) == 3 /* SSL_READING */) {
        poll(&(struct pollfd){.fd = descriptor(session), .events = POLLIN}, 1, 1000);
        done = connect_real(session);
    }
    return done;
}

/* The certificate is for localhost, and signed by nobody the system knows. */
static void expect_untrusted(const struct redis_server *server, const char *ca_file)
{
    const struct {
        const char *host, *ca_file;
    } refused[] = {{"127.0.0.1", ca_file}, {"localhost", NULL}};
    for (size_t i = 0; i < 2; i++) {
        struct redis_fixture fixture;
        struct redis_probe probe;
        char url[128];
        redis_fixture_init(&fixture);
        snprintf(url, sizeof url, "rediss://:s3cr3t@%s:%d", refused[i].host, server->port);
        redis_fixture_open_with(
            &fixture, &(struct redis_client_options){.url = url, .ca_file = refused[i].ca_file});
        redis_probe_run(&probe, &fixture, "PING");
        assert_int_equal(probe.outcome, REDIS_UNAVAILABLE);
        assert_int_equal(redis_fixture_logged("TLS: "), 1);
        assert_int_equal(redis_fixture_logged("Redis refuses"), 1);
        redis_fixture_release(&fixture);
    }
}

static void test_tls(void **state)
{
    (void)state;
    if (!tls_is_there())
        skip();
    struct redis_fixture fixture;
    struct redis_probe probe;
    struct redis_server server = {.tls = true};
    char url[128], ca_file[96];
    redis_server_start(&server);
    snprintf(ca_file, sizeof ca_file, "%s/ca.pem", server.folder);

    redis_fixture_init(&fixture);
    snprintf(url, sizeof url, "rediss://localhost:%d", server.port);
    redis_fixture_open_with(
        &fixture, &(struct redis_client_options){.url = url, .ca_file = ca_file});
    size_t size = (size_t)4 * 1024 * 1024;
    char *value = memory_new(size);
    const char *arguments[] = {"SET", "large", value};
    const size_t sizes[] = {3, 5, size};
    redis_probe_init(&probe, &fixture);
    redis_client_send(
        fixture.client, &probe.command, 20 * CLOCK_US_PER_SECOND, 3, arguments, sizes);
    free(value);
    redis_probe_wait(&probe);
    assert_string_equal(probe.text, "OK");
    redis_probe_run(&probe, &fixture, "GET large");
    assert_int_equal(probe.text_size, size);
    redis_fixture_release(&fixture);

    expect_untrusted(&server, ca_file);
    handshake_in_one = true;
    expect_untrusted(&server, ca_file);
    handshake_in_one = false;
    redis_server_end(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_password),
        cmocka_unit_test(test_password_is_never_quoted),
        cmocka_unit_test(test_password_put_right),
        cmocka_unit_test(test_database),
        cmocka_unit_test(test_unix_socket),
        cmocka_unit_test(test_addresses_in_turn),
        cmocka_unit_test(test_name_that_does_not_resolve),
        cmocka_unit_test(test_max_clients),
        cmocka_unit_test(test_tls),
    };
    return cmocka_run_group_tests(tests, start_common_server, end_common_server);
}
