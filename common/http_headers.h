/*
 * http_headers: a set of request headers made once and used by many calls of http_client, also at
 * the same time; counted references, since calls may be in flight while a key is changed.
 */
#ifndef COMMON_HTTP_HEADERS_H
#define COMMON_HTTP_HEADERS_H

#include "common/http_message.h"

struct http_headers;
struct curl_slist;

/* A value ends at its first CR or LF. */
struct http_headers *http_headers_new(const struct http_header *headers, size_t count);
struct http_headers *http_headers_share(struct http_headers *headers);
void http_headers_free(struct http_headers *headers); /* gives up one reference; NULL is fine */

/* For http_client alone; lives as long as the set. */
struct curl_slist *http_headers_list(const struct http_headers *headers);

#endif
