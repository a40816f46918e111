/*
 * certificate: what OpenSSL knows of certificates, for clients of libraries that say less about
 * them.
 */
#ifndef COMMON_CERTIFICATE_H
#define COMMON_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>

/* What was wrong with a certificate, by OpenSSL's code for it: "certificate has expired". */
const char *certificate_problem(long code);

/* Whether the PEM file holds certificates that could vouch for a server. A message otherwise. */
bool certificate_file_usable(const char *path, char *error, size_t error_size);

#endif
