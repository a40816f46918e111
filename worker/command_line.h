/*
 * command_line: how the subcommands read their arguments, and how they speak to people.
 */
#ifndef WORKER_COMMAND_LINE_H
#define WORKER_COMMAND_LINE_H

#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "worker/config.h"

/* Long options of getopt_long have numbers from here on, beyond every character. */
#define COMMAND_OPTION_FIRST 1000

/* Says on stderr what is wrong and where to read on. Always false; *exit_code is EXIT_USAGE. */
bool command_refuse(const char *command, int *exit_code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The options of a subcommand, and what becomes of each. */
struct command_options {
    const char *command;        /* its name */
    const char *help;           /* for --help and -h */
    const struct option *known; /* as getopt_long takes them, help among them as 'h' */
    /* Takes one of them, never help, `into` what the reader was given. False: it has refused. */
    bool (*take)(void *into, int option, const char *value, int *exit_code);
};

/* Reads them in their order; argv[optind] is then the first word that is no option. True: go on.
 * Else help or the fault has been printed, and *exit_code says which. */
bool command_read_options(
    const struct command_options *options, void *into, int argc, char **argv, int *exit_code);

/* After the options, for a subcommand that takes no words: false, and refused, where there is
 * one. */
bool command_has_no_words(const char *command, int argc, char **argv, int *exit_code);

/* Decimal digits alone, from `least` to `most`. */
bool command_read_number(const char *text, uint64_t least, uint64_t most, uint64_t *number);

/* A sentence on stderr, whatever characters are in it. */
void command_say(const char *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void command_say_list(const char *command, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

/* A person reads stderr: what goes as it should is not logged, unless LOG_LEVEL was changed. */
void command_quieten_log(const struct config *config);

/* SIGINT and SIGTERM. The second of them ends the process at once. */
struct command_signals {
    uv_signal_t sigint, sigterm;
    void (*on_signal)(void *context);
    void *context;
    bool signalled;
};

void command_signals_start(struct command_signals *signals, uv_loop_t *loop,
    void (*on_signal)(void *context), void *context);
void command_signals_close(struct command_signals *signals);

#endif
