/* terra-connect health: asks the worker of this machine how it is, over HTTP_LISTEN. */
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "common/clock.h"
#include "common/http_client.h"
#include "worker/command.h"
#include "worker/command_line.h"

static const char help[] =
    "Usage: terra-connect health [--ready]\n"
    "\n"
    "Asks the worker that listens at HTTP_LISTEN on this machine how it is, for a container's\n"
    "health check. Run it with the settings of the worker.\n"
    "\n"
    "  --ready  whether it is ready too, not only alive: it has joined its groups\n"
    "  --help   this text\n"
    "\n"
    "Exit codes: 0 well; 1 not well, or no answer; 2 wrong usage; 78 a setting is wrong, or\n"
    "HTTP_LISTEN is empty or has port 0.\n";

#define ANSWER_TIMEOUT_US (3 * CLOCK_US_PER_SECOND)
#define ANSWER_BYTES_MAX ((size_t)64 * 1024)

struct health_question {
    struct http_call call;
    struct http_client *client;
    enum exit_code exit_code;
};

static void on_answer(struct http_call *call, const struct http_response *response)
{
    struct health_question *question = call->context;
    if (response->outcome != HTTP_ANSWERED)
        fprintf(
            stderr, "terra-connect health: no answer from %s: %s\n", call->url, response->error);
    else if (response->status != 200)
        fprintf(stderr, "terra-connect health: %d %s\n", response->status, response->body);
    else
        question->exit_code = EXIT_OK;
    http_client_close(question->client);
}

static enum exit_code ask(const char *url)
{
    uv_loop_t loop;
    struct health_question question = {
        .call = {.method = HTTP_GET,
            .url = url,
            .timeout_us = ANSWER_TIMEOUT_US,
            .response_bytes_max = ANSWER_BYTES_MAX,
            .on_done = on_answer,
            .context = &question},
        .exit_code = EXIT_FAILED,
    };
    uv_loop_init(&loop);
    question.client = http_client_new(&loop, &(struct http_client_options){
                                                 .calls_in_flight_max = 1,
                                                 .connect_timeout_us = ANSWER_TIMEOUT_US,
                                                 .user_agent = "terra-connect health",
                                             });
    http_client_start(question.client, &question.call);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return question.exit_code;
}

/* Nobody can be asked where nothing listens, or where the system chose the port. */
static bool has_address(const char *listen)
{
    const char *port = strrchr(listen, ':');
    return port && strspn(port + 1, "0") < strlen(port + 1);
}

static enum exit_code ask_worker(const char *path)
{
    struct config config = {0};
    char url[512];
    enum exit_code exit_code = EXIT_CONFIG;
    if (command_load_config(&config, CONFIG_NEED_NOTHING)) {
        /* On Linux a connection to 0.0.0.0 or [::] reaches this machine. */
        snprintf(url, sizeof url, "http://%s%s", config.http_listen, path);
        if (has_address(config.http_listen))
            exit_code = ask(url);
        else
            fprintf(stderr, "terra-connect health: HTTP_LISTEN=%s gives no address to ask\n",
                config.http_listen);
    }
    config_release(&config);
    return exit_code;
}

static bool take_ready(void *into, int option, const char *value, int *exit_code)
{
    const char **path = into;
    (void)option, (void)value, (void)exit_code; /* there is only one */
    *path = "/readyz";
    return true;
}

int command_health(int argc, char **argv)
{
    static const struct option known[] = {
        {"ready", no_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    static const struct command_options options = {"health", help, known, take_ready};
    const char *path = "/healthz";
    int exit_code;
    if (command_read_options(&options, &path, argc, argv, &exit_code) &&
        command_has_no_words("health", argc, argv, &exit_code))
        exit_code = ask_worker(path);
    return exit_code;
}
