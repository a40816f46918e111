/*
 * kafka_client: a bare librdkafka client for a benchmark; a refused property ends the program.
 */
#ifndef BENCH_KAFKA_CLIENT_H
#define BENCH_KAFKA_CLIENT_H

#include <librdkafka/rdkafka.h>

/* properties: name, value, name, value, …, NULL. */
rd_kafka_t *kafka_client_new(rd_kafka_type_t type, const char *const *properties);

#endif
