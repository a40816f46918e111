/*
 * event_batch: the records of one control call, in the order in which they go out: each script's
 * events one after the other, each followed by its repeats, and then perhaps shuffled.
 *
 * Life cycle: event_batch_init, event_batch_add for each script, event_batch_shuffle when wanted;
 * then destination_send takes the events, or event_batch_release frees them.
 */
#ifndef SANDBOX_EVENT_BATCH_H
#define SANDBOX_EVENT_BATCH_H

#include "common/kafka_producer.h"
#include "event_object.h"
#include "event_script.h"

enum event_state {
    EVENT_WAITING,   /* for its time */
    EVENT_SENT,      /* under way to Kafka */
    EVENT_DELIVERED, /* Kafka has it */
    EVENT_FAILED,    /* Kafka does not; `reason` says why */
};

/* One record of the raw topic. */
struct event {
    struct event *prev, *next; /* destination.c's list, in the order of sequence */
    uint64_t sequence;         /* from 1, in the order of going out */
    char *type;
    struct event_object *object; /* held */
    char *url;                   /* in place of the object's; NULL: none */
    bool inside;                 /* the record is the event itself */
    bool plain;                  /* the pointer has the fewest fields */
    int32_t partition;           /* wanted, then where it went; -1: one after the other */
    enum event_state state;
    bool forgotten;     /* and freed as soon as it is no longer under way */
    const char *reason; /* a name of kafka_producer.h; NULL: no failure */
    int64_t sent_wall_us;
    int64_t offset; /* -1: unknown */
    struct buf value;
    struct kafka_delivery delivery;
};

struct event_batch {
    struct event **events;
    size_t count;
    size_t capacity;
    size_t bytes; /* of memory, in all */
};

#define EVENT_BATCH_BYTES_MAX ((size_t)256 * 1024 * 1024)

void event_batch_init(struct event_batch *batch);
void event_batch_release(struct event_batch *batch);

/* False: that would be more than EVENT_COUNT_MAX events or EVENT_BATCH_BYTES_MAX. */
bool event_batch_add(struct event_batch *batch, const struct event_script *script);
/* The same seed gives the same order. */
void event_batch_shuffle(struct event_batch *batch, uint64_t seed);

void event_free(struct event *event);
size_t event_bytes(const struct event *event);

#endif
