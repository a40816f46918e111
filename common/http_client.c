/*
 * http_client: calls on top of http_shards, which drives curl. See http_client.h for the promises.
 *
 * A call borrows a transfer: an easy handle from a pool, with all that never changes set once.
 * It ends in one of two ways: curl is done with it (on_finished), or it was cancelled or refused by
 * curl, and then on_idle completes it in the next turn of the loop.
 */
#include "common/http_client.h"

#include <assert.h>
#include <utlist.h>

#include "common/buf.h"
#include "common/certificate.h"
#include "common/clock.h"
#include "common/http_coding.h"
#include "common/http_shards.h"
#include "common/memory.h"

/* A pooled transfer does not hold on to the memory of a rare large answer. */
#define BODY_KEPT_BYTES_MAX ((size_t)64 * 1024)
/* libcurl 8 allocates, and clears, all of this for each request; the least it accepts. */
#define UPLOAD_BUFFER_BYTES 16384L
/* One for each open transfer; the default of 16 KiB makes 16 MB of a thousand small answers. */
#define RECEIVE_BUFFER_BYTES 4096L
/* A body that nobody wants any more is read to its end when no more than this is left: about what
 * a new connection with TLS costs. */
#define DRAIN_BYTES_MAX 65536

/* What has come of a response so far. */
struct arrival {
    bool head_complete;
    unsigned layers;      /* of compression, by its head */
    bool undecodable;     /* more or other ones than are allowed */
    size_t body_bytes;    /* shown or stored */
    bool too_large;       /* the body, before or after decompression */
    bool enough;          /* for on_body */
    size_t drained_bytes; /* since then */
};

/* An easy handle and the call it serves. */
struct http_transfer {
    struct http_client *client;
    struct http_call *call;
    CURL *easy;
    struct http_shard *shard; /* NULL: not in the hands of curl */
    struct buf body;
    enum http_method method; /* what the easy handle is set to */
    bool fresh_connection;   /* likewise */
    bool accept_compressed;  /* likewise */
    bool request_sent;       /* or begun to be, on any connection */
    bool address_forbidden;  /* one was refused, and none connected to since */
    bool cancelled;
    struct arrival arrival;
    CURLcode refusal;           /* why curl did not take it */
    struct http_transfer *next; /* in the pool */
};

struct http_client {
    struct http_client_options options; /* with texts of our own */
    struct http_headers *no_headers;    /* for calls without any */
    struct http_shards *shards;
    CURLSH *share;
    struct http_transfer *pool;
    unsigned pool_size;
    struct http_call *in_flight; /* in the hands of curl */
    struct http_call *ended;     /* without curl's doing */
    unsigned calls;              /* in either list */
    uv_idle_t idle;              /* active while on_idle has something to do */
    bool closing;
};

/* Fails only when out of memory, or when the libcurl is not the one we were built for. */
#define SET(easy, option, value)                                                                   \
    do {                                                                                           \
        if (curl_easy_setopt(easy, option, value) != CURLE_OK)                                     \
            abort();                                                                               \
    } while (0)

/* ---- curl's callbacks ---- */

static bool is_little_left(const struct http_transfer *transfer)
{
    curl_off_t size = -1;
    curl_off_t received = 0;

    curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &size);
    curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_DOWNLOAD_T, &received);
    /* Where the size is not known, drained_bytes will tell. */
    return size < 0 || size - received <= DRAIN_BYTES_MAX;
}

static bool show_body(struct http_transfer *transfer, const char *data, size_t size)
{
    struct http_call *call = transfer->call;
    long status = 0;

    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    transfer->arrival.enough = !call->on_body(call, (int)status, data, size);
    return !transfer->arrival.enough || is_little_left(transfer);
}

/* False ends the transfer. */
static bool take_body(struct http_transfer *transfer, const char *data, size_t size)
{
    if (transfer->arrival.enough) {
        transfer->arrival.drained_bytes += size;
        return transfer->arrival.drained_bytes <= DRAIN_BYTES_MAX;
    }
    transfer->arrival.body_bytes += size;
    if (transfer->arrival.body_bytes > transfer->call->response_bytes_max) {
        transfer->arrival.too_large = true;
        return false;
    }
    if (transfer->call->on_body != NULL)
        return show_body(transfer, data, size);
    return buf_append(&transfer->body, data, size);
}

static size_t on_body(char *data, size_t size, size_t count, void *transfer_pointer)
{
    return take_body(transfer_pointer, data, size * count) ? size * count : 0;
}

/* Ends a compressed body past its ceiling, also one of which nothing comes out. */
static int on_progress(void *transfer_pointer, curl_off_t size, curl_off_t received,
    curl_off_t upload_size, curl_off_t sent)
{
    struct http_transfer *transfer = transfer_pointer;

    (void)size; /* which would end it before on_body has had its say */
    (void)upload_size;
    (void)sent;
    if (received > (curl_off_t)transfer->call->response_bytes_max)
        transfer->arrival.too_large = true;
    return transfer->arrival.too_large;
}

/* libcurl decodes up to five layers, among them such as nobody asked for; a Transfer-Encoding's
 * even where no compression was asked for at all. */
static bool may_decode(struct http_transfer *transfer, const char *line, size_t size)
{
    static const char transport[] = "Transfer-Encoding:";
    bool accepted = transfer->call->accept_compressed;
    unsigned *layers = &transfer->arrival.layers;

    if (!accepted &&
        (size < strlen(transport) || strncasecmp(line, transport, strlen(transport)) != 0))
        return true;
    return http_coding_count(line, size, layers) && *layers <= (accepted ? 1 : 0);
}

/* Each line of a head. curl takes a head that breaks off for a whole one. */
static size_t on_head(char *data, size_t size, size_t count, void *transfer_pointer)
{
    struct http_transfer *transfer = transfer_pointer;

    if (size * count > 5 && memcmp(data, "HTTP/", 5) == 0) {
        transfer->arrival.head_complete = false; /* that of an interim response was another one */
        transfer->arrival.layers = 0;
    } else if (data[0] == '\r' || data[0] == '\n') {
        transfer->arrival.head_complete = true;
    } else if (!may_decode(transfer, data, size * count)) {
        transfer->arrival.undecodable = true;
        return 0;
    }
    return size * count;
}

static int on_request(void *transfer_pointer, char *remote_address, char *local_address,
    int remote_port, int local_port)
{
    struct http_transfer *transfer = transfer_pointer;

    (void)remote_address;
    (void)local_address;
    (void)remote_port;
    (void)local_port;
    transfer->request_sent = true;
    transfer->address_forbidden = false;
    return CURL_PREREQFUNC_OK;
}

/* The only place that sees the address which the connection goes to. */
static curl_socket_t on_open_socket(
    void *transfer_pointer, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct http_transfer *transfer = transfer_pointer;
    const struct http_client_options *options = &transfer->client->options;

    if (!options->address_allowed(&address->addr, options->address_context)) {
        transfer->address_forbidden = true;
        return CURL_SOCKET_BAD;
    }
    return http_shards_open_socket(transfer->client->shards, purpose, address);
}

/* ---- transfers ---- */

static void set_fixed_options(struct http_transfer *transfer)
{
    const struct http_client *client = transfer->client;
    const struct http_client_options *options = &client->options;
    CURL *easy = transfer->easy;

    SET(easy, CURLOPT_PRIVATE, transfer);
    SET(easy, CURLOPT_SHARE, client->share);
    http_shards_set_options(client->shards, easy);
    if (options->address_allowed) {
        SET(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
        SET(easy, CURLOPT_OPENSOCKETDATA, transfer);
    }
    SET(easy, CURLOPT_WRITEFUNCTION, on_body);
    SET(easy, CURLOPT_WRITEDATA, transfer);
    SET(easy, CURLOPT_HEADERFUNCTION, on_head);
    SET(easy, CURLOPT_HEADERDATA, transfer);
    SET(easy, CURLOPT_PREREQFUNCTION, on_request);
    SET(easy, CURLOPT_PREREQDATA, transfer);
    SET(easy, CURLOPT_XFERINFOFUNCTION, on_progress); /* while there is CURLOPT_NOPROGRESS 0 */
    SET(easy, CURLOPT_XFERINFODATA, transfer);
    SET(easy, CURLOPT_NOSIGNAL, 1L);
    /* Or the end of a call whose name is still being resolved blocks until it is. */
    SET(easy, CURLOPT_QUICK_EXIT, 1L);
    SET(easy, CURLOPT_TCP_NODELAY, 1L);
    SET(easy, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER_BYTES);
    SET(easy, CURLOPT_BUFFERSIZE, RECEIVE_BUFFER_BYTES);
    SET(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(options->connect_timeout_us / CLOCK_US_PER_MS));
    SET(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    /* An offer: a libcurl without HTTP/2 refuses it. */
    if (!options->http2 ||
        curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS) != CURLE_OK)
        SET(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(easy, CURLOPT_PIPEWAIT, options->http2 ? 1L : 0L);
    SET(easy, CURLOPT_FOLLOWLOCATION, 0L);
    SET(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(easy, CURLOPT_PROXY, options->proxy ? options->proxy : "");
    SET(easy, CURLOPT_NOPROXY, "");
    if (options->user_agent)
        SET(easy, CURLOPT_USERAGENT, options->user_agent);
    if (options->ca_file) {
        SET(easy, CURLOPT_CAINFO, options->ca_file);
        /* Or the system's folder of certificates would vouch beside it. */
        SET(easy, CURLOPT_CAPATH, NULL);
    }
}

static struct http_transfer *acquire_transfer(struct http_client *client)
{
    struct http_transfer *transfer = client->pool;

    if (transfer != NULL) {
        client->pool = transfer->next;
        client->pool_size--;
        return transfer;
    }
    transfer = memory_new(sizeof(*transfer));
    transfer->client = client;
    transfer->method = HTTP_GET;
    buf_init(&transfer->body, 0);
    transfer->easy = curl_easy_init();
    if (transfer->easy == NULL)
        abort();
    set_fixed_options(transfer);
    return transfer;
}

static void free_transfer(struct http_transfer *transfer)
{
    curl_easy_cleanup(transfer->easy);
    buf_release(&transfer->body);
    free(transfer);
}

static void release_transfer(struct http_transfer *transfer)
{
    struct http_client *client = transfer->client;

    if (client->pool_size >= client->options.calls_in_flight_max) {
        free_transfer(transfer);
        return;
    }
    if (transfer->body.capacity > BODY_KEPT_BYTES_MAX)
        buf_release(&transfer->body);
    transfer->next = client->pool;
    client->pool = transfer;
    client->pool_size++;
}

/* What differs from call to call. Only the URL can be refused, for its length. */
static CURLcode set_call_options(struct http_transfer *transfer, bool fresh_connection)
{
    const struct http_call *call = transfer->call;
    struct curl_slist *headers =
        http_headers_list(call->headers ? call->headers : transfer->client->no_headers);
    int64_t left_us = call->started_us + call->timeout_us - clock_monotonic_us();
    CURL *easy = transfer->easy;

    /* Rounded up; 0 would mean for ever. */
    SET(easy, CURLOPT_TIMEOUT_MS, left_us > 0 ? (long)(left_us / CLOCK_US_PER_MS + 1) : 1L);
    SET(easy, CURLOPT_HTTPHEADER, headers);
    if (call->method == HTTP_POST) { /* which CURLOPT_POSTFIELDS implies */
        SET(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_size);
        SET(easy, CURLOPT_POSTFIELDS, call->body ? call->body : "");
    } else if (transfer->method != HTTP_GET) {
        SET(easy, CURLOPT_HTTPGET, 1L);
    }
    transfer->method = call->method;
    if (transfer->fresh_connection != fresh_connection)
        SET(easy, CURLOPT_FRESH_CONNECT, fresh_connection ? 1L : 0L);
    transfer->fresh_connection = fresh_connection;
    if (transfer->accept_compressed != call->accept_compressed) {
        SET(easy, CURLOPT_ACCEPT_ENCODING, call->accept_compressed ? "gzip, deflate" : NULL);
        SET(easy, CURLOPT_NOPROGRESS, call->accept_compressed ? 0L : 1L);
    }
    transfer->accept_compressed = call->accept_compressed;
    return curl_easy_setopt(easy, CURLOPT_URL, call->url);
}

static bool give_to_curl(struct http_transfer *transfer, bool fresh_connection)
{
    transfer->refusal = set_call_options(transfer, fresh_connection);
    if (transfer->refusal != CURLE_OK)
        return false;
    transfer->shard = http_shards_add(transfer->client->shards, transfer->easy);
    if (transfer->shard == NULL)
        transfer->refusal = CURLE_FAILED_INIT;
    return transfer->shard != NULL;
}

/* ---- completion ---- */

static enum http_outcome judge(const struct http_transfer *transfer, CURLcode result, long status)
{
    const struct http_call *call = transfer->call;

    if (transfer->cancelled)
        return HTTP_CANCELLED;
    if (transfer->arrival.enough) /* whatever became of the rest */
        return HTTP_STOPPED;
    if (transfer->arrival.too_large) /* the code for it depends on the transfer encoding */
        return HTTP_RESPONSE_TOO_LARGE;
    if (transfer->arrival.undecodable || result == CURLE_BAD_CONTENT_ENCODING)
        return HTTP_UNDECODABLE;
    if (transfer->address_forbidden && result != CURLE_OK)
        return HTTP_ADDRESS_FORBIDDEN;
    switch (result) {
    case CURLE_OK:
        if (!transfer->arrival.head_complete || status < 100 || status > 599)
            return HTTP_BROKEN;
        return HTTP_ANSWERED;
    case CURLE_OPERATION_TIMEDOUT:
        /* The time for the call, or only the time for connecting? */
        if (transfer->request_sent || clock_monotonic_us() - call->started_us >= call->timeout_us)
            return HTTP_TIMEOUT;
        return HTTP_CONNECT_FAILED;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return HTTP_TLS_UNTRUSTED;
    default:
        return transfer->request_sent ? HTTP_BROKEN : HTTP_CONNECT_FAILED;
    }
}

/* curl's own text is the same for all of these. */
static const char *explain_distrust(CURL *easy)
{
    long problem = 0;

    curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &problem);
    /* The host is compared by curl itself, after OpenSSL was content; 1 says that OpenSSL found no
     * fault. */
    return problem <= 1 ? "certificate is not for this host" : certificate_problem(problem);
}

static const char *explain(CURL *easy, enum http_outcome outcome, CURLcode result)
{
    switch (outcome) {
    case HTTP_ANSWERED:
    case HTTP_STOPPED:
        return "";
    case HTTP_CANCELLED:
        return "cancelled";
    case HTTP_RESPONSE_TOO_LARGE:
        return "response body too large";
    case HTTP_UNDECODABLE:
        return "response body compressed in a way that cannot be read";
    case HTTP_ADDRESS_FORBIDDEN:
        return "the host has an address that may not be connected to";
    case HTTP_TLS_UNTRUSTED:
        return explain_distrust(easy);
    default:
        /* Not CURLOPT_ERRORBUFFER: its texts quote the URL. */
        return result == CURLE_OK ? "not a whole HTTP response" : curl_easy_strerror(result);
    }
}

static void complete(struct http_transfer *transfer, CURLcode result)
{
    struct http_call *call = transfer->call;
    long status = 0;

    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    enum http_outcome outcome = judge(transfer, result, status);
    bool answered = outcome == HTTP_ANSWERED;
    bool has_head = answered || outcome == HTTP_STOPPED;
    const struct http_response response = {
        .outcome = outcome,
        .status = has_head ? (int)status : 0,
        .body = answered ? buf_text(&transfer->body) : "",
        .body_size = answered ? transfer->body.size : 0,
        .error = explain(transfer->easy, outcome, result),
        .duration_us = clock_monotonic_us() - call->started_us,
        .transfer = has_head ? transfer : NULL,
    };

    transfer->client->calls--;
    call->transfer = NULL;
    call->on_done(call, &response);
    release_transfer(transfer);
}

/* The server may close a kept connection in the very moment a request goes out on it. Mostly curl
 * sends the request again by itself; but it counts that over the whole life of an easy handle and
 * gives up every sixth time, and it does not where a large body was still being sent. */
static bool was_stale_connection(const struct http_transfer *transfer, CURLcode result)
{
    long connections_made = 0;
    long header_bytes = 0;

    if (result != CURLE_SEND_ERROR && result != CURLE_RECV_ERROR && result != CURLE_GOT_NOTHING &&
        result != CURLE_HTTP2 && result != CURLE_HTTP2_STREAM)
        return false;
    if (!transfer->request_sent || transfer->arrival.body_bytes > 0)
        return false;
    curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS, &connections_made);
    curl_easy_getinfo(transfer->easy, CURLINFO_HEADER_SIZE, &header_bytes);
    return connections_made == 0 && header_bytes == 0;
}

static void on_finished(CURL *easy, CURLcode result)
{
    struct http_transfer *transfer = NULL;

    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
    transfer->shard = NULL;
    /* On a fresh connection this cannot happen again. */
    if (result != CURLE_OK && was_stale_connection(transfer, result) &&
        give_to_curl(transfer, true))
        return;
    DL_DELETE2(transfer->client->in_flight, transfer->call, previous, next);
    complete(transfer, result);
}

/* ---- the end of the client ---- */

static void on_idle_closed(uv_handle_t *handle)
{
    struct http_client *client = handle->data;

    http_headers_free(client->no_headers);
    free((char *)client->options.user_agent);
    free((char *)client->options.proxy);
    free((char *)client->options.ca_file);
    free(client);
    curl_global_cleanup();
}

static void on_shards_closed(void *client_pointer)
{
    struct http_client *client = client_pointer;

    curl_share_cleanup(client->share);
    uv_close((uv_handle_t *)&client->idle, on_idle_closed);
}

static void take_down(struct http_client *client)
{
    while (client->pool != NULL) {
        struct http_transfer *transfer = client->pool;
        client->pool = transfer->next;
        free_transfer(transfer);
    }
    http_shards_close(client->shards, on_shards_closed, client);
}

static void on_idle(uv_idle_t *idle)
{
    struct http_client *client = idle->data;
    struct http_call *ended = client->ended;

    uv_idle_stop(idle);
    client->ended = NULL; /* what on_done adds waits for the next turn */
    while (ended != NULL) {
        struct http_transfer *transfer = ended->transfer;
        DL_DELETE2(ended, ended, previous, next);
        complete(transfer, transfer->refusal);
    }
    if (client->closing && client->calls == 0)
        take_down(client);
}

/* ---- the client ---- */

static CURLSH *make_share(void)
{
    CURLSH *share = curl_share_init();

    /* One name look-up and one TLS handshake in full serve all shards. No locks: one thread. */
    if (share == NULL ||
        curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) != CURLSHE_OK ||
        curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) != CURLSHE_OK)
        abort();
    return share;
}

struct http_client *http_client_new(uv_loop_t *loop, const struct http_client_options *options)
{
    assert(options->calls_in_flight_max > 0 && options->connect_timeout_us > 0);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        abort();
    struct http_client *client = memory_new(sizeof(*client));
    const struct http_shards_options shards = {
        .transfers_max = options->calls_in_flight_max,
        .multiplex = options->http2,
        .on_finished = on_finished,
    };

    client->options = *options;
    client->options.user_agent = memory_copy_text(options->user_agent);
    client->options.proxy = memory_copy_text(options->proxy);
    client->options.ca_file = memory_copy_text(options->ca_file);
    client->no_headers = http_headers_new(NULL, 0);
    client->shards = http_shards_new(loop, &shards);
    client->share = make_share();
    uv_idle_init(loop, &client->idle);
    client->idle.data = client;
    return client;
}

static void end_call(struct http_client *client, struct http_call *call)
{
    DL_APPEND2(client->ended, call, previous, next);
    uv_idle_start(&client->idle, on_idle);
}

static void prepare_transfer(struct http_transfer *transfer, struct http_call *call)
{
    transfer->call = call;
    transfer->cancelled = transfer->client->closing;
    transfer->request_sent = false;
    transfer->address_forbidden = false;
    transfer->arrival = (struct arrival){0};
    buf_reset(&transfer->body);
    transfer->body.bytes_max = call->response_bytes_max;
}

void http_client_start(struct http_client *client, struct http_call *call)
{
    assert(call->url != NULL && call->on_done != NULL && call->timeout_us > 0);
    struct http_transfer *transfer = acquire_transfer(client);

    prepare_transfer(transfer, call);
    call->transfer = transfer;
    call->started_us = clock_monotonic_us();
    client->calls++;
    if (!client->closing && give_to_curl(transfer, false))
        DL_APPEND2(client->in_flight, call, previous, next);
    else
        end_call(client, call);
}

void http_client_cancel(struct http_client *client, struct http_call *call)
{
    struct http_transfer *transfer = call->transfer;

    if (transfer == NULL || transfer->shard == NULL)
        return; /* done, or about to be */
    http_shard_remove(transfer->shard, transfer->easy);
    transfer->shard = NULL;
    transfer->cancelled = true;
    DL_DELETE2(client->in_flight, call, previous, next);
    end_call(client, call);
}

void http_client_close(struct http_client *client)
{
    client->closing = true;
    while (client->in_flight != NULL)
        http_client_cancel(client, client->in_flight);
    uv_idle_start(&client->idle, on_idle);
}

unsigned http_client_calls_in_flight(const struct http_client *client)
{
    return client->calls;
}

const char *http_response_header(const struct http_response *response, const char *name)
{
    const struct http_transfer *transfer = response->transfer;
    struct curl_header *header = NULL;

    if (transfer == NULL ||
        curl_easy_header(transfer->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return NULL;
    size_t last = header->amount - 1;
    if (last > 0 &&
        curl_easy_header(transfer->easy, name, last, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return NULL;
    /* libcurl 7.88 leaves the line's end in an empty value. */
    return header->value[strspn(header->value, " \t\r\n")] ? header->value : "";
}

const char *http_client_library_version(void)
{
    return curl_version_info(CURLVERSION_NOW)->version;
}
