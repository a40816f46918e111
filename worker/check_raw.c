/* check_raw: see check_raw.h. */
#include "worker/check_raw.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/kafka_reader.h"
#include "common/memory.h"
#include "worker/command.h"
#include "worker/event_scan.h"

#define RECORDS_MAX 300
#define RECORDS_OF_PARTITION_MAX 100
/* Fewer say nothing about what the topic is used for. */
#define RECORDS_LEAST 20

static const char area[] = "kafka";

struct check_raw {
    const struct check_run *run;
    struct check_report *report;
    char subject[300];
    struct kafka_reader *reader;
    uv_timer_t timer;
    unsigned records, data, pointers;
    bool stopping;
};

/* ---- the end ---- */

static void report_kinds(const struct check_raw *check)
{
    bool mostly_data = check->records >= RECORDS_LEAST && check->data > check->records / 2;
    if (check->records == 0) {
        check_report_add(check->report, CHECK_OK, area, check->subject, "no records in it yet");
        return;
    }
    check_report_add(check->report, mostly_data ? CHECK_WARN : CHECK_OK, area, check->subject,
        "of its newest %u records %u are data, and %u pointers, which do not say what they lead to",
        check->records, check->data, check->pointers);
    if (mostly_data)
        check_report_advise(check->report,
            "set the event types of the destination at Terra to the auth events: the worker reads "
            "all others only to throw them away");
}

static void close_reader(struct check_raw *check)
{
    check->stopping = true;
    uv_close((uv_handle_t *)&check->timer, NULL);
    kafka_reader_close(check->reader);
}

static void stop(struct check_raw *check)
{
    if (check->stopping)
        return;
    report_kinds(check);
    close_reader(check);
}

static void on_closed(void *context)
{
    (void)context; /* the loop runs dry */
}

/* ---- reading ---- */

static void on_record(void *context, struct kafka_record *record)
{
    struct check_raw *check = context;
    struct event_scan scan;
    event_scan_init(&scan);
    if (record->value)
        event_scan_feed(&scan, record->value, record->value_size);
    enum event_class class = event_scan_end(&scan);
    kafka_record_free(record);
    if (check->stopping)
        return;
    check->records++;
    check->data += class == EVENT_DATA;
    check->pointers += class == EVENT_POINTER;
    if (check->records == RECORDS_MAX)
        stop(check);
}

static void on_ready(void *context)
{
    (void)context;
}

static void on_caught_up(void *context)
{
    stop(context);
}

static void on_trouble(void *context, enum kafka_trouble trouble, const char *reason)
{
    struct check_raw *check = context;
    if (check->stopping || trouble == KAFKA_TROUBLE_OTHER)
        return;
    bool denied = trouble == KAFKA_TROUBLE_NOT_AUTHORIZED;
    check_report_add(check->report, denied ? CHECK_FAIL : CHECK_WARN, area, check->subject,
        "its records cannot be read: %s", reason);
    check_report_advise(
        check->report, denied ? "permit it: see the kafka-acls commands of --acls" : "try again");
    close_reader(check);
}

static void on_timer(uv_timer_t *timer)
{
    stop(timer->data);
}

struct check_raw *check_raw_new(const struct check_run *run, struct check_report *report)
{
    struct kafka_property properties[COMMAND_PROPERTIES_MAX];
    char error[256];
    int64_t left_us = run->deadline_us - clock_monotonic_us();
    if (left_us <= 0)
        return NULL;
    struct check_raw *check = memory_new(sizeof *check);
    check->run = run;
    check->report = report;
    snprintf(check->subject, sizeof check->subject, "topic %s", run->config->raw_events_topic);
    const char *const topics[] = {run->config->raw_events_topic};
    const struct kafka_reader_options options = {
        .properties = properties,
        .property_count = command_kafka_properties(run->config, NULL, properties),
        .topics = topics,
        .topic_count = 1,
        .from = KAFKA_READER_FROM_LAST(RECORDS_OF_PARTITION_MAX),
        .until_end = true,
        .on_ready = on_ready,
        .on_record = on_record,
        .on_caught_up = on_caught_up,
        .on_trouble = on_trouble,
        .on_closed = on_closed,
        .context = check,
        .start_timeout_us = left_us,
    };
    if (kafka_reader_new(run->loop, &options, &check->reader, error, sizeof error) != RESULT_OK) {
        check_report_add(report, CHECK_FAIL, area, check->subject, "%s", error);
        free(check);
        return NULL;
    }
    uv_timer_init(run->loop, &check->timer);
    check->timer.data = check;
    uv_timer_start(&check->timer, on_timer, (uint64_t)(left_us / CLOCK_US_PER_MS), 0);
    return check;
}

void check_raw_free(struct check_raw *check)
{
    free(check);
}
