/*
 * event_script: what a control call says about the events that are to come: their content, how they
 * are delivered, and how often. As JSON, where every field may be left out:
 *
 *   content
 *     type           any; default "auth". Known ones have the form that event_body.h shows, others
 *                    {type, status, user}
 *     shape          "new" (Terra's description of October 2026, the default), "old" (documentation
 *                    of 2024: `version`, the reference id also at the top, a failed attempt as
 *                    `auth` with status "error") or "oldest" (description of 2022: users as arrays
 *                    of one, `active` as a text)
 *     status, message, user_id, old_user_id, reference_id, provider, scopes, scopes_added,
 *     scopes_removed, reason, widget_session_id, flow_id
 *                    as Terra's fields; a user id that is left out is made up
 *     active         boolean, of the user
 *     bytes          the whole event is at least this large, by its `data`; at most 32 MiB
 *     type_last      true: "type" is the last field instead of the first
 *     fields         object: further fields at the top level, or other values for those there are
 *     without        array of names: fields at the top level that are left out
 *     body           in place of all that: a text is taken as it is, whatever it holds; any other
 *                    JSON value as JSON
 *
 *   delivery
 *     delivery       "pointer" (default) or "inline"
 *     pointer        "full" (default: with status, user_id, reference_id, payload_reference) or
 *                    "plain" (type, url, expires_in)
 *     payload_reference   of the pointer; made up for each event when left out
 *     url            the pointer leads there, and no object is made
 *     expires_in     what the pointer says, in seconds; default 600
 *     ttl_ms         how long the object in fact lives; default expires_in
 *     encoding       of the object: "identity" (default) or "gzip"
 *     partition      of the raw topic; by default one after the other
 *
 *   how often
 *     count          different events of this kind; default 1. In every text above, {n} stands for
 *                    the number of the event, from 1
 *     repeat         how many more times each event comes; default 0
 *     repeat_as      "record" (default: the same bytes, the same object), "payload" (the same
 *                    payload_reference, an object of its own) or "event" (only the content is the
 *                    same)
 *
 * A script points into the JSON it was read from, which must outlive it.
 */
#ifndef SANDBOX_EVENT_SCRIPT_H
#define SANDBOX_EVENT_SCRIPT_H

#include "common/json.h"

#define EVENT_COUNT_MAX 100000
#define EVENT_BYTES_MAX (32 * 1024 * 1024)
#define EVENT_TEXT_BYTES_MAX 8192
#define EVENT_EXPIRES_SECONDS_DEFAULT 600
#define EVENT_ERROR_SIZE 192

enum event_text {
    EVENT_TYPE,
    EVENT_STATUS,
    EVENT_MESSAGE,
    EVENT_USER_ID,
    EVENT_OLD_USER_ID,
    EVENT_REFERENCE_ID,
    EVENT_PROVIDER,
    EVENT_SCOPES,
    EVENT_SCOPES_ADDED,
    EVENT_SCOPES_REMOVED,
    EVENT_REASON,
    EVENT_WIDGET_SESSION_ID,
    EVENT_FLOW_ID,
    EVENT_PAYLOAD_REFERENCE,
    EVENT_URL,
    EVENT_TEXT_COUNT
};

enum event_shape { EVENT_SHAPE_NEW, EVENT_SHAPE_OLD, EVENT_SHAPE_OLDEST };
enum event_repeat { EVENT_REPEAT_RECORD, EVENT_REPEAT_PAYLOAD, EVENT_REPEAT_EVENT };

struct event_script {
    const char *texts[EVENT_TEXT_COUNT]; /* NULL: not given */
    enum event_shape shape;
    bool active;
    bool type_last;
    size_t bytes;
    const json_value *fields, *without, *body; /* NULL: not given */
    bool inside;                               /* the record is the event itself */
    bool plain;                                /* the pointer has the fewest fields */
    bool gzip;
    int64_t expires_in; /* seconds */
    int64_t ttl_us;
    int32_t partition; /* -1: one after the other */
    unsigned count;
    unsigned repeat;
    enum event_repeat repeat_as;
};

/* One event of type "auth", as a full pointer. */
void event_script_init(struct event_script *script);

/* Takes what the object says over what is there. `others`: names that the caller reads itself, NULL
 * at the end. False, with the reason in error, when something cannot be read or is not known. */
bool event_script_read(struct event_script *script, const json_value *object,
    const char *const *others, char error[EVENT_ERROR_SIZE]);

#endif
