/*
 * event_pointer: a pointer record read, and whether it may be followed. Pure.
 *
 * Terra's Kafka destination writes pointers to events, {"type": "s3_payload", "url": …}, onto a
 * topic that others may write to as well. So a pointer is an order from a stranger, and is followed
 * only where EVENT_PAYLOAD_HOSTS_ALLOWED says, comma-separated:
 *
 *   .amazonaws.com            any host below, at any depth, not amazonaws.com itself
 *   storage.example.org       this host
 *   storage.example.org:8443  this host, at this port alone
 *   storage.example.org/logs  this host, where the path's first segment is this one (a bucket)
 *
 * A port and a bucket may be combined; behind .suffix no bucket, since there the bucket is part of
 * the host and a stranger's bucket may hold a folder of any name. Without a port it is the scheme's
 * usual one that is allowed. IP addresses are allowed where listed exactly as they are written in
 * the URL. Hosts are compared in any case, ports and buckets exactly.
 *
 * Only https (with allow_http, http too); never userinfo, and no URL that two programs may read
 * differently: see url.h, and also no host that ends in a dot, and no "." or ".." as a segment of a
 * path whose bucket counts. A name says nothing about what it leads to: whoever connects asks
 * event_pointer_address_allowed about the address itself.
 */
#ifndef WORKER_EVENT_POINTER_H
#define WORKER_EVENT_POINTER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "common/json.h"

#define EVENT_POINTER_ERROR_SIZE 384
/* A record larger than this is no pointer. */
#define EVENT_POINTER_BYTES_MAX ((size_t)64 * 1024)
#define EVENT_POINTER_URL_BYTES_MAX 8192
/* A longer hint counts as not given. */
#define EVENT_POINTER_HINT_BYTES_MAX 256

#define EVENT_POINTER_LIFE_US INT64_C(600000000) /* where expires_in does not say */
/* The longest that the stores sign for: seven days. */
#define EVENT_POINTER_LIFE_MAX_US INT64_C(604800000000)

struct event_pointer_rules;

/* "" allows no host. NULL when an entry cannot be read, with a message that names it in error. */
struct event_pointer_rules *event_pointer_rules_new(
    const char *hosts_allowed, bool allow_http, char *error, size_t error_size);
void event_pointer_rules_free(struct event_pointer_rules *rules);

struct event_pointer {
    const char *url; /* a bearer secret */
    /* expires_in, from the moment the record was written; EVENT_POINTER_LIFE_US unless it is a
     * positive number, EVENT_POINTER_LIFE_MAX_US at most. */
    int64_t life_us;
    const char *user_id, *reference_id, *payload_reference; /* hints; NULL: not said */

    json_value *tree; /* private */
};

enum event_pointer_verdict {
    EVENT_POINTER_FOLLOW,
    EVENT_POINTER_FORBIDDEN, /* understood, but it leads where it may not */
    EVENT_POINTER_BAD,       /* not understood */
};

/* The texts live until event_pointer_release, which is due after each verdict. error: why not, for
 * a dead letter; it names the rule, and the host at most, never the URL; else "". */
enum event_pointer_verdict event_pointer_read(struct event_pointer *pointer, const void *bytes,
    size_t size, const struct event_pointer_rules *rules, char error[EVENT_POINTER_ERROR_SIZE]);
void event_pointer_release(struct event_pointer *pointer);

/* May this address be connected to? Public ones (see address.h), and this machine's own with
 * allow_http. */
bool event_pointer_address_allowed(
    const struct event_pointer_rules *rules, const struct sockaddr *address);

#endif
