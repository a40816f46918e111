/*
 * kafka_reader: follows topics without a consumer group, through librdkafka on a libuv loop; for
 * tools that watch. Commits nothing.
 *
 * All partitions of the topics are read: from the end, from the beginning, from a time, or the last
 * few records. on_ready comes once the positions are fixed: what is written to the topics after it
 * will be seen. Partitions that a topic is given later are not noticed. Callbacks come on the
 * loop's thread, none inside a call of this interface.
 *
 * Absent topics, which do not exist or may not be read, keep the reader from beginning, unless
 * on_absent is given. Then it is told of each once, before on_ready, and the others are read;
 * those that are absent are looked for every KAFKA_READER_LOOK_MS, and one that did not exist is
 * read from its beginning when it does.
 *
 * Holding. kafka_reader_hold stops handing over records, at once; what is fetched meanwhile is
 * bounded by queued.max.messages.kbytes for each partition. kafka_reader_continue undoes it.
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
/* At most that many records of each partition before its end. */
#define KAFKA_READER_FROM_LAST(records) (-1000 - (int64_t)(records))
#define KAFKA_READER_LOOK_MS 1000

struct kafka_reader;

struct kafka_reader_options {
    const struct kafka_property *properties;
    size_t property_count;
    const char *const *topics;
    size_t topic_count;
    int64_t from; /* KAFKA_READER_FROM_…, or milliseconds since 1970 */
    /* Nothing is handed over from behind where a partition ended when reading began, and absent
     * topics are not looked for again. on_caught_up says that it is the end. */
    bool until_end;

    void (*on_ready)(void *context);
    /* The record goes to the callee: kafka_record_free. */
    void (*on_record)(void *context, struct kafka_record *record);
    /* Every partition has been read to where it ended when reading began. May be NULL. */
    void (*on_caught_up)(void *context);
    /* May be NULL: see above. */
    void (*on_absent)(void *context, const char *topic, const char *reason);
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

/* From on_ready on. */
void kafka_reader_hold(struct kafka_reader *reader);
void kafka_reader_continue(struct kafka_reader *reader);

#endif
