/* connect_part: the connect flow and its stages. See worker_part.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/text.h"
#include "worker/config_value.h"
#include "worker/connect_flow.h"
#include "worker/environments_load.h"
#include "worker/publisher_count.h"
#include "worker/terra_health.h"
#include "worker/worker_part.h"

#define CONNECT_TIMEOUT_US (5 * CLOCK_US_PER_SECOND)
#define BATCH_LINGER_MS "10"

struct connect_part {
    struct worker_part part;
    struct environments environments;
    struct redirect_rules *redirects;
    struct reply_address_rules *addresses;
    struct reply_cache *reply_cache;
    struct admission *admission;
    struct terra_caller *terra;
    struct terra_health *health;
    struct publisher *publisher;       /* replies, each at once */
    struct publisher *batch_publisher; /* outcomes and dead letters, in batches */
    struct connect_flow *flow;
    struct publisher_count *partition_count; /* of the request topic */
    unsigned own_partitions, all_partitions; /* of the request topic; all: 0: not known yet */
    bool publishers_closing, terra_closing;
};

/* ---- stopping ---- */

static void close_terra(struct connect_part *connect)
{
    if (connect->health && !connect->terra_closing)
        terra_health_close(connect->health);
    if (connect->terra && !connect->terra_closing)
        terra_caller_close(connect->terra);
    connect->terra_closing = true;
}

static void close_publishers(struct connect_part *connect)
{
    if (connect->publisher && !connect->publishers_closing)
        publisher_close(connect->publisher);
    if (connect->batch_publisher && !connect->publishers_closing)
        publisher_close(connect->batch_publisher);
    connect->publishers_closing = true;
}

static void close_built(struct worker_part *part)
{
    struct connect_part *connect = (struct connect_part *)part;
    close_publishers(connect);
    close_terra(connect);
    if (connect->partition_count)
        publisher_count_close(connect->partition_count);
    if (connect->flow)
        connect_flow_close(connect->flow);
    if (connect->admission)
        admission_close(connect->admission);
    if (connect->reply_cache)
        reply_cache_close(connect->reply_cache);
}

static void abandon(struct worker_part *part)
{
    struct connect_part *connect = (struct connect_part *)part;
    connect_flow_abandon(connect->flow);
    close_terra(connect);
    close_publishers(connect);
}

static void free_built(struct worker_part *part)
{
    struct connect_part *connect = (struct connect_part *)part;
    connect_flow_free(connect->flow);
    publisher_count_free(connect->partition_count);
    publisher_free(connect->publisher);
    publisher_free(connect->batch_publisher);
    terra_health_free(connect->health);
    terra_caller_free(connect->terra);
    admission_free(connect->admission);
    reply_cache_free(connect->reply_cache);
    reply_address_rules_free(connect->addresses);
    redirect_rules_free(connect->redirects);
    environments_release(&connect->environments);
}

/* ---- running ---- */

/* The credentials are tried before the group is joined. */
static void start(struct worker_part *part)
{
    struct connect_part *connect = (struct connect_part *)part;
    connect_flow_start(connect->flow, part->intake);
    terra_health_start(connect->health);
}

static void on_health_change(void *context)
{
    struct connect_part *connect = context;
    connect_flow_review_trouble(connect->flow);
}

static void take(struct worker_part *part, struct kafka_record *record, struct intake_place place)
{
    connect_flow_take(((struct connect_part *)part)->flow, record, place);
}

static void let_go_leaving(struct worker_part *part)
{
    connect_flow_let_go_leaving(((struct connect_part *)part)->flow);
}

static void drain(struct worker_part *part)
{
    connect_flow_drain(((struct connect_part *)part)->flow);
}

static unsigned jobs(const struct worker_part *part)
{
    return connect_flow_jobs(((const struct connect_part *)part)->flow);
}

static void refresh_metrics(struct worker_part *part)
{
    struct connect_part *connect = (struct connect_part *)part;
    connect_flow_refresh_metrics(connect->flow);
    admission_refresh_metrics(connect->admission);
}

/* ---- its part of the request topic, which is its part of the limit without Redis ---- */

static void on_counted(void *context, unsigned partitions)
{
    struct connect_part *connect = context;
    connect->all_partitions = partitions;
    admission_set_fraction(connect->admission, connect->own_partitions, partitions);
}

static void on_partitions(void *context, unsigned partitions)
{
    struct connect_part *connect = context;
    connect->own_partitions = partitions;
    if (connect->part.stopping)
        return;
    /* Topics only grow: the old number is better than none. */
    if (connect->all_partitions > 0)
        admission_set_fraction(connect->admission, partitions, connect->all_partitions);
    publisher_count_ask(connect->partition_count);
}

/* ---- building up ---- */

static bool make_rules(struct connect_part *connect, char error[WORKER_PART_ERROR_SIZE])
{
    const struct config *config = connect->part.options.config;
    connect->redirects =
        redirect_rules_new(config->redirect_urls_allowed, error, WORKER_PART_ERROR_SIZE);
    if (!connect->redirects)
        return worker_part_blame("REDIRECT_URLS_ALLOWED", error);
    connect->addresses = reply_address_rules_new(
        config->connect_replies_topic, config->reply_topics_allowed, error, WORKER_PART_ERROR_SIZE);
    if (!connect->addresses)
        return worker_part_blame("REPLY_TOPICS_ALLOWED", error);
    /* A reply on the request topic would be read as a request, and answered. */
    if (reply_address_rules_allow(connect->addresses, config->connect_requests_topic)) {
        snprintf(error, WORKER_PART_ERROR_SIZE,
            "REPLY_TOPICS_ALLOWED: it allows replies on CONNECT_REQUESTS_TOPIC, where they would "
            "be read as requests");
        return false;
    }
    return true;
}

/* Two, because a producer either sends at once or gathers: a request to the broker for each outcome
 * would double its work, and the replies would wait behind it. */
static bool make_publishers(struct connect_part *connect, char error[WORKER_PART_ERROR_SIZE])
{
    static const struct kafka_property gather[] = {{"linger.ms", BATCH_LINGER_MS}, {NULL, NULL}};
    const struct config *config = connect->part.options.config;
    const char *const replies[] = {config->connect_replies_topic};
    const char *const batches[] = {config->dead_letters_topic, config->connect_outcomes_topic};
    size_t batch_count = text_empty(config->connect_outcomes_topic) ? 1 : 2;
    return worker_part_make_publisher(&connect->part, "output=\"replies\"", NULL, replies, 1,
               &connect->publisher, error) &&
           worker_part_make_publisher(&connect->part, "output=\"outcomes\"", gather, batches,
               batch_count, &connect->batch_publisher, error);
}

static void make_terra(struct connect_part *connect)
{
    const struct config *config = connect->part.options.config;
    connect->terra = terra_caller_new(connect->part.options.loop,
        &(struct terra_caller_options){
            .environments = &connect->environments,
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
    connect->health =
        terra_health_new(connect->part.options.loop, &(struct terra_health_options){
                                                         .environments = &connect->environments,
                                                         .terra = connect->terra,
                                                         .read_file = config_value_read_file,
                                                         .on_change = on_health_change,
                                                         .on_admitted = worker_part_join,
                                                         .context = connect,
                                                     });
}

static void make_stages(struct connect_part *connect)
{
    const struct config *config = connect->part.options.config;
    connect->reply_cache =
        reply_cache_new(connect->part.options.loop, &(struct reply_cache_options){
                                                        .redis = connect->part.options.redis,
                                                        .key_prefix = config->redis_key_prefix,
                                                        .keep_us = config->reply_cache_ttl_us,
                                                    });
    connect->admission = admission_new(connect->part.options.loop,
        &(struct admission_options){
            .environments = &connect->environments,
            .calls_in_flight_max = (unsigned)config->terra_calls_in_flight_max,
            .redis = connect->part.options.redis,
            .subscriber = connect->part.options.subscriber,
            .key_prefix = config->redis_key_prefix,
            .share = (unsigned)config->terra_rate_share,
            .without_redis = (enum admission_without_redis)config->limit_without_redis,
            .cooldown_max_us = config->terra_cooldown_max_us,
        });
    make_terra(connect);
    connect->partition_count =
        publisher_count_new(connect->part.options.loop, &(struct publisher_count_options){
                                                            .publisher = connect->batch_publisher,
                                                            .topic = config->connect_requests_topic,
                                                            .on_counted = on_counted,
                                                            .context = connect,
                                                        });
    connect->flow = connect_flow_new(connect->part.options.loop,
        &(struct connect_flow_options){
            .request_rules =
                {
                    .environments = &connect->environments,
                    .redirects = connect->redirects,
                    .default_timeout_us = config->request_deadline_us,
                },
            .address_rules = connect->addresses,
            .reply_cache = connect->reply_cache,
            .link_memory = connect->part.options.link_memory,
            .admission = connect->admission,
            .terra = connect->terra,
            .health = connect->health,
            .publisher = connect->publisher,
            .batch_publisher = connect->batch_publisher,
            .requests_in_flight_max = (unsigned)config->requests_in_flight_max,
            .attempts_max = (unsigned)config->terra_attempts_max,
            .outcomes_topic =
                text_empty(config->connect_outcomes_topic) ? NULL : config->connect_outcomes_topic,
            .dead_letters_topic = config->dead_letters_topic,
            .group_id = connect->part.group_id,
            .source = connect->part.source,
            .on_drained = worker_part_drained,
            .context = connect,
        });
}

static bool build(struct worker_part *part, char error[WORKER_PART_ERROR_SIZE])
{
    struct connect_part *connect = (struct connect_part *)part;
    environments_init(&connect->environments);
    if (!environments_load(&connect->environments, part->options.config, false, error) ||
        !make_rules(connect, error) || !make_publishers(connect, error))
        return false;
    make_stages(connect);
    part->intake_options.topic = part->options.config->connect_requests_topic;
    part->intake_options.on_partitions = on_partitions;
    part->intake_options.records_in_flight_max =
        (unsigned)part->options.config->requests_in_flight_max;
    return true;
}

const struct worker_part_type connect_part = {
    .flow = "connect",
    .metric_labels = "flow=\"connect\"",
    .group_suffix = "",
    .size = sizeof(struct connect_part),
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
