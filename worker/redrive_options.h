/*
 * redrive_options: the command line of terra-connect redrive.
 */
#ifndef WORKER_REDRIVE_OPTIONS_H
#define WORKER_REDRIVE_OPTIONS_H

#include <stdbool.h>

#include "worker/rate.h"
#include "worker/redrive_letter.h"

struct redrive_options {
    struct redrive_choice choice; /* all but the topics where letters may go */
    uint64_t limit;               /* letters that are put back; UINT64_MAX: none */
    struct rate rate;
    bool dry_run;
    bool json;
};

/* True when the arguments are understood; else help or the fault has been printed, and the exit
 * code says which. Texts live in argv. */
bool redrive_options_read(struct redrive_options *options, int argc, char **argv, int *exit_code);

#endif
