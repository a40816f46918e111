#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/line_writer.h"
#include "common/memory.h"

struct writing {
    uv_loop_t loop;
    struct line_writer *writer;
    unsigned room_times, failed_times, closed_times;
    int error;
    bool inside;
};

static void on_room(void *context)
{
    struct writing *writing = context;
    assert_false(writing->inside);
    writing->room_times++;
}

static void on_failed(void *context, int error)
{
    struct writing *writing = context;
    assert_false(writing->inside);
    writing->failed_times++;
    writing->error = error;
}

static void on_closed(void *context)
{
    struct writing *writing = context;
    assert_false(writing->inside);
    writing->closed_times++;
}

static void start(struct writing *writing, int descriptor)
{
    *writing = (struct writing){0};
    uv_loop_init(&writing->loop);
    const struct line_writer_options options = {
        .descriptor = descriptor,
        .on_room = on_room,
        .on_failed = on_failed,
        .on_closed = on_closed,
        .context = writing,
    };
    writing->writer = line_writer_new(&writing->loop, &options);
}

static bool put(struct writing *writing, const char *line, size_t size)
{
    writing->inside = true;
    bool room = line_writer_put(writing->writer, line, size);
    writing->inside = false;
    return room;
}

static void end(struct writing *writing, void (*how)(struct line_writer *writer))
{
    writing->inside = true;
    how(writing->writer);
    writing->inside = false;
    uv_run(&writing->loop, UV_RUN_DEFAULT);
    assert_int_equal(writing->closed_times, 1);
    assert_int_equal(uv_loop_close(&writing->loop), 0);
}

static void test_lines_are_written_in_order_to_anything(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        int ends[2];
        if (kind == 0)
            assert_int_equal(pipe(ends), 0);
        else if (kind == 1)
            assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        else
            ends[0] = ends[1] = memfd_create("lines", MFD_CLOEXEC);
        int flags = fcntl(ends[1], F_GETFL);
        struct writing writing;
        start(&writing, ends[1]);
        assert_true(put(&writing, "one", 3));
        assert_true(put(&writing, "", 0));
        uv_run(&writing.loop, UV_RUN_NOWAIT);
        assert_true(put(&writing, "three", 5));
        end(&writing, line_writer_close);
        assert_int_equal(fcntl(ends[1], F_GETFL), flags);
        char text[32] = "";
        if (kind == 2)
            lseek(ends[0], 0, SEEK_SET);
        assert_int_equal(read(ends[0], text, sizeof(text) - 1), 11);
        assert_string_equal(text, "one\n\nthree\n");
        assert_int_equal(writing.failed_times, 0);
        close(ends[0]);
        if (kind != 2)
            close(ends[1]);
    }
}

static void read_all(int descriptor, size_t size)
{
    char bytes[65536];
    while (size > 0) {
        ssize_t count = read(descriptor, bytes, size < sizeof(bytes) ? size : sizeof(bytes));
        assert_true(count > 0);
        size -= (size_t)count;
    }
}

/* The loop goes on; the caller is told to stop, and to go on. */
static void test_a_slow_reader(void **state)
{
    (void)state;
    int ends[2];
    char *line = memory_new(50000);
    memset(line, 'x', 50000);
    assert_int_equal(pipe(ends), 0);
    struct writing writing;
    start(&writing, ends[1]);
    size_t bytes = 0;
    bool room = true;
    while (room) {
        assert_true(bytes < 2 * LINE_WRITER_BYTES_FULL);
        room = put(&writing, line, 50000);
        bytes += 50001;
        uv_run(&writing.loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(writing.room_times, 0);
    read_all(ends[0], 50001); /* the first was alone with the pool */
    while (writing.room_times == 0)
        uv_run(&writing.loop, UV_RUN_ONCE);
    assert_true(put(&writing, "last", 4));
    line_writer_close(writing.writer);
    read_all(ends[0], bytes - 50001 - 100);
    end(&writing, line_writer_close);
    read_all(ends[0], 100 + 5);
    close(ends[0]);
    close(ends[1]);
    free(line);
}

static void test_abort_does_not_wait(void **state)
{
    (void)state;
    int ends[2];
    char *line = memory_new(200000);
    assert_int_equal(pipe(ends), 0);
    struct writing writing;
    start(&writing, ends[1]);
    put(&writing, line, 200000); /* more than a pipe takes */
    uv_run(&writing.loop, UV_RUN_NOWAIT);
    line_writer_close(writing.writer);
    end(&writing, line_writer_abort);
    assert_int_equal(writing.failed_times, 0);
    close(ends[0]);
    close(ends[1]);
    free(line);
}

/* Also when nothing is to be written. */
static void test_the_reader_goes(void **state)
{
    (void)state;
    for (int writes = 0; writes < 2; writes++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        struct writing writing;
        start(&writing, ends[1]);
        close(ends[0]);
        if (writes)
            put(&writing, "line", 4);
        while (writing.failed_times == 0)
            uv_run(&writing.loop, UV_RUN_ONCE);
        assert_int_equal(writing.error, EPIPE);
        for (int i = 0; i < 20; i++)
            assert_true(put(&writing, "thrown away", 11));
        end(&writing, line_writer_close);
        assert_int_equal(writing.failed_times, 1);
        close(ends[1]);
    }
}

static void test_a_descriptor_that_cannot_be_written(void **state)
{
    (void)state;
    int descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct writing writing;
    start(&writing, descriptor);
    put(&writing, "line", 4);
    while (writing.failed_times == 0)
        uv_run(&writing.loop, UV_RUN_ONCE);
    assert_int_equal(writing.error, EBADF);
    end(&writing, line_writer_close);
    close(descriptor);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_are_written_in_order_to_anything),
        cmocka_unit_test(test_a_slow_reader),
        cmocka_unit_test(test_abort_does_not_wait),
        cmocka_unit_test(test_the_reader_goes),
        cmocka_unit_test(test_a_descriptor_that_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
