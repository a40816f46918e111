/*
 * watch_options: the command line of terra-connect watch.
 */
#ifndef WORKER_WATCH_OPTIONS_H
#define WORKER_WATCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum watch_topic {
    WATCH_REQUESTS,
    WATCH_REPLIES,
    WATCH_OUTCOMES,
    WATCH_RAW,
    WATCH_EVENTS,
    WATCH_CONNECTIONS,
    WATCH_DEAD_LETTERS,
    WATCH_TOPIC_COUNT
};

struct watch_options {
    bool topics[WATCH_TOPIC_COUNT];
    bool all; /* no topic was named, and so all are wanted */
    bool json;
    bool until_end;
    int64_t from;             /* as in kafka_reader_options */
    const char *reference_id; /* NULL: any */
    uint64_t limit;           /* records; UINT64_MAX: none */
};

const char *watch_topic_name(enum watch_topic topic); /* "requests", … */

/* True when the arguments are understood; else help or the fault has been printed, and the exit
 * code says which. Texts live in argv. */
bool watch_options_read(struct watch_options *options, int argc, char **argv, int *exit_code);

#endif
