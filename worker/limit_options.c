/* limit_options: see limit_options.h. */
#include "worker/limit_options.h"

#include "common/clock.h"
#include "common/text.h"
#include "worker/command.h"
#include "worker/command_line.h"
#include "worker/time_option.h"

#define BURST_MAX 1000000
#define FOR_MAX_US (30 * 24 * 3600 * CLOCK_US_PER_SECOND)

#define refuse(exit_code, ...) command_refuse("limit", (exit_code), __VA_ARGS__)

static const char help[] =
    "Usage: terra-connect limit [show] [--environment NAME] [--json]\n"
    "       terra-connect limit set RATE [--burst N] [--for TIME] [--environment NAME]\n"
    "       terra-connect limit unset | pause | resume [--environment NAME]\n"
    "\n"
    "Shows and changes the limit of calls to Terra that all workers share through Redis, while\n"
    "they run. Every action ends with showing how things are then.\n"
    "\n"
    "  show                 setting, limit in force, use, waiting requests, live workers, "
    "cooldown\n"
    "  set RATE             another limit than the setting: 5/s, 600/m, 5000/h. It wins over\n"
    "                       TERRA_RATE_LIMIT and TERRA_RATE_BURST of every worker\n"
    "  unset                the setting counts again\n"
    "  pause                no calls at all; requests wait, and are answered rate_limited when\n"
    "                       their deadline comes\n"
    "  resume               ends a pause\n"
    "\n"
    "  --environment NAME   which limit. Default: that of TERRA_ENVIRONMENT; show: all of them\n"
    "  --burst N            with set: calls that may start together after a rest. Default: the\n"
    "                       setting, but no more than RATE has in a second, and at least 1\n"
    "  --for TIME           with set: ends by itself after 90s, 10m, 2h, 7d; at most 30d. "
    "Default:\n"
    "                       until it is unset\n"
    "  --json               one JSON object per line, one for each environment\n"
    "  --help               this text\n"
    "\n"
    "What is promised: over any one second never more calls than limit + burst, over all workers,\n"
    "also while the limit changes. Workers obey a change at once: what they had reserved is void,\n"
    "and calls under way are not cut off. The flow then starts without a burst. Workers that\n"
    "cannot reach Redis do not hear of it and keep to LIMIT_WITHOUT_REDIS; workers whose setting\n"
    "is 0 (no limit) never ask. A pause lasts until it is resumed, or a week in which no worker\n"
    "asks.\n"
    "\n"
    "Settings are environment variables: terra-connect config. REDIS_URL and TERRA_DEV_ID (or\n"
    "TERRA_ENVIRONMENTS_FILE) are needed, and REDIS_KEY_PREFIX where the workers have it; neither\n"
    "Kafka nor a key is. The limit belongs to the dev id.\n"
    "\n"
    "Exit codes:\n"
    "   0  shown, or done and shown\n"
    "   1  Redis could not be reached or refused; whether a change was made is then not known\n"
    "   2  the command line cannot be understood, or names an environment that does not exist\n"
    "  78  the settings are wrong or incomplete; without REDIS_URL there is no shared limit\n";

enum {
    OPTION_FIRST = COMMAND_OPTION_FIRST,
    OPTION_ENVIRONMENT,
    OPTION_BURST,
    OPTION_FOR,
    OPTION_JSON
};

static const struct option long_options[] = {
    {"environment", required_argument, NULL, OPTION_ENVIRONMENT},
    {"burst", required_argument, NULL, OPTION_BURST},
    {"for", required_argument, NULL, OPTION_FOR},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static const char *const action_names[] = {
    [LIMIT_SHOW] = "show",
    [LIMIT_SET] = "set",
    [LIMIT_UNSET] = "unset",
    [LIMIT_PAUSE] = "pause",
    [LIMIT_RESUME] = "resume",
};
enum { ACTION_COUNT = sizeof action_names / sizeof action_names[0] };

static bool take_burst(struct limit_options *options, const char *value, int *exit_code)
{
    uint64_t burst;
    if (!command_read_number(value, 1, BURST_MAX, &burst))
        return refuse(exit_code, "--burst must be a whole number from 1 to %d", BURST_MAX);
    options->burst = (int64_t)burst;
    return true;
}

static bool take_for(struct limit_options *options, const char *value, int *exit_code)
{
    int64_t for_us;
    if (!time_option_parse_span(value, &for_us) || for_us < CLOCK_US_PER_SECOND ||
        for_us > FOR_MAX_US)
        return refuse(
            exit_code, "--for must be from 1s to 30d, " TIME_OPTION_SPAN_FORMS ", not %s", value);
    options->for_us = for_us;
    return true;
}

static bool take_option(void *into, int option, const char *value, int *exit_code)
{
    struct limit_options *options = into;
    switch (option) {
    case OPTION_ENVIRONMENT:
        options->environment = value;
        return true;
    case OPTION_BURST:
        return take_burst(options, value, exit_code);
    case OPTION_FOR:
        return take_for(options, value, exit_code);
    default: /* OPTION_JSON */
        options->json = true;
        return true;
    }
}

static bool take_action(struct limit_options *options, const char *name, int *exit_code)
{
    for (int i = 0; i < ACTION_COUNT; i++) {
        if (text_equal(name, action_names[i])) {
            options->action = (enum limit_action)i;
            return true;
        }
    }
    return refuse(exit_code, "%s: it must be show, set, unset, pause or resume", name);
}

static bool take_rate(struct limit_options *options, const char *value, int *exit_code)
{
    if (!value)
        return refuse(exit_code, "set: the limit is missing, such as 5/s");
    if (text_equal(value, "0"))
        return refuse(exit_code,
            "set: \"no limit\" cannot be set while workers run, only by TERRA_RATE_LIMIT; to stop "
            "all calls: pause");
    return rate_parse(value, &options->rate) ||
           refuse(exit_code,
               "set: %s is no limit; it must be such as 5/s, 600/m or 5000/h, in whole numbers up "
               "to %d",
               value, RATE_CALLS_MAX);
}

/* show, or set 5/s: what stands without dashes. */
static bool take_words(struct limit_options *options, int count, char **words, int *exit_code)
{
    if (count > 0 && !take_action(options, words[0], exit_code))
        return false;
    int taken = 1;
    if (options->action == LIMIT_SET) {
        if (!take_rate(options, count > 1 ? words[1] : NULL, exit_code))
            return false;
        taken = 2;
    }
    if (count > taken)
        return refuse(exit_code, "%s: what is that?", words[taken]);
    if (options->action != LIMIT_SET && (options->burst > 0 || options->for_us > 0))
        return refuse(exit_code, "--burst and --for belong to set");
    return true;
}

bool limit_options_read(struct limit_options *options, int argc, char **argv, int *exit_code)
{
    static const struct command_options reading = {"limit", help, long_options, take_option};
    *options = (struct limit_options){.action = LIMIT_SHOW};
    if (!command_read_options(&reading, options, argc, argv, exit_code))
        return false;
    return take_words(options, argc - optind, argv + optind, exit_code);
}
