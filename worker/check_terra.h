/*
 * check_terra: the Terra area of terra-connect check, for every environment: whether the credential
 * is taken (the neutral GET of terra_api.h, which spends no user), which sources are enabled, how
 * far apart the clocks are, and with --widget which of the widget endpoints serves it. See
 * check_run.h.
 */
#ifndef WORKER_CHECK_TERRA_H
#define WORKER_CHECK_TERRA_H

#include "worker/check_run.h"

struct check_terra;

struct check_terra *check_terra_new(const struct check_run *run, struct check_report *report);
void check_terra_free(struct check_terra *check);

#endif
