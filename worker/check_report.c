/* check_report: see check_report.h. */
#include "worker/check_report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/json.h"
#include "common/memory.h"

static const char *const verdict_names[CHECK_VERDICT_COUNT] = {
    [CHECK_OK] = "ok",
    [CHECK_WARN] = "warn",
    [CHECK_FAIL] = "fail",
};

static char *format_text(const char *format, va_list arguments)
    __attribute__((format(printf, 1, 0)));

static char *format_text(const char *format, va_list arguments)
{
    char text[CHECK_REPORT_TEXT_SIZE];
    vsnprintf(text, sizeof text, format, arguments);
    for (char *at = text; *at; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = ' ';
    }
    return memory_copy_text(text);
}

static void release_item(struct check_item *item)
{
    free(item->subject);
    free(item->message);
    free(item->advice);
}

void check_report_release(struct check_report *report)
{
    for (size_t i = 0; i < report->count; i++)
        release_item(&report->items[i]);
    free(report->items);
    *report = (struct check_report){0};
}

/* The item is the report's from now on. */
static void append(struct check_report *report, struct check_item item)
{
    report->verdicts[item.verdict]++;
    if (report->count == CHECK_REPORT_ITEMS_MAX) {
        release_item(&item);
        return;
    }
    report->items = memory_resize(report->items, (report->count + 1) * sizeof *report->items);
    report->items[report->count++] = item;
}

void check_report_add(struct check_report *report, enum check_verdict verdict, const char *area,
    const char *subject, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    append(report, (struct check_item){
                       .verdict = verdict,
                       .area = area,
                       .subject = memory_copy_text(subject),
                       .message = format_text(format, arguments),
                   });
    va_end(arguments);
}

void check_report_advise(struct check_report *report, const char *format, ...)
{
    if (report->count == 0)
        return;
    struct check_item *last = &report->items[report->count - 1];
    va_list arguments;
    va_start(arguments, format);
    free(last->advice);
    last->advice = format_text(format, arguments);
    va_end(arguments);
}

void check_report_take(struct check_report *report, struct check_report *from)
{
    for (size_t i = 0; i < from->count; i++)
        append(report, from->items[i]);
    free(from->items);
    *from = (struct check_report){0};
}

void check_report_write_text(
    const struct check_report *report, const char *const *commands, struct buf *text)
{
    for (size_t i = 0; i < report->count; i++) {
        const struct check_item *item = &report->items[i];
        buf_printf(text, "%-4s  %-8s  %s: %s", verdict_names[item->verdict], item->area,
            item->subject, item->message);
        if (item->advice)
            buf_printf(text, " -> %s", item->advice);
        buf_append_char(text, '\n');
    }
    if (commands)
        buf_append_text(text, "\nWhat this client's principal needs (where the cluster wants a "
                              "login, add --command-config):\n");
    for (; commands && *commands; commands++)
        buf_printf(text, "%s\n", *commands);
    buf_printf(text, "\n%zu ok, %zu to look at, %zu failed\n", report->verdicts[CHECK_OK],
        report->verdicts[CHECK_WARN], report->verdicts[CHECK_FAIL]);
}

static void put_item(const struct check_item *item, struct json_writer *writer)
{
    json_open_object(writer, NULL);
    json_put_text(writer, "area", item->area);
    json_put_text(writer, "subject", item->subject);
    json_put_text(writer, "verdict", verdict_names[item->verdict]);
    json_put_text(writer, "message", item->message);
    json_put_text(writer, "advice", item->advice);
    json_close_object(writer);
}

void check_report_write_json(
    const struct check_report *report, const char *const *commands, struct buf *text)
{
    struct json_writer writer;
    json_writer_init(&writer, text);
    json_open_object(&writer, NULL);
    json_put_integer(&writer, "ok", (int64_t)report->verdicts[CHECK_OK]);
    json_put_integer(&writer, "warn", (int64_t)report->verdicts[CHECK_WARN]);
    json_put_integer(&writer, "fail", (int64_t)report->verdicts[CHECK_FAIL]);
    json_open_array(&writer, "checks");
    for (size_t i = 0; i < report->count; i++)
        put_item(&report->items[i], &writer);
    json_close_array(&writer);
    json_open_array(&writer, "acls");
    for (; commands && *commands; commands++)
        json_put_text(&writer, NULL, *commands);
    json_close_array(&writer);
    json_close_object(&writer);
}
