/* certificate: see certificate.h. */
#include "common/certificate.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <string.h>

const char *certificate_problem(long code)
{
    return X509_verify_cert_error_string(code);
}

/* Of the first thing that went wrong: what comes after it is less to the point. */
static void describe_error(char *error, size_t error_size)
{
    unsigned long code = ERR_peek_error();
    const char *reason = ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : NULL;
    snprintf(error, error_size, "%s", reason ? reason : "it holds no certificate in PEM form");
}

bool certificate_file_usable(const char *path, char *error, size_t error_size)
{
    ERR_clear_error();
    X509_STORE *store = X509_STORE_new();
    bool usable = store && X509_STORE_load_locations(store, path, NULL) == 1;
    if (!usable)
        describe_error(error, error_size);
    X509_STORE_free(store);
    ERR_clear_error();
    return usable;
}
