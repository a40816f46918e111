/* options: terra-sandbox's command line; see options.h. */
#include "options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>

#include "common/text.h"
#include "control.h"
#include "record.h"

static const char help[] =
    "usage: terra-sandbox [option]…\n"
    "\n"
    "An embedded Kafka and a simulated Terra, for trying terra-connect and for the tests of\n"
    "services that use it. When both are ready, one line of JSON on stdout says where:\n"
    "  {\"kafka\": \"127.0.0.1:…\", \"terra\": \"http://127.0.0.1:…/api\", \"control\": …, …}\n"
    "A worker needs KAFKA_BOOTSTRAP_SERVERS, TERRA_BASE_URL, TERRA_DEV_ID and TERRA_API_KEY.\n"
    "\n"
    "  --http-port N            the simulated Terra and the control endpoint (default 0: any)\n"
    "  --kafka-port N           the embedded Kafka (default 0: any)\n"
    "  --listen ADDRESS         IPv4 address of both (default 127.0.0.1)\n"
    "  --brokers HOST:PORT      use this Kafka and start none. Its topics are its operator's: "
    "only\n"
    "                           those that --topic names are created, where they are missing\n"
    "  --no-kafka               only Terra\n"
    "  --topic NAME:PARTITIONS  create it, or change a default topic; repeatable. Defaults, with\n"
    "                           4 partitions each: terra.connect.requests, terra.connect.replies,\n"
    "                           terra.connect.outcomes, terra.events.raw, terra.auth.events,\n"
    "                           terra.connections (not compacted here), terra.dead-letters\n"
    "  --raw-events-topic NAME  where Terra's events go, instead of terra.events.raw\n"
    "  --credential ENVIRONMENT:DEV_ID:API_KEY[:FLAG…]\n"
    "                           an account; repeatable (default default:sandbox-dev:sandbox-key).\n"
    "                           Flags: legacy_retired, no_sources, disabled, user_limit\n"
    "  --legacy-retired         generateWidgetSession answers 410 to every account\n"
    "  --public-url URL         what stands before /session/… in links (default\n"
    "                           https://widget.sandbox.invalid, which leads nowhere); `self` is\n"
    "                           the sandbox's own address, in plain http. A link's page is always\n"
    "                           served at the sandbox's own address under the same path; a person\n"
    "                           can complete or cancel the session there\n"
    "  --latency-ms N           of every answer of Terra's API (default 0)\n"
    "  --records N              how many calls are remembered (default 200000; 0: none)\n"
    "  --exit-with-parent       end when the process that started this one ends\n"
    "  --help, --version\n"
    "\n"
    "Reference ids that ask for a failure; what follows the last hyphen is free:\n"
    "  sandbox-rejected_by_terra-…     sandbox-credentials_rejected-…  sandbox-endpoint_retired-…\n"
    "  sandbox-user_limit_reached-…    sandbox-terra_unavailable-…     sandbox-rate_limited-…\n"
    "  sandbox-deadline_exceeded-…     Terra answers so that the worker replies with that code\n"
    "  sandbox-slow-<ms>-…             the answer comes that much later\n"
    "  sandbox-flaky-<n>-…             n times 503, then success\n"
    "invalid_request, redirect_not_allowed, reply_address_rejected, unknown_environment and\n"
    "internal_error are the worker's own verdicts; no answer of Terra's can cause them.\n"
    "\n";

static const char *const default_topics[] = {"terra.connect.requests", "terra.connect.replies",
    "terra.connect.outcomes", "terra.auth.events", "terra.connections", "terra.dead-letters"};
#define DEFAULT_PARTITIONS 4
#define PARTITIONS_MAX 1000
#define RECORDS_MAX 10000000

static bool number_of(const char *text, long minimum, long maximum, long *number)
{
    char *end;
    errno = 0;
    *number = strtol(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *number >= minimum && *number <= maximum;
}

static struct kafka_topic *find_topic(struct options *options, const char *name, size_t size)
{
    struct kafka_topic *topic = options->topics;
    while (topic < options->topics + options->topic_count &&
           (strncmp(topic->name, name, size) != 0 || topic->name[size] != '\0'))
        topic++;
    return topic;
}

static bool put_topic(struct options *options, const char *name, size_t size, int partitions)
{
    struct kafka_topic *topic = find_topic(options, name, size);
    if (topic == options->topics + options->topic_count) {
        if (options->topic_count == KAFKA_TOPICS_MAX)
            return false;
        options->topic_count++;
    }
    snprintf(topic->name, sizeof(topic->name), "%.*s", (int)size, name);
    topic->partitions = partitions;
    return true;
}

static bool read_topic(struct options *options, const char *text)
{
    size_t size = strcspn(text, ":");
    long partitions;
    return size > 0 && size < sizeof(options->topics[0].name) && text[size] == ':' &&
           number_of(text + size + 1, 1, PARTITIONS_MAX, &partitions) &&
           put_topic(options, text, size, (int)partitions);
}

/* The next part up to a colon, into `part` (empty when it does not fit, which nobody accepts); what
 * is left, or NULL at the end. */
static const char *next_part(const char *text, char part[CREDENTIAL_TEXT_SIZE])
{
    size_t size = strcspn(text, ":");
    snprintf(part, CREDENTIAL_TEXT_SIZE, "%.*s", size < CREDENTIAL_TEXT_SIZE ? (int)size : 0, text);
    return text[size] == ':' ? text + size + 1 : NULL;
}

static bool read_credential(struct options *options, const char *text)
{
    char environment[CREDENTIAL_TEXT_SIZE], dev_id[CREDENTIAL_TEXT_SIZE];
    char api_key[CREDENTIAL_TEXT_SIZE], flag[CREDENTIAL_TEXT_SIZE];
    unsigned flags = 0;
    text = next_part(text, environment);
    if (text == NULL)
        return false;
    text = next_part(text, dev_id);
    if (text == NULL)
        return false;
    text = next_part(text, api_key);
    while (text != NULL) {
        text = next_part(text, flag);
        if (!credential_flag_of_name(flag, &flags))
            return false;
    }
    return credentials_put(&options->credentials, environment, dev_id, api_key, flags) == RESULT_OK;
}

static bool read_listen(struct options *options, const char *text)
{
    struct in_addr address;
    options->listen = text;
    return inet_pton(AF_INET, text, &address) == 1;
}

enum {
    OPTION_FIRST = 1000,
    OPTION_HTTP_PORT,
    OPTION_KAFKA_PORT,
    OPTION_LISTEN,
    OPTION_BROKERS,
    OPTION_NO_KAFKA,
    OPTION_TOPIC,
    OPTION_RAW_EVENTS_TOPIC,
    OPTION_CREDENTIAL,
    OPTION_LEGACY_RETIRED,
    OPTION_PUBLIC_URL,
    OPTION_LATENCY_MS,
    OPTION_RECORDS,
    OPTION_EXIT_WITH_PARENT,
    OPTION_HELP,
    OPTION_VERSION
};

static const struct option long_options[] = {
    {"http-port", required_argument, NULL, OPTION_HTTP_PORT},
    {"kafka-port", required_argument, NULL, OPTION_KAFKA_PORT},
    {"listen", required_argument, NULL, OPTION_LISTEN},
    {"brokers", required_argument, NULL, OPTION_BROKERS},
    {"no-kafka", no_argument, NULL, OPTION_NO_KAFKA},
    {"topic", required_argument, NULL, OPTION_TOPIC},
    {"raw-events-topic", required_argument, NULL, OPTION_RAW_EVENTS_TOPIC},
    {"credential", required_argument, NULL, OPTION_CREDENTIAL},
    {"legacy-retired", no_argument, NULL, OPTION_LEGACY_RETIRED},
    {"public-url", required_argument, NULL, OPTION_PUBLIC_URL},
    {"latency-ms", required_argument, NULL, OPTION_LATENCY_MS},
    {"records", required_argument, NULL, OPTION_RECORDS},
    {"exit-with-parent", no_argument, NULL, OPTION_EXIT_WITH_PARENT},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

/* False: the value cannot be used. */
static bool take_option(struct options *options, int option, const char *value)
{
    long number = 0;
    switch (option) {
    case OPTION_HTTP_PORT:
        if (!number_of(value, 0, UINT16_MAX, &number))
            return false;
        options->http_port = (uint16_t)number;
        return true;
    case OPTION_KAFKA_PORT:
        if (!number_of(value, 0, UINT16_MAX, &number))
            return false;
        options->kafka_port = (uint16_t)number;
        return true;
    case OPTION_LISTEN:
        return read_listen(options, value);
    case OPTION_BROKERS:
        options->brokers = value;
        return *value != '\0';
    case OPTION_NO_KAFKA:
        options->kafka = false;
        return true;
    case OPTION_TOPIC:
        return read_topic(options, value);
    case OPTION_RAW_EVENTS_TOPIC:
        options->raw_events_topic = value;
        return *value != '\0' && strlen(value) < sizeof(options->topics[0].name);
    case OPTION_CREDENTIAL:
        return read_credential(options, value);
    case OPTION_LEGACY_RETIRED:
        options->legacy_retired = true;
        return true;
    case OPTION_PUBLIC_URL:
        options->public_url = value;
        return text_equal(value, "self") || text_starts_with(value, "https://") ||
               text_starts_with(value, "http://");
    case OPTION_LATENCY_MS:
        if (!number_of(value, 0, LATENCY_MS_MAX, &number))
            return false;
        options->latency_ms = (unsigned)number;
        return true;
    case OPTION_RECORDS:
        if (!number_of(value, 0, RECORDS_MAX, &number))
            return false;
        options->records_max = (size_t)number;
        return true;
    case OPTION_EXIT_WITH_PARENT:
        options->exit_with_parent = true;
        return true;
    default:
        return false;
    }
}

static void set_defaults(struct options *options)
{
    *options = (struct options){
        .listen = "127.0.0.1",
        .kafka = true,
        .public_url = "https://widget.sandbox.invalid",
        .records_max = RECORDS_DEFAULT,
        .raw_events_topic = "terra.events.raw",
    };
}

static bool add_default_topic(struct options *options, const char *name)
{
    size_t size = strlen(name);
    bool named = find_topic(options, name, size) < options->topics + options->topic_count;
    return named || put_topic(options, name, size, DEFAULT_PARTITIONS);
}

/* Those of the embedded Kafka that --topic has not named. */
static bool add_default_topics(struct options *options)
{
    bool fits = add_default_topic(options, options->raw_events_topic);
    for (size_t i = 0; fits && i < sizeof(default_topics) / sizeof(default_topics[0]); i++)
        fits = add_default_topic(options, default_topics[i]);
    return fits;
}

static enum options_outcome wrong(const char *about)
{
    fprintf(stderr, "terra-sandbox: %s\nterra-sandbox --help says what there is\n", about);
    return OPTIONS_WRONG;
}

enum options_outcome options_read(struct options *options, int argc, char **argv)
{
    set_defaults(options);
    for (;;) {
        int index = 0;
        int option = getopt_long(argc, argv, "", long_options, &index);
        if (option == -1)
            break;
        if (option == '?')
            return OPTIONS_WRONG;
        if (option == OPTION_HELP) {
            printf("%s%s", help, control_help);
            return OPTIONS_SHOWN;
        }
        if (option == OPTION_VERSION) {
            printf("terra-sandbox %s\n", TERRA_CONNECT_VERSION);
            return OPTIONS_SHOWN;
        }
        if (!take_option(options, option, optarg)) {
            char about[128];
            snprintf(
                about, sizeof(about), "--%s: this value cannot be used", long_options[index].name);
            return wrong(about);
        }
    }
    if (optind < argc)
        return wrong("there are options only");
    if (options->brokers == NULL && !add_default_topics(options))
        return wrong("there are too many topics");
    if (options->credentials.count == 0 &&
        !read_credential(options, "default:sandbox-dev:sandbox-key"))
        return OPTIONS_WRONG;
    return OPTIONS_RUN;
}
