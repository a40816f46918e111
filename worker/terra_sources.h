/*
 * terra_sources: which data sources an environment of Terra has enabled, from the answer to
 * GET …/v2/integrations/detailed. Pure.
 *
 * The call is public; the dev-id alone says whose view it is. Without it every source looks
 * enabled, and together with the API key some accounts were given an empty list. Where no source is
 * enabled, Terra answers calls for a link with HTTP 500.
 */
#ifndef WORKER_TERRA_SOURCES_H
#define WORKER_TERRA_SOURCES_H

#include <stdbool.h>
#include <stddef.h>

#define TERRA_SOURCES_ANSWER_BYTES_MAX (4 * 1024 * 1024)
#define TERRA_SOURCES_NAMES_SIZE 200

struct terra_sources {
    size_t enabled, all;
    char names[TERRA_SOURCES_NAMES_SIZE]; /* "GARMIN, OURA, …": of the enabled, as many as fit */
};

/* False: the body does not say. */
bool terra_sources_read(struct terra_sources *sources, const void *body, size_t size);

#endif
