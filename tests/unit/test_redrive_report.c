/* What a run says that it did. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "worker/redrive_report.h"

static const struct kafka_record record = {
    .topic = "terra.dead-letters",
    .partition = 1,
    .offset = 17,
    .timestamp_ms = INT64_C(1795244672123),
    .key = "u 1\n",
    .key_size = 4,
    .value_size = 5,
};
static const struct redrive_letter letter = {
    .code = "a", .place = "terra.dead-letters/1/17", .topic = "raw", .left_out = 2};

static void assert_letter(bool dry_run, const char *reason, bool json, const char *expected)
{
    struct redrive_report report = {.dry_run = dry_run};
    struct buf line;
    buf_init(&line, REDRIVE_LINE_BYTES_MAX);
    redrive_report_letter(&report, &letter, &record, reason, json, &line);
    assert_string_equal(buf_text(&line), expected);
    buf_release(&line);
}

#define SEEN                                                                                       \
    "2026-11-21T07:04:32.123Z terra.dead-letters/1/17 a -> raw key=\"u 1?\" (5 bytes) without 2 "  \
    "of its headers"
#define SEEN_JSON                                                                                  \
    "\"letter\":\"terra.dead-letters/1/17\",\"written_at\":\"2026-11-21T07:04:32.123Z\","          \
    "\"code\":\"a\",\"topic\":\"raw\",\"key\":\"u 1\\n\",\"value_size\":5,\"headers_left_out\":2}"

static void test_letters(void **state)
{
    (void)state;
    assert_letter(false, NULL, false, SEEN ": put back");
    assert_letter(true, NULL, false, SEEN ": would be put back");
    assert_letter(false, "no such topic", false, SEEN ": failed: no such topic");
    assert_letter(false, NULL, true, "{\"result\":\"put_back\"," SEEN_JSON);
    assert_letter(true, NULL, true, "{\"result\":\"would_be_put_back\"," SEEN_JSON);
    assert_letter(false, "r", true, "{\"result\":\"failed\",\"reason\":\"r\"," SEEN_JSON);
}

static void assert_summary(const struct redrive_report *report, bool json, const char *expected)
{
    struct buf text;
    buf_init(&text, 65536);
    redrive_report_summary(report, json, &text);
    assert_string_equal(buf_text(&text), expected);
    buf_release(&text);
}

static void test_the_summary(void **state)
{
    (void)state;
    struct redrive_report report = {.started_wall_us = INT64_C(1795244672123456), .complete = true};
    redrive_report_count(&report, "a", REDRIVE_PUT_BACK);
    redrive_report_count(&report, "b", REDRIVE_EXPIRED);
    redrive_report_count(&report, "a", REDRIVE_WITHOUT_VALUE);
    redrive_report_count(&report, "a", REDRIVE_NOT_CHOSEN);
    redrive_report_count(&report, "", REDRIVE_UNREADABLE);
    redrive_report_count_failed(&report, "a");
    assert_summary(&report, false,
        "1 put back, 1 failed, 3 skipped\n"
        "  a: 1 put back, 1 failed, 1 skipped: without their value, which was too large\n"
        "  b: 0 put back, 1 skipped: expired pointers (--expired puts them back)\n"
        "  (none): 0 put back, 1 skipped: no dead letters of ours\n"
        "What has died since this run began: --since 2026-11-21T07:04:32.123Z");
    report.code_count = 1;
    report.dry_run = true;
    assert_summary(&report, true,
        "{\"result\":\"summary\",\"dry_run\":true,\"started_at\":\"2026-11-21T07:04:32.123Z\","
        "\"complete\":true,\"put_back\":1,\"failed\":1,\"skipped\":3,\"codes\":[{\"code\":\"a\","
        "\"put_back\":1,\"failed\":1,\"skipped\":{\"unreadable\":0,\"foreign_topic\":0,"
        "\"without_value\":1,\"expired\":0}}]}");
}

/* Codes are what anybody wrote into a header. */
static void test_any_number_of_codes(void **state)
{
    (void)state;
    struct redrive_report report = {0};
    for (int i = 0; i < 1000; i++) {
        char code[16];
        snprintf(code, sizeof code, "c%d", i);
        redrive_report_count(&report, code, REDRIVE_PUT_BACK);
    }
    assert_int_equal(report.put_back, 1000);
    assert_int_equal(report.code_count, REDRIVE_REPORT_CODES_MAX + 1);
    assert_string_equal(report.codes[REDRIVE_REPORT_CODES_MAX].code, "(others)");
    assert_int_equal(report.codes[REDRIVE_REPORT_CODES_MAX].counts[REDRIVE_PUT_BACK],
        1000 - REDRIVE_REPORT_CODES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_letters),
        cmocka_unit_test(test_the_summary),
        cmocka_unit_test(test_any_number_of_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
