/*
 * terra-sandbox: an embedded Kafka and a simulated Terra in one process.
 * Begin reading at sandbox.h.
 *
 * Exit codes: 0 ended as asked, 1 could not start (a port is taken, a
 * broker away), 2 wrong options.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "options.h"
#include "sandbox.h"
#include "web.h"

struct program {
    struct options options;
    struct sandbox sandbox;
    uv_loop_t loop;
    uv_signal_t signals[2];
    struct web *web;
    char own_url[64];
};

static void on_signal(uv_signal_t *signal, int number)
{
    (void)number;
    struct program *program = signal->data;
    web_close(program->web);
    if (program->sandbox.terra.destination != NULL)
        destination_close(program->sandbox.terra.destination);
    for (int i = 0; i < 2; i++)
        uv_close((uv_handle_t *)&program->signals[i], NULL);
}

static void watch_signals(struct program *program)
{
    static const int numbers[2] = {SIGTERM, SIGINT};
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < 2; i++) {
        uv_signal_init(&program->loop, &program->signals[i]);
        program->signals[i].data = program;
        uv_signal_start(&program->signals[i], on_signal, numbers[i]);
    }
}

/* The parent may have ended before the kernel was asked to tell. */
static bool follow_parent(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    return getppid() == parent;
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static bool start_kafka(struct program *program)
{
    const struct options *options = &program->options;
    if (!options->kafka)
        return true;
    struct kafka_options kafka_options = {
        .listen = options->listen,
        .port = options->kafka_port,
        .brokers = options->brokers,
        .topics = options->topics,
        .topic_count = options->topic_count,
    };
    char error[KAFKA_ERROR_SIZE];
    if (kafka_new(&kafka_options, &program->sandbox.kafka, error) == RESULT_OK)
        return true;
    fprintf(stderr, "terra-sandbox: %s\n", error);
    return false;
}

static bool start_web(struct program *program)
{
    const struct options *options = &program->options;
    struct web_options web_options = {
        .listen = options->listen,
        .port = options->http_port,
        .on_request = sandbox_on_request,
        .on_finished = sandbox_on_finished,
        .context = &program->sandbox,
    };
    program->web = web_new(&program->loop, &web_options);
    if (program->web == NULL) {
        fprintf(stderr, "terra-sandbox: cannot listen on %s:%u for HTTP: %s\n", options->listen,
            (unsigned)options->http_port, strerror(errno));
        return false;
    }
    bool everywhere = strcmp(options->listen, "0.0.0.0") == 0;
    snprintf(program->own_url, sizeof(program->own_url), "http://%s:%u",
        everywhere ? "127.0.0.1" : options->listen, (unsigned)web_port(program->web));
    return true;
}

static void set_up_terra(struct program *program)
{
    struct terra *terra = &program->sandbox.terra;
    const struct options *options = &program->options;
    terra->credentials = options->credentials;
    terra->legacy_retired = options->legacy_retired;
    terra->link_base =
        strcmp(options->public_url, "self") == 0 ? program->own_url : options->public_url;
    program->sandbox.latency_us = (int64_t)options->latency_ms * 1000;
    if (program->sandbox.kafka == NULL)
        return;
    struct destination_options destination_options = {
        .brokers = kafka_brokers(program->sandbox.kafka),
        .topic = options->raw_events_topic,
        .own_url = program->own_url,
    };
    terra->destination = destination_new(&program->loop, &destination_options);
}

static void say_ready(const struct program *program)
{
    struct buf line;
    struct json_writer writer;
    char url[96];
    const struct credential *credential = &program->sandbox.terra.credentials.items[0];
    buf_init(&line, 4096);
    json_writer_init(&writer, &line);
    json_open_object(&writer, NULL);
    json_put_text(&writer, "kafka",
        program->sandbox.kafka != NULL ? kafka_brokers(program->sandbox.kafka) : NULL);
    snprintf(url, sizeof(url), "%s/api", program->own_url);
    json_put_text(&writer, "terra", url);
    snprintf(url, sizeof(url), "%s/sandbox", program->own_url);
    json_put_text(&writer, "control", url);
    json_put_text(&writer, "pages", program->own_url);
    json_put_text(&writer, "links", program->sandbox.terra.link_base);
    json_put_text(&writer, "raw_events_topic",
        program->sandbox.kafka != NULL ? program->options.raw_events_topic : NULL);
    json_put_text(&writer, "dev_id", credential->dev_id);
    json_put_text(&writer, "api_key", credential->api_key);
    json_put_integer(&writer, "pid", getpid());
    json_close_object(&writer);
    printf("%s\n", buf_text(&line));
    fflush(stdout);
    buf_release(&line);
}

static int run(struct program *program)
{
    if (!start_kafka(program) || !start_web(program))
        return 1;
    set_up_terra(program);
    watch_signals(program);
    say_ready(program);
    uv_run(&program->loop, UV_RUN_DEFAULT);
    return 0;
}

int main(int argc, char **argv)
{
    static struct program program;
    pid_t parent = getppid();
    switch (options_read(&program.options, argc, argv)) {
    case OPTIONS_RUN:
        break;
    case OPTIONS_SHOWN:
        return 0;
    case OPTIONS_WRONG:
        return 2;
    }
    if (program.options.exit_with_parent && !follow_parent(parent))
        return 0;
    raise_descriptor_limit();
    uv_loop_init(&program.loop);
    sandbox_init(&program.sandbox, program.options.records_max);
    int exit_code = run(&program);
    sandbox_release(&program.sandbox);
    uv_loop_close(&program.loop);
    return exit_code;
}
