/*
 * connect_request: the bytes of a request record to a struct, or the reason why not. Pure.
 *
 * {"reference_id": "u1"} is a whole request: a widget session. All other fields are optional; an
 * absent and a null field are the same. Optional fields keep Terra's own names.
 *
 *   field                       type             limits
 *   request_id                  text             1..256 bytes, no control characters
 *   reference_id                text, required   1..256 bytes, no control characters
 *   environment                 text             a configured name
 *   action                      text             "connect" only (reserved)
 *   timeout_seconds             number           > 0, at most 3600
 *   provider                    text             [A-Z0-9_]{2,40} once upper-cased; a direct link
 *   providers                   array of text    as provider, 1..100; not together with provider
 *   language                    text             xx or xxx, _yy to _yyyy; zh-CN becomes zh_cn
 *   auth_success_redirect_url   text             redirect_rules.h, or Terra's "multi-auth"
 *   auth_failure_redirect_url   text             redirect_rules.h
 *   show_disconnect, multi_auth, bypass_feedback, use_terra_avengers_app    boolean
 *   connected_uids              array of text    1..100 of 1..256 bytes
 *   apple_app_url, samsung_app_url   text        1..2048 bytes, an https URL or app deep link
 *   sdk_app                     text             avengers | grip; with provider APPLE_HEALTH
 *
 * Field checks and their messages: request_field.h. Of several faults the first in the order of
 * this table is told. A provider that comes twice counts once. Blanks around a name are a fault.
 *
 * An unknown field is a warning that names the nearest known one; so is a field that the chosen
 * kind of link does not use, which is then left unset. An environment's request_defaults fill in
 * what the request leaves out; provider and providers are one choice, so a default of either counts
 * only where the request gives neither; defaults that do not suit the kind of link are passed over
 * in silence.
 *
 * request_id: the field; else the correlation header (as it is when it is 1..256 bytes of printable
 * UTF-8, else in hex, cut to 256); else topic-partition-offset.
 *
 * The input is hostile: connect_request_decode never fails silently; on an error it fills in
 * `error` and as much of the identity (request_id, reference_id) as could be read, so that somebody
 * can be answered.
 *
 * Life cycle: decode fills in a caller's struct, whatever the outcome; connect_request_release
 * frees what hangs from it. Texts live in the parsed tree or in `text`, nothing is shared with the
 * record.
 */
#ifndef WORKER_CONNECT_REQUEST_H
#define WORKER_CONNECT_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/digest.h"
#include "common/json.h"
#include "worker/connect_error.h"
#include "worker/environment.h"
#include "worker/redirect_rules.h"
#include "worker/request_field.h"
#include "worker/text_list.h"

#define CONNECT_REQUEST_BYTES_MAX (64 * 1024)
#define CONNECT_ID_BYTES_MAX REQUEST_ID_BYTES_MAX

enum connect_choice { CONNECT_UNSET, CONNECT_NO, CONNECT_YES };

struct connect_request_rules {
    const struct environments *environments;
    const struct redirect_rules *redirects;
    int64_t default_timeout_us;
};

/* Where the bytes came from. */
struct connect_request_source {
    const char *topic;
    int32_t partition;
    int64_t offset;
    const void *value; /* NULL: a null value */
    size_t value_size;
    const void *correlation; /* NULL: no correlation header */
    size_t correlation_size;
};

struct connect_request {
    const char *request_id;                /* always there */
    const char *reference_id;              /* NULL only after an error */
    const struct environment *environment; /* the default one when unknown or unread */
    /* As asked for, known or not; the environment's name when not asked for, or with something that
     * is no name. */
    const char *environment_name;
    const char *provider;  /* upper case; NULL: a widget session */
    const char *providers; /* Terra's one string, GARMIN,OURA; NULL: all */
    const char *language;
    const char *auth_success_redirect_url;
    const char *auth_failure_redirect_url;
    enum connect_choice show_disconnect, multi_auth, bypass_feedback, use_terra_avengers_app;
    const json_value *connected_uids; /* array of text; NULL: none */
    const char *apple_app_url, *samsung_app_url;
    const char *sdk_app;
    int64_t timeout_us;
    bool identified; /* the record itself named a request_id or a reference_id */
    struct text_list warnings;

    /* private */
    json_value *tree;
    struct buf text;
};

/* True: a request that can be served. False: `error` says why not. */
bool connect_request_decode(struct connect_request *request,
    const struct connect_request_source *source, const struct connect_request_rules *rules,
    struct connect_error *error);
void connect_request_release(struct connect_request *request);

/* A name for "the same request": environment, request id and every field that shapes the call. */
void connect_request_digest(const struct connect_request *request, char hex[DIGEST_HEX_SIZE]);

#endif
