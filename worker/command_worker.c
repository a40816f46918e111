/* terra-connect worker: builds the stages, runs the loop, drains, takes down in reverse order. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "worker/command.h"
#include "worker/config_value.h"
#include "worker/connect_flow.h"
#include "worker/environment.h"

static const char help[] =
    "Usage: terra-connect worker [--flow connect]\n"
    "\n"
    "Takes connect requests from Kafka, asks Terra for a link, and publishes the reply. Start more "
    "of\n"
    "them to scale; they share the work by their consumer group.\n"
    "\n"
    "  --flow connect   requests to links; the only flow of this version, and the default\n"
    "  --help           this text\n"
    "\n"
    "Settings are environment variables: terra-connect config. At least KAFKA_BOOTSTRAP_SERVERS,\n"
    "TERRA_DEV_ID and TERRA_API_KEY are needed.\n"
    "\n"
    "SIGTERM and SIGINT: lets go what has not begun, awaits calls in flight, commits, leaves the\n"
    "group. A second one exits at once.\n"
    "\n"
    "Exit codes: 0 after a signal; 1 a fault that only a restart mends; 2 wrong usage; 78 the\n"
    "settings are wrong.\n";

#define CONNECT_TIMEOUT_US (5 * CLOCK_US_PER_SECOND)
#define REDIS_CONNECT_TIMEOUT_US (2 * CLOCK_US_PER_SECOND)
#define REDIS_RECONNECT_MAX_US (2 * CLOCK_US_PER_SECOND)
#define BATCH_LINGER_MS "10"

struct worker {
    struct config config;
    uv_loop_t loop;
    uv_signal_t sigterm, sigint;
    uv_timer_t shutdown_timer;

    struct environments environments;
    struct redirect_rules *redirects;
    struct reply_address_rules *addresses;
    struct redis_client *redis; /* NULL: none configured */
    struct reply_cache *reply_cache;
    struct admission *admission;
    struct terra_caller *terra;
    struct publisher *publisher;       /* replies, each at once */
    struct publisher *batch_publisher; /* outcomes and dead letters, in batches */
    struct connect_flow *flow;
    struct intake *intake;

    char source[256]; /* ce_source */
    bool stopping;
    bool publishers_closing, terra_closing;
    enum exit_code exit_code;
};

/* ---- taking down: the flow, the intake, then what they stand on ---- */

static void close_handle(void *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void close_terra(struct worker *worker)
{
    if (worker->terra && !worker->terra_closing)
        terra_caller_close(worker->terra);
    worker->terra_closing = true;
}

static void close_publishers(struct worker *worker)
{
    if (worker->publisher && !worker->publishers_closing)
        publisher_close(worker->publisher);
    if (worker->batch_publisher && !worker->publishers_closing)
        publisher_close(worker->batch_publisher);
    worker->publishers_closing = true;
}

/* Nothing is in flight any more: whatever still has a handle gives it up, and the loop ends. */
static void close_rest(struct worker *worker)
{
    close_publishers(worker);
    close_terra(worker);
    if (worker->flow)
        connect_flow_close(worker->flow);
    if (worker->admission)
        admission_close(worker->admission);
    if (worker->reply_cache)
        reply_cache_close(worker->reply_cache);
    if (worker->redis)
        redis_client_close(worker->redis);
    close_handle(&worker->sigterm);
    close_handle(&worker->sigint);
    close_handle(&worker->shutdown_timer);
}

static void on_intake_closed(void *context)
{
    close_rest(context);
}

static void on_drained(void *context)
{
    struct worker *worker = context;
    log_info("worker", "all requests in flight are done, leaving the group");
    uv_timer_stop(&worker->shutdown_timer);
    intake_close(worker->intake);
}

static void on_shutdown_timeout(uv_timer_t *timer)
{
    struct worker *worker = timer->data;
    log_warn("worker", "requests in flight were not done in time and are let go",
        LOG_INT("requests", connect_flow_jobs(worker->flow)));
    connect_flow_abandon(worker->flow);
    close_terra(worker);
    close_publishers(worker);
}

static void stop(struct worker *worker)
{
    worker->stopping = true;
    intake_stop(worker->intake);
    connect_flow_drain(worker->flow);
    uv_timer_start(&worker->shutdown_timer, on_shutdown_timeout,
        (uint64_t)(worker->config.shutdown_timeout_us / CLOCK_US_PER_MS), 0);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct worker *worker = handle->data;
    if (worker->stopping) {
        log_warn("worker", "second signal, exiting at once");
        _exit(EXIT_FAILED);
    }
    log_info("worker", "stopping", LOG_TEXT("signal", number == SIGTERM ? "SIGTERM" : "SIGINT"),
        LOG_INT("requests_in_flight", connect_flow_jobs(worker->flow)));
    stop(worker);
}

/* A client cannot go on; a new process can. */
static void on_fatal(void *context, const char *reason)
{
    struct worker *worker = context;
    log_error("worker", "cannot go on, a restart is needed", LOG_TEXT("reason", reason));
    worker->exit_code = EXIT_FAILED;
    if (!worker->stopping)
        stop(worker);
}

static void on_record(void *context, struct kafka_record *record, struct intake_place place)
{
    struct worker *worker = context;
    connect_flow_take(worker->flow, record, place);
}

static void on_leaving(void *context)
{
    struct worker *worker = context;
    connect_flow_let_go_leaving(worker->flow);
}

/* ---- building up ---- */

static bool load_environments(struct worker *worker, char error[ENVIRONMENT_ERROR_SIZE])
{
    const struct config *config = &worker->config;
    const struct environment_defaults defaults = {
        .base_url = config->terra_base_url,
        .urls =
            {
                [TERRA_WIDGET_SESSION] = config->terra_widget_session_url,
                [TERRA_LEGACY_WIDGET] = config->terra_legacy_widget_url,
                [TERRA_AUTHENTICATE_USER] = config->terra_authenticate_user_url,
            },
        .rate = config->terra_rate_limit,
        .burst = config->terra_rate_burst,
        .plain_http_allowed = config->terra_allow_http,
    };
    if (!text_empty(config->terra_dev_id) &&
        environments_add(&worker->environments, config->terra_environment, config->terra_dev_id,
            config->terra_api_key, &defaults, error) != RESULT_OK)
        return false;
    if (text_empty(config->terra_environments_file))
        return true;

    char reason[160];
    char *json = config_value_read_file(config->terra_environments_file, reason, sizeof reason);
    if (!json) {
        snprintf(error, ENVIRONMENT_ERROR_SIZE, "TERRA_ENVIRONMENTS_FILE: cannot read %s: %s",
            config->terra_environments_file, reason);
        return false;
    }
    enum result result = environments_add_json(
        &worker->environments, json, strlen(json), &defaults, config_value_read_file, error);
    free(json);
    return result == RESULT_OK;
}

/* A reply on the request topic would be read as a request, and answered. */
static bool replies_could_be_requests(const struct worker *worker)
{
    struct reply_address address;
    struct connect_error error;
    const char *topic = worker->config.connect_requests_topic;
    const struct kafka_header header = {"reply-to", topic, strlen(topic)};
    return reply_address_read(worker->addresses, NULL, &header, NULL, &address, &error);
}

/* Puts the setting in front of what is wrong with it. Always false. */
static bool blame(const char *setting, char *error, size_t error_size)
{
    char reason[256];
    snprintf(reason, sizeof reason, "%s", error);
    snprintf(error, error_size, "%s: %s", setting, reason);
    return false;
}

static bool make_rules(struct worker *worker, char *error, size_t error_size)
{
    const struct config *config = &worker->config;
    worker->redirects = redirect_rules_new(config->redirect_urls_allowed, error, error_size);
    if (!worker->redirects)
        return blame("REDIRECT_URLS_ALLOWED", error, error_size);
    worker->addresses = reply_address_rules_new(
        config->connect_replies_topic, config->reply_topics_allowed, error, error_size);
    if (!worker->addresses)
        return blame("REPLY_TOPICS_ALLOWED", error, error_size);
    if (replies_could_be_requests(worker)) {
        snprintf(error, error_size,
            "REPLY_TOPICS_ALLOWED: it allows replies on CONNECT_REQUESTS_TOPIC, where they would "
            "be read as requests");
        return false;
    }
    return true;
}

static bool make_redis(struct worker *worker, char *error, size_t error_size)
{
    const struct config *config = &worker->config;
    if (text_empty(config->redis_url)) {
        log_warn("worker",
            "REDIS_URL is not set: each worker keeps its own reply cache and its own rate limit; "
            "run one worker only");
        return true;
    }
    const struct redis_client_options options = {
        .url = config->redis_url,
        .connect_timeout_us = REDIS_CONNECT_TIMEOUT_US,
        .reconnect_max_us = REDIS_RECONNECT_MAX_US,
        .ca_file = text_empty(config->redis_ca_file) ? NULL : config->redis_ca_file,
    };
    return redis_client_new(&worker->loop, &options, &worker->redis, error, error_size) ==
               RESULT_OK ||
           blame("REDIS_URL", error, error_size);
}

static bool make_publisher(struct worker *worker, const struct kafka_property *preferred,
    const char *const *topics, size_t topic_count, struct publisher **publisher, char *error,
    size_t error_size)
{
    struct kafka_property properties[COMMAND_PROPERTIES_MAX];
    const struct publisher_options options = {
        .properties = properties,
        .property_count = command_kafka_properties(&worker->config, preferred, properties),
        .topics = topics,
        .topic_count = topic_count,
        .on_fatal = on_fatal,
        .context = worker,
    };
    return publisher_new(&worker->loop, &options, publisher, error, error_size) == RESULT_OK;
}

/* Two, because a producer either sends at once or gathers: a request to the broker for each outcome
 * would double its work, and the replies would wait behind it. */
static bool make_publishers(struct worker *worker, char *error, size_t error_size)
{
    static const struct kafka_property gather[] = {{"linger.ms", BATCH_LINGER_MS}, {NULL, NULL}};
    const struct config *config = &worker->config;
    const char *const replies[] = {config->connect_replies_topic};
    const char *const batches[] = {config->dead_letters_topic, config->connect_outcomes_topic};
    size_t batch_count = text_empty(config->connect_outcomes_topic) ? 1 : 2;
    return make_publisher(worker, NULL, replies, 1, &worker->publisher, error, error_size) &&
           make_publisher(
               worker, gather, batches, batch_count, &worker->batch_publisher, error, error_size);
}

static void make_stages(struct worker *worker)
{
    const struct config *config = &worker->config;
    worker->reply_cache = reply_cache_new(&worker->loop, &(struct reply_cache_options){
                                                             .redis = worker->redis,
                                                             .key_prefix = config->redis_key_prefix,
                                                             .keep_us = config->reply_cache_ttl_us,
                                                         });
    worker->admission = admission_new(
        &worker->loop, &(struct admission_options){
                           .environments = &worker->environments,
                           .calls_in_flight_max = (unsigned)config->terra_calls_in_flight_max,
                       });
    worker->terra = terra_caller_new(&worker->loop,
        &(struct terra_caller_options){
            .environments = &worker->environments,
            .widget = (enum terra_widget_choice)config->terra_widget_endpoint,
            .attempt_timeout_us = config->terra_timeout_us,
            .http =
                {
                    .calls_in_flight_max = (unsigned)config->terra_calls_in_flight_max,
                    .connect_timeout_us = CONNECT_TIMEOUT_US,
                    .user_agent = "terra-connect/" TERRA_CONNECT_VERSION,
                    .proxy = text_empty(config->terra_proxy) ? NULL : config->terra_proxy,
                    .ca_file = text_empty(config->terra_ca_file) ? NULL : config->terra_ca_file,
                    .http2 = config->terra_http2,
                },
        });
    snprintf(worker->source, sizeof worker->source, "/terra-connect/%s", config->kafka_group_id);
    worker->flow = connect_flow_new(&worker->loop,
        &(struct connect_flow_options){
            .request_rules =
                {
                    .environments = &worker->environments,
                    .redirects = worker->redirects,
                    .default_timeout_us = config->request_deadline_us,
                },
            .address_rules = worker->addresses,
            .reply_cache = worker->reply_cache,
            .admission = worker->admission,
            .terra = worker->terra,
            .publisher = worker->publisher,
            .batch_publisher = worker->batch_publisher,
            .attempts_max = (unsigned)config->terra_attempts_max,
            .outcomes_topic =
                text_empty(config->connect_outcomes_topic) ? NULL : config->connect_outcomes_topic,
            .dead_letters_topic = config->dead_letters_topic,
            .group_id = config->kafka_group_id,
            .source = worker->source,
            .on_drained = on_drained,
            .context = worker,
        });
}

static bool make_intake(struct worker *worker, char *error, size_t error_size)
{
    const struct config *config = &worker->config;
    const struct kafka_property group[] = {{"group.id", config->kafka_group_id}, {NULL, NULL}};
    struct kafka_property properties[COMMAND_PROPERTIES_MAX];
    const struct intake_options options = {
        .properties = properties,
        .property_count = command_kafka_properties(config, group, properties),
        .topic = config->connect_requests_topic,
        .records_in_flight_max = (unsigned)config->requests_in_flight_max,
        .revoke_timeout_us = config->revoke_timeout_us,
        .on_record = on_record,
        .on_leaving = on_leaving,
        .on_fatal = on_fatal,
        .on_closed = on_intake_closed,
        .context = worker,
    };
    if (intake_new(&worker->loop, &options, &worker->intake, error, error_size) != RESULT_OK)
        return false;
    connect_flow_start(worker->flow, worker->intake);
    return true;
}

static void start_signal(struct worker *worker, uv_signal_t *handle, int number)
{
    handle->data = worker;
    uv_signal_start(handle, on_signal, number);
}

/* Whatever was built when something failed is taken down by the same path as at the end. */
static bool build(struct worker *worker)
{
    char error[512] = "";
    uv_loop_init(&worker->loop);
    uv_signal_init(&worker->loop, &worker->sigterm);
    uv_signal_init(&worker->loop, &worker->sigint);
    uv_timer_init(&worker->loop, &worker->shutdown_timer);
    worker->shutdown_timer.data = worker;
    /* First, so that a signal that comes while we build is handled when the loop runs. */
    start_signal(worker, &worker->sigterm, SIGTERM);
    start_signal(worker, &worker->sigint, SIGINT);
    environments_init(&worker->environments);

    char environment_error[ENVIRONMENT_ERROR_SIZE] = "";
    bool built = load_environments(worker, environment_error);
    if (!built) {
        fprintf(stderr, "The settings cannot be used:\n%s\n", environment_error);
        return false;
    }
    built = make_rules(worker, error, sizeof error) && make_redis(worker, error, sizeof error) &&
            make_publishers(worker, error, sizeof error);
    if (built) {
        make_stages(worker);
        built = make_intake(worker, error, sizeof error);
    }
    if (!built) {
        fprintf(stderr, "The settings cannot be used:\n%s\n", error);
        return false;
    }
    return true;
}

static void tear_down(struct worker *worker)
{
    intake_free(worker->intake);
    connect_flow_free(worker->flow);
    publisher_free(worker->publisher);
    publisher_free(worker->batch_publisher);
    terra_caller_free(worker->terra);
    admission_free(worker->admission);
    reply_cache_free(worker->reply_cache);
    reply_address_rules_free(worker->addresses);
    redirect_rules_free(worker->redirects);
    environments_release(&worker->environments);
    uv_loop_close(&worker->loop);
    config_release(&worker->config);
}

/* True when the arguments are understood; else the exit code says what to do. */
static bool read_arguments(int argc, char **argv, int *exit_code)
{
    static const struct option options[] = {
        {"flow", required_argument, NULL, 'f'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int option;
    *exit_code = EXIT_USAGE;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'h') {
            printf("%s", help);
            *exit_code = EXIT_OK;
            return false;
        }
        if (option != 'f') {
            fprintf(stderr, "%s", help);
            return false;
        }
        if (!text_equal(optarg, "connect") && !text_equal(optarg, "all")) {
            fprintf(stderr, "terra-connect worker: this version has no flow \"%s\"\n", optarg);
            return false;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "%s", help);
        return false;
    }
    return true;
}

int command_worker(int argc, char **argv)
{
    int exit_code;
    if (!read_arguments(argc, argv, &exit_code))
        return exit_code;
    struct worker worker = {0};
    if (!command_load_config(&worker.config, CONFIG_NEED_TERRA)) {
        config_release(&worker.config);
        return EXIT_CONFIG;
    }
    if (build(&worker)) {
        log_info("worker", "started", LOG_TEXT("version", TERRA_CONNECT_VERSION),
            LOG_TEXT("flow", "connect"), LOG_TEXT("group", worker.config.kafka_group_id),
            LOG_INT("environments", (int64_t)worker.environments.count));
    } else {
        worker.exit_code = EXIT_CONFIG;
        close_rest(&worker);
    }
    uv_run(&worker.loop, UV_RUN_DEFAULT);
    if (worker.exit_code == EXIT_OK)
        log_info("worker", "stopped");
    tear_down(&worker);
    return worker.exit_code;
}
