/* redis_tls: see redis_tls.h. */
#include "common/redis_tls.h"

#include <stdio.h>

#ifdef HAVE_HIREDIS_SSL

#include <arpa/inet.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <hiredis/hiredis_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

struct redis_tls {
    SSL_CTX *context;
    char *host;
    bool host_is_address; /* no server name is sent, and the certificate must hold the address */
};

static bool is_address(const char *host)
{
    struct in6_addr address;
    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

static bool load_authorities(SSL_CTX *context, const char *ca_file)
{
    if (!ca_file)
        return SSL_CTX_set_default_verify_paths(context) == 1;
    return SSL_CTX_load_verify_locations(context, ca_file, NULL) == 1;
}

struct redis_tls *redis_tls_new(
    const char *host, const char *ca_file, char *error, size_t error_size)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context || !load_authorities(context, ca_file)) {
        snprintf(error, error_size,
            "TLS to Redis: the certificate authorities cannot be loaded%s%s",
            ca_file ? " from " : "", ca_file ? ca_file : "");
        SSL_CTX_free(context);
        ERR_clear_error();
        return NULL;
    }
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    /* With no renegotiation a write never has to wait for a read. */
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);

    struct redis_tls *tls = memory_new(sizeof *tls);
    tls->context = context;
    tls->host = memory_copy_text(host);
    tls->host_is_address = is_address(host);
    return tls;
}

void redis_tls_free(struct redis_tls *tls)
{
    if (!tls)
        return;
    SSL_CTX_free(tls->context);
    free(tls->host);
    free(tls);
}

static bool expect_host(const struct redis_tls *tls, SSL *session)
{
    if (tls->host_is_address)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), tls->host) == 1;
    SSL_set_hostflags(session, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set_tlsext_host_name(session, tls->host) == 1 &&
           SSL_set1_host(session, tls->host) == 1;
}

struct ssl_st *redis_tls_start(
    struct redis_tls *tls, struct redisContext *context, char *error, size_t error_size)
{
    SSL *session = SSL_new(tls->context);
    if (!session || !expect_host(tls, session)) {
        snprintf(error, error_size, "TLS: no session for this host name");
        SSL_free(session);
        ERR_clear_error();
        return NULL;
    }
    if (redisInitiateSSL(context, session) != REDIS_OK) {
        long verified = SSL_get_verify_result(session);
        snprintf(error, error_size, "TLS: %s",
            verified != X509_V_OK ? X509_verify_cert_error_string(verified) : context->errstr);
        SSL_free(session); /* hiredis takes it over only when it succeeds */
        ERR_clear_error();
        return NULL;
    }
    return session;
}

static void describe_failure(
    SSL *session, int problem, int error_number, char *error, size_t error_size)
{
    long verified = SSL_get_verify_result(session);
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    if (verified != X509_V_OK)
        reason = X509_verify_cert_error_string(verified);
    else if (problem == SSL_ERROR_SYSCALL && error_number != 0)
        reason = strerror(error_number);
    snprintf(error, error_size, "TLS: %s", reason ? reason : "the server closed the connection");
}

enum redis_tls_step redis_tls_handshake(struct ssl_st *session, char *error, size_t error_size)
{
    ERR_clear_error();
    errno = 0;
    int done = SSL_do_handshake(session);
    int error_number = errno;
    if (done == 1)
        return REDIS_TLS_DONE;
    int problem = SSL_get_error(session, done);
    if (problem == SSL_ERROR_WANT_READ)
        return REDIS_TLS_WANTS_READ;
    if (problem == SSL_ERROR_WANT_WRITE)
        return REDIS_TLS_WANTS_WRITE;
    describe_failure(session, problem, error_number, error, error_size);
    ERR_clear_error();
    return REDIS_TLS_FAILED;
}

#else

struct redis_tls *redis_tls_new(
    const char *host, const char *ca_file, char *error, size_t error_size)
{
    (void)host;
    (void)ca_file;
    snprintf(error, error_size,
        "rediss:// (TLS to Redis) is not in this build: it needs hiredis 1.0 or newer with its TLS "
        "library");
    return NULL;
}

void redis_tls_free(struct redis_tls *tls)
{
    (void)tls;
}

struct ssl_st *redis_tls_start(
    struct redis_tls *tls, struct redisContext *context, char *error, size_t error_size)
{
    (void)tls;
    (void)context;
    snprintf(error, error_size, "no TLS in this build");
    return NULL;
}

enum redis_tls_step redis_tls_handshake(struct ssl_st *session, char *error, size_t error_size)
{
    (void)session;
    snprintf(error, error_size, "no TLS in this build");
    return REDIS_TLS_FAILED;
}

#endif
