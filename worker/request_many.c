/* request_many: see request_many.h. */
#include "worker/request_many.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/line_reader.h"
#include "common/memory.h"
#include "worker/request_session.h"

#define PROGRESS_INTERVAL_MS 200

struct many {
    struct request_session session;
    struct line_reader *input; /* NULL: not begun, or closed */
    bool input_ended;
    struct buf line; /* that is being printed */
    uv_timer_t progress_timer;
    bool progress; /* stderr is a terminal */
    bool progress_shown;

    uint64_t lines, sent, links, errors;
    uint64_t not_sent, unanswered;
    unsigned in_flight;
};

/* One request, from its line to its reply. */
struct asked {
    struct many *many;
    struct requester_call call;
    struct request_line request;
    struct buf value;
    uint64_t line;
};

/* ---- printing ---- */

static void show_progress(struct many *many)
{
    if (!many->progress)
        return;
    fprintf(stderr, "\r\033[K%" PRIu64 " sent, %" PRIu64 " links, %" PRIu64 " errors, %u waiting",
        many->sent, many->links, many->errors + many->not_sent + many->unanswered, many->in_flight);
    many->progress_shown = true;
}

static void hide_progress(struct many *many)
{
    if (many->progress_shown)
        fprintf(stderr, "\r\033[K");
    many->progress_shown = false;
}

static void on_progress(uv_timer_t *timer)
{
    show_progress(timer->data);
}

static void print_line(struct many *many)
{
    hide_progress(many);
    request_session_print(&many->session, buf_text(&many->line), many->line.size);
    buf_reset(&many->line);
}

static void print_fault(struct many *many, const struct asked *asked, const char *code,
    const char *message, bool retryable)
{
    const struct request_fault fault = {
        .code = code,
        .message = message,
        .retryable = retryable,
        .reference_id = asked ? asked->request.reference_id : NULL,
        .request_id = asked ? asked->request.request_id : NULL,
        .line = asked ? asked->line : many->lines,
    };
    request_fault_write(&fault, &many->line);
    print_line(many);
}

/* ---- replies ---- */

static void stop_when_done(struct many *many)
{
    if (many->input_ended && many->in_flight == 0)
        request_session_stop(&many->session);
}

static void free_asked(struct asked *asked)
{
    request_line_release(&asked->request);
    buf_release(&asked->value);
    free(asked);
}

static void take_reply(struct many *many, const struct asked *asked, const void *value, size_t size)
{
    struct request_reply reply;
    if (!request_reply_read(&reply, value, size)) {
        many->errors++;
        print_fault(
            many, asked, REQUEST_BAD_REPLY, "the reply that came cannot be understood", false);
        return;
    }
    if (reply.link)
        many->links++;
    else
        many->errors++;
    request_reply_release(&reply);
    request_reply_copy(&many->line, value, size);
    print_line(many);
}

static void take_silence(struct many *many, struct asked *asked)
{
    char message[128];
    many->unanswered++;
    snprintf(message, sizeof message,
        "no reply within %.3g s (said by terra-connect request, not by a worker)",
        (double)asked->request.timeout_us / CLOCK_US_PER_SECOND);
    /* The worker, if there is one, calls it so. */
    if (!asked->request.request_id)
        asked->request.request_id = asked->call.correlation_id;
    print_fault(many, asked, REQUEST_NO_REPLY, message, true);
}

static void on_done(struct requester_call *call, enum requester_outcome outcome, const void *reply,
    size_t reply_size, const char *reason)
{
    struct asked *asked = call->context;
    struct many *many = asked->many;
    many->in_flight--;
    switch (outcome) {
    case REQUESTER_REPLIED:
        take_reply(many, asked, reply, reply_size);
        break;
    case REQUESTER_SILENT:
        take_silence(many, asked);
        break;
    case REQUESTER_NOT_SENT:
        many->not_sent++;
        print_fault(many, asked, REQUEST_NOT_SENT, reason, true);
        break;
    case REQUESTER_CANCELLED:
        many->unanswered++;
        break;
    }
    free_asked(asked);
    if (many->input)
        line_reader_continue(many->input);
    stop_when_done(many);
}

/* ---- lines ---- */

static bool is_blank(const char *line, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (!strchr(" \t\r", line[i]) || !line[i])
            return false;
    }
    return true;
}

static void refuse_line(struct many *many, const char *message)
{
    many->errors++;
    print_fault(many, NULL, connect_code_name(CONNECT_INVALID_REQUEST), message, false);
}

static void on_line(void *context, const char *line, size_t size)
{
    struct many *many = context;
    const struct request_choice *choice = &many->session.options->choice;
    many->lines++;
    if (is_blank(line, size))
        return;
    struct asked *asked = memory_new(sizeof *asked);
    char message[256];
    if (!request_line_read(&asked->request, line, size, choice, message, sizeof message)) {
        free(asked);
        refuse_line(many, message);
        return;
    }
    asked->many = many;
    asked->line = many->lines;
    buf_init(&asked->value, REQUEST_VALUE_BYTES_MAX);
    request_line_write(&asked->request, line, size, choice, &asked->value);
    asked->call = (struct requester_call){
        .value = asked->value.data,
        .value_size = asked->value.size,
        .key = asked->request.reference_id,
        .timeout_us = asked->request.timeout_us + REQUEST_GRACE_US,
        .on_done = on_done,
        .context = asked,
    };
    many->sent++;
    if (++many->in_flight >= REQUEST_MANY_IN_FLIGHT_MAX)
        line_reader_pause(many->input);
    requester_ask(many->session.requester, &asked->call);
}

static void on_too_long(void *context)
{
    struct many *many = context;
    char message[64];
    many->lines++;
    snprintf(message, sizeof message, "the line has more than %d bytes", REQUEST_LINE_BYTES_MAX);
    refuse_line(many, message);
}

static void on_input_end(void *context, const char *reason)
{
    struct many *many = context;
    many->input_ended = true;
    if (reason) {
        hide_progress(many);
        request_session_say("standard input cannot be read: %s", reason);
        many->session.exit_code = EXIT_FAILED;
    }
    stop_when_done(many);
}

static void on_input_closed(void *context)
{
    (void)context; /* the loop ends by itself */
}

/* ---- the session ---- */

static void on_ready(void *context)
{
    struct many *many = context;
    const struct line_reader_options options = {
        .descriptor = STDIN_FILENO,
        .bytes_max = REQUEST_LINE_BYTES_MAX,
        .on_line = on_line,
        .on_too_long = on_too_long,
        .on_end = on_input_end,
        .on_closed = on_input_closed,
        .context = many,
    };
    many->input = line_reader_new(&many->session.loop, &options);
    many->progress = isatty(STDERR_FILENO);
    uv_timer_init(&many->session.loop, &many->progress_timer);
    many->progress_timer.data = many;
    if (many->progress)
        uv_timer_start(&many->progress_timer, on_progress, 0, PROGRESS_INTERVAL_MS);
}

static void on_stopping(void *context)
{
    struct many *many = context;
    if (!many->input)
        return;
    line_reader_close(many->input);
    many->input = NULL;
    uv_close((uv_handle_t *)&many->progress_timer, NULL);
    show_progress(many);
    if (many->progress_shown)
        fprintf(stderr, "\n");
    many->progress_shown = false;
}

static enum exit_code exit_code_of(const struct many *many)
{
    if (many->session.exit_code != EXIT_OK)
        return many->session.exit_code;
    if (many->not_sent > 0)
        return EXIT_FAILED;
    if (many->unanswered > 0 || many->session.interrupted)
        return EXIT_SILENCE;
    return many->errors > 0 ? EXIT_NO_LINK : EXIT_OK;
}

enum exit_code request_many(const struct config *config, const struct request_options *options)
{
    struct many many = {.session = {
                            .config = config,
                            .options = options,
                            .exit_code = EXIT_OK,
                            .on_ready = on_ready,
                            .on_stopping = on_stopping,
                            .context = &many,
                        }};
    buf_init(&many.line, REQUEST_REPLY_BYTES_MAX);
    request_session_run(&many.session);
    buf_release(&many.line);
    return exit_code_of(&many);
}
