/*
 * scope_set: the permissions of a connection, as one text: "daily,heartrate,sleep". Pure.
 *
 * What a scope means is the provider's own affair ("daily", "ACTIVITY_EXPORT",
 * "https://www.googleapis.com/auth/fitness.sleep.read"); here they are names, told apart by case.
 * The text is canonical: sorted by bytes, each scope once, without blanks around it; so equal sets
 * are equal texts. "" is the empty set, and NULL, wherever a set may be, is an unknown one.
 *
 * Ceilings: SCOPE_SET_MAX scopes of at most SCOPE_BYTES_MAX bytes, SCOPE_SET_BYTES_MAX bytes in
 * all. A scope that is longer, holds control characters, or finds no more room is left out: scopes
 * are there for people to look at, and no event is worth losing over them.
 */
#ifndef WORKER_SCOPE_SET_H
#define WORKER_SCOPE_SET_H

#include "common/json.h"

#define SCOPE_SET_MAX 64
#define SCOPE_BYTES_MAX 128
#define SCOPE_SET_BYTES_MAX 4096

/* From the field of that name: a text with commas, as Terra writes it, or an array of texts, as we
 * do. The caller's to free(); NULL: missing, null or something else. */
char *scope_set_read(const json_value *object, const char *name);

/* An array of the scopes; null for NULL. */
void scope_set_put_json(const char *scopes, struct json_writer *writer, const char *name);

#endif
