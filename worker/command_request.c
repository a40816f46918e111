/* terra-connect request: publishes a connect request, waits for its reply, prints the link. */
#include <stdio.h>

#include "common/clock.h"
#include "common/text.h"
#include "worker/command.h"
#include "worker/command_line.h"
#include "worker/request_many.h"
#include "worker/request_options.h"
#include "worker/request_session.h"

/* The one request. */
struct one {
    struct request_session session;
    struct requester_call call;
    struct request_line request;
    struct buf value;
    struct buf line; /* that is printed */
};

static void print_line(struct one *one)
{
    request_session_print(&one->session, buf_text(&one->line), one->line.size);
}

/* Why there is no reply. */
static void tell_fault(struct one *one, const char *code, const char *message, bool retryable)
{
    const char *request_id = one->session.options->choice.request_id;
    if (!one->session.options->json) {
        request_session_say("%s", message);
        return;
    }
    const struct request_fault fault = {
        .code = code,
        .message = message,
        .retryable = retryable,
        .reference_id = one->session.options->choice.reference_id,
        .request_id = request_id ? request_id : one->call.correlation_id,
    };
    request_fault_write(&fault, &one->line);
    print_line(one);
}

static void say_error(const struct request_reply *reply)
{
    char advice[96];
    if (!reply->retryable)
        snprintf(advice, sizeof advice, "Sending it again as it is will not help.");
    else if (reply->retry_after_seconds >= 0)
        snprintf(
            advice, sizeof advice, "It may be sent again in %.0f s.", reply->retry_after_seconds);
    else
        snprintf(advice, sizeof advice, "It may be sent again.");
    request_session_say("no link, %s: %s. %s", reply->code, reply->message, advice);
}

static void take_reply(struct one *one, const void *value, size_t size)
{
    struct request_reply reply;
    if (!request_reply_read(&reply, value, size)) {
        one->session.exit_code = EXIT_NO_LINK;
        tell_fault(one, REQUEST_BAD_REPLY, "the reply that came cannot be understood", false);
        return;
    }
    one->session.exit_code = reply.link ? EXIT_OK : EXIT_NO_LINK;
    if (one->session.options->json) {
        request_reply_copy(&one->line, value, size);
        print_line(one);
    } else if (reply.link) {
        buf_append_text(&one->line, reply.link);
        print_line(one);
    } else {
        say_error(&reply);
    }
    request_reply_release(&reply);
}

static void tell_silence(struct one *one)
{
    const struct config *config = one->session.config;
    char message[1024];
    one->session.exit_code = EXIT_SILENCE;
    snprintf(message, sizeof message,
        "no reply within %u s. Does a worker (terra-connect worker) read %s, and may it reply to "
        "%s?",
        one->session.options->choice.timeout_seconds, config->connect_requests_topic,
        config->connect_replies_topic);
    tell_fault(one, REQUEST_NO_REPLY, message, true);
}

static void tell_not_sent(struct one *one, const char *reason)
{
    const struct config *config = one->session.config;
    char message[1024];
    one->session.exit_code = EXIT_FAILED;
    snprintf(message, sizeof message,
        "Kafka did not take the request: %s. Check CONNECT_REQUESTS_TOPIC (%s) and what this "
        "client may do there.",
        reason, config->connect_requests_topic);
    tell_fault(one, REQUEST_NOT_SENT, message, true);
}

static void on_done(struct requester_call *call, enum requester_outcome outcome, const void *reply,
    size_t reply_size, const char *reason)
{
    struct one *one = call->context;
    switch (outcome) {
    case REQUESTER_REPLIED:
        take_reply(one, reply, reply_size);
        break;
    case REQUESTER_SILENT:
        tell_silence(one);
        break;
    case REQUESTER_NOT_SENT:
        tell_not_sent(one, reason);
        break;
    case REQUESTER_CANCELLED:
        break;
    }
    request_session_stop(&one->session);
}

static void on_ready(void *context)
{
    struct one *one = context;
    one->call = (struct requester_call){
        .value = one->value.data,
        .value_size = one->value.size,
        .key = one->request.reference_id,
        .timeout_us = one->request.timeout_us + REQUEST_GRACE_US,
        .on_done = on_done,
        .context = one,
    };
    requester_ask(one->session.requester, &one->call);
}

static enum exit_code request_one(
    const struct config *config, const struct request_options *options)
{
    static const char nothing[] = "{}"; /* all comes from the command line */
    struct one one = {.session = {
                          .config = config,
                          .options = options,
                          .exit_code = EXIT_SILENCE, /* when it is interrupted */
                          .on_ready = on_ready,
                          .context = &one,
                      }};
    char message[256];
    buf_init(&one.value, REQUEST_VALUE_BYTES_MAX);
    buf_init(&one.line, REQUEST_REPLY_BYTES_MAX);
    if (request_line_read(
            &one.request, nothing, strlen(nothing), &options->choice, message, sizeof message)) {
        request_line_write(&one.request, nothing, strlen(nothing), &options->choice, &one.value);
        request_session_run(&one.session);
        request_line_release(&one.request);
    }
    if (one.session.interrupted)
        request_session_say("interrupted before the reply came");
    buf_release(&one.line);
    buf_release(&one.value);
    return one.session.exit_code;
}

int command_request(int argc, char **argv)
{
    int exit_code;
    struct request_options options;
    struct config config = {0};
    if (!request_options_read(&options, argc, argv, &exit_code))
        return exit_code;
    if (command_load_config(&config, CONFIG_NEED_KAFKA)) {
        command_quieten_log(&config);
        if (options.choice.timeout_seconds == 0)
            options.choice.timeout_seconds =
                (unsigned)((config.request_deadline_us + CLOCK_US_PER_SECOND - 1) /
                           CLOCK_US_PER_SECOND);
        exit_code = options.many ? request_many(&config, &options) : request_one(&config, &options);
    } else {
        exit_code = EXIT_CONFIG;
    }
    config_release(&config);
    return exit_code;
}
