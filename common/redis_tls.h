/*
 * redis_tls: TLS to a Redis, where hiredis has it (HAVE_HIREDIS_SSL);
 * redis_tls_new says so elsewhere.
 *
 * hiredis sends the server's name but does not compare it with the certificate, so the session is
 * made here: TLS 1.2 or newer, the chain verified, and the name (or address) checked.
 */
#ifndef COMMON_REDIS_TLS_H
#define COMMON_REDIS_TLS_H

#include <stdbool.h>
#include <stddef.h>

struct redisContext;
struct redis_tls; /* what all connections of one client share: the authorities and the name */
struct ssl_st;    /* OpenSSL's session; belongs to the redisContext it was started on */

enum redis_tls_step {
    REDIS_TLS_DONE,
    REDIS_TLS_WANTS_READ,
    REDIS_TLS_WANTS_WRITE,
    REDIS_TLS_FAILED
};

/* ca_file: NULL for the system's. NULL with a message when there is no TLS
 * or the file is of no use. */
struct redis_tls *redis_tls_new(
    const char *host, const char *ca_file, char *error, size_t error_size);
void redis_tls_free(struct redis_tls *tls); /* NULL is fine */

/* Begins on a connected, non-blocking context, and goes as far as what has come allows, be it to
 * the end. NULL with a message when the handshake has failed by then. */
struct ssl_st *redis_tls_start(
    struct redis_tls *tls, struct redisContext *context, char *error, size_t error_size);
/* Goes on with the handshake; the message is for REDIS_TLS_FAILED. */
enum redis_tls_step redis_tls_handshake(struct ssl_st *session, char *error, size_t error_size);

#endif
