/*
 * secret_mask: takes links and tokens out of text that people shall see. Pure.
 *
 * What is masked becomes three asterisks; of a URL scheme and host remain before them, as far as
 * "https://widget.tryterra.co/".
 *
 *  - the value of a name that holds a secret: link, url, auth_url, and every name that has token,
 *    secret, password, authorization, api_key, signature or credential in it, in any case. A name
 *    is known by what follows: "name": in JSON, also inside a JSON string, and name= anywhere. A
 *    value of null stays.
 *  - every URL with a query, a fragment or a user, under whatever name.
 *
 * JSON stays valid JSON, and masking twice changes nothing. What is no JSON is masked strictly:
 * every URL, and a value behind `name:` too.
 */
#ifndef WORKER_SECRET_MASK_H
#define WORKER_SECRET_MASK_H

#include <stdbool.h>

#include "common/buf.h"

#define SECRET_MASK "***"

enum secret_mask_mode { SECRET_MASK_KNOWN, SECRET_MASK_STRICT };

/* Appends the masked text; about as long as the text, at most three times. */
void secret_mask(const char *text, size_t size, enum secret_mask_mode mode, struct buf *masked);
bool secret_mask_hides(const char *name, size_t size);

#endif
