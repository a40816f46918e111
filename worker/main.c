/* terra-connect: begin here. Finds the subcommand; each lives in its own command_*.c. The worker's
 * way from a request to its link is connect_flow.c. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/text.h"
#include "worker/command.h"
#include "worker/version.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} commands[] = {
    {"worker", command_worker, "take connect requests from Kafka and answer them"},
    {"request", command_request, "publish one connect request, wait, print the link"},
    {"watch", command_watch, "follow topics, one line per record, links masked"},
    {"redrive", command_redrive, "put dead letters back where they came from"},
    {"limit", command_limit, "show and change the shared rate limit while workers run"},
    {"check", command_check, "try everything a worker depends on, say what to fix"},
    {"config", command_config, "print every setting: value, source, default"},
    {"health", command_health, "ask the worker of this machine how it is"},
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static void print_help(FILE *stream)
{
    fprintf(stream, "terra-connect turns connect requests on Kafka into Terra auth links.\n"
                    "\n"
                    "Usage: terra-connect <command> [options]\n"
                    "\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(stream, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fprintf(stream, "\n"
                    "  --help     this text; terra-connect <command> --help tells more\n"
                    "  --version  the version, and those of the libraries\n"
                    "\n"
                    "Settings are environment variables: terra-connect config\n");
}

/* The process holds keys and links: no core file, no attaching by others. The leak checker of a
 * sanitized build attaches to its own process and must be let. */
static void protect_memory(void)
{
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
#if !defined(__SANITIZE_ADDRESS__)
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED_BY_CLANG
#endif
#endif
#ifndef SANITIZED_BY_CLANG
    prctl(PR_SET_DUMPABLE, 0);
#endif
#endif
}

/* A descriptor that we are started without would be given to the next file or socket that is
 * opened, which must not be taken for standard input or output. */
static void hold_standard_descriptors(void)
{
    int descriptor;
    do
        descriptor = open("/dev/null", O_RDONLY);
    while (descriptor >= 0 && descriptor <= STDERR_FILENO);
    if (descriptor >= 0)
        close(descriptor);
}

/* Each call in flight has a socket; the usual soft limit of 1,024 stands for
 * programs that use select(2). */
static void allow_many_sockets(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

int main(int argc, char **argv)
{
    hold_standard_descriptors();
    allow_many_sockets();
    signal(SIGPIPE, SIG_IGN);
    protect_memory();
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (text_equal(argv[1], "--help") || text_equal(argv[1], "-h") || text_equal(argv[1], "help")) {
        print_help(stdout);
        return EXIT_OK;
    }
    if (text_equal(argv[1], "--version")) {
        version_print(stdout);
        return EXIT_OK;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (text_equal(argv[1], commands[i].name))
            return commands[i].run(argc - 1, argv + 1);
    }
    fprintf(stderr, "terra-connect: no such command: %s\n\n", argv[1]);
    print_help(stderr);
    return EXIT_USAGE;
}
