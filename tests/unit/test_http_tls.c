/* http_client over TLS, against openssl's own test server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "support/http_fixture.h"

static const struct http_stub_rule rules[] = {{.path = NULL}};

struct tls_server {
    char folder[32];
    char certificate[64];
    char key[64];
    char stranger[64]; /* a certificate that nobody uses */
    pid_t process;
    int port;
};

/* Its stdout is a pipe when `output` is given; /dev/null otherwise, as are stdin and stderr. */
static pid_t start_openssl(const char *const *arguments, int *output)
{
    posix_spawn_file_actions_t actions;
    int ends[2] = {-1, -1};
    pid_t process;

    posix_spawn_file_actions_init(&actions);
    for (int i = 0; i < 3; i++)
        posix_spawn_file_actions_addopen(&actions, i, "/dev/null", O_RDWR, 0);
    if (output != NULL) {
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    }
    int error =
        posix_spawnp(&process, "openssl", &actions, NULL, (char *const *)arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (output != NULL) {
        close(ends[1]);
        *output = ends[0];
    }
    return error == 0 ? process : -1;
}

static bool make_certificate(const char *name, const char *key, const char *certificate)
{
    const char *const arguments[] = {"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
        "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", name, "-addext",
        "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate, NULL};
    pid_t process = start_openssl(arguments, NULL);
    int status = -1;

    return process > 0 && waitpid(process, &status, 0) == process && status == 0;
}

/* False where there is no openssl. */
static bool start_tls_server(struct tls_server *made)
{
    char line[128] = "";
    int output = -1;

    *made = (struct tls_server){.folder = "/tmp/terra-connect-XXXXXX"};
    assert_non_null(mkdtemp(made->folder));
    snprintf(made->certificate, sizeof(made->certificate), "%s/certificate", made->folder);
    snprintf(made->key, sizeof(made->key), "%s/key", made->folder);
    snprintf(made->stranger, sizeof(made->stranger), "%s/stranger", made->folder);
    if (!make_certificate("/CN=stranger", made->key, made->stranger) ||
        !make_certificate("/CN=server", made->key, made->certificate))
        return false;
    const char *const arguments[] = {"openssl", "s_server", "-accept", "127.0.0.1:0", "-www",
        "-cert", made->certificate, "-key", made->key, NULL};
    made->process = start_openssl(arguments, &output);
    FILE *lines = fdopen(output, "r");
    while (made->port == 0 && fgets(line, sizeof(line), lines) != NULL)
        if (strncmp(line, "ACCEPT 127.0.0.1:", 17) == 0)
            made->port = (int)strtol(line + 17, NULL, 10);
    fclose(lines);
    assert_int_not_equal(made->port, 0);
    return true;
}

static struct tls_server server;

/* As a teardown, so that a test that fails leaves nothing behind either. */
static int stop_tls_server(void **state)
{
    (void)state;
    if (server.process > 0) {
        kill(server.process, SIGKILL);
        waitpid(server.process, NULL, 0);
    }
    unlink(server.certificate);
    unlink(server.key);
    unlink(server.stranger);
    rmdir(server.folder);
    return 0;
}

/* Takes the place of OpenSSL's, which loads the system's folder of certificates: there is the
 * server's in it, when told so. */
struct x509_store_st;
int X509_STORE_load_path(struct x509_store_st *store, const char *path);
static bool system_knows_server;

__attribute__((visibility("default"))) int X509_STORE_load_path(
    struct x509_store_st *store, const char *path)
{
    int (*load_file)(struct x509_store_st *, const char *);
    (void)path;
    *(void **)&load_file = dlsym(RTLD_DEFAULT, "X509_STORE_load_file");
    return system_knows_server ? load_file(store, server.certificate) : 1;
}

struct tls_case {
    const char *name;
    const char *ca_file;
    bool system_knows_server;
    bool http2;
    const char *host;
    enum http_outcome outcome;
    const char *error; /* part of it */
};

static const struct tls_case tls_cases[] = {
    {"the system's authorities", NULL, false, false, "127.0.0.1", HTTP_TLS_UNTRUSTED,
        "self-signed certificate"},
    {"the system knows it", NULL, true, false, "127.0.0.1", HTTP_ANSWERED, ""},
    {"our authority", server.certificate, false, false, "127.0.0.1", HTTP_ANSWERED, ""},
    {"our authority, HTTP/2 offered", server.certificate, false, true, "127.0.0.1", HTTP_ANSWERED,
        ""},
    {"another name", server.certificate, false, false, "localhost", HTTP_TLS_UNTRUSTED,
        "not for this host"},
    {"the system knows it, and is not asked", server.stranger, true, false, "127.0.0.1",
        HTTP_TLS_UNTRUSTED, "self-signed certificate"},
    {"a file that is not there", "/nowhere", true, false, "127.0.0.1", HTTP_CONNECT_FAILED, "CA"},
};

static void test_tls(void **state)
{
    (void)state;
    if (!start_tls_server(&server)) {
        print_message("           no openssl here\n");
        skip();
    }
    for (size_t i = 0; i < sizeof(tls_cases) / sizeof(tls_cases[0]); i++) {
        const struct tls_case *expected = &tls_cases[i];
        const struct http_client_options options = {
            .calls_in_flight_max = 1,
            .connect_timeout_us = 5 * CLOCK_US_PER_SECOND,
            .ca_file = expected->ca_file,
            .http2 = expected->http2,
        };
        struct http_fixture fixture;
        struct http_probe probe;

        print_message("           %s\n", expected->name);
        system_knows_server = expected->system_knows_server;
        http_fixture_init(&fixture, rules, &options);
        for (int round = 0; round < 3; round++) { /* later ones may resume a session */
            http_probe_init(&probe, &fixture, "/");
            snprintf(probe.url, sizeof(probe.url), "https://%s:%d/?" HTTP_PROBE_SECRET,
                expected->host, server.port);
            http_probe_start(&probe);
            http_probe_wait(&probe);
            assert_string_equal(
                http_outcome_name(probe.outcome), http_outcome_name(expected->outcome));
            if (!strstr(probe.error, expected->error))
                fail_msg("%s", probe.error);
        }
        http_fixture_release(&fixture);
    }
}

static bool has_a_connection(const void *stub_pointer)
{
    const struct http_stub *stub = stub_pointer;

    return stub->connections_open > 0;
}

/* Plain HTTP where TLS is expected: it fails in the middle of connecting. */
static void test_no_tls(void **state)
{
    struct http_fixture fixture;
    struct http_probe probe;

    (void)state;
    http_fixture_init(&fixture, rules, NULL);
    for (int i = 0; i < 5; i++) {
        http_probe_init(&probe, &fixture, "/");
        memmove(probe.url + 5, probe.url + 4, strlen(probe.url + 4) + 1);
        probe.url[4] = 's';
        http_probe_start(&probe);
        http_fixture_wait(&fixture, has_a_connection, &fixture.stub);
        http_stub_close_connections(&fixture.stub);
        http_probe_wait(&probe);
        assert_int_equal(probe.outcome, HTTP_CONNECT_FAILED);
    }
    http_fixture_release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_tls, stop_tls_server),
        cmocka_unit_test(test_no_tls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
