/* check_report: what was found, for people and for programs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/json.h"
#include "worker/check_report.h"

static const char *const commands[] = {"kafka-acls --add", NULL};

static void fill(struct check_report *report)
{
    check_report_add(report, CHECK_OK, "kafka", "brokers", "%d", 3);
    check_report_add(report, CHECK_FAIL, "redis", "server", "a line\r\nbreak \"quoted\"");
    check_report_advise(report, "do %s", "this");
}

static void test_text(void **state)
{
    (void)state;
    struct check_report report = {0};
    struct buf text;
    buf_init(&text, 4096);
    fill(&report);
    check_report_write_text(&report, NULL, &text);
    assert_string_equal(buf_text(&text), "ok    kafka     brokers: 3\n"
                                         "fail  redis     server: a line  break \"quoted\" -> do "
                                         "this\n"
                                         "\n"
                                         "1 ok, 0 to look at, 1 failed\n");
    buf_reset(&text);
    check_report_write_text(&report, commands, &text);
    assert_non_null(strstr(buf_text(&text), "\nkafka-acls --add\n"));
    buf_release(&text);
    check_report_release(&report);
}

static void test_json(void **state)
{
    (void)state;
    struct check_report report = {0};
    struct buf text;
    buf_init(&text, 4096);
    fill(&report);
    check_report_write_json(&report, commands, &text);
    assert_string_equal(buf_text(&text),
        "{\"ok\":1,\"warn\":0,\"fail\":1,\"checks\":["
        "{\"area\":\"kafka\",\"subject\":\"brokers\",\"verdict\":\"ok\",\"message\":\"3\","
        "\"advice\":null},"
        "{\"area\":\"redis\",\"subject\":\"server\",\"verdict\":\"fail\","
        "\"message\":\"a line  break \\\"quoted\\\"\",\"advice\":\"do this\"}],"
        "\"acls\":[\"kafka-acls --add\"]}");
    buf_release(&text);
    check_report_release(&report);
}

static void test_reports_are_joined(void **state)
{
    (void)state;
    struct check_report report = {0}, other = {0};
    fill(&report);
    fill(&other);
    check_report_take(&report, &other);
    assert_int_equal(report.count, 4);
    assert_int_equal(report.verdicts[CHECK_FAIL], 2);
    assert_int_equal(other.count, 0);
    check_report_take(&report, &other); /* an empty one */
    assert_int_equal(report.count, 4);
    check_report_release(&report);
}

/* The verdicts, and so the exit code, count what is no longer shown. */
static void test_a_ceiling(void **state)
{
    (void)state;
    struct check_report report = {0};
    for (int i = 0; i < CHECK_REPORT_ITEMS_MAX; i++)
        check_report_add(&report, CHECK_OK, "kafka", "topic", "fine");
    check_report_add(&report, CHECK_FAIL, "kafka", "topic", "one too many");
    assert_int_equal(report.count, CHECK_REPORT_ITEMS_MAX);
    assert_int_equal(report.verdicts[CHECK_FAIL], 1);
    check_report_release(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_reports_are_joined),
        cmocka_unit_test(test_a_ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
