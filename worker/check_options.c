/* check_options: see check_options.h. */
#include "worker/check_options.h"

#include "common/clock.h"
#include "common/text.h"
#include "worker/command.h"
#include "worker/command_line.h"
#include "worker/config_value.h"

#define refuse(exit_code, ...) command_refuse("check", (exit_code), __VA_ARGS__)

#define PARTITIONS_DEFAULT 6
#define PARTITIONS_MAX 10000
#define REPLICATION_MAX 100
#define REPLICATION_OF_BROKER (-1)
#define TIMEOUT_DEFAULT_US (10 * CLOCK_US_PER_SECOND)

static const char help[] =
    "Usage: terra-connect check [options]\n"
    "\n"
    "Tries what a worker with these settings depends on, and prints one line for each thing:\n"
    "ok, warn or fail, what was seen, and what to do about it. Kafka: brokers, login, topics,\n"
    "groups, permissions. Redis: version, eviction policy, a script. Terra: the credential of\n"
    "every environment, enabled sources, clocks. It changes nothing, connects no user and joins\n"
    "no group.\n"
    "\n"
    "  --flow NAME          only what connect, events or connections needs; default: all\n"
    "  --only AREA          only kafka, redis or terra; default: all three\n"
    "  --create-topics      create the topics that are missing, as they should be\n"
    "  --partitions N       of created topics; default: 6\n"
    "  --replication N      of created topics; default: the broker's own\n"
    "  --acls               print the kafka-acls commands that permit what is needed; printed by\n"
    "                       itself when Kafka denies something\n"
    "  --widget             also ask Terra for a widget session, for each environment, to see\n"
    "                       which of the two endpoints serves it; the session is not used. These\n"
    "                       calls do not count under the limit\n"
    "  --timeout TIME       for each of Kafka, Redis and Terra; default: 10s\n"
    "  --json               one JSON object: ok, warn, fail (how many), checks (each with area,\n"
    "                       subject, verdict, message, advice) and acls\n"
    "  --help               this text\n"
    "\n"
    "Settings are environment variables: terra-connect config.\n"
    "\n"
    "Exit codes: 0 nothing failed; 1 something did; 2 wrong usage; 78 the settings are wrong or\n"
    "incomplete.\n";

enum {
    OPTION_FIRST = COMMAND_OPTION_FIRST,
    OPTION_FLOW,
    OPTION_ONLY,
    OPTION_CREATE_TOPICS,
    OPTION_PARTITIONS,
    OPTION_REPLICATION,
    OPTION_ACLS,
    OPTION_WIDGET,
    OPTION_TIMEOUT,
    OPTION_JSON
};

static const struct option long_options[] = {
    {"flow", required_argument, NULL, OPTION_FLOW},
    {"only", required_argument, NULL, OPTION_ONLY},
    {"create-topics", no_argument, NULL, OPTION_CREATE_TOPICS},
    {"partitions", required_argument, NULL, OPTION_PARTITIONS},
    {"replication", required_argument, NULL, OPTION_REPLICATION},
    {"acls", no_argument, NULL, OPTION_ACLS},
    {"widget", no_argument, NULL, OPTION_WIDGET},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static bool take_flow(struct check_options *options, const char *value, int *exit_code)
{
    bool all = text_equal(value, "all");
    options->flows = (struct check_flows){
        .connect = all || text_equal(value, "connect"),
        .events = all || text_equal(value, "events"),
        .connections = all || text_equal(value, "connections"),
    };
    return options->flows.connect || options->flows.events || options->flows.connections ||
           refuse(exit_code, "--flow must be connect, events, connections or all");
}

static bool take_only(struct check_options *options, const char *value, int *exit_code)
{
    options->areas = (struct check_areas){
        .kafka = text_equal(value, "kafka"),
        .redis = text_equal(value, "redis"),
        .terra = text_equal(value, "terra"),
    };
    return options->areas.kafka || options->areas.redis || options->areas.terra ||
           refuse(exit_code, "--only must be kafka, redis or terra");
}

static bool take_count(
    int *count, const char *value, uint64_t most, const char *option, int *exit_code)
{
    uint64_t number;
    if (!command_read_number(value, 1, most, &number))
        return refuse(
            exit_code, "%s must be a whole number, 1 to %llu", option, (unsigned long long)most);
    *count = (int)number;
    return true;
}

static bool take_timeout(struct check_options *options, const char *value, int *exit_code)
{
    static const struct setting timeout = {.name = "--timeout",
        .type = SETTING_DURATION,
        .minimum = CLOCK_US_PER_SECOND,
        .maximum = 600 * CLOCK_US_PER_SECOND};
    char reason[200];
    return config_value_parse(&timeout, value, &options->timeout_us, reason, sizeof reason) ||
           refuse(exit_code, "--timeout: %s", reason);
}

static bool take_option(void *into, int option, const char *value, int *exit_code)
{
    struct check_options *options = into;
    switch (option) {
    case OPTION_FLOW:
        return take_flow(options, value, exit_code);
    case OPTION_ONLY:
        return take_only(options, value, exit_code);
    case OPTION_CREATE_TOPICS:
        options->create_topics = true;
        return true;
    case OPTION_PARTITIONS:
        return take_count(&options->partitions, value, PARTITIONS_MAX, "--partitions", exit_code);
    case OPTION_REPLICATION:
        return take_count(
            &options->replication, value, REPLICATION_MAX, "--replication", exit_code);
    case OPTION_ACLS:
        options->acls = true;
        return true;
    case OPTION_WIDGET:
        options->widget = true;
        return true;
    case OPTION_TIMEOUT:
        return take_timeout(options, value, exit_code);
    default: /* OPTION_JSON */
        options->json = true;
        return true;
    }
}

bool check_options_read(struct check_options *options, int argc, char **argv, int *exit_code)
{
    static const struct command_options reading = {"check", help, long_options, take_option};
    *options = (struct check_options){
        .flows = {true, true, true},
        .areas = {true, true, true},
        .partitions = PARTITIONS_DEFAULT,
        .replication = REPLICATION_OF_BROKER,
        .timeout_us = TIMEOUT_DEFAULT_US,
    };
    if (!command_read_options(&reading, options, argc, argv, exit_code))
        return false;
    if (options->create_topics && !options->areas.kafka)
        return refuse(exit_code, "--create-topics needs Kafka, which --only leaves out");
    return command_has_no_words("check", argc, argv, exit_code);
}
