/*
 * publisher_count: how many partitions a topic has, asked of the cluster through a publisher, and
 * asked again, with growing pauses, until it has said so.
 *
 * Life cycle: publisher_count_new; publisher_count_close, after which nothing is told any more;
 * publisher_count_free, once the publisher is closed as well and the loop has run dry.
 */
#ifndef WORKER_PUBLISHER_COUNT_H
#define WORKER_PUBLISHER_COUNT_H

#include "worker/publisher.h"

struct publisher_count;

struct publisher_count_options {
    struct publisher *publisher;
    const char *topic; /* outlives */
    /* Once for each publisher_count_ask, or for several that came before it; never inside one. */
    void (*on_counted)(void *context, unsigned partitions);
    void *context;
};

struct publisher_count *publisher_count_new(
    uv_loop_t *loop, const struct publisher_count_options *options);
void publisher_count_close(struct publisher_count *count);
void publisher_count_free(struct publisher_count *count);

/* The number may be another one now. */
void publisher_count_ask(struct publisher_count *count);

#endif
