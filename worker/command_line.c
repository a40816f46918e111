/* command_line: see command_line.h. */
#include "worker/command_line.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "worker/command.h"

bool command_refuse(const char *command, int *exit_code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "terra-connect %s: ", command);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\nterra-connect %s --help tells more.\n", command);
    va_end(arguments);
    *exit_code = EXIT_USAGE;
    return false;
}

/* getopt_long has passed over the argument that it does not understand; of letters behind one dash
 * it names the letter. */
static bool refuse_argument(const char *command, int *exit_code, char **argv, int option)
{
    if (optopt > 0 && optopt < COMMAND_OPTION_FIRST)
        return command_refuse(command, exit_code, "-%c: there is no such option", optopt);
    return command_refuse(command, exit_code, "%s: %s", argv[optind - 1],
        option == ':' ? "its value is missing" : "there is no such option, or not in this form");
}

bool command_read_options(
    const struct command_options *options, void *into, int argc, char **argv, int *exit_code)
{
    int option;
    opterr = 0; /* its own messages would begin with the subcommand alone */
    while ((option = getopt_long(argc, argv, ":h", options->known, NULL)) != -1) {
        if (option == '?' || option == ':')
            return refuse_argument(options->command, exit_code, argv, option);
        if (option == 'h') {
            printf("%s", options->help);
            *exit_code = EXIT_OK;
            return false;
        }
        if (!options->take(into, option, optarg, exit_code))
            return false;
    }
    return true;
}

bool command_has_no_words(const char *command, int argc, char **argv, int *exit_code)
{
    return optind == argc || command_refuse(command, exit_code,
                                 "%s: what is that? Nothing may stand alone", argv[optind]);
}

bool command_read_number(const char *text, uint64_t least, uint64_t most, uint64_t *number)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    unsigned long long read = strtoull(text, &end, 10);
    *number = read;
    return errno == 0 && *end == '\0' && read >= least && read <= most;
}

void command_say_list(const char *command, const char *format, va_list arguments)
{
    char text[2048];
    vsnprintf(text, sizeof text, format, arguments);
    /* Some of it came over the network, and this may be a terminal. */
    for (char *at = text; *at; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = ' ';
    }
    fprintf(stderr, "terra-connect %s: %s\n", command, text);
}

void command_say(const char *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    command_say_list(command, format, arguments);
    va_end(arguments);
}

void command_quieten_log(const struct config *config)
{
    if (config->log_level == LOG_LEVEL_INFO)
        log_configure(LOG_LEVEL_ERROR, (enum log_format)config->log_format);
}

static void take_signal(uv_signal_t *handle, int number)
{
    (void)number;
    struct command_signals *signals = handle->data;
    if (signals->signalled)
        _exit(EXIT_FAILED);
    signals->signalled = true;
    signals->on_signal(signals->context);
}

static void start_signal(
    struct command_signals *signals, uv_loop_t *loop, uv_signal_t *handle, int number)
{
    uv_signal_init(loop, handle);
    handle->data = signals;
    uv_signal_start(handle, take_signal, number);
}

void command_signals_start(struct command_signals *signals, uv_loop_t *loop,
    void (*on_signal)(void *context), void *context)
{
    *signals = (struct command_signals){.on_signal = on_signal, .context = context};
    start_signal(signals, loop, &signals->sigint, SIGINT);
    start_signal(signals, loop, &signals->sigterm, SIGTERM);
}

void command_signals_close(struct command_signals *signals)
{
    uv_close((uv_handle_t *)&signals->sigint, NULL);
    uv_close((uv_handle_t *)&signals->sigterm, NULL);
}
