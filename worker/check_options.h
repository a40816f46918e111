/*
 * check_options: the command line of terra-connect check.
 */
#ifndef WORKER_CHECK_OPTIONS_H
#define WORKER_CHECK_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/check_needs.h"

/* Which parts of a worker's surroundings are tried. */
struct check_areas {
    bool kafka, redis, terra;
};

struct check_options {
    struct check_flows flows;
    struct check_areas areas;
    bool json;
    bool acls; /* shown also where nothing is denied */
    bool widget;
    bool create_topics;
    int partitions, replication; /* of created topics; replication -1: the broker's default */
    int64_t timeout_us;          /* for each area */
};

/* True when the arguments are understood; else help or the fault has been printed, and the exit
 * code says which. */
bool check_options_read(struct check_options *options, int argc, char **argv, int *exit_code);

#endif
