/* address: the edges of every range, and IPv4 addresses in all their IPv6 clothes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <sys/un.h>

#include "common/address.h"

static enum address_scope scope_of(const char *text)
{
    struct sockaddr_storage storage = {0};
    struct sockaddr_in *internet = (void *)&storage;
    struct sockaddr_in6 *internet6 = (void *)&storage;

    if (inet_pton(AF_INET, text, &internet->sin_addr) == 1) {
        storage.ss_family = AF_INET;
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &internet6->sin6_addr), 1);
        storage.ss_family = AF_INET6;
    }
    return address_scope_of((const struct sockaddr *)&storage);
}

static void check(enum address_scope expected, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (scope_of(texts[i]) != expected)
            fail_msg("%s: %d, not %d", texts[i], scope_of(texts[i]), expected);
    }
}

#define CHECK(expected, texts) check(expected, texts, sizeof(texts) / sizeof((texts)[0]))

static void test_public(void **state)
{
    static const char *const texts[] = {"1.0.0.0", "9.255.255.255", "11.0.0.0", "52.218.0.1",
        "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0", "168.63.129.15",
        "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0",
        "191.255.255.255", "192.0.1.0", "192.0.3.0", "192.88.98.255", "192.88.100.0",
        "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "198.51.99.255",
        "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255", "2a00:1450:4001::1",
        "2600:1f00::1", "2001:200::", "2001:db7:ffff::", "2001:db9::", "3ffe:ffff::", "3fff:1000::",
        "::ffff:52.218.0.1", "::52.218.0.1", "64:ff9b::52.218.0.1", "2002:34da:1::1",
        "2001:0:34da:1:0:0:cb25:fffe" /* Teredo: 52.218.0.1 and 52.218.0.1 */};

    (void)state;
    CHECK(ADDRESS_PUBLIC, texts);
}

static void test_loopback(void **state)
{
    static const char *const texts[] = {"127.0.0.0", "127.0.0.1", "127.255.255.255", "::1",
        "::ffff:127.0.0.1", "::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1",
        "2002:7f00:1::", "2001:0:34da:1:0:0:80ff:fffe" /* Teredo: client 127.0.0.1 */,
        "2001:0:7f00:1:0:0:cb25:fffe" /* server 127.0.0.1 */};

    (void)state;
    CHECK(ADDRESS_LOOPBACK, texts);
}

static void test_special(void **state)
{
    static const char *const texts[] = {"0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255",
        "100.64.0.0", "100.100.100.200", "100.127.255.255", "168.63.129.16", "169.254.0.0",
        "169.254.169.254", "169.254.255.255", "172.16.0.0", "172.31.255.255", "192.0.0.0",
        "192.0.0.255", "192.0.2.0", "192.0.2.255", "192.88.99.1", "192.168.0.0", "192.168.255.255",
        "198.18.0.0", "198.19.255.255", "198.51.100.0", "198.51.100.255", "203.0.113.0",
        "203.0.113.255", "224.0.0.0", "239.255.255.255", "240.0.0.0", "255.255.255.255",
        /* IPv6 */
        "::", "::2", "100::1", "64:ff9b:1::1",
        "1fff:ffff::", "4000::", "5f00::", "fc00::", "fd00:ec2::254", "fdff::", "fe80::1",
        "febf::", "fec0::1", "ff02::1", "ffff::", "2001:db8::", "2001:db8:ffff::1", "2001:2::1",
        "2001:10::1", "2001:1ff:ffff::", "3fff::", "3fff:fff::",
        /* carriers */
        "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0.0.0.0", "::169.254.169.254",
        "::ffff:0:192.168.0.1", "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::1",
        "2002:a00:1::", "2001:0:34da:1:0:0:5601:5601" /* Teredo: client 169.254.169.254 */,
        "2001:0:a00:1:0:0:cb25:fffe" /* server 10.0.0.1 */};

    (void)state;
    CHECK(ADDRESS_SPECIAL, texts);
}

static void test_other_families(void **state)
{
    const struct sockaddr_un local = {.sun_family = AF_UNIX, .sun_path = "/run/x"};
    const struct sockaddr none = {.sa_family = AF_UNSPEC};

    (void)state;
    assert_int_equal(address_scope_of((const struct sockaddr *)&local), ADDRESS_SPECIAL);
    assert_int_equal(address_scope_of(&none), ADDRESS_SPECIAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_public),
        cmocka_unit_test(test_loopback),
        cmocka_unit_test(test_special),
        cmocka_unit_test(test_other_families),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
