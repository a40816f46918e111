/* redis_server: see redis_server.h. */
#include "support/redis_server.h"

#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define START_SECONDS_MAX 20

static int free_port(void)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    close(listener);
    return ntohs(address.sin_port);
}

/* Certificates are made by the openssl program, as an operator would. */
static void make_certificates(const struct redis_server *server)
{
    static const char script[] =
        "cd \"$0\" && exec >openssl.log 2>&1 &&"
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem "
        "&&"
        "openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out request.pem "
        "&&"
        "echo subjectAltName=DNS:localhost >names &&"
        "openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2"
        " -extfile names -out cert.pem";
    pid_t pid = fork();
    if (pid == 0) {
        execlp("sh", "sh", "-c", script, server->folder, (char *)NULL);
        _exit(127);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

void redis_server_prepare(struct redis_server *server)
{
    snprintf(server->folder, sizeof server->folder, "/tmp/redis-test-XXXXXX");
    assert_non_null(mkdtemp(server->folder));
    snprintf(server->socket_path, sizeof server->socket_path, "%s/redis.sock", server->folder);
    server->port = free_port();
    if (server->tls)
        make_certificates(server);
}

static void exec_server(const struct redis_server *server)
{
    char port[8];
    snprintf(port, sizeof port, "%d", server->port);
    const char *arguments[48] = {"redis-server", "--bind", "127.0.0.1", "--save", "",
        "--appendonly", "no", "--dir", server->folder, "--unixsocket", server->socket_path};
    size_t count = 11;
    if (server->tls) {
        const char *const tls[] = {"--port", "0", "--tls-port", port, "--tls-cert-file", "cert.pem",
            "--tls-key-file", "key.pem", "--tls-ca-cert-file", "ca.pem", "--tls-auth-clients",
            "no"};
        memcpy(arguments + count, tls, sizeof tls);
        count += sizeof tls / sizeof tls[0];
    } else {
        arguments[count++] = "--port";
        arguments[count++] = port;
    }
    for (size_t i = 0; server->arguments[i]; i++)
        arguments[count++] = server->arguments[i];

    if (chdir(server->folder) != 0)
        _exit(126);
    int output = open("redis.log", O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    execvp(arguments[0], (char **)(uintptr_t)arguments);
    _exit(127);
}

/* Over the unix socket, which every server here has: TCP may speak TLS. */
static bool answers(const struct redis_server *server)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", server->socket_path);
    int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char answer[8] = "";
    bool answered = connect(connection, (struct sockaddr *)&address, sizeof address) == 0 &&
                    send(connection, "PING\r\n", 6, MSG_NOSIGNAL) == 6 &&
                    recv(connection, answer, sizeof answer, 0) > 0;
    close(connection);
    return answered && strncmp(answer, "-LOADING", 8) != 0;
}

void redis_server_start(struct redis_server *server)
{
    if (server->port == 0)
        redis_server_prepare(server);
    unlink(server->socket_path); /* of the one that was killed */

    pid_t parent = getpid();
    server->pid = fork();
    assert_true(server->pid >= 0);
    if (server->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(125);
        exec_server(server);
    }
    time_t give_up = time(NULL) + START_SECONDS_MAX;
    while (!answers(server)) {
        if (waitpid(server->pid, NULL, WNOHANG) != 0)
            fail_msg("redis-server ended at once; see %s/redis.log", server->folder);
        if (time(NULL) > give_up)
            fail_msg("redis-server does not answer; see %s/redis.log", server->folder);
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
}

void redis_server_kill(struct redis_server *server)
{
    assert_true(server->pid > 0);
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
}

void redis_server_freeze(struct redis_server *server)
{
    int status = 0;
    kill(server->pid, SIGSTOP);
    assert_int_equal(waitpid(server->pid, &status, WUNTRACED), server->pid);
    assert_true(WIFSTOPPED(status));
}

void redis_server_thaw(struct redis_server *server)
{
    kill(server->pid, SIGCONT);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *position)
{
    (void)status;
    (void)type;
    (void)position;
    return remove(path);
}

void redis_server_end(struct redis_server *server)
{
    if (server->pid > 0)
        redis_server_kill(server);
    if (server->folder[0])
        nftw(server->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}
