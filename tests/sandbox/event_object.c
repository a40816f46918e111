/* event_object: what a pointer leads to; see event_object.h. */
#include "event_object.h"

#include <inttypes.h>

#include "common/clock.h"
#include "common/memory.h"
#include "common/text.h"
#include "terra_error.h"

#define PATH "/payloads/"

static struct event_object *object_new(void)
{
    struct event_object *object = memory_new(sizeof(*object));
    object->holders = 1;
    uuid_make(object->id);
    uuid_make(object->signature);
    return object;
}

static char *given_or_made_up(const char *text)
{
    char made_up[UUID_SIZE];
    uuid_make(made_up);
    return memory_copy_text(text != NULL ? text : made_up);
}

struct event_object *event_object_new(const struct event_script *script)
{
    struct event_object *object = object_new();
    object->payload_reference = given_or_made_up(script->texts[EVENT_PAYLOAD_REFERENCE]);
    object->reference_id = memory_copy_text(script->texts[EVENT_REFERENCE_ID]);
    object->user_id = memory_copy_text(script->texts[EVENT_USER_ID]);
    object->gzip = script->gzip;
    object->expires_in = script->expires_in;
    object->ttl_us = script->ttl_us;
    event_body_init(&object->body, script);
    return object;
}

struct event_object *event_object_copy(
    const struct event_object *object, const char *payload_reference)
{
    struct event_object *copy = object_new();
    copy->payload_reference = given_or_made_up(payload_reference);
    copy->reference_id = memory_copy_text(object->reference_id);
    copy->user_id = memory_copy_text(object->user_id);
    copy->gzip = object->gzip;
    copy->expires_in = object->expires_in;
    copy->ttl_us = object->ttl_us;
    event_body_copy(&copy->body, &object->body);
    return copy;
}

void event_object_hold(struct event_object *object)
{
    object->holders++;
}

void event_object_let_go(struct event_object *object)
{
    if (--object->holders > 0)
        return;
    event_body_release(&object->body);
    free(object->payload_reference);
    free(object->reference_id);
    free(object->user_id);
    free(object);
}

size_t event_object_bytes(const struct event_object *object)
{
    return sizeof(*object) + object->body.size;
}

void event_object_write_url(const struct event_object *object, const char *own_url, struct buf *buf)
{
    buf_printf(buf, "%s" PATH "%s?X-Amz-Expires=%" PRId64 "&X-Signature=%s", own_url, object->id,
        object->expires_in, object->signature);
}

void event_objects_publish(struct event_objects *objects, struct event_object *object)
{
    if (object->expires_us != 0)
        return;
    object->expires_us = clock_monotonic_us() + object->ttl_us;
    event_object_hold(object);
    HASH_ADD_STR(objects->table, id, object);
}

void event_objects_withdraw(struct event_objects *objects, struct event_object *object)
{
    if (object->expires_us == 0)
        return;
    object->expires_us = 0;
    HASH_DEL(objects->table, object);
    event_object_let_go(object);
}

void event_objects_answer(struct event_objects *objects, const struct request *request,
    struct terra_call *call, struct answer *answer)
{
    *call = (struct terra_call){.endpoint = ENDPOINT_PAYLOAD};
    struct event_object *object;
    const char *id = request->path + strlen(PATH);
    HASH_FIND_STR(objects->table, id, object);
    if (object == NULL) {
        terra_error_storage(answer, 404, "NoSuchKey", "The specified key does not exist.");
        return;
    }
    snprintf(call->reference_id, sizeof(call->reference_id), "%s",
        object->reference_id != NULL ? object->reference_id : "");
    object->fetches++;
    if (!text_equal(request->method, "GET")) {
        terra_error_storage(answer, 405, "MethodNotAllowed", "The method is not allowed.");
        answer_put_header(answer, "Allow", "GET");
    } else if (!text_equal(request_query(request, "X-Signature"), object->signature)) {
        terra_error_storage(
            answer, 403, "SignatureDoesNotMatch", "The signature does not match the request.");
    } else if (clock_monotonic_us() >= object->expires_us) {
        terra_error_storage(answer, 403, "AccessDenied", "Request has expired");
    } else {
        answer_begin(answer, 200, "application/json");
        event_body_write(&object->body, &answer->body);
        answer->gzip = object->gzip;
    }
}
