/* terra-connect worker: builds the parts that --flow names, runs the loop, stops them, takes down
 * in reverse order. What a part is made of stands in connect_part.c and its siblings. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/text.h"
#include "worker/command.h"
#include "worker/command_line.h"
#include "worker/status_server.h"
#include "worker/worker_part.h"

static const char help[] =
    "Usage: terra-connect worker [--flow connect|events|connections|all]\n"
    "\n"
    "Runs one flow, or all of them on one event loop. Start more of them to scale; they share the\n"
    "work by their consumer groups.\n"
    "\n"
    "  --flow connect      requests to links\n"
    "  --flow events       Terra's events to clean, keyed auth events\n"
    "  --flow connections  auth events to the latest state of each connection\n"
    "  --flow all          all three; the default\n"
    "  --help              this text\n"
    "\n"
    "A flow whose topic is missing says so and waits; the others go on.\n"
    "\n"
    "Settings are environment variables: terra-connect config. At least KAFKA_BOOTSTRAP_SERVERS "
    "is\n"
    "needed, and for the connect flow TERRA_DEV_ID and TERRA_API_KEY.\n"
    "\n"
    "SIGTERM and SIGINT: lets go what has not begun, awaits what is in flight, commits, leaves "
    "the\n"
    "groups. A second one exits at once.\n"
    "\n"
    "Exit codes: 0 after a signal; 1 a fault that only a restart mends; 2 wrong usage; 78 the\n"
    "settings are wrong.\n";

#define REDIS_CONNECT_TIMEOUT_US (2 * CLOCK_US_PER_SECOND)
#define REDIS_RECONNECT_MAX_US (2 * CLOCK_US_PER_SECOND)

static const struct worker_part_type *const flows[] = {
    &connect_part, &events_part, &connections_part};
enum { FLOW_COUNT = sizeof flows / sizeof flows[0] };

struct worker {
    struct config config;
    uv_loop_t loop;
    uv_signal_t sigterm, sigint;
    uv_timer_t shutdown_timer;
    struct redis_client *redis;          /* NULL: none configured */
    struct metric *redis_connected;      /* with it */
    struct redis_subscriber *subscriber; /* of the same */
    struct link_memory *link_memory;
    struct status_server *status; /* NULL: nothing listens */
    struct worker_part *parts[FLOW_COUNT];
    unsigned part_count;
    unsigned running; /* parts that have not told on_stopped */
    bool stopping;
    enum exit_code exit_code;
};

/* ---- stopping: the parts, then what they stand on ---- */

/* Nothing is in flight any more: whatever still has a handle gives it up, and the loop ends. */
static void close_rest(struct worker *worker)
{
    status_server_close(worker->status);
    if (worker->link_memory)
        link_memory_close(worker->link_memory);
    if (worker->redis)
        redis_client_close(worker->redis);
    if (worker->subscriber)
        redis_subscriber_close(worker->subscriber);
    uv_close((uv_handle_t *)&worker->sigterm, NULL);
    uv_close((uv_handle_t *)&worker->sigint, NULL);
    uv_close((uv_handle_t *)&worker->shutdown_timer, NULL);
}

static void on_stopped(void *context)
{
    struct worker *worker = context;
    if (--worker->running == 0)
        close_rest(worker);
}

static unsigned in_flight(const struct worker *worker)
{
    unsigned count = 0;
    for (unsigned i = 0; i < worker->part_count; i++)
        count += worker_part_jobs(worker->parts[i]);
    return count;
}

static void on_shutdown_timeout(uv_timer_t *timer)
{
    struct worker *worker = timer->data;
    log_warn("worker", "what is in flight was not done in time and is let go",
        LOG_INT("in_flight", in_flight(worker)));
    for (unsigned i = 0; i < worker->part_count; i++)
        worker_part_abandon(worker->parts[i]);
}

static void stop(struct worker *worker)
{
    worker->stopping = true;
    uv_timer_start(&worker->shutdown_timer, on_shutdown_timeout,
        (uint64_t)(worker->config.shutdown_timeout_us / CLOCK_US_PER_MS), 0);
    worker->running = worker->part_count;
    if (worker->part_count == 0)
        close_rest(worker);
    for (unsigned i = 0; i < worker->part_count; i++)
        worker_part_stop(worker->parts[i]);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct worker *worker = handle->data;
    if (worker->stopping) {
        log_warn("worker", "second signal, exiting at once");
        _exit(EXIT_FAILED);
    }
    log_info("worker", "stopping", LOG_TEXT("signal", number == SIGTERM ? "SIGTERM" : "SIGINT"),
        LOG_INT("in_flight", in_flight(worker)));
    stop(worker);
}

static void on_fatal(void *context, const char *reason)
{
    struct worker *worker = context;
    log_error("worker", "cannot go on, a restart is needed", LOG_TEXT("reason", reason));
    worker->exit_code = EXIT_FAILED;
    if (!worker->stopping)
        stop(worker);
}

/* Ready: every flow has joined its group, be it without a partition, and nobody is leaving. */
static void on_readiness(void *context, struct status_readiness *readiness)
{
    const struct worker *worker = context;
    if (worker->stopping)
        status_readiness_object(readiness, "stopping", "the worker is leaving its groups");
    for (unsigned i = 0; i < worker->part_count; i++) {
        char message[WORKER_PART_ERROR_SIZE];
        if (worker_part_joined(worker->parts[i]))
            continue;
        snprintf(message, sizeof message, "the %s flow has not joined the group %s",
            worker->parts[i]->type->flow, worker->parts[i]->group_id);
        status_readiness_object(readiness, "group_not_joined", message);
    }
}

static void on_metrics(void *context)
{
    struct worker *worker = context;
    if (worker->redis)
        metric_set(worker->redis_connected, redis_client_connected(worker->redis));
    for (unsigned i = 0; i < worker->part_count; i++)
        worker_part_refresh_metrics(worker->parts[i]);
}

/* ---- building up ---- */

static bool make_status(struct worker *worker, char error[WORKER_PART_ERROR_SIZE])
{
    const struct status_server_options options = {
        .listen = worker->config.http_listen,
        .on_readiness = on_readiness,
        .on_metrics = on_metrics,
        .context = worker,
    };
    enum result result =
        status_server_new(&worker->loop, &options, &worker->status, error, WORKER_PART_ERROR_SIZE);
    return result == RESULT_OK || worker_part_blame("HTTP_LISTEN", error);
}

static bool make_redis(struct worker *worker, char error[WORKER_PART_ERROR_SIZE])
{
    const struct config *config = &worker->config;
    if (text_empty(config->redis_url)) {
        log_warn("worker", "REDIS_URL is not set: this worker keeps to itself what workers would "
                           "share, links given "
                           "before, the rate limit, users' last events; run one worker only");
        return true;
    }
    const struct redis_client_options options = {
        .url = config->redis_url,
        .connect_timeout_us = REDIS_CONNECT_TIMEOUT_US,
        .reconnect_max_us = REDIS_RECONNECT_MAX_US,
        .ca_file = text_empty(config->redis_ca_file) ? NULL : config->redis_ca_file,
    };
    worker->redis_connected = metrics_gauge("terra_connect_redis_connected", NULL,
        "1 while the worker is connected to Redis; absent without REDIS_URL.");
    bool made = redis_client_new(&worker->loop, &options, &worker->redis, error,
                    WORKER_PART_ERROR_SIZE) == RESULT_OK &&
                redis_subscriber_new(&worker->loop, &options, &worker->subscriber, error,
                    WORKER_PART_ERROR_SIZE) == RESULT_OK;
    return made || worker_part_blame("REDIS_URL", error);
}

static bool make_parts(struct worker *worker, const char *flow, char error[WORKER_PART_ERROR_SIZE])
{
    const struct worker_part_options options = {
        .loop = &worker->loop,
        .config = &worker->config,
        .redis = worker->redis,
        .subscriber = worker->subscriber,
        .link_memory = worker->link_memory,
        .on_fatal = on_fatal,
        .on_stopped = on_stopped,
        .context = worker,
    };
    for (unsigned i = 0; i < FLOW_COUNT && error[0] == '\0'; i++) {
        if (text_equal(flow, "all") || text_equal(flow, flows[i]->flow))
            worker->parts[worker->part_count++] = worker_part_new(flows[i], &options, error);
    }
    return error[0] == '\0';
}

static void start_signal(struct worker *worker, uv_signal_t *handle, int number)
{
    uv_signal_init(&worker->loop, handle);
    handle->data = worker;
    uv_signal_start(handle, on_signal, number);
}

/* Whatever was built when something failed is taken down by the same path as at the end. */
static bool build(struct worker *worker, const char *flow)
{
    char error[WORKER_PART_ERROR_SIZE] = "";
    uv_loop_init(&worker->loop);
    uv_timer_init(&worker->loop, &worker->shutdown_timer);
    worker->shutdown_timer.data = worker;
    /* First, so that a signal that comes while we build is handled when the loop runs. */
    start_signal(worker, &worker->sigterm, SIGTERM);
    start_signal(worker, &worker->sigint, SIGINT);

    bool built = make_status(worker, error) && make_redis(worker, error);
    if (built) {
        worker->link_memory =
            link_memory_new(&worker->loop, &(struct link_memory_options){
                                               .redis = worker->redis,
                                               .key_prefix = worker->config.redis_key_prefix,
                                               .keep_us = worker->config.link_memory_ttl_us,
                                           });
        built = make_parts(worker, flow, error);
    }
    if (!built)
        fprintf(stderr, "The settings cannot be used:\n%s\n", error);
    return built;
}

static void tear_down(struct worker *worker)
{
    while (worker->part_count > 0)
        worker_part_free(worker->parts[--worker->part_count]);
    link_memory_free(worker->link_memory);
    uv_loop_close(&worker->loop);
    config_release(&worker->config);
}

static bool is_flow(const char *name)
{
    for (unsigned i = 0; i < FLOW_COUNT; i++) {
        if (text_equal(name, flows[i]->flow))
            return true;
    }
    return text_equal(name, "all");
}

static bool take_flow(void *into, int option, const char *value, int *exit_code)
{
    const char **flow = into;
    (void)option; /* there is only one */
    *flow = value;
    return is_flow(value) || command_refuse("worker", exit_code,
                                 "--flow must be connect, events, connections or all");
}

/* True when the arguments are understood; else the exit code says what to do. */
static bool read_arguments(int argc, char **argv, const char **flow, int *exit_code)
{
    static const struct option known[] = {
        {"flow", required_argument, NULL, 'f'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    static const struct command_options options = {"worker", help, known, take_flow};
    return command_read_options(&options, flow, argc, argv, exit_code) &&
           command_has_no_words("worker", argc, argv, exit_code);
}

int command_worker(int argc, char **argv)
{
    int exit_code;
    const char *flow = "all";
    if (!read_arguments(argc, argv, &flow, &exit_code))
        return exit_code;
    bool connects = text_equal(flow, "connect") || text_equal(flow, "all");
    struct worker worker = {0};
    if (!command_load_config(&worker.config, connects ? CONFIG_NEED_TERRA : CONFIG_NEED_KAFKA)) {
        config_release(&worker.config);
        return EXIT_CONFIG;
    }
    if (build(&worker, flow)) {
        log_info("worker", "started", LOG_TEXT("version", TERRA_CONNECT_VERSION),
            LOG_TEXT("flow", flow));
    } else {
        worker.exit_code = EXIT_CONFIG;
        stop(&worker);
    }
    uv_run(&worker.loop, UV_RUN_DEFAULT);
    if (worker.exit_code == EXIT_OK)
        log_info("worker", "stopped");
    tear_down(&worker);
    return worker.exit_code;
}
