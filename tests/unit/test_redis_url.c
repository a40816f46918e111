/* redis_url: what is read from a URL, and what is refused without a word of the password. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/redis_url.h"
#include "common/text.h"

struct good_case {
    const char *text;
    bool tls;
    const char *socket_path, *host;
    int port;
    const char *user, *password;
    int database;
    const char *label;
};

static const struct good_case good_cases[] = {
    {"redis://cache", false, NULL, "cache", 6379, NULL, NULL, 0, "cache:6379"},
    {"redis://cache/", false, NULL, "cache", 6379, NULL, NULL, 0, "cache:6379"},
    {"REDIS://cache.example:7000/15", false, NULL, "cache.example", 7000, NULL, NULL, 15,
        "cache.example:7000"},
    {"rediss://cache", true, NULL, "cache", 6379, NULL, NULL, 0, "cache:6379"},
    {"redis://:pass@cache", false, NULL, "cache", 6379, NULL, "pass", 0, "cache:6379"},
    {"redis://ann:pass@cache:1", false, NULL, "cache", 1, "ann", "pass", 0, "cache:1"},
    {"redis://ann:@cache", false, NULL, "cache", 6379, "ann", "", 0, "cache:6379"},
    {"redis://:@cache", false, NULL, "cache", 6379, NULL, NULL, 0, "cache:6379"},
    {"redis://a%40b:p%2f%3A%25%c3%A4@cache", false, NULL, "cache", 6379, "a@b", "p/:%\xc3\xa4", 0,
        "cache:6379"},
    {"redis://:p@ss:w@cache", false, NULL, "cache", 6379, NULL, "p@ss:w", 0, "cache:6379"},
    {"redis://[::1]:7000/2", false, NULL, "::1", 7000, NULL, NULL, 2, "[::1]:7000"},
    {"redis://[fe80::1%eth0]", false, NULL, "fe80::1%eth0", 6379, NULL, NULL, 0,
        "[fe80::1%eth0]:6379"},
    {"unix:///run/redis.sock", false, "/run/redis.sock", NULL, 0, NULL, NULL, 0, "/run/redis.sock"},
    {"unix:///run/a%20b?db=3", false, "/run/a b", NULL, 0, NULL, NULL, 3, "/run/a b"},
    {"unix://:pass@/run/redis.sock", false, "/run/redis.sock", NULL, 0, NULL, "pass", 0,
        "/run/redis.sock"},
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good_cases / sizeof good_cases[0]; i++) {
        const struct good_case *good = &good_cases[i];
        struct redis_url url;
        char error[256] = "";
        if (redis_url_parse(good->text, &url, error, sizeof error) != RESULT_OK)
            fail_msg("%s: %s", good->text, error);
        bool same = url.tls == good->tls && text_equal(url.socket_path, good->socket_path) &&
                    text_equal(url.host, good->host) && url.port == good->port &&
                    text_equal(url.user, good->user) && text_equal(url.password, good->password) &&
                    url.database == good->database && text_equal(url.label, good->label);
        if (!same)
            fail_msg("%s was read otherwise", good->text);
        redis_url_release(&url);
    }
}

struct bad_case {
    const char *text;
    const char *hint; /* is in the message */
};

static const struct bad_case bad_cases[] = {
    {"", "begins with"},
    {"cache:6379", "begins with"},
    {"http://cache", "begins with"},
    {"redis:cache", "begins with"},
    {"redis://", "host"},
    {"redis://:s3cr3t@", "host"},
    {"redis:///0", "host"},
    {"redis://ca che", "blanks"},
    {"redis://cache\n", "blanks"},
    {"redis://c\xc3\xa4"
     "che",
        "ASCII"},
    {"redis://cache:", "port"},
    {"redis://cache:0", "port"},
    {"redis://cache:65536", "port"},
    {"redis://cache:+80", "port"},
    {"redis://cache:99999999999999999999", "port"},
    {"redis://cache/x", "database"},
    {"redis://cache/-1", "database"},
    {"redis://cache/1/2", "database"},
    {"redis://cache/1000000", "database"},
    {"redis://cache?db=1", "not known"},
    {"redis://s3cr3t@cache", "user:password@"},
    {"redis://ann:s3cr3t%@cache", "escape"},
    {"redis://ann:s3cr3t%4@cache", "escape"},
    {"redis://ann:s3cr3t%zz@cache", "escape"},
    {"redis://ann:s3cr3t%00@cache", "escape"},
    {"redis://ann:s3cr3t/x@cache", "%2F"},
    {"redis://ann:s3cr3t?x@cache", "%3F"},
    {"redis://ann:s3cr3t#x@cache", "%23"},
    {"redis://[::1", "brackets"},
    {"redis://[cache]", "brackets"},
    {"redis://[::1]7000", "port"},
    {"redis://::1", "host"},
    {"unix://", "path"},
    {"unix:///", "path"},
    {"unix://run/redis.sock", "slash"},
    {"unix:///run/redis.sock?database=1", "?db=n"},
    {"unix:///run/redis.sock?db=", "database"},
    {"unix:///run/%zz", "escape"},
    {"unix:///0123456789012345678901234567890123456789012345678901234567890123456789"
     "0123456789012345678901234567890123456789",
        "too long"},
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_cases / sizeof bad_cases[0]; i++) {
        struct redis_url url;
        char error[256] = "";
        if (redis_url_parse(bad_cases[i].text, &url, error, sizeof error) != RESULT_REJECT)
            fail_msg("\"%s\" was accepted", bad_cases[i].text);
        if (!strstr(error, bad_cases[i].hint))
            fail_msg(
                "\"%s\": \"%s\" says nothing of %s", bad_cases[i].text, error, bad_cases[i].hint);
        assert_null(strstr(error, "s3cr3t"));
        assert_null(url.password);
    }
}

static void test_too_long(void **state)
{
    (void)state;
    char text[REDIS_URL_BYTES_MAX + 2], error[256];
    struct redis_url url;
    memset(text, 'a', sizeof text);
    memcpy(text, "redis://", 8);
    text[sizeof text - 1] = '\0';
    assert_int_equal(redis_url_parse(text, &url, error, sizeof error), RESULT_REJECT);
    assert_non_null(strstr(error, "too long"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
