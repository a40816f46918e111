/* status_server: see status_server.h. */
#include "worker/status_server.h"

#include <stdlib.h>

#include "common/http_server.h"
#include "common/json.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/metrics.h"
#include "common/text.h"

struct status_server {
    struct http_server *http;
    void (*on_readiness)(void *context, struct status_readiness *readiness);
    void (*on_metrics)(void *context);
    void *context;
    struct metric *ready;
};

struct status_readiness {
    struct json_writer reasons;
    bool ready;
};

static void write_health(void *context, struct http_server_answer *answer)
{
    (void)context;
    answer->content_type = "application/json";
    buf_append_text(&answer->body, "{\"alive\":true}\n");
}

void status_readiness_object(
    struct status_readiness *readiness, const char *code, const char *message)
{
    struct json_writer *writer = &readiness->reasons;
    readiness->ready = false;
    json_open_object(writer, NULL);
    json_put_text(writer, "code", code);
    json_put_text(writer, "message", message);
    json_close_object(writer);
}

/* Asks the owner; the reasons go into `reasons`, which the caller releases. */
static bool ask_readiness(const struct status_server *server, struct buf *reasons)
{
    struct status_readiness readiness = {.ready = true};
    buf_init(reasons, HTTP_SERVER_BODY_BYTES_MAX);
    json_writer_init(&readiness.reasons, reasons);
    json_open_array(&readiness.reasons, NULL);
    if (server->on_readiness)
        server->on_readiness(server->context, &readiness);
    json_close_array(&readiness.reasons);
    return readiness.ready;
}

/* The reasons are asked for first: whether there are any stands before them. */
static void write_readiness(void *context, struct http_server_answer *answer)
{
    struct buf reasons;
    bool ready = ask_readiness(context, &reasons);
    answer->status = ready ? 200 : 503;
    answer->content_type = "application/json";
    buf_append_text(
        &answer->body, ready ? "{\"ready\":true,\"reasons\":" : "{\"ready\":false,\"reasons\":");
    buf_append(&answer->body, reasons.data, reasons.size);
    buf_append_text(&answer->body, "}\n");
    buf_release(&reasons);
}

static void write_metrics(void *context, struct http_server_answer *answer)
{
    struct status_server *server = context;
    struct buf reasons;
    metric_set(server->ready, ask_readiness(server, &reasons));
    buf_release(&reasons);
    if (server->on_metrics)
        server->on_metrics(server->context);
    answer->content_type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_print(&answer->body);
}

/* Gives the gauge of readiness. */
static struct metric *register_metrics(void)
{
    metric_set(metrics_gauge("terra_connect_build_info", "version=\"" TERRA_CONNECT_VERSION "\"",
                   "Always 1; the label tells which version runs."),
        1);
    return metrics_gauge("terra_connect_ready", NULL,
        "1 while all flows of the worker have joined their groups and it is not leaving.");
}

enum result status_server_new(uv_loop_t *loop, const struct status_server_options *options,
    struct status_server **server, char *error, size_t error_size)
{
    struct metric *ready = register_metrics();
    *server = NULL;
    if (text_empty(options->listen))
        return RESULT_OK;
    struct status_server *made = memory_new(sizeof *made);
    made->on_readiness = options->on_readiness;
    made->on_metrics = options->on_metrics;
    made->context = options->context;
    made->ready = ready;
    const struct http_server_page pages[] = {
        {"/metrics", write_metrics, made},
        {"/healthz", write_health, made},
        {"/readyz", write_readiness, made},
    };
    const struct http_server_options http_options = {
        .listen = options->listen,
        .pages = pages,
        .page_count = sizeof pages / sizeof pages[0],
    };
    enum result result = http_server_new(loop, &http_options, &made->http, error, error_size);
    if (result != RESULT_OK) {
        free(made);
        return result;
    }
    log_info("status", "metrics and health are served",
        LOG_TEXT("address", http_server_address(made->http)));
    *server = made;
    return RESULT_OK;
}

void status_server_close(struct status_server *server)
{
    if (!server)
        return;
    http_server_close(server->http); /* which asks for no page any more */
    free(server);
}

const char *status_server_address(const struct status_server *server)
{
    return http_server_address(server->http);
}
