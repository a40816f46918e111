/* events_part: the events flow and its stages. See worker_part.h. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/digest.h"
#include "common/metrics.h"
#include "common/text.h"
#include "worker/command.h"
#include "worker/event_flow.h"
#include "worker/worker_part.h"

#define FETCH_TIMEOUT_US (15 * CLOCK_US_PER_SECOND)
#define FETCHES_IN_FLIGHT_MAX 64
#define EVENT_LINGER_MS "5"

struct events_part {
    struct worker_part part;
    struct event_pointer_rules *rules;
    struct payload_fetcher *fetcher;
    struct event_memory *memory;
    struct publisher *publisher;         /* at least once */
    struct kafka_transactor *transactor; /* exactly once */
    struct event_flow *flow;
    char transactional_id[384];
    bool output_closing;
};

/* ---- stopping ---- */

static void close_output(struct events_part *events)
{
    if (events->publisher && !events->output_closing)
        publisher_close(events->publisher);
    if (events->transactor && !events->output_closing)
        kafka_transactor_close(events->transactor);
    events->output_closing = true;
}

static void close_built(struct worker_part *part)
{
    struct events_part *events = (struct events_part *)part;
    close_output(events);
    if (events->fetcher)
        payload_fetcher_close(events->fetcher);
    if (events->flow)
        event_flow_close(events->flow);
    if (events->memory)
        event_memory_close(events->memory);
}

static void abandon(struct worker_part *part)
{
    struct events_part *events = (struct events_part *)part;
    event_flow_abandon(events->flow);
    close_output(events);
}

static void free_built(struct worker_part *part)
{
    struct events_part *events = (struct events_part *)part;
    event_flow_free(events->flow);
    publisher_free(events->publisher);
    payload_fetcher_free(events->fetcher);
    event_memory_free(events->memory);
    event_pointer_rules_free(events->rules);
}

/* ---- running ---- */

static void start(struct worker_part *part)
{
    event_flow_start(((struct events_part *)part)->flow, part->intake);
    worker_part_join(part);
}

static void take(struct worker_part *part, struct kafka_record *record, struct intake_place place)
{
    event_flow_take(((struct events_part *)part)->flow, record, place);
}

static void let_go_leaving(struct worker_part *part)
{
    event_flow_let_go_leaving(((struct events_part *)part)->flow);
}

static void drain(struct worker_part *part)
{
    event_flow_drain(((struct events_part *)part)->flow);
}

static unsigned jobs(const struct worker_part *part)
{
    return event_flow_jobs(((const struct events_part *)part)->flow);
}

static void refresh_metrics(struct worker_part *part)
{
    event_flow_refresh_metrics(((struct events_part *)part)->flow);
}

/* ---- building up ---- */

static bool make_rules(struct events_part *events, char error[WORKER_PART_ERROR_SIZE])
{
    const struct config *config = events->part.options.config;
    events->rules = event_pointer_rules_new(config->event_payload_hosts_allowed,
        config->event_payload_allow_http, error, WORKER_PART_ERROR_SIZE);
    return events->rules || worker_part_blame("EVENT_PAYLOAD_HOSTS_ALLOWED", error);
}

/* Unique per process: two workers that shared an id would end each other's transactions. */
static void name_transactions(struct events_part *events)
{
    char host[128] = "", seed[224], unique[DIGEST_HEX_SIZE];
    gethostname(host, sizeof host - 1);
    snprintf(seed, sizeof seed, "%s/%ld/%lld", host, (long)getpid(), (long long)clock_wall_us());
    digest_bytes(seed, strlen(seed), unique);
    snprintf(events->transactional_id, sizeof events->transactional_id, "%s-%.16s",
        events->part.group_id, unique);
}

static bool make_output(struct events_part *events, char error[WORKER_PART_ERROR_SIZE])
{
    static const struct kafka_property gather[] = {{"linger.ms", EVENT_LINGER_MS}, {NULL, NULL}};
    const struct config *config = events->part.options.config;
    const char *const topics[] = {config->auth_events_topic, config->dead_letters_topic};
    if (config->events_delivery == EVENTS_AT_LEAST_ONCE)
        return worker_part_make_publisher(
            &events->part, "output=\"events\"", gather, topics, 2, &events->publisher, error);
    struct kafka_property properties[COMMAND_PROPERTIES_MAX];
    name_transactions(events);
    const struct kafka_transactor_options options = {
        .properties = properties,
        .property_count = command_kafka_properties(config, NULL, properties),
        .transactional_id = events->transactional_id,
        .topics = topics,
        .topic_count = 2,
        .on_fatal = worker_part_fatal,
        .context = events,
    };
    return kafka_transactor_new(events->part.options.loop, &options, &events->transactor, error,
               WORKER_PART_ERROR_SIZE) == RESULT_OK;
}

/* Terra's events do not say which environment they are of; where there is only one, it is that. */
static const char *only_environment(const struct config *config)
{
    bool one = !text_empty(config->terra_dev_id) && text_empty(config->terra_environments_file);
    return one ? config->terra_environment : NULL;
}

static void make_stages(struct events_part *events)
{
    const struct config *config = events->part.options.config;
    uv_loop_t *loop = events->part.options.loop;
    events->fetcher = payload_fetcher_new(loop,
        &(struct payload_fetcher_options){
            .rules = events->rules,
            .fetches_in_flight_max = FETCHES_IN_FLIGHT_MAX,
            .attempt_timeout_us = FETCH_TIMEOUT_US,
            .user_agent = "terra-connect/" TERRA_CONNECT_VERSION,
            .ca_file =
                text_empty(config->event_payload_ca_file) ? NULL : config->event_payload_ca_file,
        });
    events->memory = event_memory_new(loop, &(struct event_memory_options){
                                                .redis = events->part.options.redis,
                                                .key_prefix = config->redis_key_prefix,
                                                .keep_us = config->event_memory_ttl_us,
                                            });
    events->flow = event_flow_new(loop, &(struct event_flow_options){
                                            .pointer_rules = events->rules,
                                            .fetcher = events->fetcher,
                                            .event_memory = events->memory,
                                            .link_memory = events->part.options.link_memory,
                                            .publisher = events->publisher,
                                            .transactor = events->transactor,
                                            .environment = only_environment(config),
                                            .events_topic = config->auth_events_topic,
                                            .dead_letters_topic = config->dead_letters_topic,
                                            .group_id = events->part.group_id,
                                            .source = events->part.source,
                                            .on_drained = worker_part_drained,
                                            .context = events,
                                        });
}

static void register_delivery(const struct config *config)
{
    bool once = config->events_delivery == EVENTS_EXACTLY_ONCE;
    metric_set(metrics_gauge("terra_connect_events_delivery_info",
                   once ? "mode=\"exactly_once\"" : "mode=\"at_least_once\"",
                   "Always 1; the label tells how the events flow delivers (EVENTS_DELIVERY)."),
        1);
}

static bool build(struct worker_part *part, char error[WORKER_PART_ERROR_SIZE])
{
    struct events_part *events = (struct events_part *)part;
    if (!make_rules(events, error) || !make_output(events, error))
        return false;
    make_stages(events);
    register_delivery(part->options.config);
    part->intake_options.topic = part->options.config->raw_events_topic;
    part->intake_options.records_in_flight_max =
        (unsigned)part->options.config->events_in_flight_max;
    part->intake_options.offsets_by_transactions = events->transactor != NULL;
    return true;
}

const struct worker_part_type events_part = {
    .flow = "events",
    .metric_labels = "flow=\"events\"",
    .group_suffix = "-events",
    .size = sizeof(struct events_part),
    .build = build,
    .start = start,
    .take = take,
    .let_go_leaving = let_go_leaving,
    .drain = drain,
    .abandon = abandon,
    .jobs = jobs,
    .refresh_metrics = refresh_metrics,
    .close = close_built,
    .free = free_built,
};
