/*
 * kafka_socket: lets librdkafka's mock broker listen on a port and address of our choice.
 *
 * The mock cluster has no setting for it: it binds to 127.0.0.1, port 0, keeps a backlog of 5, and
 * leaves Nagle's algorithm on, which stalls small answers by 40 ms. So this program has bind(),
 * listen() and accept() of its own, which the dynamic linker prefers for the whole process. They
 * change nothing for anyone but:
 *  - the next bind() to port 0 after kafka_socket_arm, on the same thread, goes to that address;
 *  - no listener gets a backlog below 128;
 *  - every TCP connection that accept() yields has TCP_NODELAY.
 */
#ifndef SANDBOX_KAFKA_SOCKET_H
#define SANDBOX_KAFKA_SOCKET_H

#include <netinet/in.h>

void kafka_socket_arm(struct in_addr address, in_port_t port); /* port in host order; 0: any */
void kafka_socket_disarm(void);

#endif
