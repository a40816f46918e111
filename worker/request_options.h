/*
 * request_options: the command line of terra-connect request.
 */
#ifndef WORKER_REQUEST_OPTIONS_H
#define WORKER_REQUEST_OPTIONS_H

#include <stdbool.h>

#include "worker/request_line.h"

struct request_options {
    struct request_choice choice;
    bool json; /* print the whole reply */
    bool many; /* requests come as lines of JSON from standard input */
};

/* True when the arguments are understood; else help or the fault has been printed, and the exit
 * code says which. Texts live in argv. */
bool request_options_read(struct request_options *options, int argc, char **argv, int *exit_code);

#endif
