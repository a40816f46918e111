/* redrive_report: see redrive_report.h. */
#include "worker/redrive_report.h"

#include <inttypes.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/text.h"
#include "worker/plain_text.h"
#include "worker/secret_mask.h"

static const char others[] = "(others)";
static const char no_code[] = "(none)";

static struct redrive_code_report *find_code(struct redrive_report *report, const char *code)
{
    if (!code[0])
        code = no_code;
    for (size_t i = 0; i < report->code_count; i++)
        if (text_equal(report->codes[i].code, code))
            return &report->codes[i];
    /* Codes come from headers, and those from anybody. */
    bool full = report->code_count >= REDRIVE_REPORT_CODES_MAX;
    if (report->code_count > REDRIVE_REPORT_CODES_MAX)
        return &report->codes[REDRIVE_REPORT_CODES_MAX];
    struct redrive_code_report *added = &report->codes[report->code_count++];
    snprintf(added->code, sizeof added->code, "%s", full ? others : code);
    return added;
}

void redrive_report_count(
    struct redrive_report *report, const char *code, enum redrive_verdict verdict)
{
    if (verdict == REDRIVE_NOT_CHOSEN)
        return;
    find_code(report, code)->counts[verdict]++;
    if (verdict == REDRIVE_PUT_BACK)
        report->put_back++;
    else
        report->skipped++;
}

void redrive_report_count_failed(struct redrive_report *report, const char *code)
{
    find_code(report, code)->failed++;
    report->failed++;
}

/* ---- a letter ---- */

static const char *result_of(const struct redrive_report *report, const char *reason)
{
    if (reason)
        return "failed";
    return report->dry_run ? "would_be_put_back" : "put_back";
}

static void write_letter_json(const struct redrive_report *report,
    const struct redrive_letter *letter, const struct kafka_record *record, const char *reason,
    struct buf *line)
{
    struct json_writer writer;
    char time[CLOCK_RFC3339_SIZE];
    json_writer_init(&writer, line);
    json_open_object(&writer, NULL);
    json_put_text(&writer, "result", result_of(report, reason));
    if (reason)
        json_put_text(&writer, "reason", reason);
    json_put_text(&writer, "letter", letter->place);
    if (record->timestamp_ms >= 0)
        clock_format_rfc3339(record->timestamp_ms * CLOCK_US_PER_MS, time);
    json_put_text(&writer, "written_at", record->timestamp_ms >= 0 ? time : NULL);
    json_put_text(&writer, "code", letter->code);
    json_put_text(&writer, "topic", letter->topic);
    if (record->key)
        json_put_bytes(&writer, "key", record->key,
            record->key_size < PLAIN_TEXT_BYTES_MAX ? record->key_size : PLAIN_TEXT_BYTES_MAX);
    else
        json_put_null(&writer, "key");
    json_put_integer(&writer, "value_size", (int64_t)record->value_size);
    json_put_integer(&writer, "headers_left_out", letter->left_out);
    json_close_object(&writer);
}

static void write_letter_text(const struct redrive_report *report,
    const struct redrive_letter *letter, const struct kafka_record *record, const char *reason,
    struct buf *line)
{
    char time[CLOCK_RFC3339_SIZE] = "-";
    if (record->timestamp_ms >= 0)
        clock_format_rfc3339(record->timestamp_ms * CLOCK_US_PER_MS, time);
    buf_printf(line, "%s %s %s -> %s key=", time, letter->place, letter->code, letter->topic);
    if (record->key)
        plain_text_append_quoted(line, record->key, record->key_size);
    else
        buf_append_char(line, '-');
    buf_printf(line, " (%zu bytes)", record->value_size);
    if (letter->left_out > 0)
        buf_printf(line, " without %u of its headers", letter->left_out);
    if (reason) {
        buf_append_text(line, ": failed: ");
        plain_text_append(line, reason, strlen(reason));
    } else {
        buf_append_text(line, report->dry_run ? ": would be put back" : ": put back");
    }
}

void redrive_report_letter(const struct redrive_report *report, const struct redrive_letter *letter,
    const struct kafka_record *record, const char *reason, bool json, struct buf *line)
{
    struct buf bare;
    buf_init(&bare, REDRIVE_LINE_BYTES_MAX / 4);
    if (json)
        write_letter_json(report, letter, record, reason, &bare);
    else
        write_letter_text(report, letter, record, reason, &bare);
    secret_mask(buf_text(&bare), bare.size, SECRET_MASK_KNOWN, line);
    buf_release(&bare);
}

/* ---- the summary ---- */

static void write_code_json(const struct redrive_code_report *code, struct json_writer *writer)
{
    json_open_object(writer, NULL);
    json_put_text(writer, "code", code->code);
    json_put_integer(writer, "put_back", (int64_t)code->counts[REDRIVE_PUT_BACK]);
    json_put_integer(writer, "failed", (int64_t)code->failed);
    json_open_object(writer, "skipped");
    for (unsigned verdict = REDRIVE_UNREADABLE; verdict < REDRIVE_VERDICT_COUNT; verdict++)
        json_put_integer(writer, redrive_verdict_name((enum redrive_verdict)verdict),
            (int64_t)code->counts[verdict]);
    json_close_object(writer);
    json_close_object(writer);
}

static void write_summary_json(const struct redrive_report *report, struct buf *text)
{
    struct json_writer writer;
    char time[CLOCK_RFC3339_SIZE];
    json_writer_init(&writer, text);
    json_open_object(&writer, NULL);
    json_put_text(&writer, "result", "summary");
    json_put_boolean(&writer, "dry_run", report->dry_run);
    clock_format_rfc3339(report->started_wall_us, time);
    json_put_text(&writer, "started_at", time);
    json_put_boolean(&writer, "complete", report->complete);
    json_put_integer(&writer, "put_back", (int64_t)report->put_back);
    json_put_integer(&writer, "failed", (int64_t)report->failed);
    json_put_integer(&writer, "skipped", (int64_t)report->skipped);
    json_open_array(&writer, "codes");
    for (size_t i = 0; i < report->code_count; i++)
        write_code_json(&report->codes[i], &writer);
    json_close_array(&writer);
    json_close_object(&writer);
}

static void write_code_text(
    const struct redrive_report *report, const struct redrive_code_report *code, struct buf *text)
{
    buf_printf(text, "  %s: %" PRIu64 " %s", code->code, code->counts[REDRIVE_PUT_BACK],
        report->dry_run ? "would be put back" : "put back");
    if (code->failed > 0)
        buf_printf(text, ", %" PRIu64 " failed", code->failed);
    for (unsigned verdict = REDRIVE_UNREADABLE; verdict < REDRIVE_VERDICT_COUNT; verdict++)
        if (code->counts[verdict] > 0)
            buf_printf(text, ", %" PRIu64 " skipped: %s", code->counts[verdict],
                redrive_verdict_text((enum redrive_verdict)verdict));
    buf_append_char(text, '\n');
}

static void write_summary_text(const struct redrive_report *report, struct buf *text)
{
    char time[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(report->started_wall_us, time);
    buf_printf(text, "%" PRIu64 " %s, %" PRIu64 " failed, %" PRIu64 " skipped\n", report->put_back,
        report->dry_run ? "would be put back" : "put back", report->failed, report->skipped);
    for (size_t i = 0; i < report->code_count; i++)
        write_code_text(report, &report->codes[i], text);
    if (!report->complete)
        buf_append_text(text, "Not all letters were looked at.");
    else if (report->dry_run)
        buf_append_text(text, "Nothing was done.");
    else
        buf_printf(text, "What has died since this run began: --since %s", time);
}

void redrive_report_summary(const struct redrive_report *report, bool json, struct buf *text)
{
    if (json)
        write_summary_json(report, text);
    else
        write_summary_text(report, text);
}
