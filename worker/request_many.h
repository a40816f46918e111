/*
 * request_many: terra-connect request -: requests from standard input, replies to standard output,
 * one JSON object per line each.
 *
 * At most REQUEST_MANY_IN_FLIGHT_MAX requests are open; beyond that no more is read. Blank lines
 * are passed over.
 */
#ifndef WORKER_REQUEST_MANY_H
#define WORKER_REQUEST_MANY_H

#include "worker/command.h"
#include "worker/request_options.h"

#define REQUEST_MANY_IN_FLIGHT_MAX 1000

enum exit_code request_many(const struct config *config, const struct request_options *options);

#endif
