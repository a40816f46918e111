/*
 * carry_over: copies the records of one topic onto another in transactions, as a worker does its
 * events, but a step at a time, for test_kafka_exactly_once.py.
 *
 *   carry_over BROKERS GROUP SOURCE TARGET TRANSACTIONAL_ID [NAME VALUE]…
 *
 * (names and values of more Kafka properties). Reads commands from stdin, a line each, and answers
 * each with a line on stdout:
 *
 *   begin COUNT  opens a commit for what has come, when so many records have: "begun", or "nothing"
 *   run          writes it, and ends the commit: "ended OUTCOME CULPRIT"
 *   run TOPIC    the same with one record more, to that topic; with one that is not there the
 *                transaction stays open for topic.metadata.propagation.max.ms
 *   replace      too large values are written as "replaced" from now on: "replacing"
 *   cancel       no line of its own
 *
 * "fatal" is a line that nobody asked for. Ends with its input.
 */
#include <assert.h>
#include <stdio.h>
#include <unistd.h>

#include <utlist.h>

#include "common/clock.h"
#include "common/kafka_transactor.h"
#include "common/line_reader.h"
#include "common/memory.h"
#include "common/text.h"
#include "worker/intake.h"

#define COMMAND_BYTES_MAX 256
#define PROPERTIES_MAX 16
#define IN_FLIGHT_MAX 4096
#define LARGE_BYTES 10000

struct copy {
    struct kafka_record *record;
    struct intake_place place;
    bool in_batch;
    struct copy *prev, *next;
};

static struct {
    uv_loop_t loop;
    const char *target;
    struct line_reader *reader;
    struct intake *intake;
    struct kafka_transactor *transactor;
    struct copy *copies; /* as they came */
    size_t copy_count;
    bool waiting; /* for so many records to begin with */
    size_t wanted;
    struct intake_commit commit;
    bool begun;
    bool replacing;
    struct kafka_transaction transaction;
    struct kafka_transaction_record records[IN_FLIGHT_MAX + 1];
    char extra_topic[COMMAND_BYTES_MAX];
} carry;

static void say(const char *line)
{
    printf("%s\n", line);
    fflush(stdout);
}

static void drop(struct copy *copy)
{
    DL_DELETE(carry.copies, copy);
    carry.copy_count--;
    kafka_record_free(copy->record);
    free(copy);
}

static void begin_when_there(void)
{
    if (!carry.waiting || carry.copy_count < carry.wanted)
        return;
    carry.waiting = false;
    carry.begun = intake_commit_begin(carry.intake, &carry.commit);
    struct copy *copy;
    DL_FOREACH (carry.copies, copy)
        copy->in_batch = intake_place_in_commit(&copy->place);
    say(carry.begun ? "begun" : "nothing");
}

static void on_record(void *context, struct kafka_record *record, struct intake_place place)
{
    (void)context;
    struct copy *copy = memory_new(sizeof(*copy));
    copy->record = record;
    copy->place = place;
    DL_APPEND(carry.copies, copy);
    carry.copy_count++;
    intake_ready(carry.intake, &copy->place);
    begin_when_there();
}

static void abandon_leaving(void)
{
    struct copy *copy, *following;
    DL_FOREACH_SAFE (carry.copies, copy, following) {
        if (copy->in_batch || intake_place_state(&copy->place) == INTAKE_PLACE_OURS)
            continue;
        intake_abandon(carry.intake, &copy->place);
        drop(copy);
    }
}

static void on_leaving(void *context)
{
    (void)context;
    if (carry.begun && intake_commit_is_leaving(&carry.commit))
        kafka_transactor_cancel(carry.transactor);
    abandon_leaving();
}

static void end_commit(bool committed)
{
    intake_commit_end(carry.intake, &carry.commit, committed);
    carry.begun = false;
    struct copy *copy, *following;
    DL_FOREACH_SAFE (carry.copies, copy, following) {
        if (copy->in_batch && committed) {
            intake_finish(carry.intake, &copy->place);
            drop(copy);
        } else {
            copy->in_batch = false;
        }
    }
    abandon_leaving();
}

static void on_ended(struct kafka_transaction *transaction, enum kafka_transaction_outcome outcome,
    const char *reason)
{
    end_commit(outcome == KAFKA_COMMITTED);
    fprintf(stderr, "%s: %s\n", kafka_transaction_outcome_name(outcome), reason);
    printf("ended %s %zu\n", kafka_transaction_outcome_name(outcome), transaction->culprit);
    fflush(stdout);
}

static struct kafka_transaction_record record_of(const struct copy *copy)
{
    const struct kafka_record *record = copy->record;
    if (carry.replacing && record->value_size > LARGE_BYTES)
        return (struct kafka_transaction_record){
            carry.target, record->key, record->key_size, "replaced", strlen("replaced"), NULL, 0};
    return (struct kafka_transaction_record){
        carry.target, record->key, record->key_size, record->value, record->value_size, NULL, 0};
}

static void run(const char *extra_topic)
{
    size_t count = 0;
    const struct copy *copy;
    DL_FOREACH (carry.copies, copy) {
        if (copy->in_batch)
            carry.records[count++] = record_of(copy);
    }
    if (extra_topic) {
        snprintf(carry.extra_topic, sizeof(carry.extra_topic), "%s", extra_topic);
        carry.records[count++] = (struct kafka_transaction_record){.topic = carry.extra_topic};
    }
    carry.transaction = (struct kafka_transaction){
        .records = carry.records,
        .record_count = count,
        .offsets = carry.commit.offsets,
        .offset_count = carry.commit.offset_count,
        .metadata = carry.commit.metadata,
        .on_ended = on_ended,
    };
    kafka_transactor_run(carry.transactor, &carry.transaction);
}

static void on_line(void *context, const char *line, size_t size)
{
    (void)context;
    char command[COMMAND_BYTES_MAX + 1];
    snprintf(command, sizeof(command), "%.*s", (int)size, line);
    if (text_starts_with(command, "begin ")) {
        carry.wanted = strtoul(command + strlen("begin "), NULL, 10);
        carry.waiting = true;
        begin_when_there();
    } else if (text_equal(command, "run")) {
        run(NULL);
    } else if (text_starts_with(command, "run ")) {
        run(command + strlen("run "));
    } else if (text_equal(command, "cancel")) {
        kafka_transactor_cancel(carry.transactor);
    } else if (text_equal(command, "replace")) {
        carry.replacing = true;
        say("replacing");
    }
}

static void on_too_long(void *context)
{
    (void)context;
}

static void on_nothing(void *context)
{
    (void)context;
}

static void on_transactor_closed(void *context)
{
    (void)context;
    if (carry.begun)
        end_commit(false);
    struct copy *copy, *following;
    DL_FOREACH_SAFE (carry.copies, copy, following) {
        intake_abandon(carry.intake, &copy->place);
        drop(copy);
    }
    intake_close(carry.intake);
}

static void on_end(void *context, const char *reason)
{
    (void)context;
    (void)reason;
    line_reader_close(carry.reader);
    intake_stop(carry.intake);
    kafka_transactor_close(carry.transactor);
}

static void on_fatal(void *context, const char *reason)
{
    (void)context;
    fprintf(stderr, "fatal: %s\n", reason);
    say("fatal");
}

/* From the command line, with "group.id" last, which only the consumer takes. */
static size_t collect(int argc, char **argv, struct kafka_property properties[PROPERTIES_MAX])
{
    size_t count = 0;
    properties[count++] = (struct kafka_property){"bootstrap.servers", argv[1]};
    for (int i = 6; i + 1 < argc && count < PROPERTIES_MAX - 1; i += 2)
        properties[count++] = (struct kafka_property){argv[i], argv[i + 1]};
    properties[count++] = (struct kafka_property){"group.id", argv[2]};
    return count;
}

static bool start(int argc, char **argv, char *error, size_t error_size)
{
    struct kafka_property properties[PROPERTIES_MAX];
    size_t count = collect(argc, argv, properties);
    const struct intake_options intake_options = {
        .properties = properties,
        .property_count = count,
        .topic = argv[3],
        .records_in_flight_max = IN_FLIGHT_MAX,
        .offsets_by_transactions = true,
        .revoke_timeout_us = CLOCK_US_PER_SECOND,
        .on_record = on_record,
        .on_leaving = on_leaving,
        .on_fatal = on_fatal,
        .on_closed = on_nothing,
    };
    const struct kafka_transactor_options transactor_options = {
        .properties = properties,
        .property_count = count - 1,
        .transactional_id = argv[5],
        .topics = (const char *const *)&argv[4],
        .topic_count = 1,
        .on_fatal = on_fatal,
        .on_closed = on_transactor_closed,
    };
    return kafka_transactor_new(&carry.loop, &transactor_options, &carry.transactor, error,
               error_size) == RESULT_OK &&
           intake_new(&carry.loop, &intake_options, &carry.intake, error, error_size) ==
               RESULT_OK &&
           intake_join(carry.intake, error, error_size) == RESULT_OK;
}

int main(int argc, char **argv)
{
    char error[256] = "the command line lacks something";
    if (argc < 6 || uv_loop_init(&carry.loop) != 0 || !start(argc, argv, error, sizeof(error))) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    carry.target = argv[4];
    const struct line_reader_options options = {
        .descriptor = STDIN_FILENO,
        .bytes_max = COMMAND_BYTES_MAX,
        .on_line = on_line,
        .on_too_long = on_too_long,
        .on_end = on_end,
        .on_closed = on_nothing,
    };
    carry.reader = line_reader_new(&carry.loop, &options);
    uv_run(&carry.loop, UV_RUN_DEFAULT);
    intake_free(carry.intake);
    return uv_loop_close(&carry.loop) == 0 ? 0 : 1;
}
