/*
 * kafka_consumer_conf: the properties of a consumer, ours and the caller's, as librdkafka takes
 * them. Private to kafka_consumer.c.
 */
#ifndef COMMON_KAFKA_CONSUMER_CONF_H
#define COMMON_KAFKA_CONSUMER_CONF_H

#include <librdkafka/rdkafka.h>

#include "common/kafka_consumer.h"

/* The caller's. NULL with a message for the operator in `error` when a property is refused. */
rd_kafka_conf_t *kafka_consumer_conf_new(
    const struct kafka_consumer_options *options, char *error, size_t error_size);

#endif
