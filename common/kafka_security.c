/* kafka_security: see kafka_security.h. */
#include "common/kafka_security.h"

#include <stdio.h>
#include <string.h>

#include "common/certificate.h"
#include "common/text.h"

/* Brokers of Kafka 4 refuse the SCRAM of older ones, with the words for a wrong password. */
#define SCRAM_VERSION_LEAST 0x02060100

/* ---- certificates ---- */

/* For each certificate of the chain, on a thread of the library's. What OpenSSL is content with
 * stays so; the text of the other ones goes into the library's log. */
static int on_certificate(rd_kafka_t *handle, const char *broker, int32_t broker_id, int *problem,
    int depth, const char *certificate, size_t certificate_size, char *text, size_t text_size,
    void *opaque)
{
    (void)handle;
    (void)broker;
    (void)broker_id;
    (void)depth;
    (void)certificate;
    (void)certificate_size;
    (void)opaque;
    if (*problem == 0)
        return 1;
    snprintf(text, text_size, "%s", certificate_problem(*problem));
    return 0;
}

/* With enable.ssl.certificate.verification=false every certificate is good. */
static bool looks_at_certificates(const rd_kafka_conf_t *conf)
{
    char value[8];
    size_t size = sizeof value;
    return rd_kafka_conf_get(conf, "enable.ssl.certificate.verification", value, &size) !=
               RD_KAFKA_CONF_OK ||
           text_equal(value, "true");
}

void kafka_security_prepare(rd_kafka_conf_t *conf)
{
    /* A library without TLS refuses it, and needs none. */
    if (looks_at_certificates(conf))
        rd_kafka_conf_set_ssl_cert_verify_cb(conf, on_certificate);
}

/* "[thread]: broker: Certificate (names) verification callback failed: problem" */
bool kafka_security_take_log(
    struct kafka_security *security, const char *facility, const char *text)
{
    static const char before_names[] = ": Certificate (", before_problem[] = ") verification ";
    if (!text_equal(facility, "SSLCERTVRFY"))
        return false;
    const char *broker = strstr(text, "]: ");
    broker = broker ? broker + strlen("]: ") : text;
    const char *names = strstr(broker, before_names);
    const char *names_end = names ? strstr(names, before_problem) : NULL;
    const char *problem = names_end ? strstr(names_end, ": ") : NULL;
    /* The names may be long: last. */
    if (problem)
        snprintf(security->refusal, sizeof security->refusal,
            "%.*s: certificate refused: %s (%.*s)", (int)(names - broker), broker,
            problem + strlen(": "), (int)(names_end - names - strlen(before_names)),
            names + strlen(before_names));
    else
        snprintf(security->refusal, sizeof security->refusal, "%s", broker);
    return true;
}

/* ---- errors ---- */

static bool is_login(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__AUTHENTICATION ||
           code == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM;
}

/* The library calls some of them a lost connection, since this is what they end in: a peer that
 * hangs up in the middle of the handshake, or refuses our certificate when it is over. */
static bool is_tls(rd_kafka_resp_err_t code, const char *text)
{
    return code == RD_KAFKA_RESP_ERR__SSL || strstr(text, "SSL handshake failed") ||
           strstr(text, "certificate verify failed") || strstr(text, "SSL alert number");
}

static const char *hint_about_login(const char *text)
{
    bool scram_refused = strstr(text, "SCRAM") && strstr(text, "invalid credentials");
    return scram_refused && rd_kafka_version() < SCRAM_VERSION_LEAST
               ? "; if the password is right: brokers of Kafka 4 refuse SCRAM by a librdkafka "
                 "older "
                 "than 2.6.1, so use a newer one or another mechanism"
               : "";
}

enum kafka_security_verdict kafka_security_judge(struct kafka_security *security,
    rd_kafka_resp_err_t code, const char *text, char reason[KAFKA_REASON_SIZE])
{
    if (is_login(code)) {
        snprintf(reason, KAFKA_REASON_SIZE, "%s%s", text, hint_about_login(text));
        return KAFKA_SECURITY_LOGIN;
    }
    if (!is_tls(code, text))
        return KAFKA_SECURITY_WELL;
    bool told = security->refusal[0] && strstr(text, "certificate verify failed");
    snprintf(reason, KAFKA_REASON_SIZE, "%s", told ? security->refusal : text);
    return KAFKA_SECURITY_TLS;
}
