/*
 * request_field: what may stand in a connect request, field by field. Pure.
 *
 * One table for those who read such fields: connect_request (the request itself) and environment
 * (request_defaults, which are checked when they are loaded, so that no request fails on them).
 * The fields and their limits are listed in connect_request.h, in the same order.
 *
 * A message says which field, what is expected and what was found. Of the sender's own text it
 * shows REQUEST_FIELD_SHOWN_MAX bytes at most, and those only when all of it is printable ASCII.
 */
#ifndef WORKER_REQUEST_FIELD_H
#define WORKER_REQUEST_FIELD_H

#include <stdbool.h>
#include <stddef.h>

#include "common/json.h"

#define REQUEST_ID_BYTES_MAX 256
#define ENVIRONMENT_NAME_BYTES_MAX 64
#define PROVIDER_BYTES_MAX 40
#define PROVIDERS_MAX 100
#define LANGUAGE_BYTES_MAX 8
#define TIMEOUT_SECONDS_MAX 3600
#define REQUEST_FIELD_SHOWN_MAX 40
#define REQUEST_FIELD_MESSAGE_SIZE 320

enum request_field_id {
    FIELD_REQUEST_ID,
    FIELD_REFERENCE_ID,
    FIELD_ENVIRONMENT,
    FIELD_ACTION,
    FIELD_TIMEOUT_SECONDS,
    FIELD_PROVIDER,
    FIELD_PROVIDERS,
    FIELD_LANGUAGE,
    FIELD_SUCCESS_URL,
    FIELD_FAILURE_URL,
    FIELD_SHOW_DISCONNECT,
    FIELD_MULTI_AUTH,
    FIELD_BYPASS_FEEDBACK,
    FIELD_USE_TERRA_AVENGERS_APP,
    FIELD_CONNECTED_UIDS,
    FIELD_APPLE_APP_URL,
    FIELD_SAMSUNG_APP_URL,
    FIELD_SDK_APP,
    REQUEST_FIELD_COUNT
};

/* The two kinds of link; a field serves one or both. */
enum request_link { REQUEST_WIDGET = 1, REQUEST_PROVIDER = 2 };

/* A field's value once it passed; the field says which member. Borrowed from the tree. */
struct request_field_value {
    const char *text;
    const json_value *array;
    double number;
    bool boolean;
};

bool request_field_is_null(const json_value *value);
const char *request_field_name(enum request_field_id id);
bool request_field_serves(enum request_field_id id, enum request_link link);

/* True when it stands in the object, not as null, and is as it should be. */
bool request_field_get(const json_value *object, enum request_field_id id,
    struct request_field_value *value, char message[REQUEST_FIELD_MESSAGE_SIZE]);

/* The message for what only the caller can judge; `found` follows "but ". */
void request_field_refuse(
    enum request_field_id id, const char *found, char message[REQUEST_FIELD_MESSAGE_SIZE]);

/* False: no such field. */
bool request_field_find(const char *name, enum request_field_id *id);
/* The known name that was perhaps meant, or NULL. */
const char *request_field_nearest(const char *name);

/* All of an environment's request_defaults: known optional fields, each as it should be. What names
 * one request (request_id, reference_id, environment, action) cannot have a default. */
bool request_field_check_defaults(
    const json_value *defaults, char message[REQUEST_FIELD_MESSAGE_SIZE]);

/* A name that an environment may have. */
bool request_field_is_environment(const char *name);
/* Terra's magic success URL, which turns on multi_auth. */
bool request_field_is_multi_auth(const char *success_url);

/* The provider in upper case; false when it is none. */
bool request_field_provider(const char *text, char upper[PROVIDER_BYTES_MAX + 1]);
/* zh-CN to zh_cn; false when it is no language. */
bool request_field_language(const char *text, char lower[LANGUAGE_BYTES_MAX + 1]);

/* A sender's text as a message may show it: quoted, cut with "…", or
 * "text that cannot be shown". */
#define REQUEST_FIELD_SHOWN_SIZE (REQUEST_FIELD_SHOWN_MAX + 8)
const char *request_field_shown(const char *text, char shown[REQUEST_FIELD_SHOWN_SIZE]);

#endif
