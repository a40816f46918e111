/*
 * event_object: what a pointer leads to. Each object is a payload in the simulated store, under
 *
 *   GET <own address>/payloads/<uuid>?X-Amz-Expires=<seconds>&X-Signature=<hex>
 *
 * Answers, as S3 gives them: 200 with the payload (Content-Type application/json, Content-Encoding
 * gzip where that was asked for, whatever the client accepts); 403 with XML when its life is over
 * or the signature is another; 404 with XML when there is no such object; 405 to another method.
 *
 * The life of an object begins when it is published, that is when its record is written. An inline
 * event has an object too, which is never published: it holds the payload.
 *
 * Ownership: an object is held by its events and, once published, by the store; the last one to let
 * go frees it.
 */
#ifndef SANDBOX_EVENT_OBJECT_H
#define SANDBOX_EVENT_OBJECT_H

#include <uthash.h>

#include "answer.h"
#include "event_body.h"
#include "event_script.h"
#include "request.h"
#include "terra_call.h"
#include "uuid.h"

struct event_object {
    unsigned holders;
    char id[UUID_SIZE]; /* the store's key */
    char signature[UUID_SIZE];
    char *payload_reference; /* of the pointers that lead here */
    char *reference_id;      /* NULL: none */
    char *user_id;           /* NULL: none */
    struct event_body body;
    bool gzip;
    int64_t expires_in; /* seconds, as the pointers say */
    int64_t ttl_us;
    int64_t expires_us; /* monotonic; 0: not published */
    uint64_t fetches;   /* how often somebody asked for it, whatever the answer was */
    UT_hash_handle hh;  /* by id, once published */
};

struct event_objects {
    struct event_object *table;
};

/* Held once, by the caller. The script's texts have no {n} any more. */
struct event_object *event_object_new(const struct event_script *script);
/* The same payload under another id, with this payload_reference. Held once. */
struct event_object *event_object_copy(
    const struct event_object *object, const char *payload_reference);
void event_object_hold(struct event_object *object);
void event_object_let_go(struct event_object *object);
size_t event_object_bytes(const struct event_object *object); /* of memory */

/* Its address below that of the sandbox. */
void event_object_write_url(
    const struct event_object *object, const char *own_url, struct buf *buf);

/* Its life begins; nothing happens when it has begun. */
void event_objects_publish(struct event_objects *objects, struct event_object *object);
/* From now on it is unknown; nothing happens when it was not published. */
void event_objects_withdraw(struct event_objects *objects, struct event_object *object);

/* A request below /payloads/. Fills in the call's reference id where the object is known. */
void event_objects_answer(struct event_objects *objects, const struct request *request,
    struct terra_call *call, struct answer *answer);

#endif
