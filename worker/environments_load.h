/*
 * environments_load: the environments that the settings name, TERRA_ENVIRONMENTS_FILE with them.
 */
#ifndef WORKER_ENVIRONMENTS_LOAD_H
#define WORKER_ENVIRONMENTS_LOAD_H

#include <stdbool.h>

#include "worker/config.h"
#include "worker/environment.h"

/* keys_unused: of a program that calls nobody; dev ids are enough then. False with the reason, for
 * the operator; what was added before the fault stays, to be released. */
bool environments_load(struct environments *environments, const struct config *config,
    bool keys_unused, char error[ENVIRONMENT_ERROR_SIZE]);

#endif
