/*
 * kafka_reader: follows topics without a consumer group, through librdkafka on a libuv loop; for
 * tools that watch. Commits nothing.
 *
 * All partitions of the topics are read, from the end, from the beginning, or from a time. on_ready
 * comes once the positions are fixed: what is written to the topics after it will be seen.
 * Partitions that a topic is given later are not noticed. Callbacks come on the loop's thread, none
 * inside a call of this interface.
 *
 * Life cycle: kafka_reader_new; kafka_reader_close, then on_closed and the reader is gone. Records
 * not yet freed must be freed before on_closed can come.
 */
#ifndef COMMON_KAFKA_READER_H
#define COMMON_KAFKA_READER_H

#include <uv.h>

#include "common/kafka_consumer.h"

#define KAFKA_READER_FROM_END (-1)
#define KAFKA_READER_FROM_BEGINNING (-2)

struct kafka_reader;

struct kafka_reader_options {
    const struct kafka_property *properties;
    size_t property_count;
    const char *const *topics;
    size_t topic_count;
    int64_t from; /* KAFKA_READER_FROM_…, or milliseconds since 1970 */

    void (*on_ready)(void *context);
    /* The record goes to the callee: kafka_record_free. */
    void (*on_record)(void *context, struct kafka_record *record);
    /* Every partition has been read to where it ended when reading began. May be NULL. */
    void (*on_caught_up)(void *context);
    /* Before on_ready: the reader could not begin and must be closed: a topic is missing, the
     * cluster was not reachable within start_timeout_us, … What librdkafka reported is logged by
     * then, the rest is the callee's to tell. Afterwards: logged already; the reader goes on. */
    void (*on_trouble)(void *context, enum kafka_trouble trouble, const char *reason);
    void (*on_closed)(void *context);
    void *context;
    int64_t start_timeout_us;
};

/* RESULT_REJECT with a message for the operator in `error` when a property or a
 * topic's name is refused. */
enum result kafka_reader_new(uv_loop_t *loop, const struct kafka_reader_options *options,
    struct kafka_reader **reader, char *error, size_t error_size) MUST_CHECK;
void kafka_reader_close(struct kafka_reader *reader);

#endif
