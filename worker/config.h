/*
 * config: every setting of the worker, from one table: name, type, default, bounds, help.
 *
 * Settings are environment variables. A secret may come from a file instead:
 * TERRA_API_KEY_FILE=/run/secrets/key (trailing newlines are not part of it). KAFKA_… passes any
 * librdkafka property through (KAFKA_SASL_USERNAME is sasl.username), except those the worker owns.
 *
 * What is wrong is said at once and all of it: config_load reads every variable before it gives up.
 * A name that is nearly a known one (edit distance up to 2) is an error that gives the known name;
 * another unknown name under our prefixes is a warning. The service-link variables that Kubernetes
 * injects (KAFKA_PORT=tcp://…, …_SERVICE_HOST) are ignored.
 *
 * Only the commands read a config; they turn it into one small options struct per module.
 */
#ifndef WORKER_CONFIG_H
#define WORKER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/kafka_message.h"
#include "common/log.h"
#include "common/result.h"
#include "worker/environment.h"
#include "worker/rate.h"

#define CONFIG_KAFKA_PROPERTIES_MAX 64

/* What the limit is while Redis is away. */
enum limit_without_redis { LIMIT_STOP, LIMIT_SHARE, LIMIT_UNLIMITED };
enum events_delivery { EVENTS_AT_LEAST_ONCE, EVENTS_EXACTLY_ONCE };

struct config {
    /* Kafka */
    char *kafka_bootstrap_servers, *kafka_group_id;
    char *connect_requests_topic, *connect_replies_topic, *connect_outcomes_topic;
    char *raw_events_topic, *auth_events_topic, *connections_topic;
    char *dead_letters_topic;
    char *reply_topics_allowed;
    /* requests */
    char *redirect_urls_allowed;
    int64_t request_deadline_us;
    int64_t requests_in_flight_max;
    /* events */
    int64_t events_in_flight_max;
    int64_t events_delivery; /* enum events_delivery */
    int64_t event_memory_ttl_us, link_memory_ttl_us;
    char *event_payload_hosts_allowed;
    bool event_payload_allow_http;
    char *event_payload_ca_file;
    /* Terra */
    char *terra_api_key_file; /* where terra_api_key was read from; NULL: no file */
    char *terra_dev_id, *terra_api_key, *terra_environment, *terra_environments_file;
    char *terra_base_url, *terra_widget_session_url, *terra_legacy_widget_url;
    char *terra_authenticate_user_url;
    bool terra_allow_http;
    char *terra_proxy, *terra_ca_file;
    bool terra_http2;
    int64_t terra_widget_endpoint; /* enum terra_widget_choice */
    struct rate terra_rate_limit;
    int64_t terra_rate_burst;
    int64_t terra_rate_share; /* per cent */
    int64_t terra_cooldown_max_us;
    int64_t limit_without_redis; /* enum limit_without_redis */
    int64_t terra_timeout_us;
    int64_t terra_attempts_max, terra_calls_in_flight_max;
    /* Redis */
    char *redis_url, *redis_key_prefix, *redis_ca_file;
    int64_t reply_cache_ttl_us;
    /* running */
    char *http_listen;
    int64_t revoke_timeout_us, shutdown_timeout_us;
    int64_t log_level, log_format;

    /* librdkafka properties passed through, bootstrap.servers and group.id not among them */
    struct kafka_property kafka_properties[CONFIG_KAFKA_PROPERTIES_MAX];
    size_t kafka_property_count;

    /* Per table row, where the value came from: "default", "environment" or "file". */
    const char **sources;
};

/* Where a program stands on what it must have: `request` and the event flows need brokers, not a
 * Terra key. */
enum config_need { CONFIG_NEED_NOTHING, CONFIG_NEED_KAFKA, CONFIG_NEED_TERRA };

/* Reads `environ` (as in environ(7)). RESULT_REJECT when anything is wrong; each fault is one line
 * in `errors`. Warnings likewise. */
enum result config_load(struct config *config, const char *const *environ_, enum config_need need,
    struct buf *errors, struct buf *warnings) MUST_CHECK;
void config_release(struct config *config);

/* Every setting: name, value, source, default; secrets masked. */
void config_print(const struct config *config, struct buf *text);
void config_print_json(const struct config *config, struct buf *text);
/* The README's table of settings. */
void config_print_markdown(struct buf *text);

#endif
