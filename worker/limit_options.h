/*
 * limit_options: the command line of terra-connect limit.
 */
#ifndef WORKER_LIMIT_OPTIONS_H
#define WORKER_LIMIT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/rate.h"

enum limit_action { LIMIT_SHOW, LIMIT_SET, LIMIT_UNSET, LIMIT_PAUSE, LIMIT_RESUME };

struct limit_options {
    enum limit_action action;
    const char *environment; /* NULL: not said */
    struct rate rate;        /* this and the next two: to be set */
    int64_t burst;           /* 0: not said */
    int64_t for_us;          /* 0: until it is unset */
    bool json;
};

/* True when the arguments are understood; else help or the fault has been printed, and the exit
 * code says which. Texts live in argv. */
bool limit_options_read(struct limit_options *options, int argc, char **argv, int *exit_code);

#endif
