/* kafka_consumer_conf: see kafka_consumer_conf.h. */
#include "common/kafka_consumer_conf.h"

#include <assert.h>

#include "common/kafka_common.h"

static const struct kafka_pin pins[] = {
    /* Offsets are stored when the work is done, and the library's timed commit sends what was
       stored. */
    {"enable.auto.offset.store", "false", KAFKA_PIN_OWNED},
    {"enable.auto.commit", "true", KAFKA_PIN_OWNED}, /* see disable_commits */
    /* After a crash, what was answered since the last commit is answered again. */
    {"auto.commit.interval.ms", "200", KAFKA_PIN_DEFAULT},
    {"isolation.level", "read_committed", KAFKA_PIN_OWNED},
    {"enable.partition.eof", "false", KAFKA_PIN_OWNED},
    /* The library's default, latest, loses what was sent before the first start. */
    {"auto.offset.reset", "earliest", KAFKA_PIN_DEFAULT},
    /* One that works with a worker at a time joining or leaving; a mixed group never joins. */
    {"partition.assignment.strategy", "cooperative-sticky", KAFKA_PIN_DEFAULT},
    /* How long the records of a killed worker wait for another one. */
    {"session.timeout.ms", "6000", KAFKA_PIN_DEFAULT},
    {"heartbeat.interval.ms", "1000", KAFKA_PIN_DEFAULT},
    /* A broker answers a fetch at once when it has a record; this is how long it waits for one. */
    {"fetch.wait.max.ms", "100", KAFKA_PIN_DEFAULT},
    {"fetch.error.backoff.ms", "100", KAFKA_PIN_DEFAULT},
    /* How often the lag is told. */
    {"statistics.interval.ms", "5000", KAFKA_PIN_DEFAULT},
    /* The default prefetch, 64 MB of records at half a kilobyte of its own each, makes a worker
     * with a backlog ten times as large. fetch.max.bytes counts compressed ones. */
    {"queued.max.messages.kbytes", "8192", KAFKA_PIN_DEFAULT},
    {"fetch.max.bytes", "1048576", KAFKA_PIN_DEFAULT},
    {"fetch.message.max.bytes", "131072", KAFKA_PIN_DEFAULT},
#if RD_KAFKA_VERSION >= 0x020200ff
    {"queued.min.messages", "5000", KAFKA_PIN_DEFAULT},
    {"fetch.queue.backoff.ms", "10", KAFKA_PIN_DEFAULT},
#else
    /* This version looks once a second whether there is room, so this is about how many records it
     * takes in a second from a backlog. */
    {"queued.min.messages", "20000", KAFKA_PIN_DEFAULT},
#endif
};

/* Nothing stores offsets then; yet the library's own commits, on time and on revoke, would be one
 * more way past the transactions. */
static void disable_commits(rd_kafka_conf_t *conf)
{
    char reason[KAFKA_REASON_SIZE];
    rd_kafka_conf_res_t result =
        rd_kafka_conf_set(conf, "enable.auto.commit", "false", reason, sizeof(reason));
    assert(result == RD_KAFKA_CONF_OK);
    (void)result;
}

rd_kafka_conf_t *kafka_consumer_conf_new(
    const struct kafka_consumer_options *options, char *error, size_t error_size)
{
    rd_kafka_conf_t *conf = kafka_conf_new(pins, sizeof(pins) / sizeof(pins[0]),
        options->properties, options->property_count, error, error_size);
    if (!conf)
        return NULL;
    rd_kafka_conf_set_events(
        conf, RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_STATS);
    if (options->offsets_by_transactions)
        disable_commits(conf);
    return conf;
}
