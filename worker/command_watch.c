/*
 * terra-connect watch: follows topics, one line per record.
 *
 *   kafka_reader ─▶ watch_line ─▶ line_writer ─▶ standard output
 *
 * A slow reader of the output holds the kafka_reader; the loop itself waits for nobody, so Ctrl-C
 * works at any time.
 */
#include <errno.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/kafka_reader.h"
#include "common/line_writer.h"
#include "common/text.h"
#include "worker/command.h"
#include "worker/command_line.h"
#include "worker/watch_line.h"
#include "worker/watch_options.h"

#define START_TIMEOUT_US (15 * CLOCK_US_PER_SECOND)

static const char command[] = "watch";

struct watch {
    const struct config *config;
    const struct watch_options *options;
    const char *topics[WATCH_TOPIC_COUNT]; /* that are read */
    const char *names[WATCH_TOPIC_COUNT];  /* their short ones */
    size_t topic_count, absent_count;
    uv_loop_t loop;
    struct command_signals signals;
    struct kafka_reader *reader;
    struct line_writer *writer; /* NULL: closed */
    unsigned open;              /* reader and writer: what is still to be closed */
    bool ready, stopping;
    struct buf line;
    uint64_t printed;
    enum exit_code exit_code;
};

/* ---- the end ---- */

static void count_closed(struct watch *watch)
{
    if (--watch->open == 0)
        command_signals_close(&watch->signals);
}

static void on_reader_closed(void *context)
{
    count_closed(context);
}

static void on_writer_closed(void *context)
{
    struct watch *watch = context;
    watch->writer = NULL;
    count_closed(watch);
}

/* end_writer: line_writer_close, when what was printed shall be written, or line_writer_abort. */
static void stop(struct watch *watch, void (*end_writer)(struct line_writer *writer))
{
    if (watch->stopping)
        return;
    watch->stopping = true;
    kafka_reader_close(watch->reader);
    end_writer(watch->writer);
}

static void on_signal(void *context)
{
    struct watch *watch = context;
    stop(watch, line_writer_abort);
    if (watch->writer)
        line_writer_abort(watch->writer); /* it may have been writing what was left */
}

/* ---- output ---- */

static void on_room(void *context)
{
    struct watch *watch = context;
    if (!watch->stopping)
        kafka_reader_continue(watch->reader);
}

/* A pipe to head(1) ends like this, and all is well. */
static void on_output_failed(void *context, int error)
{
    struct watch *watch = context;
    if (error != EPIPE) {
        command_say(command, "standard output cannot be written: %s", strerror(error));
        watch->exit_code = EXIT_FAILED;
    }
    stop(watch, line_writer_abort);
}

/* ---- input ---- */

static const char *name_of(const struct watch *watch, const char *topic)
{
    for (size_t i = 0; i < watch->topic_count; i++)
        if (text_equal(watch->topics[i], topic))
            return watch->names[i];
    return topic;
}

static void print_record(struct watch *watch, const struct kafka_record *record)
{
    const struct watch_options *options = watch->options;
    struct watch_line line;
    watch_line_init(&line, record, name_of(watch, record->topic), kafka_record_header_at);
    if (!options->reference_id || watch_line_mentions(&line, options->reference_id)) {
        buf_reset(&watch->line);
        if (options->json)
            watch_line_write_json(&line, &watch->line);
        else
            watch_line_write_text(&line, &watch->line);
        if (!line_writer_put(watch->writer, buf_text(&watch->line), watch->line.size))
            kafka_reader_hold(watch->reader);
        watch->printed++;
    }
    watch_line_release(&line);
}

static void on_record(void *context, struct kafka_record *record)
{
    struct watch *watch = context;
    if (!watch->stopping)
        print_record(watch, record);
    kafka_record_free(record);
    if (watch->printed == watch->options->limit)
        stop(watch, line_writer_close);
}

static void on_absent(void *context, const char *topic, const char *reason)
{
    (void)topic;
    struct watch *watch = context;
    watch->absent_count++;
    command_say(command, "%s; %s", reason,
        watch->options->until_end ? "left out" : "it is read as soon as it can be");
}

static void on_ready(void *context)
{
    struct watch *watch = context;
    watch->ready = true;
    if (watch->options->until_end && watch->absent_count == watch->topic_count)
        watch->exit_code = EXIT_FAILED;
    /* A person who sees nothing shall know that there is nothing. */
    if (!watch->options->until_end)
        command_say(command, "reading %zu topics", watch->topic_count - watch->absent_count);
}

static void on_caught_up(void *context)
{
    struct watch *watch = context;
    if (watch->options->until_end)
        stop(watch, line_writer_close);
}

static void on_trouble(void *context, enum kafka_trouble trouble, const char *reason)
{
    struct watch *watch = context;
    if (watch->stopping || (watch->ready && trouble != KAFKA_TROUBLE_FATAL))
        return; /* it has been logged, and the reader goes on */
    command_say(command, "Kafka cannot be used: %s. Check KAFKA_BOOTSTRAP_SERVERS (%s).", reason,
        watch->config->kafka_bootstrap_servers);
    watch->exit_code = EXIT_FAILED;
    stop(watch, line_writer_close);
}

/* ---- the beginning ---- */

/* Outcomes may be turned off, and two settings may name the same topic. */
static void choose_topics(struct watch *watch)
{
    const struct config *config = watch->config;
    const char *const topics[WATCH_TOPIC_COUNT] = {
        [WATCH_REQUESTS] = config->connect_requests_topic,
        [WATCH_REPLIES] = config->connect_replies_topic,
        [WATCH_OUTCOMES] = config->connect_outcomes_topic,
        [WATCH_RAW] = config->raw_events_topic,
        [WATCH_EVENTS] = config->auth_events_topic,
        [WATCH_CONNECTIONS] = config->connections_topic,
        [WATCH_DEAD_LETTERS] = config->dead_letters_topic,
    };
    for (unsigned topic = 0; topic < WATCH_TOPIC_COUNT; topic++) {
        bool known = false;
        for (size_t i = 0; i < watch->topic_count; i++)
            known |= text_equal(watch->topics[i], topics[topic]);
        if (!watch->options->topics[topic] || text_empty(topics[topic]) || known)
            continue;
        watch->topics[watch->topic_count] = topics[topic];
        watch->names[watch->topic_count++] = watch_topic_name((enum watch_topic)topic);
    }
}

static bool start_reader(struct watch *watch, char *error, size_t error_size)
{
    struct kafka_property properties[COMMAND_PROPERTIES_MAX];
    const struct kafka_reader_options options = {
        .properties = properties,
        .property_count = command_kafka_properties(watch->config, command_reading_much, properties),
        .topics = watch->topics,
        .topic_count = watch->topic_count,
        .from = watch->options->from,
        .until_end = watch->options->until_end,
        .on_ready = on_ready,
        .on_record = on_record,
        .on_caught_up = on_caught_up,
        .on_absent = on_absent,
        .on_trouble = on_trouble,
        .on_closed = on_reader_closed,
        .context = watch,
        .start_timeout_us = START_TIMEOUT_US,
    };
    return kafka_reader_new(&watch->loop, &options, &watch->reader, error, error_size) == RESULT_OK;
}

static void start_writer(struct watch *watch)
{
    const struct line_writer_options options = {
        .descriptor = STDOUT_FILENO,
        .on_room = on_room,
        .on_failed = on_output_failed,
        .on_closed = on_writer_closed,
        .context = watch,
    };
    watch->writer = line_writer_new(&watch->loop, &options);
}

static enum exit_code run(const struct config *config, const struct watch_options *options)
{
    char error[512] = "";
    struct watch watch = {.config = config, .options = options, .open = 2};
    choose_topics(&watch);
    if (watch.topic_count == 0) {
        command_say(command, "the settings name no such topic");
        return EXIT_CONFIG;
    }
    buf_init(&watch.line, WATCH_LINE_BYTES_MAX);
    uv_loop_init(&watch.loop);
    if (start_reader(&watch, error, sizeof error)) {
        start_writer(&watch);
        command_signals_start(&watch.signals, &watch.loop, on_signal, &watch);
    } else {
        command_say(command, "the settings cannot be used: %s", error);
        watch.exit_code = EXIT_CONFIG;
    }
    uv_run(&watch.loop, UV_RUN_DEFAULT);
    uv_loop_close(&watch.loop);
    buf_release(&watch.line);
    return watch.exit_code;
}

int command_watch(int argc, char **argv)
{
    int exit_code;
    struct watch_options options;
    struct config config = {0};
    if (!watch_options_read(&options, argc, argv, &exit_code))
        return exit_code;
    if (command_load_config(&config, CONFIG_NEED_KAFKA)) {
        command_quieten_log(&config);
        exit_code = run(&config, &options);
    } else {
        exit_code = EXIT_CONFIG;
    }
    config_release(&config);
    return exit_code;
}
