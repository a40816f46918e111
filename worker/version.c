/* version: see version.h. */
#include "worker/version.h"

#include <uv.h>

#include "common/digest.h"
#include "common/http_client.h"
#include "common/http_server.h"
#include "common/json.h"
#include "common/kafka_producer.h"
#include "common/redis_client.h"

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

static const struct {
    const char *name;
    const char *(*version)(void);
} libraries[] = {
    {"librdkafka", kafka_library_version},
    {"libcurl", http_client_library_version},
    {"hiredis", redis_library_version},
    {"libuv", uv_version_string},
    {"libmicrohttpd", http_server_library_version},
    {"cJSON", json_library_version},
    {"OpenSSL", digest_library_version},
};

void version_print(FILE *stream)
{
    fprintf(stream, "terra-connect %s\n", TERRA_CONNECT_VERSION);
    /* Only who builds for others says which commit it is: a build tree does not notice by itself
     * that it has moved on. */
    if (sizeof BUILD_COMMIT > 1)
        fprintf(stream, "commit %s\n", BUILD_COMMIT);
    fprintf(stream, "built as %s by %s\n", BUILD_TYPE, COMPILER);
    for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++)
        fprintf(stream, "%s %s\n", libraries[i].name, libraries[i].version());
}
