/*
 * redis_url: takes the URL of a Redis apart. Pure.
 *
 *   redis://[[user]:password@]host[:port][/database]    rediss://… the same over TLS
 *   unix://[[user]:password@]/path[?db=n]
 *
 * User, password and path are percent-decoded; what has a meaning of its own in a URL (@ : / ? # %)
 * is written as an escape in them. A second '@' is taken as part of the password, as pasted.
 *
 * No error message ever quotes the URL: where a password holds a raw '/' or '#', no part of the
 * text can be told from it for sure.
 */
#ifndef COMMON_REDIS_URL_H
#define COMMON_REDIS_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/result.h"

#define REDIS_URL_BYTES_MAX 2048
#define REDIS_URL_DATABASE_MAX 999999
#define REDIS_URL_LABEL_SIZE 320

struct redis_url {
    bool tls;
    char *socket_path; /* unix://; NULL otherwise */
    char *host;        /* NULL for unix://; an IPv6 address without its brackets */
    int port;
    char *user;     /* NULL: none given */
    char *password; /* NULL: none given, and then there is no user either */
    int database;
    char label[REDIS_URL_LABEL_SIZE]; /* for logs: host:port or the socket's path */
};

/* RESULT_OK, and redis_url_release is due; or RESULT_REJECT with a message. */
enum result redis_url_parse(
    const char *text, struct redis_url *url, char *error, size_t error_size) MUST_CHECK;

/* Wipes the password from memory, too. */
void redis_url_release(struct redis_url *url);

#endif
