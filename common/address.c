/* address: see address.h. */
#include "common/address.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#define IPV4(a, b, c, d)                                                                           \
    ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

static enum address_scope scope_of_ipv4(uint32_t address)
{
    static const struct {
        uint32_t network;
        unsigned bits;
    } special[] = {
        {IPV4(0, 0, 0, 0), 8},        /* "this network" */
        {IPV4(10, 0, 0, 0), 8},       /* private */
        {IPV4(100, 64, 0, 0), 10},    /* carrier-grade NAT; a cloud's metadata service, too */
        {IPV4(168, 63, 129, 16), 32}, /* a cloud's host, seen from its virtual machines */
        {IPV4(169, 254, 0, 0), 16},   /* link-local; the other clouds' metadata services */
        {IPV4(172, 16, 0, 0), 12},    /* private */
        {IPV4(192, 0, 0, 0), 24},     /* protocol assignments */
        {IPV4(192, 0, 2, 0), 24},     /* documentation */
        {IPV4(192, 88, 99, 0), 24},   /* relays of 6to4, given up */
        {IPV4(192, 168, 0, 0), 16},   /* private */
        {IPV4(198, 18, 0, 0), 15},    /* benchmarks */
        {IPV4(198, 51, 100, 0), 24},  /* documentation */
        {IPV4(203, 0, 113, 0), 24},   /* documentation */
        {IPV4(224, 0, 0, 0), 4},      /* multicast */
        {IPV4(240, 0, 0, 0), 4},      /* kept for the future; broadcast */
    };

    if (address >> 24 == 127)
        return ADDRESS_LOOPBACK;
    for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++) {
        if (address >> (32 - special[i].bits) == special[i].network >> (32 - special[i].bits))
            return ADDRESS_SPECIAL;
    }
    return ADDRESS_PUBLIC;
}

static uint32_t read_ipv4(const unsigned char *bytes)
{
    return IPV4(bytes[0], bytes[1], bytes[2], bytes[3]);
}

static bool begins_with(const unsigned char *address, const unsigned char *prefix, unsigned bits)
{
    unsigned bytes = bits / 8;
    unsigned rest = bits % 8;

    return memcmp(address, prefix, bytes) == 0 &&
           (rest == 0 || (address[bytes] ^ prefix[bytes]) >> (8 - rest) == 0);
}

/* A Teredo address names its server and, inverted, its client. */
static enum address_scope scope_of_teredo(const unsigned char *address)
{
    enum address_scope server = scope_of_ipv4(read_ipv4(address + 4));
    enum address_scope client = scope_of_ipv4(~read_ipv4(address + 12));

    return server == ADDRESS_PUBLIC ? client : server;
}

static enum address_scope scope_of_ipv6(const unsigned char *address)
{
    static const struct {
        unsigned char prefix[16];
        unsigned bits;
        unsigned ipv4_at;
    } carriers[] = {
        {{[10] = 0xff, 0xff}, 96, 12},      /* ::ffff:a.b.c.d, mapped */
        {{[8] = 0xff, 0xff}, 96, 12},       /* ::ffff:0:a.b.c.d, translated */
        {{0}, 96, 12},                      /* ::a.b.c.d, compatible; :: itself is 0.0.0.0 */
        {{0x00, 0x64, 0xff, 0x9b}, 96, 12}, /* 64:ff9b::a.b.c.d, NAT64 */
        {{0x20, 0x02}, 16, 2},              /* 2002:a.b.c.d::, 6to4 */
    };
    static const unsigned char loopback[16] = {[15] = 1};
    static const unsigned char teredo[4] = {0x20, 0x01};
    static const unsigned char global[1] = {0x20};
    static const struct {
        unsigned char prefix[4];
        unsigned bits;
    } special[] = {
        {{0x20, 0x01, 0x00}, 23},       /* 2001::/23, protocol assignments */
        {{0x20, 0x01, 0x0d, 0xb8}, 32}, /* 2001:db8::/32, documentation */
        {{0x3f, 0xff, 0x00}, 20},       /* 3fff::/20, documentation */
    };

    if (memcmp(address, loopback, sizeof(loopback)) == 0)
        return ADDRESS_LOOPBACK;
    for (size_t i = 0; i < sizeof(carriers) / sizeof(carriers[0]); i++) {
        if (begins_with(address, carriers[i].prefix, carriers[i].bits))
            return scope_of_ipv4(read_ipv4(address + carriers[i].ipv4_at));
    }
    /* All of the internet is here; private, link-local and multicast addresses are not. */
    if (!begins_with(address, global, 3))
        return ADDRESS_SPECIAL;
    if (begins_with(address, teredo, 32))
        return scope_of_teredo(address);
    for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++) {
        if (begins_with(address, special[i].prefix, special[i].bits))
            return ADDRESS_SPECIAL;
    }
    return ADDRESS_PUBLIC;
}

enum address_scope address_scope_of(const struct sockaddr *address)
{
    struct sockaddr_in internet;
    struct sockaddr_in6 internet6;

    switch (address->sa_family) {
    case AF_INET:
        memcpy(&internet, address, sizeof(internet));
        return scope_of_ipv4(ntohl(internet.sin_addr.s_addr));
    case AF_INET6:
        memcpy(&internet6, address, sizeof(internet6));
        return scope_of_ipv6(internet6.sin6_addr.s6_addr);
    default:
        return ADDRESS_SPECIAL;
    }
}
