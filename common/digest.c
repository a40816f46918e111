#include "common/digest.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define DIGEST_BYTES 32
#define STAGED_BYTES_MAX 512

struct digest {
    EVP_MD *algorithm; /* fetched once: looking it up costs more than hashing a short text */
    EVP_MD_CTX *context;
    bool begun;
    unsigned char staged[STAGED_BYTES_MAX]; /* small parts gathered: each update has its price */
    size_t staged_size;
};

static struct digest shared;

/* libcrypto has no SHA-256 or no memory: nothing of this process can be right then. */
static void must(bool succeeded)
{
    if (!succeeded)
        abort();
}

struct digest *digest_begin(void)
{
    assert(!shared.begun);
    if (shared.context == NULL) {
        shared.algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
        shared.context = EVP_MD_CTX_new();
        must(shared.algorithm != NULL && shared.context != NULL);
    }
    must(EVP_DigestInit_ex2(shared.context, shared.algorithm, NULL));
    shared.begun = true;
    return &shared;
}

static void flush(struct digest *digest)
{
    must(EVP_DigestUpdate(digest->context, digest->staged, digest->staged_size));
    digest->staged_size = 0;
}

static void add(struct digest *digest, const void *data, size_t size)
{
    if (size > sizeof(digest->staged) - digest->staged_size)
        flush(digest);
    if (size > sizeof(digest->staged)) {
        must(EVP_DigestUpdate(digest->context, data, size));
    } else if (size > 0) {
        memcpy(digest->staged + digest->staged_size, data, size);
        digest->staged_size += size;
    }
}

void digest_part(struct digest *digest, const void *data, size_t size)
{
    /* Eight bytes, big end first; all ones, which no part is long enough
     * for, say that it is absent. */
    uint64_t length = data != NULL ? size : UINT64_MAX;
    unsigned char prefix[8];

    for (int i = 0; i < 8; i++)
        prefix[i] = (unsigned char)(length >> (56 - 8 * i));
    add(digest, prefix, sizeof(prefix));
    if (data != NULL)
        add(digest, data, size);
}

void digest_part_text(struct digest *digest, const char *text)
{
    digest_part(digest, text, text != NULL ? strlen(text) : 0);
}

void digest_end(struct digest *digest, char hex[DIGEST_HEX_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[DIGEST_BYTES];

    assert(digest->begun);
    flush(digest);
    must(EVP_DigestFinal_ex(digest->context, bytes, NULL));
    for (int i = 0; i < DIGEST_BYTES; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[2 * DIGEST_BYTES] = '\0';
    digest->begun = false;
}

void digest_bytes(const void *data, size_t size, char hex[DIGEST_HEX_SIZE])
{
    struct digest *digest = digest_begin();

    add(digest, data, size);
    digest_end(digest, hex);
}

const char *digest_library_version(void)
{
    return OpenSSL_version(OPENSSL_VERSION_STRING);
}
