/*
 * address: whose an IP address is, by IANA's registries of special addresses. Pure.
 *
 * For a program that connects to where others say, all but ADDRESS_PUBLIC leads behind the
 * firewall: private and shared networks, link-local ones with their metadata services, multicast,
 * and what is kept for documentation, benchmarks and the future.
 *
 * An IPv6 address that carries an IPv4 one (mapped, compatible, translated, 6to4, Teredo) reaches
 * no further than that does.
 */
#ifndef COMMON_ADDRESS_H
#define COMMON_ADDRESS_H

#include <sys/socket.h>

enum address_scope {
    ADDRESS_PUBLIC,
    ADDRESS_LOOPBACK, /* this machine */
    ADDRESS_SPECIAL,  /* any other, and what is neither IPv4 nor IPv6 */
};

enum address_scope address_scope_of(const struct sockaddr *address);

#endif
