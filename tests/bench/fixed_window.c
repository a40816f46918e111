/*
 * fixed_window: what `./dev bench limiter` compares to. A process whose requests wait for a turn
 * under the common shared limiter: each asks Redis (fixed_window.lua), and sleeps until the window
 * ends where it has no room left. The same clients as the worker's carry the calls.
 *
 *   fixed_window <redis url> <terra url> <calls per second> <requests> <prefix of reference ids>
 *
 * Begins when a line comes on stdin. Runs until it is killed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "common/clock.h"
#include "common/http_client.h"
#include "common/memory.h"
#include "common/redis_client.h"
#include "fixed_window_script.h"

#define REDIS_TIMEOUT_US (5 * CLOCK_US_PER_SECOND)
#define CALL_TIMEOUT_US (15 * CLOCK_US_PER_SECOND)
#define RETRY_MS 100
#define CALLS_IN_FLIGHT_MAX 256
#define RESPONSE_BYTES_MAX 65536
#define REQUESTS_MAX 100000

static const struct redis_script script = {
    .text = fixed_window_script_text,
    .sha1 = fixed_window_script_sha1,
};

static struct redis_client *redis;
static struct http_client *http;
static struct http_headers *headers;
static char url[256];
static const char *limit;

struct request {
    uv_timer_t timer;
    struct redis_command command;
    struct http_call call;
    char body[64];
};

static void on_done(struct http_call *call, const struct http_response *response)
{
    (void)call;
    if (response->outcome != HTTP_ANSWERED)
        fprintf(stderr, "fixed_window: %s\n", http_outcome_name(response->outcome));
}

static void start_call(struct request *request)
{
    request->call = (struct http_call){
        .method = HTTP_POST,
        .url = url,
        .headers = headers,
        .body = request->body,
        .body_size = strlen(request->body),
        .timeout_us = CALL_TIMEOUT_US,
        .response_bytes_max = RESPONSE_BYTES_MAX,
        .on_done = on_done,
        .context = request,
    };
    http_client_start(http, &request->call);
}

static void ask(struct request *request);

static void on_timer(uv_timer_t *timer)
{
    ask(timer->data);
}

static void on_answer(struct redis_command *command, const struct redis_answer *answer)
{
    struct request *request = command->context;
    bool understood = answer->outcome == REDIS_ANSWERED && answer->kind == REDIS_INTEGER;
    if (understood && answer->integer == 0)
        start_call(request);
    else
        uv_timer_start(
            &request->timer, on_timer, understood ? (uint64_t)answer->integer : RETRY_MS, 0);
}

static void ask(struct request *request)
{
    const char *arguments[] = {"fixed-window", limit};
    request->command = (struct redis_command){.on_answer = on_answer, .context = request};
    redis_client_run_script(
        redis, &request->command, REDIS_TIMEOUT_US, &script, 1, 2, arguments, NULL);
}

static void make_clients(uv_loop_t *loop, const char *redis_url)
{
    static const struct http_header fields[] = {
        {"dev-id", "sandbox-dev"},
        {"x-api-key", "sandbox-key"},
        {"Content-Type", "application/json"},
    };
    char error[256];
    const struct redis_client_options options = {
        .url = redis_url,
        .connect_timeout_us = REDIS_TIMEOUT_US,
        .reconnect_max_us = CLOCK_US_PER_SECOND,
        .quiet = true,
    };
    if (redis_client_new(loop, &options, &redis, error, sizeof error) != RESULT_OK) {
        fprintf(stderr, "fixed_window: %s\n", error);
        exit(1);
    }
    http = http_client_new(loop, &(struct http_client_options){
                                     .calls_in_flight_max = CALLS_IN_FLIGHT_MAX,
                                     .connect_timeout_us = CALL_TIMEOUT_US,
                                     .user_agent = "fixed-window",
                                 });
    headers = http_headers_new(fields, sizeof fields / sizeof fields[0]);
}

int main(int argc, char **argv)
{
    long count = argc == 6 ? strtol(argv[4], NULL, 10) : 0;
    if (count < 1 || count > REQUESTS_MAX) {
        fprintf(stderr, "usage: fixed_window <redis url> <terra url> <calls per second> "
                        "<requests> <prefix of reference ids>\n");
        return 2;
    }
    limit = argv[3];
    snprintf(url, sizeof url, "%s/widget/session", argv[2]);
    uv_loop_t *loop = uv_default_loop();
    make_clients(loop, argv[1]);
    struct request *requests = memory_new((size_t)count * sizeof *requests);
    char line;
    if (read(STDIN_FILENO, &line, 1) != 1)
        return 0;
    for (long i = 0; i < count; i++) {
        struct request *request = &requests[i];
        snprintf(request->body, sizeof request->body, "{\"reference_id\":\"%s%06ld\"}", argv[5], i);
        uv_timer_init(loop, &request->timer);
        request->timer.data = request;
        ask(request);
    }
    return uv_run(loop, UV_RUN_DEFAULT);
}
