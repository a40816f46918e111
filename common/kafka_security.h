/*
 * kafka_security: why TLS or the login with a broker fails, in words that help. Private to the
 * kafka_*.c files.
 *
 * librdkafka says of every certificate that it refuses that ssl.ca.location may be wrong, also when
 * the certificate has expired or is another host's. OpenSSL knows better: it is asked while it
 * looks at the certificate, what it says comes by a line of the library's log, and takes the place
 * of the guess in the error that follows.
 */
#ifndef COMMON_KAFKA_SECURITY_H
#define COMMON_KAFKA_SECURITY_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>

#define KAFKA_REASON_SIZE 384

enum kafka_security_verdict {
    KAFKA_SECURITY_WELL,  /* the error is of another kind */
    KAFKA_SECURITY_TLS,   /* certificates, ours or the broker's; one side speaks no TLS */
    KAFKA_SECURITY_LOGIN, /* SASL */
};

/* {0} knows nothing. */
struct kafka_security {
    char refusal[KAFKA_REASON_SIZE]; /* of a certificate, as told last; "": none */
};

/* Before the handle is made. */
void kafka_security_prepare(rd_kafka_conf_t *conf);

/* True for a line of the library's log that says why a certificate was refused. */
bool kafka_security_take_log(
    struct kafka_security *security, const char *facility, const char *text);

/* What an error of the library is about. The reason is the library's text, or says more than it;
 * not with KAFKA_SECURITY_WELL. */
enum kafka_security_verdict kafka_security_judge(struct kafka_security *security,
    rd_kafka_resp_err_t code, const char *text, char reason[KAFKA_REASON_SIZE]);

#endif
