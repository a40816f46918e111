/*
 * http_shards: curl's multi handles on a libuv loop; the inner half of http_client, and with it
 * the only one to see curl.h. It knows of easy handles, not of calls.
 *
 * There are several multi handles ("shards"), because curl walks through all connections of a multi
 * handle for each transfer, when it looks for an idle one and when it lets go of it: the cost of a
 * transfer grows with the size of its multi handle. Shards are filled from the first on, so that a
 * light load keeps a few connections warm instead of waking a cold one in each shard.
 *
 * curl says which descriptors to watch and when it wants to be called at the latest; libuv says
 * what happened; what has finished is collected after each call of curl. curl is never called from
 * its own callbacks, nor from http_shards_add: what it wants at once is done in the next turn.
 *
 * Life cycle: http_shards_new, http_shards_set_options on each easy handle, any number of
 * http_shards_add, each followed by on_finished or http_shard_remove; then, with no easy handle
 * left, http_shards_close.
 */
#ifndef COMMON_HTTP_SHARDS_H
#define COMMON_HTTP_SHARDS_H

#include <curl/curl.h>
#include <stdbool.h>
#include <uv.h>

struct http_shards;
struct http_shard;

struct http_shards_options {
    unsigned transfers_max; /* expected at most; more are served, less cheaply */
    bool multiplex;         /* several transfers on one HTTP/2 connection */
    /* The easy handle is the caller's again, and may be added anew at once. */
    void (*on_finished)(CURL *easy, CURLcode result);
};

struct http_shards *http_shards_new(uv_loop_t *loop, const struct http_shards_options *options);

/* Closes all connections; on_closed comes when nothing is left. Not from on_finished. */
void http_shards_close(struct http_shards *shards, void (*on_closed)(void *context), void *context);

/* The options of an easy handle by which its connections are watched. */
void http_shards_set_options(struct http_shards *shards, CURL *easy);

/* The CURLOPT_OPENSOCKETFUNCTION that http_shards_set_options installs, for whoever puts a check of
 * the address in front of it; the first argument is the struct http_shards. */
curl_socket_t http_shards_open_socket(
    void *shards_pointer, curlsocktype purpose, struct curl_sockaddr *address);

/* The shard that took the easy handle; NULL: curl refused it. */
struct http_shard *http_shards_add(struct http_shards *shards, CURL *easy);

/* Gives a transfer up, and its connection with it. */
void http_shard_remove(struct http_shard *shard, CURL *easy);

#endif
