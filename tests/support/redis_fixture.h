/*
 * redis_fixture: what the tests of the Redis client share: a loop with a guard against hanging, a
 * client, the log lines, and probes: commands that remember how they were answered.
 */
#ifndef TESTS_SUPPORT_REDIS_FIXTURE_H
#define TESTS_SUPPORT_REDIS_FIXTURE_H

#include "common/clock.h"
#include "common/redis_client.h"

/* Every password of these tests contains it, and no log line or error may. */
#define REDIS_SECRET "s3cr3t"

struct redis_fixture {
    uv_loop_t loop;
    uv_timer_t guard;
    struct redis_client *client; /* NULL: none, or closed by the test */
    unsigned ups, downs;         /* what on_connection told */
    bool refused;                /* what on_trouble told last */
    char trouble[256];
    bool asking; /* inside redis_client_send or _close: no callback may come */
    void (*on_connection)(struct redis_fixture *fixture, bool connected); /* or NULL */
    void *context;
};

struct redis_probe {
    struct redis_command command;
    struct redis_fixture *fixture;
    void (*then)(struct redis_probe *probe, const struct redis_answer *answer); /* or NULL */
    void *context;

    unsigned times; /* how often on_answer came */
    enum redis_outcome outcome;
    enum redis_kind kind;
    int64_t integer;
    char text[4096]; /* cut to this size */
    size_t text_size;
    int64_t sent_us, answered_us;
};

void redis_fixture_init(struct redis_fixture *fixture);
/* Half a second to connect, at most 50 ms between attempts. */
void redis_fixture_open(struct redis_fixture *fixture, const char *url);
void redis_fixture_open_with(
    struct redis_fixture *fixture, const struct redis_client_options *options);
/* The same, with the URL of the port; path is "" or "/database". */
void redis_fixture_open_port(struct redis_fixture *fixture, int port, const char *path);
void redis_fixture_close(struct redis_fixture *fixture);
/* Closes all; fails the test when the loop does not run dry or a line of
 * the log held the password. */
void redis_fixture_release(struct redis_fixture *fixture);

void redis_fixture_wait(
    struct redis_fixture *fixture, bool (*condition)(const void *context), const void *context);
void redis_fixture_wait_connected(struct redis_fixture *fixture);
void redis_fixture_wait_times(
    struct redis_fixture *fixture, const unsigned *counter, unsigned times);

/* How often the text is in the log since redis_fixture_init. */
unsigned redis_fixture_logged(const char *text);

/* Sends the words of `text`, split at blanks, with a limit of ten seconds or the given one. */
void redis_probe_init(struct redis_probe *probe, struct redis_fixture *fixture);
void redis_probe_send(struct redis_probe *probe, const char *text);
void redis_probe_send_within(struct redis_probe *probe, int64_t timeout_us, const char *text);
void redis_probe_wait(struct redis_probe *probe);
/* One command from start to end. */
void redis_probe_run(struct redis_probe *probe, struct redis_fixture *fixture, const char *text);

/* How often the server has run the command ("eval"), by whomever, since CONFIG RESETSTAT. */
unsigned long redis_fixture_calls(struct redis_fixture *fixture, const char *command);

#endif
