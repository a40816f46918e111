/* redrive_options: see redrive_options.h. */
#include "worker/redrive_options.h"

#include "common/clock.h"
#include "common/text.h"
#include "worker/command.h"
#include "worker/command_line.h"
#include "worker/time_option.h"

#define RATE_DEFAULT 100 /* per second */
#define refuse(exit_code, ...) command_refuse("redrive", (exit_code), __VA_ARGS__)

static const char help[] =
    "Usage: terra-connect redrive [options]\n"
    "\n"
    "Puts dead letters back on the topic that they came from, with their key, their value and\n"
    "their headers, and a header redriven-from that names the letter. The letter itself stays.\n"
    "Which letters, all of the conditions together:\n"
    "\n"
    "  --code CODE          with this error code; may be given several times\n"
    "  --since WHEN         written since: 10m, 2h, 7d (so long ago) or 2026-11-21T07:04:32Z\n"
    "  --until WHEN         written before, in the same forms\n"
    "  --key KEY            with this key\n"
    "  --topic NAME         that came from this topic\n"
    "  --expired            also pointers whose payload is gone (payload_expired); they will die\n"
    "                       again unless Terra sends the payload anew\n"
    "  --limit N            at most so many\n"
    "\n"
    "  --dry-run            only say what would be done\n"
    "  --rate N/s           so many per second (N/m, N/h likewise; 0: no limit). Default: 100/s\n"
    "  --json               one JSON object per line: one for each letter, then the summary\n"
    "  --help               this text\n"
    "\n"
    "Letters go to the topics of CONNECT_REQUESTS_TOPIC, RAW_EVENTS_TOPIC and AUTH_EVENTS_TOPIC\n"
    "alone; others are counted and left. So are letters without their value, which was too large\n"
    "to be kept. An event that had been fetched through a pointer is put back as the event.\n"
    "\n"
    "One run reads the letters that are there when it begins and puts none back twice. A further\n"
    "run knows nothing of earlier ones: it would put the same letters back again. So say each\n"
    "time from when on: the summary names the time at which the run began, for --since of the\n"
    "next. It stops at the first record that Kafka does not take, unless only its size is wrong.\n"
    "\n"
    "Exit codes:\n"
    "   0  every letter that was chosen and can be put back has been\n"
    "   1  not so: a record was not taken, Kafka could not be reached, or it was interrupted\n"
    "   2  the command line cannot be understood\n"
    "  78  the settings are wrong or incomplete\n";

enum {
    OPTION_FIRST = COMMAND_OPTION_FIRST,
    OPTION_CODE,
    OPTION_SINCE,
    OPTION_UNTIL,
    OPTION_KEY,
    OPTION_TOPIC,
    OPTION_EXPIRED,
    OPTION_LIMIT,
    OPTION_DRY_RUN,
    OPTION_RATE,
    OPTION_JSON
};

static const struct option long_options[] = {
    {"code", required_argument, NULL, OPTION_CODE},
    {"since", required_argument, NULL, OPTION_SINCE},
    {"until", required_argument, NULL, OPTION_UNTIL},
    {"key", required_argument, NULL, OPTION_KEY},
    {"topic", required_argument, NULL, OPTION_TOPIC},
    {"expired", no_argument, NULL, OPTION_EXPIRED},
    {"limit", required_argument, NULL, OPTION_LIMIT},
    {"dry-run", no_argument, NULL, OPTION_DRY_RUN},
    {"rate", required_argument, NULL, OPTION_RATE},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static bool take_code(struct redrive_choice *choice, const char *value, int *exit_code)
{
    if (choice->code_count == REDRIVE_CODES_MAX)
        return refuse(exit_code, "--code can be given %d times at most", REDRIVE_CODES_MAX);
    choice->codes[choice->code_count++] = value;
    return true;
}

static bool take_time(int64_t *time_ms, const char *option, const char *value, int *exit_code)
{
    int64_t wall_us;
    if (!time_option_parse(value, clock_wall_us(), &wall_us))
        return refuse(exit_code, "%s must be a time, " TIME_OPTION_FORMS, option);
    *time_ms = wall_us / CLOCK_US_PER_MS;
    return true;
}

static bool take_option(void *into, int option, const char *value, int *exit_code)
{
    struct redrive_options *options = into;
    struct redrive_choice *choice = &options->choice;
    switch (option) {
    case OPTION_CODE:
        return take_code(choice, value, exit_code);
    case OPTION_SINCE:
        return take_time(&choice->since_ms, "--since", value, exit_code);
    case OPTION_UNTIL:
        return take_time(&choice->until_ms, "--until", value, exit_code);
    case OPTION_KEY:
        choice->key = value;
        return true;
    case OPTION_TOPIC:
        choice->topic = value;
        return true;
    case OPTION_EXPIRED:
        choice->expired = true;
        return true;
    case OPTION_LIMIT:
        return command_read_number(value, 1, INT64_MAX, &options->limit) ||
               refuse(exit_code, "--limit must be a whole number, 1 or more");
    case OPTION_DRY_RUN:
        options->dry_run = true;
        return true;
    case OPTION_RATE:
        return rate_parse(value, &options->rate) ||
               refuse(exit_code, "--rate must be such as 100/s, 60/m or 0");
    default: /* OPTION_JSON */
        options->json = true;
        return true;
    }
}

bool redrive_options_read(struct redrive_options *options, int argc, char **argv, int *exit_code)
{
    static const struct command_options reading = {"redrive", help, long_options, take_option};
    *options = (struct redrive_options){
        .limit = UINT64_MAX, .rate = {.calls = RATE_DEFAULT, .period_us = CLOCK_US_PER_SECOND}};
    if (!command_read_options(&reading, options, argc, argv, exit_code))
        return false;
    return command_has_no_words("redrive", argc, argv, exit_code);
}
