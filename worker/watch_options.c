/* watch_options: see watch_options.h. */
#include "worker/watch_options.h"

#include "common/clock.h"
#include "common/kafka_reader.h"
#include "common/text.h"
#include "worker/command.h"
#include "worker/command_line.h"
#include "worker/time_option.h"

#define refuse(exit_code, ...) command_refuse("watch", (exit_code), __VA_ARGS__)

static const char help[] =
    "Usage: terra-connect watch [options] [topic …]\n"
    "\n"
    "Follows topics and prints one line for each record, links and tokens masked. Topics:\n"
    "requests, replies, outcomes, raw, events, connections, dead-letters; without one all of\n"
    "them. One that does not exist yet is waited for.\n"
    "\n"
    "  --since WHEN         from where: 10m, 2h, 7d (so long ago), 2026-11-21T07:04:32Z, or\n"
    "                       beginning. Default: from now on\n"
    "  --until-end          stop where the topics ended when reading began\n"
    "  --reference-id ID    only records with this key, or with this reference_id in their value\n"
    "  --limit N            stop after N records\n"
    "  --json               one JSON object per line: topic, name, partition, offset, timestamp,\n"
    "                       key, headers, value, value_size (value_text or value_base64 when the\n"
    "                       value is no JSON)\n"
    "  --help               this text\n"
    "\n"
    "Records of one partition come in their order, those of several as they are read. Only what\n"
    "was committed is shown. No consumer group is joined, and nothing is committed. A record with\n"
    "a value of more than 1 MiB is shown without it.\n"
    "\n"
    "  terra-connect watch --json --since 7d --until-end outcomes events >records.jsonl\n"
    "\n"
    "Settings are environment variables: terra-connect config. KAFKA_BOOTSTRAP_SERVERS is\n"
    "needed; CONNECT_REQUESTS_TOPIC and so on name the topics.\n"
    "\n"
    "Exit codes:\n"
    "   0  stopped: by --limit, by --until-end, by Ctrl-C, or because nobody reads the output\n"
    "   1  Kafka could not be reached, standard output failed, or, with --until-end, none of the\n"
    "      topics could be read\n"
    "   2  the command line cannot be understood\n"
    "  78  the settings are wrong or incomplete\n";

static const char *const topic_names[WATCH_TOPIC_COUNT] = {
    [WATCH_REQUESTS] = "requests",
    [WATCH_REPLIES] = "replies",
    [WATCH_OUTCOMES] = "outcomes",
    [WATCH_RAW] = "raw",
    [WATCH_EVENTS] = "events",
    [WATCH_CONNECTIONS] = "connections",
    [WATCH_DEAD_LETTERS] = "dead-letters",
};

const char *watch_topic_name(enum watch_topic topic)
{
    return topic_names[topic];
}

enum {
    OPTION_FIRST = COMMAND_OPTION_FIRST,
    OPTION_SINCE,
    OPTION_UNTIL_END,
    OPTION_REFERENCE_ID,
    OPTION_LIMIT,
    OPTION_JSON
};

static const struct option long_options[] = {
    {"since", required_argument, NULL, OPTION_SINCE},
    {"until-end", no_argument, NULL, OPTION_UNTIL_END},
    {"reference-id", required_argument, NULL, OPTION_REFERENCE_ID},
    {"reference_id", required_argument, NULL, OPTION_REFERENCE_ID},
    {"limit", required_argument, NULL, OPTION_LIMIT},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static bool take_since(struct watch_options *options, const char *value, int *exit_code)
{
    int64_t wall_us;
    if (text_equal(value, "beginning")) {
        options->from = KAFKA_READER_FROM_BEGINNING;
        return true;
    }
    if (!time_option_parse(value, clock_wall_us(), &wall_us))
        return refuse(
            exit_code, "--since must be a time, " TIME_OPTION_FORMS ", or the word beginning");
    options->from = wall_us / CLOCK_US_PER_MS;
    return true;
}

static bool take_option(void *into, int option, const char *value, int *exit_code)
{
    struct watch_options *options = into;
    switch (option) {
    case OPTION_SINCE:
        return take_since(options, value, exit_code);
    case OPTION_UNTIL_END:
        options->until_end = true;
        return true;
    case OPTION_REFERENCE_ID:
        options->reference_id = value;
        return true;
    case OPTION_LIMIT:
        return command_read_number(value, 1, INT64_MAX, &options->limit) ||
               refuse(exit_code, "--limit must be a whole number, 1 or more");
    default: /* OPTION_JSON */
        options->json = true;
        return true;
    }
}

static bool take_topic(struct watch_options *options, const char *name, int *exit_code)
{
    for (unsigned topic = 0; topic < WATCH_TOPIC_COUNT; topic++) {
        if (text_equal(topic_names[topic], name)) {
            options->topics[topic] = true;
            return true;
        }
    }
    return refuse(exit_code,
        "%s: there is no such topic; there are requests, replies, outcomes, raw, events, "
        "connections and dead-letters",
        name);
}

bool watch_options_read(struct watch_options *options, int argc, char **argv, int *exit_code)
{
    static const struct command_options reading = {"watch", help, long_options, take_option};
    *options = (struct watch_options){.from = KAFKA_READER_FROM_END, .limit = UINT64_MAX};
    if (!command_read_options(&reading, options, argc, argv, exit_code))
        return false;
    options->all = optind == argc;
    for (unsigned topic = 0; topic < WATCH_TOPIC_COUNT; topic++)
        options->topics[topic] = options->all;
    for (; optind < argc; optind++)
        if (!take_topic(options, argv[optind], exit_code))
            return false;
    return true;
}
