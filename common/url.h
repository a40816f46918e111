/*
 * url: splits an absolute URL strictly (RFC 3986), or refuses it. Pure.
 *
 * Everything that programs read differently is refused: backslashes, blanks, control characters,
 * bytes outside ASCII, a broken percent escape, an empty host under http and https, a port that is
 * no number. Scheme and host come out in lower case; nothing else is changed or decoded. Host names
 * are letters, digits, '-', '.' and '_', or an IPv6 literal in brackets.
 */
#ifndef COMMON_URL_H
#define COMMON_URL_H

#include <stdbool.h>
#include <stddef.h>

#define URL_BYTES_MAX 2048 /* of url_parse */
#define URL_SCHEME_SIZE 32
#define URL_HOST_SIZE 256

struct url {
    char scheme[URL_SCHEME_SIZE];
    char host[URL_HOST_SIZE]; /* "" for app deep links such as myapp:/done; brackets kept */
    int port;                 /* 443 and 80 are filled in for https and http; -1: none */
    bool has_userinfo;
    const char *path; /* into the given text; may be empty */
    size_t path_size;
    const char *query; /* behind the '?'; NULL: none */
    size_t query_size;
    bool has_fragment;
};

bool url_parse(const char *text, struct url *url);
/* With a ceiling of the caller's: signed URLs are long. */
bool url_parse_sized(const char *text, size_t bytes_max, struct url *url);

/* localhost, 127.0.0.0/8 and [::1], as written. */
bool url_host_is_loopback(const struct url *url);

/* Is "." or ".." a whole segment of the path, as the most lenient server reads it (percent-encoded,
 * behind a backslash, in front of a ';')? Then the path leads elsewhere than its beginning says. */
bool url_path_has_dot_segment(const char *path, size_t size);

/* Appends text percent-encoded, all but RFC 3986's unreserved characters. */
struct buf;
void url_append_encoded(struct buf *buf, const char *text);

#endif
