/* terra-connect config: every setting, its value, where it came from, its default. */
#include <stdio.h>

#include "worker/command.h"
#include "worker/command_line.h"

#define OUTPUT_BYTES_MAX (256 * 1024)

static const char help[] =
    "Usage: terra-connect config [--json | --markdown]\n"
    "\n"
    "Prints every setting with its value, its source and its default. Secrets are masked.\n"
    "\n"
    "  --json       the same as JSON\n"
    "  --markdown   the table of settings for the README, without any values\n"
    "  --help       this text\n"
    "\n"
    "Exit codes: 0 printed; 2 wrong usage; 78 a setting is wrong (the faults are on stderr).\n";

static bool take_form(void *into, int option, const char *value, int *exit_code)
{
    int *form = into;
    (void)value, (void)exit_code;
    *form = option;
    return true;
}

int command_config(int argc, char **argv)
{
    static const struct option known[] = {
        {"json", no_argument, NULL, 'j'},
        {"markdown", no_argument, NULL, 'm'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    static const struct command_options options = {"config", help, known, take_form};
    int exit_code, form = 0;
    if (!command_read_options(&options, &form, argc, argv, &exit_code) ||
        !command_has_no_words("config", argc, argv, &exit_code))
        return exit_code;

    struct buf output;
    struct config config = {0};
    bool usable = true;
    buf_init(&output, OUTPUT_BYTES_MAX);
    if (form == 'm') {
        config_print_markdown(&output);
    } else {
        usable = command_load_config(&config, CONFIG_NEED_NOTHING);
        (form == 'j' ? config_print_json : config_print)(&config, &output);
        config_release(&config);
    }
    printf("%s", buf_text(&output));
    buf_release(&output);
    return usable ? EXIT_OK : EXIT_CONFIG;
}
