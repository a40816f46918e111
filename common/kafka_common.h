/*
 * kafka_common: what the Kafka clients do alike: configure librdkafka, be woken by its queue on the
 * loop, turn records and headers from its form into ours and back, and say what it reports. Private
 * to the kafka_*.c files.
 */
#ifndef COMMON_KAFKA_COMMON_H
#define COMMON_KAFKA_COMMON_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <uv.h>

#include "common/kafka_message.h"
#include "common/kafka_security.h"
#include "common/log.h"

/* A property that we set before the caller's. */
struct kafka_pin {
    const char *name;
    const char *value; /* NULL: left at the library's default */
    enum {
        KAFKA_PIN_DEFAULT,  /* the caller may set another value */
        KAFKA_PIN_IF_KNOWN, /* the same, and librdkafka may be too old to know it */
        KAFKA_PIN_OWNED,    /* our promises rest on it: refused when the caller sets it */
    } kind;
};

/* The pins that both clients share come first, then `pins`, then the caller's properties. NULL with
 * a message for the operator in `error` when one is refused. */
rd_kafka_conf_t *kafka_conf_new(const struct kafka_pin *pins, size_t pin_count,
    const struct kafka_property *properties, size_t property_count, char *error, size_t error_size);

/* Takes `conf` in any case. NULL with a message in `error`. */
rd_kafka_t *kafka_handle_new(
    rd_kafka_type_t type, rd_kafka_conf_t *conf, char *error, size_t error_size);

/*
 * A turn is a bounded piece of work on the loop's thread; it returns true when it has left work for
 * another turn. It is taken when a watched queue goes from empty to non-empty, which is the only
 * time librdkafka tells us, and after a kick; and then in each turn of the loop until it returns
 * false, so that other handles have theirs in between.
 */
struct kafka_waker {
    uv_async_t async; /* librdkafka's threads wake the loop with it */
    uv_idle_t idle;   /* active while work is left */
    bool (*take_turn)(void *context);
    void *context;
};

void kafka_waker_init(
    struct kafka_waker *waker, uv_loop_t *loop, bool (*take_turn)(void *context), void *context);
void kafka_waker_watch(struct kafka_waker *waker, rd_kafka_queue_t *queue);
/* No wake-up is under way when it returns. */
void kafka_waker_unwatch(rd_kafka_queue_t *queue);
/* Loop's thread only. */
void kafka_waker_kick(struct kafka_waker *waker);
/* on_handle_closed comes for each of the two handles, whose `data` is the waker's context. */
#define KAFKA_WAKER_HANDLES 2
void kafka_waker_close(struct kafka_waker *waker, uv_close_cb on_handle_closed);

/* The record of a fetch event, whose position is taken over by this; NULL when it has none. The
 * record owns the event and is freed by kafka_record_free, which then calls on_freed. */
struct kafka_record *kafka_record_new(
    rd_kafka_event_t *event, void (*on_freed)(void *context), void *context);

/* False when a header is malformed. *made is NULL when there are none; otherwise the caller's
 * until a record is produced with it: rd_kafka_headers_destroy. */
bool kafka_headers_new(
    const struct kafka_header *headers, size_t header_count, rd_kafka_headers_t **made);

/* What kafka_consumer takes and kafka_transactor uses. NULL when the handle's membership is none
 * that the broker could check; free with kafka_group_metadata_free. */
struct kafka_group_metadata {
    rd_kafka_consumer_group_metadata_t *metadata;
};

struct kafka_group_metadata *kafka_group_metadata_new(rd_kafka_t *handle);

/* Records that wait to be handed over, in order. */
#define KAFKA_BACKLOG_RECORDS_MAX 1024

struct kafka_backlog {
    struct kafka_record *records[KAFKA_BACKLOG_RECORDS_MAX]; /* a ring */
    size_t first;
    size_t count;
};

bool kafka_backlog_is_full(const struct kafka_backlog *backlog);
void kafka_backlog_put(struct kafka_backlog *backlog, struct kafka_record *record);
struct kafka_record *kafka_backlog_take(struct kafka_backlog *backlog); /* NULL when empty */
/* Frees the records of the partition. */
void kafka_backlog_drop(struct kafka_backlog *backlog, const char *topic, int32_t partition);

/*
 * What a client reports about itself. Trouble comes in spells: the first report of a spell is
 * logged, with what an operator can do; those that follow are not. A spell ends when the client is
 * seen at work, or after KAFKA_TROUBLE_SPELL_MS without a report.
 */
#define KAFKA_TROUBLE_SPELL_MS 60000

struct kafka_reports {
    const char *client; /* "consumer", "producer", "transactor" */
    struct {
        int64_t last_us; /* monotonic; 0: no spell */
        char reason[KAFKA_REASON_SIZE];
    } troubles[KAFKA_TROUBLE_OTHER + 1];
    bool in_trouble;                          /* some spell is on */
    bool all_down;                            /* no broker is connected */
    char connection_error[KAFKA_REASON_SIZE]; /* why one is not; "": none failed */
    struct log_limit connection_lines;
    struct kafka_security security;
};

void kafka_reports_init(struct kafka_reports *reports, const char *client);
/* Takes a log or error event (not its ownership). True when a spell of trouble begins; `reason` is
 * valid until the next report. */
bool kafka_reports_take(struct kafka_reports *reports, rd_kafka_event_t *event,
    enum kafka_trouble *trouble, const char **reason);
/* The client was seen at work: every spell is over. */
void kafka_reports_all_well(struct kafka_reports *reports);

#endif
