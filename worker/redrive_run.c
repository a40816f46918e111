/*
 * redrive_run: see redrive_run.h.
 *
 * The reader hands over one letter at a time as far as this is concerned: while the next one to be
 * put back waits for its turn (`next`), the reader is held.
 */
#include "worker/redrive_run.h"

#include <assert.h>
#include <stdio.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/kafka_producer.h"
#include "common/kafka_reader.h"
#include "common/line_writer.h"
#include "common/memory.h"
#include "worker/command_line.h"
#include "worker/redrive_report.h"

#define START_TIMEOUT_US (15 * CLOCK_US_PER_SECOND)
/* A turn that comes late by less does not lower the rate: timers count milliseconds. */
#define LATE_US (20 * CLOCK_US_PER_MS)
#define SUMMARY_BYTES_MAX ((size_t)256 * 1024)

static const char command[] = "redrive";

/* One that is put back, from its record to its delivery report. */
struct redrive_job {
    struct redrive_run *run;
    struct kafka_record *record;
    struct redrive_letter letter;
    struct kafka_delivery delivery;
};

struct redrive_run {
    uv_loop_t *loop;
    struct redrive_run_options options;
    struct redrive_choice choice;
    struct redrive_report report;
    struct kafka_reader *reader;
    struct kafka_producer *producer; /* NULL: a dry run, not begun, or closed */
    struct line_writer *writer;      /* NULL: closed */
    uv_timer_t timer;                /* for `next` */
    unsigned open;                   /* of these four, what is still to be closed */

    struct redrive_job *next; /* waits for its turn */
    int64_t turn_us;          /* monotonic: when the next one may go */
    uint64_t chosen;          /* letters that became jobs */
    size_t in_flight, in_flight_bytes;
    bool ready; /* the reader is */
    bool output_full;
    bool read_up; /* no more letters are taken */
    bool failing; /* and `next` does not go either */
    bool closing;
    enum exit_code exit_code;

    int64_t *passed; /* by partition: letters before this offset have been looked at */
    size_t passed_count;
};

/* ---- the end ---- */

static void count_closed(struct redrive_run *run)
{
    if (--run->open > 0)
        return;
    struct redrive_run_options options = run->options;
    enum exit_code exit_code = run->exit_code;
    free(run->passed);
    free(run);
    options.on_ended(options.context, exit_code);
}

static void on_part_closed(void *context)
{
    count_closed(context);
}

static void on_writer_closed(void *context)
{
    struct redrive_run *run = context;
    run->writer = NULL;
    count_closed(run);
}

static void on_timer_closed(uv_handle_t *handle)
{
    count_closed(handle->data);
}

static void print_summary(struct redrive_run *run)
{
    struct buf text;
    buf_init(&text, SUMMARY_BYTES_MAX);
    redrive_report_summary(&run->report, run->options.options->json, &text);
    line_writer_put(run->writer, buf_text(&text), text.size);
    buf_release(&text);
}

static void close_all(struct redrive_run *run)
{
    run->closing = true;
    kafka_reader_close(run->reader);
    if (run->producer)
        kafka_producer_close(run->producer);
    uv_close((uv_handle_t *)&run->timer, on_timer_closed);
    line_writer_close(run->writer);
}

/* When there is nothing left to be done. */
static void end_when_done(struct redrive_run *run)
{
    if (run->closing || !run->read_up || run->next || run->in_flight > 0)
        return;
    if (run->ready)
        print_summary(run);
    close_all(run);
}

static void free_job(struct redrive_job *job)
{
    kafka_record_free(job->record);
    free(job);
}

/* Ends the run as soon as what is in flight has been reported. */
static void give_up(struct redrive_run *run)
{
    run->exit_code = EXIT_FAILED;
    run->report.complete = false;
    run->read_up = run->failing = true;
    if (run->next)
        free_job(run->next);
    run->next = NULL;
    uv_timer_stop(&run->timer);
    end_when_done(run);
}

void redrive_run_interrupt(struct redrive_run *run)
{
    if (run->closing) {
        if (run->writer)
            line_writer_abort(run->writer);
        return;
    }
    command_say(command, "interrupted");
    give_up(run);
}

/* ---- putting back ---- */

static void print_letter(struct redrive_run *run, const struct redrive_job *job, const char *reason)
{
    struct buf line;
    buf_init(&line, REDRIVE_LINE_BYTES_MAX);
    redrive_report_letter(
        &run->report, &job->letter, job->record, reason, run->options.options->json, &line);
    if (!line_writer_put(run->writer, buf_text(&line), line.size))
        run->output_full = true;
    buf_release(&line);
}

static void go_on(struct redrive_run *run);

static void finish_job(struct redrive_job *job, const char *reason, bool stop)
{
    struct redrive_run *run = job->run;
    print_letter(run, job, reason);
    if (reason)
        redrive_report_count_failed(&run->report, job->letter.code);
    else
        redrive_report_count(&run->report, job->letter.code, REDRIVE_PUT_BACK);
    free_job(job);
    if (reason)
        run->exit_code = EXIT_FAILED;
    if (stop && !run->failing) {
        command_say(command, "stopped, since Kafka did not take a record: %s", reason);
        give_up(run);
    }
}

static void on_delivered(struct kafka_delivery *delivery, enum kafka_delivery_outcome outcome,
    int64_t offset, const char *reason)
{
    (void)offset;
    struct redrive_job *job = delivery->context;
    struct redrive_run *run = job->run;
    run->in_flight--;
    run->in_flight_bytes -= delivery->value_size;
    if (outcome == KAFKA_DELIVERED)
        finish_job(job, NULL, false);
    else
        finish_job(job, reason[0] ? reason : kafka_delivery_outcome_name(outcome),
            outcome != KAFKA_TOO_LARGE);
    go_on(run);
}

static void send_job(struct redrive_run *run, struct redrive_job *job)
{
    const struct kafka_record *record = job->record;
    if (run->report.dry_run) {
        finish_job(job, NULL, false);
        return;
    }
    job->delivery = (struct kafka_delivery){
        .topic = job->letter.topic,
        .partition = KAFKA_PARTITION_BY_KEY,
        .key = record->key,
        .key_size = record->key_size,
        .value = record->value,
        .value_size = record->value_size,
        .headers = job->letter.headers,
        .header_count = job->letter.header_count,
        .on_delivered = on_delivered,
        .context = job,
    };
    run->in_flight++;
    run->in_flight_bytes += record->value_size;
    kafka_producer_send(run->producer, &job->delivery);
}

static void on_turn(uv_timer_t *timer)
{
    go_on(timer->data);
}

/* True when the next letter may go; else whatever holds it up calls go_on in its time. */
static bool is_its_turn(struct redrive_run *run)
{
    if (run->output_full || run->in_flight == REDRIVE_IN_FLIGHT_MAX ||
        (run->in_flight > 0 && run->in_flight_bytes >= REDRIVE_IN_FLIGHT_BYTES_MAX))
        return false;
    if (run->report.dry_run || run->options.options->rate.calls == 0)
        return true;
    int64_t now_us = clock_monotonic_us();
    if (run->turn_us > now_us) {
        uint64_t wait_ms = (uint64_t)((run->turn_us - now_us) / CLOCK_US_PER_MS) + 1;
        uv_timer_start(&run->timer, on_turn, wait_ms, 0);
        return false;
    }
    if (run->turn_us < now_us - LATE_US)
        run->turn_us = now_us - LATE_US;
    run->turn_us += rate_interval_us(&run->options.options->rate);
    return true;
}

static void go_on(struct redrive_run *run)
{
    if (run->closing)
        return;
    if (run->next && is_its_turn(run)) {
        struct redrive_job *job = run->next;
        run->next = NULL;
        send_job(run, job);
    }
    if (run->closing)
        return;
    if (!run->next && !run->read_up && !run->output_full)
        kafka_reader_continue(run->reader);
    end_when_done(run);
}

/* ---- reading ---- */

/* The library reads records again when the log has changed behind its back. */
static bool is_repeat(struct redrive_run *run, const struct kafka_record *record)
{
    size_t partition = (size_t)record->partition;
    if (partition >= run->passed_count) {
        run->passed = memory_resize(run->passed, (partition + 1) * sizeof(*run->passed));
        while (run->passed_count <= partition)
            run->passed[run->passed_count++] = 0;
    }
    if (record->offset < run->passed[partition])
        return true;
    run->passed[partition] = record->offset + 1;
    return false;
}

static void take_letter(struct redrive_run *run, struct kafka_record *record)
{
    struct redrive_job *job = memory_new(sizeof(*job));
    enum redrive_verdict verdict =
        redrive_letter_read(&job->letter, record, kafka_record_header_at, &run->choice);
    job->run = run;
    job->record = record;
    if (verdict != REDRIVE_PUT_BACK) {
        redrive_report_count(&run->report, job->letter.code, verdict);
        free_job(job);
        return;
    }
    assert(!run->next);
    run->next = job;
    run->chosen++;
    kafka_reader_hold(run->reader);
    if (run->chosen == run->options.options->limit) {
        run->read_up = true;
        run->report.complete = false;
    }
    go_on(run);
}

static void on_record(void *context, struct kafka_record *record)
{
    struct redrive_run *run = context;
    if (run->read_up || is_repeat(run, record))
        kafka_record_free(record);
    else
        take_letter(run, record);
}

static void on_caught_up(void *context)
{
    struct redrive_run *run = context;
    if (run->read_up)
        return;
    run->read_up = true;
    run->report.complete = true;
    end_when_done(run);
}

static void on_trouble(void *context, enum kafka_trouble trouble, const char *reason)
{
    struct redrive_run *run = context;
    if (run->closing || (run->ready && trouble != KAFKA_TROUBLE_FATAL))
        return; /* it has been logged, and the reader goes on */
    const struct config *config = run->options.config;
    command_say(command,
        "Kafka cannot be used: %s. Check KAFKA_BOOTSTRAP_SERVERS (%s), DEAD_LETTERS_TOPIC (%s), "
        "and what this client may do there.",
        reason, config->kafka_bootstrap_servers, config->dead_letters_topic);
    give_up(run);
}

/* ---- output ---- */

static void on_room(void *context)
{
    struct redrive_run *run = context;
    run->output_full = false;
    go_on(run);
}

static void on_output_failed(void *context, int error)
{
    struct redrive_run *run = context;
    run->output_full = false;
    if (run->closing)
        return;
    command_say(command, "stopped, since standard output cannot be written: %s", strerror(error));
    give_up(run);
}

/* ---- the beginning ---- */

static void on_fatal(void *context, const char *reason)
{
    /* It has been logged; every delivery ends by it. */
    (void)context;
    (void)reason;
}

/* The producer comes when the reader is ready: a cluster that cannot be reached is complained of
 * once. */
static bool start_producer(struct redrive_run *run, char *error, size_t error_size)
{
    /* A record is not there twice because an answer was lost. */
    static const struct kafka_property extra[] = {{"enable.idempotence", "true"}, {NULL, NULL}};
    struct kafka_property properties[COMMAND_PROPERTIES_MAX];
    const struct kafka_producer_options options = {
        .properties = properties,
        .property_count = command_kafka_properties(run->options.config, extra, properties),
        .on_fatal = on_fatal,
        .on_closed = on_part_closed,
        .context = run,
    };
    return kafka_producer_new(run->loop, &options, &run->producer, error, error_size) == RESULT_OK;
}

static void on_ready(void *context)
{
    struct redrive_run *run = context;
    char error[512] = "";
    if (!run->report.dry_run) {
        if (!start_producer(run, error, sizeof(error))) {
            command_say(command, "the settings cannot be used: %s", error);
            give_up(run);
            run->exit_code = EXIT_CONFIG;
            return;
        }
        run->open++;
    }
    run->ready = true;
}

static bool start_reader(struct redrive_run *run, char *error, size_t error_size)
{
    struct kafka_property properties[COMMAND_PROPERTIES_MAX];
    const char *const *topic = (const char *const *)&run->options.config->dead_letters_topic;
    const struct kafka_reader_options options = {
        .properties = properties,
        .property_count =
            command_kafka_properties(run->options.config, command_reading_much, properties),
        .topics = topic,
        .topic_count = 1,
        .from = run->choice.since_ms ? run->choice.since_ms : KAFKA_READER_FROM_BEGINNING,
        .until_end = true,
        .on_ready = on_ready,
        .on_record = on_record,
        .on_caught_up = on_caught_up,
        .on_trouble = on_trouble,
        .on_closed = on_part_closed,
        .context = run,
        .start_timeout_us = START_TIMEOUT_US,
    };
    return kafka_reader_new(run->loop, &options, &run->reader, error, error_size) == RESULT_OK;
}

static void start_rest(struct redrive_run *run)
{
    const struct line_writer_options options = {
        .descriptor = STDOUT_FILENO,
        .on_room = on_room,
        .on_failed = on_output_failed,
        .on_closed = on_writer_closed,
        .context = run,
    };
    run->writer = line_writer_new(run->loop, &options);
    uv_timer_init(run->loop, &run->timer);
    run->timer.data = run;
    run->open = 3;
}

struct redrive_run *redrive_run_new(
    uv_loop_t *loop, const struct redrive_run_options *options, char *error, size_t error_size)
{
    struct redrive_run *run = memory_new(sizeof(*run));
    const struct config *config = options->config;
    const char *const topics[] = {
        config->connect_requests_topic, config->raw_events_topic, config->auth_events_topic};
    run->loop = loop;
    run->options = *options;
    run->choice = options->options->choice;
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++)
        run->choice.topics[run->choice.topic_count++] = topics[i];
    run->report.dry_run = options->options->dry_run;
    run->report.started_wall_us = clock_wall_us();
    if (!start_reader(run, error, error_size)) {
        free(run);
        return NULL;
    }
    start_rest(run);
    return run;
}
