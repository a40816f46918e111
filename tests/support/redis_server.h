/*
 * redis_server: a real redis-server for a test, in a temporary folder of its own, on a free
 * loopback port and a unix socket. It dies with the test. What goes wrong fails the test.
 */
#ifndef TESTS_SUPPORT_REDIS_SERVER_H
#define TESTS_SUPPORT_REDIS_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

#define REDIS_SERVER_ARGUMENTS_MAX 12

struct redis_server {
    int port; /* 0 before the first start */
    char folder[64];
    char socket_path[96];
    /* Set before redis_server_start: further arguments, such as "--requirepass",
     * "secret"; NULL at the end. */
    const char *arguments[REDIS_SERVER_ARGUMENTS_MAX + 1];
    /* The port speaks TLS, with a certificate for "localhost" signed by <folder>/ca.pem. */
    bool tls;

    pid_t pid; /* 0: not running */
};

/* Takes a port and a folder, and starts nothing: for a server that is not there yet. */
void redis_server_prepare(struct redis_server *server);
/* Returns when the server answers. Again after redis_server_kill: the same port. */
void redis_server_start(struct redis_server *server);

void redis_server_kill(struct redis_server *server);   /* SIGKILL, and waits until it is gone */
void redis_server_freeze(struct redis_server *server); /* SIGSTOP */
void redis_server_thaw(struct redis_server *server);   /* SIGCONT */

/* Kills it and removes the folder. Also for one that was only prepared. */
void redis_server_end(struct redis_server *server);

#endif
