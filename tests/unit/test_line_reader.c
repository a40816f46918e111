#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/line_reader.h"

#define BYTES_MAX 10

struct reading {
    uv_loop_t loop;
    struct line_reader *reader;
    char told[4096]; /* <line>, "!" for a line too long, "." at the end, "?" when it failed */
    size_t size;
    unsigned lines;
    unsigned pause_after, close_after;
    unsigned closed_times;
    bool inside;
};

static void tell(struct reading *reading, const char *text)
{
    assert_false(reading->inside);
    size_t room = sizeof(reading->told) - reading->size;
    int size = snprintf(reading->told + reading->size, room, "%s", text);
    assert_true((size_t)size < room);
    reading->size += (size_t)size;
}

static void count_line(struct reading *reading)
{
    reading->lines++;
    reading->inside = true;
    if (reading->lines == reading->pause_after)
        line_reader_pause(reading->reader);
    if (reading->lines == reading->close_after)
        line_reader_close(reading->reader);
    reading->inside = false;
}

static void on_line(void *context, const char *line, size_t size)
{
    char text[BYTES_MAX + 3];
    assert_true(size <= BYTES_MAX);
    snprintf(text, sizeof(text), "<%.*s>", (int)size, line);
    tell(context, text);
    count_line(context);
}

static void on_too_long(void *context)
{
    tell(context, "!");
    count_line(context);
}

static void on_end(void *context, const char *reason)
{
    struct reading *reading = context;
    tell(reading, reason ? "?" : ".");
    reading->inside = true;
    line_reader_close(reading->reader);
    reading->inside = false;
}

static void on_closed(void *context)
{
    struct reading *reading = context;
    assert_false(reading->inside);
    reading->closed_times++;
}

static void start(struct reading *reading, int descriptor)
{
    uv_loop_init(&reading->loop);
    const struct line_reader_options options = {
        .descriptor = descriptor,
        .bytes_max = BYTES_MAX,
        .on_line = on_line,
        .on_too_long = on_too_long,
        .on_end = on_end,
        .on_closed = on_closed,
        .context = reading,
    };
    reading->reader = line_reader_new(&reading->loop, &options);
    assert_string_equal(reading->told, "");
}

static void finish(struct reading *reading)
{
    uv_run(&reading->loop, UV_RUN_DEFAULT);
    assert_int_equal(reading->closed_times, 1);
    assert_int_equal(uv_loop_close(&reading->loop), 0);
}

enum kind { A_FILE, A_PIPE, A_SOCKET, KIND_COUNT };

/* A descriptor of that kind from which just `text` can be read. */
static int holding(enum kind kind, const char *text)
{
    size_t size = strlen(text);
    int ends[2];
    if (kind == A_FILE) {
        int file = memfd_create("lines", MFD_CLOEXEC);
        assert_int_equal(write(file, text, size), size);
        lseek(file, 0, SEEK_SET);
        return file;
    }
    if (kind == A_PIPE)
        assert_int_equal(pipe(ends), 0);
    else
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(write(ends[1], text, size), size);
    close(ends[1]);
    return ends[0];
}

static const struct {
    const char *input, *expected;
} cases[] = {
    {"", "."},
    {"\n", "<>."},
    {"a\nb\n", "<a><b>."},
    {"a\nb", "<a><b>."},
    {"a\n\nb\n\n", "<a><><b><>."},
    {"a\r\n", "<a\r>."},
    {"0123456789\n", "<0123456789>."},
    {"0123456789", "<0123456789>."},
    {"0123456789x\nafter\n", "!<after>."},
    {"0123456789x", "!."},
    {"a\n0123456789 and much more of it\nb", "<a>!<b>."},
};

static void test_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (enum kind kind = A_FILE; kind < KIND_COUNT; kind++) {
            struct reading reading = {0};
            int descriptor = holding(kind, cases[i].input);
            int flags = fcntl(descriptor, F_GETFL);
            start(&reading, descriptor);
            finish(&reading);
            assert_string_equal(reading.told, cases[i].expected);
            assert_int_equal(fcntl(descriptor, F_GETFL), flags);
            close(descriptor);
        }
    }
}

static void put(int descriptor, const char *text)
{
    assert_int_equal(write(descriptor, text, strlen(text)), strlen(text));
}

/* Lines that come in pieces, the long one in pieces of more than is read at once. */
static void test_pieces(void **state)
{
    (void)state;
    static char much[100000];
    memset(much, 'x', sizeof(much) - 1);
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    struct reading reading = {0};
    start(&reading, ends[0]);
    put(ends[1], "ab");
    for (int i = 0; i < 5; i++)
        uv_run(&reading.loop, UV_RUN_NOWAIT);
    assert_string_equal(reading.told, "");
    put(ends[1], "cd\nef");
    while (reading.lines < 1)
        uv_run(&reading.loop, UV_RUN_ONCE);
    assert_string_equal(reading.told, "<abcd>");
    for (int i = 0; i < 3; i++) {
        put(ends[1], much);
        for (int turn = 0; turn < 5; turn++)
            uv_run(&reading.loop, UV_RUN_NOWAIT);
    }
    put(ends[1], "\nlast");
    close(ends[1]);
    finish(&reading);
    assert_string_equal(reading.told, "<abcd>!<last>.");
    close(ends[0]);
}

static void test_pause(void **state)
{
    (void)state;
    for (enum kind kind = A_FILE; kind < KIND_COUNT; kind++) {
        struct reading reading = {.pause_after = 2};
        int descriptor = holding(kind, "1\n2\n3\n4");
        start(&reading, descriptor);
        uv_run(&reading.loop, UV_RUN_DEFAULT); /* nothing is under way while it is paused */
        assert_string_equal(reading.told, "<1><2>");
        reading.inside = true;
        line_reader_continue(reading.reader);
        reading.inside = false;
        finish(&reading);
        assert_string_equal(reading.told, "<1><2><3><4>.");
        close(descriptor);
    }
}

static void test_close(void **state)
{
    (void)state;
    for (enum kind kind = A_FILE; kind < KIND_COUNT; kind++) {
        struct reading in_line = {.close_after = 2};
        int descriptor = holding(kind, "1\n2\n3\n");
        start(&in_line, descriptor);
        finish(&in_line);
        assert_string_equal(in_line.told, "<1><2>");
        close(descriptor);

        struct reading at_once = {0};
        descriptor = holding(kind, "1\n");
        start(&at_once, descriptor);
        line_reader_close(at_once.reader);
        finish(&at_once);
        assert_string_equal(at_once.told, "");

        /* With a read under way, mostly: the thread pool may be quick. */
        for (int i = 0; i < 50; i++) {
            struct reading under_way = {0};
            start(&under_way, descriptor);
            uv_run(&under_way.loop, UV_RUN_NOWAIT);
            line_reader_close(under_way.reader);
            finish(&under_way);
        }
        close(descriptor);
    }
}

static void test_cannot_be_read(void **state)
{
    (void)state;
    struct reading nothing = {0};
    start(&nothing, 987);
    finish(&nothing);
    assert_string_equal(nothing.told, "?");

    struct reading folder = {0};
    int descriptor = open("/", O_RDONLY);
    start(&folder, descriptor);
    finish(&folder);
    assert_string_equal(folder.told, "?");
    close(descriptor);

    struct reading null_device = {0};
    descriptor = open("/dev/null", O_RDONLY);
    start(&null_device, descriptor);
    finish(&null_device);
    assert_string_equal(null_device.told, ".");
    close(descriptor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_cannot_be_read),
    };
    return cmocka_run_group_tests_name("line_reader", tests, NULL, NULL);
}
