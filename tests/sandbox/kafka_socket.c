/* kafka_socket: the mock broker on a port of our choice; see kafka_socket.h. */
#include "kafka_socket.h"

#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BACKLOG_MIN 128
#define EXPORTED __attribute__((visibility("default")))

static _Thread_local bool armed;
static _Thread_local struct sockaddr_in wanted;

void kafka_socket_arm(struct in_addr address, in_port_t port)
{
    wanted =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = address};
    armed = true;
}

void kafka_socket_disarm(void)
{
    armed = false;
}

/* The system call itself: asking the dynamic linker for the next bind() would need a lookup that
 * must not happen inside another library's start. */
EXPORTED int bind(int fd, __CONST_SOCKADDR_ARG address, socklen_t size)
{
    const struct sockaddr_in *given = address.__sockaddr_in__;
    bool port_0 = size >= sizeof(*given) && given->sin_family == AF_INET && given->sin_port == 0;
    if (armed && port_0) {
        armed = false;
        return (int)syscall(SYS_bind, fd, &wanted, sizeof(wanted));
    }
    return (int)syscall(SYS_bind, fd, given, size);
}

EXPORTED int listen(int fd, int backlog)
{
    return (int)syscall(SYS_listen, fd, backlog < BACKLOG_MIN ? BACKLOG_MIN : backlog);
}

EXPORTED int accept(int fd, __SOCKADDR_ARG address, socklen_t *restrict size)
{
    int connection = (int)syscall(SYS_accept4, fd, address.__sockaddr__, size, 0);
    int on = 1;
    if (connection >= 0)
        (void)setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return connection;
}
