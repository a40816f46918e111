/*
 * environment: the Terra credentials a worker has, by name, and what goes with each. Pure.
 *
 * The default environment comes from the settings, further ones from the JSON of
 * TERRA_ENVIRONMENTS_FILE:
 *
 *   {"staging": {"dev_id": "acme-staging-…", "api_key": "…"},
 *    "backoffice": {"dev_id": "…", "api_key_file": "/run/secrets/terra",
 *                   "rate_limit": "5/s", "rate_burst": 5, "base_url": "https://…/api",
 *                   "request_defaults": {"language": "fr"}}}
 *
 * An unknown field in the file is refused: a slip in "rate_limit" would mean another limit,
 * silently. Of api_key and api_key_file there is exactly one. request_defaults hold optional fields
 * of a connect request and are checked here, so that no request fails on them; redirect URLs in
 * them are the operator's word (https or an app deep link) and are not held against
 * REDIRECT_URLS_ALLOWED.
 *
 * Invariants: names are unique, 1 to 64 characters of A-Z a-z 0-9 . _ -; dev_id and key are
 * non-empty and printable ASCII without blanks; all URLs are absolute, https (http only to loopback
 * hosts, unless allowed), without userinfo, query and fragment. Environments are only ever added,
 * and pointers into the list live as long as it does; a key may be replaced (environments_set_key).
 */
#ifndef WORKER_ENVIRONMENT_H
#define WORKER_ENVIRONMENT_H

#include "common/json.h"
#include "common/result.h"
#include "worker/rate.h"

#define ENVIRONMENTS_MAX 64

enum terra_endpoint {
    TERRA_WIDGET_SESSION,    /* POST …/widget/session: the current one */
    TERRA_LEGACY_WIDGET,     /* POST …/v2/auth/generateWidgetSession */
    TERRA_AUTHENTICATE_USER, /* POST …/v2/auth/authenticateUser?resource=X */
    TERRA_ENDPOINT_COUNT
};

/* Which of the two widget endpoints is asked: the current one with the older one behind it, or
 * always the same. */
enum terra_widget_choice { TERRA_WIDGET_AUTO, TERRA_WIDGET_PIN_SESSION, TERRA_WIDGET_PIN_LEGACY };

struct environment {
    unsigned index; /* its place in the list */
    char *name;
    char *dev_id;
    char *api_key; /* secret; NULL: keys_unused */
    unsigned
        key_generation; /* counts the keys it has had, from 0; the same key is the same number */
    char *api_key_file; /* where api_key was read from; NULL: given directly */
    struct rate rate;
    int64_t burst;
    char *urls[TERRA_ENDPOINT_COUNT];
    char *user_info_url;          /* GET …/v2/userInfo: by which a credential is tried */
    char *sources_url;            /* GET …/v2/integrations/detailed: which sources are enabled */
    json_value *request_defaults; /* fields of a connect request; NULL: none */
};

struct environments {
    struct environment *items;
    size_t count;
};

/* What an environment of the file has where it says nothing. */
struct environment_defaults {
    const char *base_url; /* such as https://access.tryterra.co/api */
    /* NULL or "": from the base URL. An environment with a base_url of its
     * own uses only that one. */
    const char *urls[TERRA_ENDPOINT_COUNT];
    struct rate rate;
    int64_t burst;
    bool plain_http_allowed; /* also to other hosts than loopback */
    /* For a program that calls nobody: keys may be missing, none is read or kept. */
    bool keys_unused;
};

#define ENVIRONMENT_ERROR_SIZE 512

/* Reads a secret's file: content less trailing newlines. Injected so that this module stays pure.
 * NULL on failure with the reason in error; else the caller frees it. */
typedef char *environment_read_file(const char *path, char *error, size_t error_size);

void environments_init(struct environments *environments);
void environments_release(struct environments *environments);

/* RESULT_REJECT with a message for the operator, never with the key in it. What came before the
 * fault in the file stays added. */
enum result environments_add(struct environments *environments, const char *name,
    const char *dev_id, const char *api_key, const struct environment_defaults *defaults,
    char error[ENVIRONMENT_ERROR_SIZE]) MUST_CHECK;
enum result environments_add_json(struct environments *environments, const void *data, size_t size,
    const struct environment_defaults *defaults, environment_read_file *read_file,
    char error[ENVIRONMENT_ERROR_SIZE]) MUST_CHECK;

/* Where the key of the environment at that index was read from. */
void environments_set_key_file(
    struct environments *environments, unsigned index, const char *api_key_file);
/* NULL: this can be a key; else what is wrong with it, in words that hold nothing of it. */
const char *environments_key_fault(const char *api_key);
/* A new key for the environment at that index, and a new key_generation; the old one is wiped, so
 * nobody may hold on to it. With RESULT_REJECT the old one stays. */
enum result environments_set_key(struct environments *environments, unsigned index,
    const char *api_key, char error[ENVIRONMENT_ERROR_SIZE]) MUST_CHECK;

/* NULL name: the default environment, the first. NULL when there is none of that name. */
const struct environment *environments_find(
    const struct environments *environments, const char *name, size_t name_size);

/* "ENV-1, ENV-2": the names, for an error message; cut at size. */
void environments_list_names(const struct environments *environments, char *text, size_t size);

#endif
