#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/utf8.h"

#define FACE "\xf0\x9f\x98\x80"
#define BROKEN "\xef\xbf\xbd"

static char last_line[LOG_LINE_BYTES_MAX + 1];
static size_t last_size;
static unsigned line_count;
static int64_t now_us;

static int64_t fake_clock_us(void)
{
    return now_us;
}

static void collect(const char *line, size_t size)
{
    assert_in_range(size, 1, LOG_LINE_BYTES_MAX);
    memcpy(last_line, line, size);
    last_line[size] = '\0';
    last_size = size;
    line_count++;
    /* One line is one line, whatever was in it. */
    assert_ptr_equal(memchr(line, '\n', size), line + size - 1);
    assert_true(utf8_valid(line, size));
}

static int set_up(void **state)
{
    (void)state;
    now_us = INT64_C(1795244672123456);
    clock_set_source(fake_clock_us, fake_clock_us);
    log_set_sink(collect);
    last_line[0] = '\0';
    last_size = 0;
    line_count = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    clock_set_source(NULL, NULL);
    log_set_sink(NULL);
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
    return 0;
}

static void test_example_lines(void **state)
{
    (void)state;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
    log_info("intake", "partitions assigned", LOG_TEXT("topic", "t.x"), LOG_INT("partition", 3),
        LOG_BOOL("all", true), LOG_TEXT("absent", NULL), LOG_BYTES("bytes", "abc", 2));
    assert_string_equal(last_line,
        "time=2026-11-21T07:04:32.123Z level=info area=intake message=\"partitions assigned\" "
        "topic=t.x partition=3 all=true bytes=ab\n");
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_error("intake", "partitions assigned", LOG_TEXT("topic", "t.x"), LOG_INT("partition", -3),
        LOG_BOOL("all", false), LOG_TEXT("absent", NULL), LOG_BYTES("bytes", "abc", 2));
    assert_string_equal(last_line,
        "{\"time\":\"2026-11-21T07:04:32.123Z\",\"level\":\"error\",\"area\":\"intake\","
        "\"message\":\"partitions assigned\",\"topic\":\"t.x\",\"partition\":-3,\"all\":false,"
        "\"bytes\":\"ab\"}\n");
    log_warn("a", "no fields");
    assert_string_equal(last_line, "{\"time\":\"2026-11-21T07:04:32.123Z\",\"level\":\"warn\","
                                   "\"area\":\"a\",\"message\":\"no fields\"}\n");
}

static void test_context(void **state)
{
    static const struct log_context whole = {"r 1", "4bf9", "t.x", 3, INT64_C(5000000000)};
    static const struct log_context unknown = {.topic = "t.x"};
    static const struct {
        const struct log_context *context;
        const char *fields;
    } rows[] = {
        {&whole, "\"request_id\":\"r 1\",\"trace_id\":\"4bf9\",\"topic\":\"t.x\","
                 "\"partition\":3,\"offset\":5000000000,"},
        {&unknown, "\"topic\":\"t.x\",\"partition\":0,\"offset\":0,"},
        {NULL, ""},
    };
    (void)state;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char expected[160];
        snprintf(expected, sizeof(expected), "\"before\":1,%s\"after\":2}\n", rows[i].fields);
        log_info("a", "b", LOG_INT("before", 1), LOG_CONTEXT(rows[i].context), LOG_INT("after", 2));
        assert_non_null(strstr(last_line, expected));
    }
}

static void test_levels(void **state)
{
    (void)state;
    log_configure(LOG_LEVEL_WARN, LOG_FORMAT_JSON);
    log_debug("a", "b");
    log_info("a", "b");
    assert_int_equal(line_count, 0);
    log_warn("a", "b");
    log_error("a", "b");
    assert_int_equal(line_count, 2);
    log_configure(LOG_LEVEL_DEBUG, LOG_FORMAT_JSON);
    log_debug("a", "b", LOG_INT("c", 1));
    assert_int_equal(line_count, 3);
}

static void test_values(void **state)
{
    static const struct {
        const char *value;
        size_t size;
        const char *logfmt, *json;
    } rows[] = {
        {"plain-word_1.2/3:4", 18, "plain-word_1.2/3:4", "\"plain-word_1.2/3:4\""},
        {"", 0, "\"\"", "\"\""},
        {"two words", 9, "\"two words\"", "\"two words\""},
        {"a=b", 3, "\"a=b\"", "\"a=b\""},
        {"say \"x\"", 7, "\"say \\\"x\\\"\"", "\"say \\\"x\\\"\""},
        {"back\\slash", 10, "\"back\\\\slash\"", "\"back\\\\slash\""},
        {"a\nb", 3, "\"a\\nb\"", "\"a\\nb\""},
        {"a\r\tb", 4, "\"a\\r\\tb\"", "\"a\\r\\tb\""},
        {"\x1b[31m", 5, "\"\\u001b[31m\"", "\"\\u001b[31m\""},
        {"a\0b", 3, "\"a\\u0000b\"", "\"a\\u0000b\""},
        {"\x7f", 1, "\"\\u007f\"", "\"\\u007f\""},
        {"\xc2\x9b"
         "31m",
            5, "\"\\u009b31m\"", "\"\\u009b31m\""}, /* C1: another way to say ESC [ */
        {"\xc2\xa0", 2, "\"\xc2\xa0\"", "\"\xc2\xa0\""},
        {"h\xc3\xa9", 3, "\"h\xc3\xa9\"", "\"h\xc3\xa9\""},
        {FACE, 4, "\"" FACE "\"", "\"" FACE "\""},
        {"a\xff", 2, "\"a" BROKEN "\"", "\"a" BROKEN "\""},
        {"\xc3(", 2, "\"" BROKEN "(\"", "\"" BROKEN "(\""},
        {"\xed\xa0\x80", 3, "\"" BROKEN BROKEN BROKEN "\"", "\"" BROKEN BROKEN BROKEN "\""},
    };
    char expected[128];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        log_configure(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
        log_info("a", "b", LOG_BYTES("v", rows[i].value, rows[i].size));
        snprintf(expected, sizeof(expected), " message=b v=%s\n", rows[i].logfmt);
        assert_non_null(strstr(last_line, expected));
        log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
        log_info("a", "b", LOG_BYTES("v", rows[i].value, rows[i].size));
        snprintf(expected, sizeof(expected), ",\"v\":%s}\n", rows[i].json);
        assert_non_null(strstr(last_line, expected));
    }
}

static void test_message_is_escaped_too(void **state)
{
    (void)state;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
    log_info("a", "x\ny level=error");
    assert_non_null(strstr(last_line, " message=\"x\\ny level=error\"\n"));
}

/* Cut before the character that does not fit whole. */
static void test_long_value(void **state)
{
    char value[LOG_VALUE_BYTES_MAX + 8];

    (void)state;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    for (size_t before = LOG_VALUE_BYTES_MAX - 5; before <= LOG_VALUE_BYTES_MAX + 1; before++) {
        memset(value, 'x', before);
        memcpy(value + before, FACE, 5);
        log_info("a", "b", LOG_TEXT("v", value));
        size_t kept = before + 4 <= LOG_VALUE_BYTES_MAX ? before + 4
                      : before <= LOG_VALUE_BYTES_MAX   ? before
                                                        : LOG_VALUE_BYTES_MAX;
        const char *start = strstr(last_line, ",\"v\":\"");
        assert_non_null(start);
        start += 6;
        assert_int_equal(strlen(start), kept + 3);
        assert_memory_equal(start, value, kept);
    }
}

/* Too long a line loses its last fields and is well-formed still. */
static void test_long_line(void **state)
{
    static const struct json_limits limits = {LOG_LINE_BYTES_MAX, 2, 100};
    char controls[LOG_VALUE_BYTES_MAX];
    struct json_error error;

    (void)state;
    memset(controls, 1, sizeof(controls));
    for (size_t size = 900; size <= sizeof(controls); size++) {
        log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
        log_info("a", "b", LOG_BYTES("first", controls, size), LOG_BYTES("x", controls, 500),
            LOG_BYTES("y", controls, 1), LOG_INT("z", 1));
        json_value *line = json_parse(last_line, last_size, &limits, &error);
        if (line == NULL)
            fail_msg("%s: %s", error.message, last_line);
        assert_non_null(json_field(line, "first"));
        /* Only the end is missing. */
        assert_true(json_field(line, "x") != NULL || json_field(line, "y") == NULL);
        assert_true(json_field(line, "y") != NULL || json_field(line, "z") == NULL);
        json_free(line);
        log_configure(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
        log_info("a", "b", LOG_BYTES("first", controls, size), LOG_BYTES("x", controls, 500));
        assert_string_equal(last_line + last_size - 2 - (last_line[last_size - 2] != '"'), "\"\n");
    }
}

static void test_limited(void **state)
{
    struct log_limit limit = {0};

    (void)state;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
    for (int i = 0; i < 5; i++)
        log_limited(&limit, 1000, LOG_LEVEL_WARN, "a", "b", LOG_INT("i", i));
    assert_int_equal(line_count, 1);
    assert_non_null(strstr(last_line, " message=b i=0\n"));
    now_us += 999 * CLOCK_US_PER_MS;
    log_limited(&limit, 1000, LOG_LEVEL_WARN, "a", "b", LOG_INT("i", 5));
    assert_int_equal(line_count, 1);
    now_us += CLOCK_US_PER_MS;
    log_limited(&limit, 1000, LOG_LEVEL_WARN, "a", "b", LOG_INT("i", 6));
    assert_int_equal(line_count, 2);
    assert_non_null(strstr(last_line, " message=b repeats=5 i=6\n"));
    now_us += CLOCK_US_PER_SECOND;
    log_limited(&limit, 1000, LOG_LEVEL_WARN, "a", "b", LOG_INT("i", 7));
    assert_non_null(strstr(last_line, " message=b i=7\n"));
}

static void test_limited_at_time_zero_and_below_the_level(void **state)
{
    struct log_limit limit = {0};

    (void)state;
    now_us = 0;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
    log_limited(&limit, 1000, LOG_LEVEL_DEBUG, "a", "b");
    assert_int_equal(line_count, 0);
    log_limited(&limit, 1000, LOG_LEVEL_INFO, "a", "b");
    log_limited(&limit, 1000, LOG_LEVEL_INFO, "a", "b");
    assert_int_equal(line_count, 1);
    assert_int_equal(limit.repeats, 1);
}

/* Reads what is there now. */
static size_t drain(int descriptor, char *into, size_t size)
{
    size_t filled = 0;
    ssize_t got;

    while (filled < size && (got = read(descriptor, into + filled, size - filled)) > 0)
        filled += (size_t)got;
    return filled;
}

/* A pipe that nobody reads: lines are dropped quickly, counted, and none is glued to half of
 * another. The short lines in front change how much room the last line finds. */
static void check_stalled_pipe(int write_flags, unsigned short_lines)
{
    static const struct json_limits limits = {LOG_LINE_BYTES_MAX, 2, 100};
    static char bytes[1 << 20];
    char value[LOG_VALUE_BYTES_MAX];
    int ends[2], saved = dup(STDERR_FILENO);
    int64_t dropped = 0, whole = 0, broken = 0, wanted = 200;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(fcntl(ends[1], F_SETFL, write_flags), 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    log_set_sink(NULL);
    clock_set_source(NULL, NULL);
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
    memset(value, 1, sizeof(value)); /* escaped to six bytes each: more than PIPE_BUF a line */
    int64_t started_us = clock_monotonic_us();
    for (int64_t i = 0; i < wanted; i++)
        log_info("a", "b", LOG_BYTES("v", value, i < short_lines ? 300 : sizeof(value)));
    int64_t took_us = clock_monotonic_us() - started_us;

    size_t filled = drain(ends[0], bytes, sizeof(bytes));
    log_info("a", "b");
    filled += drain(ends[0], bytes + filled, sizeof(bytes) - filled);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[0]);
    close(ends[1]);

    for (size_t at = 0; at < filled;) {
        struct json_error error;
        const char *end = memchr(bytes + at, '\n', filled - at);
        assert_non_null(end);
        json_value *line = json_parse(
            bytes + at, (size_t)(end - bytes) - at, &limits, &error); /* JSON: no terminal */
        double count = 0;
        whole += line != NULL;
        broken += line == NULL;
        if (json_get_number(line, "dropped_lines", &count) == JSON_FOUND)
            dropped += (int64_t)count;
        json_free(line);
        at = (size_t)(end - bytes) + 1;
    }
    assert_true(took_us < 2 * CLOCK_US_PER_SECOND); /* the wait is once for all, not per line */
    assert_true(whole > 5);
    assert_true(dropped > 0);
    assert_in_range(broken, 0, 1); /* the one that the pipe took a part of */
    assert_int_equal(whole + dropped, wanted + 1);
}

#define SHORT_LINES_MAX 6

static void test_stalled_blocking_pipe(void **state)
{
    (void)state;
    for (unsigned short_lines = 0; short_lines <= SHORT_LINES_MAX; short_lines++)
        check_stalled_pipe(0, short_lines);
}

static void test_stalled_nonblocking_pipe(void **state)
{
    (void)state;
    for (unsigned short_lines = 0; short_lines <= SHORT_LINES_MAX; short_lines++)
        check_stalled_pipe(O_NONBLOCK, short_lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_example_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_context, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_levels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_message_is_escaped_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_long_value, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_long_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limited, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_limited_at_time_zero_and_below_the_level, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stalled_blocking_pipe, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stalled_nonblocking_pipe, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
