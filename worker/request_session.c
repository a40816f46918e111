/* request_session: see request_session.h. */
#include "worker/request_session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "common/clock.h"
#include "worker/command_line.h"

/* ---- printing ---- */

void request_session_say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    command_say_list("request", format, arguments);
    va_end(arguments);
}

/* Waits while the reader is slow, so that there are never more answers than it can take. */
static bool write_all(const char *data, size_t size)
{
    while (size > 0) {
        ssize_t written = write(STDOUT_FILENO, data, size);
        if (written >= 0) {
            data += written;
            size -= (size_t)written;
        } else if (errno == EAGAIN) {
            struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};
            poll(&output, 1, -1);
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

void request_session_print(struct request_session *session, const char *line, size_t size)
{
    if (session->output_gone || (write_all(line, size) && write_all("\n", 1)))
        return;
    if (errno != EPIPE)
        request_session_say("standard output cannot be written: %s", strerror(errno));
    session->output_gone = true;
    session->exit_code = EXIT_FAILED;
    request_session_stop(session);
}

/* ---- the end ---- */

static void on_requester_closed(void *context)
{
    struct request_session *session = context;
    uv_close((uv_handle_t *)&session->sigint, NULL);
    uv_close((uv_handle_t *)&session->sigterm, NULL);
}

void request_session_stop(struct request_session *session)
{
    if (session->stopping)
        return;
    session->stopping = true;
    if (session->on_stopping)
        session->on_stopping(session->context);
    requester_close(session->requester);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    struct request_session *session = handle->data;
    if (session->stopping)
        _exit(EXIT_FAILED);
    session->interrupted = true;
    request_session_stop(session);
}

/* ---- the beginning ---- */

static void on_ready(void *context)
{
    struct request_session *session = context;
    session->on_ready(session->context);
}

static void on_failed(void *context, enum result result, const char *reason)
{
    struct request_session *session = context;
    const struct config *config = session->config;
    if (result == RESULT_REJECT)
        request_session_say("the settings cannot be used: %s", reason);
    else
        request_session_say("Kafka cannot be used: %s. Check KAFKA_BOOTSTRAP_SERVERS (%s), "
                            "CONNECT_REPLIES_TOPIC (%s), and what this client may do there.",
            reason, config->kafka_bootstrap_servers, config->connect_replies_topic);
    session->exit_code = result == RESULT_REJECT ? EXIT_CONFIG : EXIT_FAILED;
    request_session_stop(session);
}

static bool make_requester(struct request_session *session, char *error, size_t error_size)
{
    const struct config *config = session->config;
    int64_t timeout_us = session->options->choice.timeout_seconds * CLOCK_US_PER_SECOND;
    /* A request that has waited for Kafka for so long is of no use any more. */
    snprintf(session->message_timeout, sizeof session->message_timeout, "%u000",
        session->options->choice.timeout_seconds);
    const struct kafka_property extra[] = {
        {"message.timeout.ms", session->message_timeout}, {NULL, NULL}};
    const struct requester_options options = {
        .properties = session->properties,
        .property_count = command_kafka_properties(config, extra, session->properties),
        .requests_topic = config->connect_requests_topic,
        .replies_topic = config->connect_replies_topic,
        .start_timeout_us = timeout_us,
        .on_ready = on_ready,
        .on_failed = on_failed,
        .on_closed = on_requester_closed,
        .context = session,
    };
    return requester_new(&session->loop, &options, &session->requester, error, error_size) ==
           RESULT_OK;
}

static void start_signal(struct request_session *session, uv_signal_t *handle, int number)
{
    uv_signal_init(&session->loop, handle);
    handle->data = session;
    uv_signal_start(handle, on_signal, number);
}

void request_session_run(struct request_session *session)
{
    char error[512] = "";
    uv_loop_init(&session->loop);
    if (make_requester(session, error, sizeof error)) {
        start_signal(session, &session->sigint, SIGINT);
        start_signal(session, &session->sigterm, SIGTERM);
    } else {
        request_session_say("the settings cannot be used: %s", error);
        session->exit_code = EXIT_CONFIG;
    }
    uv_run(&session->loop, UV_RUN_DEFAULT);
    uv_loop_close(&session->loop);
}
