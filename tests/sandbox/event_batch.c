/* event_batch: the records of one control call, in their order; see event_batch.h. */
#include "event_batch.h"

#include "common/memory.h"
#include "common/text.h"

#define EXPANDED_BYTES_MAX (4 * EVENT_TEXT_BYTES_MAX)

void event_batch_init(struct event_batch *batch)
{
    *batch = (struct event_batch){0};
}

void event_free(struct event *event)
{
    event_object_let_go(event->object);
    buf_release(&event->value);
    free(event->type);
    free(event->url);
    free(event);
}

void event_batch_release(struct event_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        event_free(batch->events[i]);
    free(batch->events);
}

size_t event_bytes(const struct event *event)
{
    return sizeof(*event) + event_object_bytes(event->object);
}

/* --- from a script to events --- */

static void append(
    struct event_batch *batch, const struct event_script *script, struct event_object *object)
{
    if (batch->count == batch->capacity) {
        batch->capacity = batch->capacity > 0 ? 2 * batch->capacity : 16;
        batch->events = memory_resize(batch->events, batch->capacity * sizeof(struct event *));
    }
    struct event *event = memory_new(sizeof(*event));
    *event = (struct event){
        .type = memory_copy_text(script->body != NULL ? "" : script->texts[EVENT_TYPE]),
        .object = object,
        .url = memory_copy_text(script->texts[EVENT_URL]),
        .inside = script->inside,
        .plain = script->plain,
        .partition = script->partition,
        .offset = -1,
    };
    buf_init(&event->value, EVENT_BYTES_MAX + REQUEST_BODY_BYTES_MAX);
    batch->events[batch->count++] = event;
    batch->bytes += event_bytes(event);
}

static void append_with_repeats(struct event_batch *batch, const struct event_script *script)
{
    struct event_object *object = event_object_new(script);
    append(batch, script, object);
    for (unsigned i = 0; i < script->repeat && batch->bytes <= EVENT_BATCH_BYTES_MAX; i++) {
        struct event_object *repeated = object;
        if (script->repeat_as == EVENT_REPEAT_RECORD)
            event_object_hold(object);
        else
            repeated = event_object_copy(object,
                script->repeat_as == EVENT_REPEAT_PAYLOAD ? object->payload_reference : NULL);
        append(batch, script, repeated);
    }
}

/* A copy with the number in place of each {n}; NULL stays NULL. */
static char *expand(const char *text, unsigned number)
{
    static const char mark[] = "{n}";
    if (text == NULL)
        return NULL;
    struct buf expanded;
    buf_init(&expanded, EXPANDED_BYTES_MAX);
    for (const char *found; (found = strstr(text, mark)) != NULL; text = found + strlen(mark)) {
        buf_append(&expanded, text, (size_t)(found - text));
        buf_append_integer(&expanded, number);
    }
    buf_append_text(&expanded, text);
    size_t size;
    return buf_take(&expanded, &size);
}

bool event_batch_add(struct event_batch *batch, const struct event_script *script)
{
    uint64_t records = (uint64_t)script->count * ((uint64_t)script->repeat + 1);
    if (batch->count + records > EVENT_COUNT_MAX)
        return false;
    for (unsigned number = 1; number <= script->count; number++) {
        struct event_script one = *script;
        char *texts[EVENT_TEXT_COUNT];
        char made_up[2][UUID_SIZE];
        uuid_make(made_up[0]);
        uuid_make(made_up[1]);
        for (int i = 0; i < EVENT_TEXT_COUNT; i++)
            one.texts[i] = texts[i] = expand(script->texts[i], number);
        if (one.texts[EVENT_USER_ID] == NULL &&
            !text_equal(one.texts[EVENT_TYPE], "auth_cancelled"))
            one.texts[EVENT_USER_ID] = made_up[0];
        if (one.texts[EVENT_OLD_USER_ID] == NULL)
            one.texts[EVENT_OLD_USER_ID] = made_up[1];
        append_with_repeats(batch, &one);
        for (int i = 0; i < EVENT_TEXT_COUNT; i++)
            free(texts[i]);
        if (batch->bytes > EVENT_BATCH_BYTES_MAX)
            return false;
    }
    return true;
}

/* --- shuffling --- */

/* SplitMix64: numbers that a seed gives again on every machine. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t mixed = *state += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

void event_batch_shuffle(struct event_batch *batch, uint64_t seed)
{
    for (size_t left = batch->count; left > 1; left--) {
        size_t chosen = (size_t)(next_random(&seed) % left);
        struct event *last = batch->events[left - 1];
        batch->events[left - 1] = batch->events[chosen];
        batch->events[chosen] = last;
    }
}
