/*
 * command: the subcommands of terra-connect and what they share.
 *
 * Each takes its own arguments (argv[0] is its name), prints help for --help,
 * and gives back an exit code.
 */
#ifndef WORKER_COMMAND_H
#define WORKER_COMMAND_H

#include "worker/config.h"

enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,  /* it was tried and did not work */
    EXIT_USAGE = 2,   /* the command line cannot be understood */
    EXIT_NO_LINK = 3, /* request: Terra or the worker answered with an error */
    EXIT_SILENCE = 4, /* request: no reply in time */
    EXIT_CONFIG = 78, /* the settings are wrong or incomplete (EX_CONFIG of sysexits.h) */
};

int command_worker(int argc, char **argv);
int command_request(int argc, char **argv);
int command_watch(int argc, char **argv);
int command_redrive(int argc, char **argv);
int command_check(int argc, char **argv);
int command_limit(int argc, char **argv);
int command_config(int argc, char **argv);
int command_health(int argc, char **argv);

/* Loads the settings from the process's environment, configures the log by them, and says what is
 * wrong on stderr. False: exit with EXIT_CONFIG. */
bool command_load_config(struct config *config, enum config_need need);

/* The Kafka properties of a client: brokers, pass-through, and `extra` (ends with a NULL name).
 * Gives back how many there are; the array has room for COMMAND_PROPERTIES_MAX. */
#define COMMAND_PROPERTIES_MAX (CONFIG_KAFKA_PROPERTIES_MAX + 16)
size_t command_kafka_properties(const struct config *config, const struct kafka_property *extra,
    struct kafka_property properties[COMMAND_PROPERTIES_MAX]);

/* `extra` of a client that reads much at once: when its queue is full librdkafka (before 2.2) waits
 * a whole second before it fetches again, so the queue must be large enough for a second. */
extern const struct kafka_property command_reading_much[];

#endif
