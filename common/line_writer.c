/* line_writer: see the header. */
#include "common/line_writer.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/memory.h"

/* A pipe that is writable takes so much without making the writer wait (PIPE_BUF). */
#define CHUNK_BYTES 4096
/* How long the pool waits before it looks whether it is still wanted. */
#define WAIT_MS 100

struct line_writer {
    uv_loop_t *loop;
    struct line_writer_options options;
    struct buf waiting; /* for its turn */
    struct buf writing; /* the pool's while `busy` */
    bool full;          /* on_room is owed */
    bool closed;
    bool failed;
    uv_work_t work;
    bool busy;           /* work is under way */
    atomic_bool aborted; /* the pool stops waiting */
    int error;           /* the pool's: of errno; 0: all is written */
    uv_timer_t look_timer;
};

/* On the pool's thread: waits until some can be written. False when it is not to wait any more. */
static bool wait_writable(struct line_writer *writer)
{
    struct pollfd output = {.fd = writer->options.descriptor, .events = POLLOUT};
    while (!atomic_load(&writer->aborted)) {
        if (poll(&output, 1, WAIT_MS) > 0)
            return true;
    }
    return poll(&output, 1, 0) > 0;
}

static void write_on_pool(uv_work_t *work)
{
    struct line_writer *writer = work->data;
    const char *data = writer->writing.data;
    size_t left = writer->writing.size;
    while (left > 0 && wait_writable(writer)) {
        ssize_t written =
            write(writer->options.descriptor, data, left < CHUNK_BYTES ? left : CHUNK_BYTES);
        if (written >= 0) {
            data += written;
            left -= (size_t)written;
        } else if (errno != EINTR && errno != EAGAIN) {
            writer->error = errno;
            return;
        }
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct line_writer *writer = handle->data;
    void (*on_closed)(void *context) = writer->options.on_closed;
    void *context = writer->options.context;
    buf_release(&writer->waiting);
    buf_release(&writer->writing);
    free(writer);
    on_closed(context);
}

static void fail(struct line_writer *writer, int error)
{
    buf_reset(&writer->waiting);
    if (writer->failed)
        return;
    writer->failed = true;
    if (!writer->closed)
        writer->options.on_failed(writer->options.context, error);
}

static void on_written(uv_work_t *work, int status);

/* The next step, whatever it is. */
static void go_on(struct line_writer *writer)
{
    if (writer->busy)
        return;
    if (writer->waiting.size > 0) {
        struct buf written = writer->writing;
        writer->writing = writer->waiting;
        writer->waiting = written;
        buf_reset(&writer->waiting);
        writer->work.data = writer;
        writer->busy = true;
        int result = uv_queue_work(writer->loop, &writer->work, write_on_pool, on_written);
        assert(result == 0);
        (void)result;
    } else if (writer->closed && !uv_is_closing((uv_handle_t *)&writer->look_timer)) {
        uv_close((uv_handle_t *)&writer->look_timer, on_timer_closed);
    }
}

static void on_written(uv_work_t *work, int status)
{
    (void)status;
    struct line_writer *writer = work->data;
    writer->busy = false;
    if (writer->error != 0)
        fail(writer, writer->error);
    bool room = writer->full && !writer->failed && !writer->closed;
    writer->full = false;
    go_on(writer);
    if (room)
        writer->options.on_room(writer->options.context);
}

/* A pipe's end that nobody reads any more shows only when it is written to, or asked. */
static void on_look(uv_timer_t *timer)
{
    struct line_writer *writer = timer->data;
    struct pollfd output = {.fd = writer->options.descriptor, .events = 0};
    if (!writer->busy && poll(&output, 1, 0) > 0)
        fail(writer, output.revents & POLLNVAL ? EBADF : EPIPE);
}

bool line_writer_put(struct line_writer *writer, const char *line, size_t size)
{
    assert(!writer->closed && size <= LINE_WRITER_LINE_BYTES_MAX);
    if (writer->failed)
        return true;
    buf_append(&writer->waiting, line, size);
    buf_append_char(&writer->waiting, '\n');
    assert(buf_ok(&writer->waiting));
    writer->full = writer->waiting.size >= LINE_WRITER_BYTES_FULL;
    bool room = !writer->full;
    go_on(writer);
    return room;
}

void line_writer_close(struct line_writer *writer)
{
    if (writer->closed)
        return;
    writer->closed = true;
    go_on(writer);
}

void line_writer_abort(struct line_writer *writer)
{
    atomic_store(&writer->aborted, true);
    buf_reset(&writer->waiting);
    line_writer_close(writer);
}

struct line_writer *line_writer_new(uv_loop_t *loop, const struct line_writer_options *options)
{
    struct line_writer *writer = memory_new(sizeof(*writer));
    writer->loop = loop;
    writer->options = *options;
    /* A caller that heeds on_room is at most one line over. */
    buf_init(&writer->waiting, LINE_WRITER_BYTES_FULL + LINE_WRITER_LINE_BYTES_MAX + 1);
    buf_init(&writer->writing, LINE_WRITER_BYTES_FULL + LINE_WRITER_LINE_BYTES_MAX + 1);
    uv_timer_init(loop, &writer->look_timer);
    writer->look_timer.data = writer;
    uv_timer_start(&writer->look_timer, on_look, LINE_WRITER_LOOK_MS, LINE_WRITER_LOOK_MS);
    return writer;
}
