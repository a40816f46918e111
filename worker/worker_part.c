/* worker_part: see worker_part.h. */
#include "worker/worker_part.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/memory.h"
#include "worker/command.h"

/* ---- while it runs ---- */

static void on_record(void *context, struct kafka_record *record, struct intake_place place)
{
    struct worker_part *part = context;
    part->type->take(part, record, place);
}

static void on_leaving(void *context)
{
    struct worker_part *part = context;
    part->type->let_go_leaving(part);
}

void worker_part_join(void *context)
{
    struct worker_part *part = context;
    char error[256];
    if (part->stopping)
        return;
    log_info("worker", "joining the group", LOG_TEXT("flow", part->type->flow),
        LOG_TEXT("group", part->group_id), LOG_TEXT("topic", part->intake_options.topic));
    if (intake_join(part->intake, error, sizeof error) != RESULT_OK)
        worker_part_fatal(part, error);
}

void worker_part_fatal(void *context, const char *reason)
{
    struct worker_part *part = context;
    part->options.on_fatal(part->options.context, reason);
}

/* ---- stopping ---- */

static void close_rest(struct worker_part *part)
{
    part->type->close(part);
    part->options.on_stopped(part->options.context);
}

static void on_intake_closed(void *context)
{
    close_rest(context);
}

void worker_part_drained(void *context)
{
    struct worker_part *part = context;
    log_info("worker", "all that was in flight is done, leaving the group",
        LOG_TEXT("flow", part->type->flow));
    intake_close(part->intake);
}

void worker_part_stop(struct worker_part *part)
{
    part->stopping = true;
    if (!part->intake) {
        close_rest(part);
        return;
    }
    intake_stop(part->intake);
    part->type->drain(part);
}

void worker_part_abandon(struct worker_part *part)
{
    part->type->abandon(part);
}

void worker_part_free(struct worker_part *part)
{
    intake_free(part->intake);
    part->type->free(part);
    free(part);
}

/* ---- building up ---- */

bool worker_part_blame(const char *setting, char error[WORKER_PART_ERROR_SIZE])
{
    char reason[WORKER_PART_ERROR_SIZE / 2];
    snprintf(reason, sizeof reason, "%.*s", (int)sizeof reason - 1, error);
    snprintf(error, WORKER_PART_ERROR_SIZE, "%s: %s", setting, reason);
    return false;
}

static bool make_intake(struct worker_part *part, char error[WORKER_PART_ERROR_SIZE])
{
    const struct config *config = part->options.config;
    const struct kafka_property group[] = {{"group.id", part->group_id}, {NULL, NULL}};
    struct kafka_property properties[COMMAND_PROPERTIES_MAX];
    struct intake_options *options = &part->intake_options;
    options->properties = properties;
    options->property_count = command_kafka_properties(config, group, properties);
    options->metric_labels = part->type->metric_labels;
    options->revoke_timeout_us = config->revoke_timeout_us;
    options->on_record = on_record;
    options->on_leaving = on_leaving;
    options->on_fatal = worker_part_fatal;
    options->on_closed = on_intake_closed;
    options->context = part;
    return intake_new(part->options.loop, options, &part->intake, error, WORKER_PART_ERROR_SIZE) ==
           RESULT_OK;
}

struct worker_part *worker_part_new(const struct worker_part_type *type,
    const struct worker_part_options *options, char error[WORKER_PART_ERROR_SIZE])
{
    struct worker_part *part = memory_new(type->size);
    part->type = type;
    part->options = *options;
    snprintf(part->group_id, sizeof part->group_id, "%s%s", options->config->kafka_group_id,
        type->group_suffix);
    snprintf(part->source, sizeof part->source, "/terra-connect/%s", part->group_id);
    if (type->build(part, error) && make_intake(part, error))
        type->start(part);
    return part;
}

unsigned worker_part_jobs(const struct worker_part *part)
{
    return part->intake ? part->type->jobs(part) : 0;
}

bool worker_part_joined(const struct worker_part *part)
{
    return part->intake && intake_joined(part->intake);
}

void worker_part_refresh_metrics(struct worker_part *part)
{
    if (part->intake && part->type->refresh_metrics)
        part->type->refresh_metrics(part);
}

bool worker_part_make_publisher(struct worker_part *part, const char *metric_labels,
    const struct kafka_property *preferred, const char *const *topics, size_t topic_count,
    struct publisher **publisher, char error[WORKER_PART_ERROR_SIZE])
{
    struct kafka_property properties[COMMAND_PROPERTIES_MAX];
    const struct publisher_options options = {
        .properties = properties,
        .property_count = command_kafka_properties(part->options.config, preferred, properties),
        .topics = topics,
        .topic_count = topic_count,
        .metric_labels = metric_labels,
        .on_fatal = worker_part_fatal,
        .context = part,
    };
    return publisher_new(part->options.loop, &options, publisher, error, WORKER_PART_ERROR_SIZE) ==
           RESULT_OK;
}
