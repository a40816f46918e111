/*
 * fuzz_connect_request: any bytes as a request record; behind the first NUL byte stands the
 * correlation header. Whatever comes, there is a request or an error in words.
 */
#include "common/utf8.h"
#include "fuzz.h"
#include "worker/connect_request.h"

static struct environments environments;

static void set_up(void)
{
    static const struct environment_defaults defaults = {.base_url = "https://terra.example/api"};
    static const char json[] =
        "{\"staging\": {\"dev_id\": \"d\", \"api_key\": \"k\", \"request_defaults\":"
        " {\"language\": \"fr-FR\", \"providers\": [\"oura\"], \"connected_uids\": [\"x\"]}}}";
    char error[ENVIRONMENT_ERROR_SIZE];
    environments_init(&environments);
    require(environments_add(&environments, "default", "d", "k", &defaults, error) == RESULT_OK &&
            environments_add_json(&environments, json, strlen(json), &defaults, NULL, error) ==
                RESULT_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!environments.count)
        set_up();
    size_t value_size = text_size_of(data, size);
    const struct connect_request_rules rules = {
        .environments = &environments,
        .default_timeout_us = 1000000,
    };
    const struct connect_request_source source = {
        .topic = "t",
        .value = data,
        .value_size = value_size,
        .correlation = value_size < size ? data + value_size + 1 : NULL,
        .correlation_size = value_size < size ? size - value_size - 1 : 0,
    };
    struct connect_request request;
    struct connect_error error;
    char digest[DIGEST_HEX_SIZE];
    bool decoded = connect_request_decode(&request, &source, &rules, &error);
    require(request.request_id && request.request_id[0] && request.environment);
    require(strlen(request.request_id) <= CONNECT_ID_BYTES_MAX);
    if (decoded)
        connect_request_digest(&request, digest);
    else
        require(error.message[0] && utf8_valid(error.message, strlen(error.message)));
    connect_request_release(&request);
    return 0;
}
