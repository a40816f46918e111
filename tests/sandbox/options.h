/*
 * options: terra-sandbox's command line.
 */
#ifndef SANDBOX_OPTIONS_H
#define SANDBOX_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "credential.h"
#include "kafka.h"

struct options {
    const char *listen; /* IPv4 */
    uint16_t http_port;
    uint16_t kafka_port;
    bool kafka;          /* false: neither mock nor real */
    const char *brokers; /* NULL: the mock */
    struct kafka_topic topics[KAFKA_TOPICS_MAX];
    size_t topic_count;
    const char *raw_events_topic;
    struct credentials credentials;
    bool legacy_retired;
    const char *public_url; /* "self": the sandbox's own address */
    unsigned latency_ms;
    size_t records_max;
    bool exit_with_parent;
};

enum options_outcome {
    OPTIONS_RUN,
    OPTIONS_SHOWN, /* --help or --version: it is on stdout, end with 0 */
    OPTIONS_WRONG, /* the mistake is on stderr, end with 2 */
};

/* Texts in *options point into argv. */
enum options_outcome options_read(struct options *options, int argc, char **argv);

#endif
