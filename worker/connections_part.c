/* connections_part: the connections flow and its stages. See worker_part.h. */
#include "worker/connection_flow.h"
#include "worker/worker_part.h"

struct connections_part {
    struct worker_part part;
    struct connection_memory *memory;
    struct publisher *publisher;
    struct connection_flow *flow;
    bool publisher_closing;
};

/* ---- stopping ---- */

static void close_publisher(struct connections_part *connections)
{
    if (connections->publisher && !connections->publisher_closing)
        publisher_close(connections->publisher);
    connections->publisher_closing = true;
}

static void close_built(struct worker_part *part)
{
    struct connections_part *connections = (struct connections_part *)part;
    close_publisher(connections);
    if (connections->flow)
        connection_flow_close(connections->flow);
    if (connections->memory)
        connection_memory_close(connections->memory);
}

static void abandon(struct worker_part *part)
{
    struct connections_part *connections = (struct connections_part *)part;
    connection_flow_abandon(connections->flow);
    close_publisher(connections);
}

static void free_built(struct worker_part *part)
{
    struct connections_part *connections = (struct connections_part *)part;
    connection_flow_free(connections->flow);
    publisher_free(connections->publisher);
    connection_memory_free(connections->memory);
}

/* ---- running ---- */

static void start(struct worker_part *part)
{
    connection_flow_start(((struct connections_part *)part)->flow, part->intake);
    worker_part_join(part);
}

static void take(struct worker_part *part, struct kafka_record *record, struct intake_place place)
{
    connection_flow_take(((struct connections_part *)part)->flow, record, place);
}

static void let_go_leaving(struct worker_part *part)
{
    connection_flow_let_go_leaving(((struct connections_part *)part)->flow);
}

static void drain(struct worker_part *part)
{
    connection_flow_drain(((struct connections_part *)part)->flow);
}

static unsigned jobs(const struct worker_part *part)
{
    return connection_flow_jobs(((const struct connections_part *)part)->flow);
}

/* ---- building up ---- */

static bool build(struct worker_part *part, char error[WORKER_PART_ERROR_SIZE])
{
    struct connections_part *connections = (struct connections_part *)part;
    const struct config *config = part->options.config;
    const char *const topics[] = {config->connections_topic, config->dead_letters_topic};
    if (!worker_part_make_publisher(
            part, "output=\"connections\"", NULL, topics, 2, &connections->publisher, error))
        return false;
    connections->memory =
        connection_memory_new(part->options.loop, &(struct connection_memory_options){
                                                      .redis = part->options.redis,
                                                      .key_prefix = config->redis_key_prefix,
                                                  });
    connections->flow = connection_flow_new(
        part->options.loop, &(struct connection_flow_options){
                                .memory = connections->memory,
                                .publisher = connections->publisher,
                                .connections_topic = config->connections_topic,
                                .dead_letters_topic = config->dead_letters_topic,
                                .group_id = part->group_id,
                                .source = part->source,
                                .on_drained = worker_part_drained,
                                .context = part,
                            });
    part->intake_options.topic = config->auth_events_topic;
    part->intake_options.records_in_flight_max = (unsigned)config->events_in_flight_max;
    return true;
}

const struct worker_part_type connections_part = {
    .flow = "connections",
    .metric_labels = "flow=\"connections\"",
    .group_suffix = "-connections",
    .size = sizeof(struct connections_part),
    .build = build,
    .start = start,
    .take = take,
    .let_go_leaving = let_go_leaving,
    .drain = drain,
    .abandon = abandon,
    .jobs = jobs,
    .close = close_built,
    .free = free_built,
};
