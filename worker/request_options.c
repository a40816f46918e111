/* request_options: see request_options.h. */
#include "worker/request_options.h"

#include "common/text.h"
#include "worker/command.h"
#include "worker/command_line.h"

static const char help[] =
    "Usage: terra-connect request --reference-id ID [options]\n"
    "       terra-connect request [options] -\n"
    "\n"
    "Publishes a connect request, waits for its reply and prints the link, and nothing else, on\n"
    "standard output: xdg-open \"$(terra-connect request --reference-id u1)\"\n"
    "\n"
    "  --reference-id ID    your own identifier of the person\n"
    "  --provider NAME      a direct link to this provider; without it a page to choose on\n"
    "  --providers A,B      the providers that page offers; without it all that are enabled\n"
    "  --language CODE      of that page: en, fr, zh-CN\n"
    "  --success-url URL    where the browser goes after success (Terra's\n"
    "                       auth_success_redirect_url; --auth-success-redirect-url is the same)\n"
    "  --failure-url URL    where it goes after a failure (auth_failure_redirect_url)\n"
    "  --environment NAME   one of the worker's Terra credentials\n"
    "  --request-id ID      the same request sent again under the same id gets the same link\n"
    "  --timeout SECONDS    how long an answer is worth waiting for, 1 to 3600; the worker is\n"
    "                       told (timeout_seconds). Default: REQUEST_DEADLINE\n"
    "  --json               print the whole reply, in one line, also when it is an error\n"
    "  -                    read many requests from standard input, one JSON object per line,\n"
    "                       and print their replies, one per line, in the order in which they\n"
    "                       come. The options above fill in what a line does not name\n"
    "  --help               this text\n"
    "\n"
    "With --json and with -, a request that has no reply gets a line in a reply's form, made by\n"
    "this command: error.code is no_reply (nobody answered in time), not_sent (Kafka did not take\n"
    "the request) or bad_reply (the reply cannot be read), and with - also invalid_request for a\n"
    "line that is no JSON object; `line` is then its number.\n"
    "\n"
    "Settings are environment variables, as the worker's: terra-connect config. At least\n"
    "KAFKA_BOOTSTRAP_SERVERS is needed; CONNECT_REQUESTS_TOPIC and CONNECT_REPLIES_TOPIC name the\n"
    "topics. No Terra key is needed.\n"
    "\n"
    "Exit codes:\n"
    "   0  there is a link; with -, for every request\n"
    "   1  Kafka could not be reached or did not take a request, a topic is missing, standard\n"
    "      input or output failed\n"
    "   2  the command line cannot be understood\n"
    "   3  the answer is an error; with -, at least one is, or a line was no request\n"
    "   4  no reply in time, or interrupted before it came; with -, for at least one request\n"
    "  78  the settings are wrong or incomplete\n"
    "With -, 1 goes before 4, and 4 before 3.\n";

#define refuse(exit_code, ...) command_refuse("request", (exit_code), __VA_ARGS__)

enum {
    OPTION_FIRST = COMMAND_OPTION_FIRST,
    OPTION_REFERENCE_ID,
    OPTION_REQUEST_ID,
    OPTION_ENVIRONMENT,
    OPTION_PROVIDER,
    OPTION_PROVIDERS,
    OPTION_LANGUAGE,
    OPTION_SUCCESS_URL,
    OPTION_FAILURE_URL,
    OPTION_TIMEOUT,
    OPTION_JSON
};

/* Who knows Terra's names, or the record's, may use them. */
static const struct option long_options[] = {
    {"reference-id", required_argument, NULL, OPTION_REFERENCE_ID},
    {"reference_id", required_argument, NULL, OPTION_REFERENCE_ID},
    {"request-id", required_argument, NULL, OPTION_REQUEST_ID},
    {"request_id", required_argument, NULL, OPTION_REQUEST_ID},
    {"environment", required_argument, NULL, OPTION_ENVIRONMENT},
    {"provider", required_argument, NULL, OPTION_PROVIDER},
    {"providers", required_argument, NULL, OPTION_PROVIDERS},
    {"language", required_argument, NULL, OPTION_LANGUAGE},
    {"success-url", required_argument, NULL, OPTION_SUCCESS_URL},
    {"auth-success-redirect-url", required_argument, NULL, OPTION_SUCCESS_URL},
    {"auth_success_redirect_url", required_argument, NULL, OPTION_SUCCESS_URL},
    {"failure-url", required_argument, NULL, OPTION_FAILURE_URL},
    {"auth-failure-redirect-url", required_argument, NULL, OPTION_FAILURE_URL},
    {"auth_failure_redirect_url", required_argument, NULL, OPTION_FAILURE_URL},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static const char **text_of(struct request_choice *choice, int option)
{
    switch (option) {
    case OPTION_REFERENCE_ID:
        return &choice->reference_id;
    case OPTION_REQUEST_ID:
        return &choice->request_id;
    case OPTION_ENVIRONMENT:
        return &choice->environment;
    case OPTION_PROVIDER:
        return &choice->provider;
    case OPTION_PROVIDERS:
        return &choice->providers;
    case OPTION_LANGUAGE:
        return &choice->language;
    case OPTION_SUCCESS_URL:
        return &choice->success_url;
    case OPTION_FAILURE_URL:
        return &choice->failure_url;
    default:
        return NULL;
    }
}

static bool take_option(void *into, int option, const char *value, int *exit_code)
{
    struct request_options *options = into;
    const char **text = text_of(&options->choice, option);
    uint64_t seconds;
    if (text) {
        *text = value;
        return true;
    }
    switch (option) {
    case OPTION_TIMEOUT:
        if (!command_read_number(value, 1, TIMEOUT_SECONDS_MAX, &seconds))
            return refuse(
                exit_code, "--timeout must be whole seconds, 1 to %d", TIMEOUT_SECONDS_MAX);
        options->choice.timeout_seconds = (unsigned)seconds;
        return true;
    default: /* OPTION_JSON */
        options->json = true;
        return true;
    }
}

/* What the options say together. */
static bool check(const struct request_options *options, int *exit_code)
{
    const struct request_choice *choice = &options->choice;
    if (choice->provider && choice->providers)
        return refuse(exit_code, "--provider and --providers do not go together");
    if (choice->providers && text_empty(choice->providers))
        return refuse(exit_code, "--providers must name at least one");
    if (options->many && (choice->reference_id || choice->request_id))
        return refuse(exit_code, "with - each line has its own reference_id and request_id");
    if (!options->many && text_empty(choice->reference_id))
        return refuse(exit_code, "--reference-id is needed");
    return true;
}

bool request_options_read(struct request_options *options, int argc, char **argv, int *exit_code)
{
    static const struct command_options reading = {"request", help, long_options, take_option};
    *options = (struct request_options){0};
    if (!command_read_options(&reading, options, argc, argv, exit_code))
        return false;
    options->many = optind < argc && text_equal(argv[optind], "-");
    if (options->many)
        optind++;
    if (optind < argc)
        return refuse(exit_code, "%s: what is that? Only - may stand alone", argv[optind]);
    return check(options, exit_code);
}
