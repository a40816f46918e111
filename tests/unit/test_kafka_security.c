/* kafka_security: what errors of librdkafka are about, and what they say in the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/kafka_security.h"

#define BROKER "sasl_ssl://b:9093/bootstrap: "
#define GUESS                                                                                      \
    BROKER "SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker " \
           "certificate could not be verified, verify that ssl.ca.location is correctly "          \
           "configured"

static const struct {
    const char *facility, *text; /* of a line of the log before it; NULL: none */
    rd_kafka_resp_err_t code;
    const char *error;
    enum kafka_security_verdict verdict;
    const char *reason; /* NULL: the error's own text */
} cases[] = {
    {"SSLCERTVRFY",
        "[thrd:b]: " BROKER "Certificate (subject=/CN=b, issuer=/CN=ca) verification callback "
        "failed: hostname mismatch",
        RD_KAFKA_RESP_ERR__SSL, GUESS, KAFKA_SECURITY_TLS,
        BROKER "certificate refused: hostname mismatch (subject=/CN=b, issuer=/CN=ca)"},
    {"SSLCERTVRFY", "[thrd:b]: " BROKER "in other words", RD_KAFKA_RESP_ERR__TRANSPORT,
        BROKER "error:0A000086:SSL routines::certificate verify failed", KAFKA_SECURITY_TLS,
        BROKER "in other words"},
    {"FAIL", "[thrd:b]: " GUESS, RD_KAFKA_RESP_ERR__SSL, GUESS, KAFKA_SECURITY_TLS, NULL},
    /* What was told of a certificate says nothing about another failure. */
    {"SSLCERTVRFY", "[thrd:b]: " BROKER "in other words", RD_KAFKA_RESP_ERR__SSL,
        BROKER "SSL handshake failed: Disconnected", KAFKA_SECURITY_TLS, NULL},
    {NULL, NULL, RD_KAFKA_RESP_ERR__TRANSPORT,
        BROKER "Receive failed: error:0A000412:SSL routines::sslv3 alert bad certificate: SSL "
               "alert number 42",
        KAFKA_SECURITY_TLS, NULL},
    /* A broker that goes away. */
    {NULL, NULL, RD_KAFKA_RESP_ERR__TRANSPORT,
        BROKER "Send failed: SSL transport error: Broken pipe (after 2ms in state UP)",
        KAFKA_SECURITY_WELL, NULL},
    {NULL, NULL, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, "1/1 brokers are down", KAFKA_SECURITY_WELL,
        NULL},
    {NULL, NULL, RD_KAFKA_RESP_ERR__AUTHENTICATION,
        BROKER "Authentication failed: Invalid username or password", KAFKA_SECURITY_LOGIN, NULL},
    {NULL, NULL, RD_KAFKA_RESP_ERR__AUTHENTICATION,
        BROKER "SASL SCRAM-SHA-512 mechanism handshake failed: Broker: Unsupported SASL mechanism",
        KAFKA_SECURITY_LOGIN, NULL},
};

static void test_errors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kafka_security security = {0};
        char reason[KAFKA_REASON_SIZE] = "";
        if (cases[i].facility)
            assert_int_equal(kafka_security_take_log(&security, cases[i].facility, cases[i].text),
                strcmp(cases[i].facility, "SSLCERTVRFY") == 0);
        assert_int_equal(kafka_security_judge(&security, cases[i].code, cases[i].error, reason),
            cases[i].verdict);
        if (cases[i].verdict != KAFKA_SECURITY_WELL)
            assert_string_equal(reason, cases[i].reason ? cases[i].reason : cases[i].error);
    }
}

/* The library cannot know why its SCRAM is refused; we do. */
static void test_scram_of_old(void **state)
{
    (void)state;
    static const char refused[] = BROKER "SASL authentication error: Authentication failed during "
                                         "authentication due to invalid credentials with SASL "
                                         "mechanism SCRAM-SHA-512";
    struct kafka_security security = {0};
    char reason[KAFKA_REASON_SIZE];
    assert_int_equal(
        kafka_security_judge(&security, RD_KAFKA_RESP_ERR__AUTHENTICATION, refused, reason),
        KAFKA_SECURITY_LOGIN);
    assert_int_equal(strstr(reason, "2.6.1") != NULL, rd_kafka_version() < 0x02060100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_scram_of_old),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
