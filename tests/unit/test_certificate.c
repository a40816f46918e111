/* certificate: files that could vouch for a server, and such as could not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/certificate.h"

/* Self-signed; its key was thrown away. */
#define CERTIFICATE                                                                                \
    "-----BEGIN CERTIFICATE-----\n"                                                                \
    "MIIBkTCCATegAwIBAgIUZh7/AIm797aaHfFBXbEktI50mSEwCgYIKoZIzj0EAwIw\n"                           \
    "HTEbMBkGA1UEAwwSdGVycmEtY29ubmVjdC10ZXN0MCAXDTI2MTEyNzAwMzc1NloY\n"                           \
    "DzIxMjYxMTAzMDAzNzU2WjAdMRswGQYDVQQDDBJ0ZXJyYS1jb25uZWN0LXRlc3Qw\n"                           \
    "WTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQB7ZGNIawOHk86zSlJao085X8yG+y6\n"                           \
    "HebW5U3WRvw3R7Q6zMBxzMZlQ8JIX7/MDUBveY/0pd1Zg7cDTaJVZA+Ao1MwUTAd\n"                           \
    "BgNVHQ4EFgQUqP+kaHLo0MjPNNdAvO4dTB2DEpIwHwYDVR0jBBgwFoAUqP+kaHLo\n"                           \
    "0MjPNNdAvO4dTB2DEpIwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBF\n"                           \
    "AiEAx/vwzR8Otpc4gE61FYnSt/39qQ8kSNP6umQ+9/O8bUUCIFtSkRR9Oh0tQwsl\n"                           \
    "x6fTWSVNEr8fk6ac/ceUqRy6HX2s\n"                                                               \
    "-----END CERTIFICATE-----\n"

static const struct {
    const char *content; /* NULL: there is no file */
    const char *error;   /* NULL: it can be used */
} files[] = {
    {CERTIFICATE, NULL},
    {"# ours\n" CERTIFICATE CERTIFICATE, NULL},
    {"", "no certificate"},
    {"# ours\n", "no certificate"},
    {"-----BEGIN CERTIFICATE-----\nMIIBkTCC\n-----END CERTIFICATE-----\n", "no certificate"},
    {NULL, "No such file"},
};

static void test_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[] = "/tmp/terra-connect-XXXXXX", error[128] = "";
        int descriptor = mkstemp(path);
        assert_true(descriptor >= 0);
        FILE *file = fdopen(descriptor, "w");
        fputs(files[i].content ? files[i].content : "", file);
        fclose(file);
        if (!files[i].content)
            unlink(path);
        bool usable = certificate_file_usable(path, error, sizeof error);
        unlink(path);
        if (usable != !files[i].error || (!usable && !strstr(error, files[i].error)))
            fail_msg("file %zu: %d %s", i, usable, error);
    }
    char error[128];
    assert_false(certificate_file_usable("/", error, sizeof error));
}

static void test_problems(void **state)
{
    (void)state;
    assert_string_equal(certificate_problem(10), "certificate has expired");
    assert_string_equal(certificate_problem(62), "hostname mismatch");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_problems),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
