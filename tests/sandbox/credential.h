/*
 * credential: the accounts of the simulated Terra. An account is one environment: a name, a dev id,
 * an API key, and what is wrong with it.
 *
 * Keys can be replaced while the program runs, as an operator rotates them.
 */
#ifndef SANDBOX_CREDENTIAL_H
#define SANDBOX_CREDENTIAL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/json.h"
#include "common/result.h"
#include "request.h"

#define CREDENTIALS_MAX 64
#define CREDENTIAL_TEXT_SIZE 256

enum credential_flag {
    CREDENTIAL_LEGACY_RETIRED = 1 << 0, /* "legacy_retired": made after 3 Sept 2026; 410 */
    CREDENTIAL_NO_SOURCES = 1 << 1,     /* "no_sources": no data source is enabled; 500, HTML */
    CREDENTIAL_DISABLED = 1 << 2,       /* "disabled": environment_disabled; 403 */
    CREDENTIAL_USER_LIMIT = 1 << 3,     /* "user_limit": its 50 users are there; 403 */
};

struct credential {
    char environment[CREDENTIAL_TEXT_SIZE];
    char dev_id[CREDENTIAL_TEXT_SIZE];
    char api_key[CREDENTIAL_TEXT_SIZE];
    unsigned flags; /* of enum credential_flag */
};

struct credentials {
    struct credential items[CREDENTIALS_MAX];
    size_t count;
};

/* Replaces the one of that environment, else adds. REJECT: a text is empty or too long, the dev id
 * belongs to another environment, or the table is full. */
enum result credentials_put(struct credentials *credentials, const char *environment,
    const char *dev_id, const char *api_key, unsigned flags) MUST_CHECK;

/* Adds the flag of that name; false when there is none. */
bool credential_flag_of_name(const char *name, unsigned *flags);

enum credential_verdict {
    CREDENTIAL_ACCEPTED,
    CREDENTIAL_MISSING,  /* no dev-id or no x-api-key */
    CREDENTIAL_MISCASED, /* there, but the name is written otherwise, such as Dev-Id */
    CREDENTIAL_NULL,     /* swapped, or empty as from an unset variable: {"message": null} */
    CREDENTIAL_WRONG,    /* no such account, or not its key */
};

/* *found: whose dev id (or swapped key) it is, also when refused; NULL: nobody's. */
enum credential_verdict credentials_check(const struct credentials *credentials,
    const struct request *request, const struct credential **found);

/* An array of objects with environment, dev_id, api_key, flags. */
void credentials_write(const struct credentials *credentials, struct json_writer *writer);

#endif
