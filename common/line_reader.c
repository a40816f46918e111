/*
 * line_reader: see the header.
 *
 * Either a turn is taken (the idle handle is active) or bytes are being read, never both. What
 * epoll can watch is read when there is something; plain files and the like, which it refuses, are
 * read on the thread pool.
 */
#include "common/line_reader.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

#include "common/memory.h"

#define LINES_PER_TURN 64
#define READ_BYTES_MIN (64 * 1024)

struct line_reader {
    uv_loop_t *loop;
    struct line_reader_options options;

    char *data; /* what is read and not yet told: from `begin` to `end` */
    size_t begin, end, capacity;
    size_t searched; /* no newline from `begin` up to here */
    bool too_long;   /* in a line that is passed over */

    bool paused;
    bool reading;
    bool ended; /* nothing more can be read; the reason is `error` */
    bool told;  /* on_end has been called */
    bool closed;
    int error; /* of libuv; 0: the end of the input */

    bool watched; /* by epoll; `poll` is in use */
    uv_poll_t poll;
    uv_fs_t file_read;
    uv_idle_t idle;
    unsigned handles_open;
};

static void take_turn(uv_idle_t *idle);

static void plan_turn(struct line_reader *reader)
{
    if (!reader->closed && !reader->reading && !reader->paused && !reader->told)
        uv_idle_start(&reader->idle, take_turn);
}

/* Reading. */

static void on_handle_closed(uv_handle_t *handle);

static void close_handles(struct line_reader *reader)
{
    uv_close((uv_handle_t *)&reader->idle, on_handle_closed);
    if (reader->watched)
        uv_close((uv_handle_t *)&reader->poll, on_handle_closed);
}

/* `count` is what was read, 0 at the end, or an error of libuv. */
static void take_bytes(struct line_reader *reader, ssize_t count)
{
    if (count > 0) {
        reader->end += (size_t)count;
    } else if (count != UV_EAGAIN && count != UV_EINTR) {
        reader->ended = true;
        reader->error = (int)count;
    }
    plan_turn(reader);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)events;
    struct line_reader *reader = poll->data;
    uv_poll_stop(poll);
    reader->reading = false;
    if (status < 0) {
        take_bytes(reader, status);
        return;
    }
    /* Does not wait: there is something to read, or the end. */
    ssize_t count = read(
        reader->options.descriptor, reader->data + reader->end, reader->capacity - reader->end);
    take_bytes(reader, count < 0 ? uv_translate_sys_error(errno) : count);
}

static void on_file_read(uv_fs_t *request)
{
    struct line_reader *reader = request->data;
    ssize_t count = request->result;
    uv_fs_req_cleanup(request);
    reader->reading = false;
    if (reader->closed)
        close_handles(reader);
    else
        take_bytes(reader, count);
}

static void start_reading(struct line_reader *reader)
{
    /* There is room for the longest line and the newline that ends it. */
    memmove(reader->data, reader->data + reader->begin, reader->end - reader->begin);
    reader->searched -= reader->begin;
    reader->end -= reader->begin;
    reader->begin = 0;
    assert(reader->end < reader->capacity);
    reader->reading = true;
    if (reader->watched) {
        uv_poll_start(&reader->poll, UV_READABLE, on_readable);
        return;
    }
    uv_buf_t room =
        uv_buf_init(reader->data + reader->end, (unsigned)(reader->capacity - reader->end));
    reader->file_read.data = reader;
    int result = uv_fs_read(
        reader->loop, &reader->file_read, reader->options.descriptor, &room, 1, -1, on_file_read);
    assert(result == 0);
    (void)result;
}

/* Lines. */

static void tell_line(struct line_reader *reader, size_t size)
{
    const char *line = reader->data + reader->begin;
    bool too_long = reader->too_long || size > reader->options.bytes_max;
    reader->begin += size;
    reader->too_long = false;
    if (too_long)
        reader->options.on_too_long(reader->options.context);
    else
        reader->options.on_line(reader->options.context, line, size);
}

/* Tells of one line; false when there is none. */
static bool take_line(struct line_reader *reader)
{
    size_t left = reader->end - reader->searched;
    char *newline = left > 0 ? memchr(reader->data + reader->searched, '\n', left) : NULL;
    if (newline) {
        size_t size = (size_t)(newline - reader->data) - reader->begin;
        /* The newline is passed over first: the callee may close the reader. */
        reader->searched = (size_t)(newline - reader->data) + 1;
        tell_line(reader, size);
        reader->begin = reader->searched;
        return true;
    }
    reader->searched = reader->end;
    if (reader->end - reader->begin > reader->options.bytes_max) {
        reader->too_long = true;
        reader->begin = reader->end;
    }
    if (!reader->ended || (reader->begin == reader->end && !reader->too_long))
        return false;
    tell_line(reader, reader->end - reader->begin);
    return true;
}

static void tell_end(struct line_reader *reader)
{
    reader->told = true;
    reader->options.on_end(
        reader->options.context, reader->error ? uv_strerror(reader->error) : NULL);
}

static void take_turn(uv_idle_t *idle)
{
    struct line_reader *reader = idle->data;
    for (unsigned taken = 0; taken < LINES_PER_TURN; taken++) {
        if (take_line(reader)) {
            if (reader->closed)
                return;
            if (!reader->paused)
                continue;
            uv_idle_stop(idle);
            return;
        }
        uv_idle_stop(idle);
        if (reader->ended)
            tell_end(reader);
        else
            start_reading(reader);
        return;
    }
}

void line_reader_pause(struct line_reader *reader)
{
    reader->paused = true;
    if (!reader->closed)
        uv_idle_stop(&reader->idle);
}

void line_reader_continue(struct line_reader *reader)
{
    reader->paused = false;
    plan_turn(reader);
}

/* The beginning and the end. */

static void on_handle_closed(uv_handle_t *handle)
{
    struct line_reader *reader = handle->data;
    if (--reader->handles_open > 0)
        return;
    void (*on_closed)(void *context) = reader->options.on_closed;
    void *context = reader->options.context;
    free(reader->data);
    free(reader);
    on_closed(context);
}

void line_reader_close(struct line_reader *reader)
{
    if (reader->closed)
        return;
    reader->closed = true;
    /* The pool writes to our memory until it has called back. */
    if (reader->watched || !reader->reading)
        close_handles(reader);
}

static void watch(struct line_reader *reader)
{
    int descriptor = reader->options.descriptor;
    int flags = fcntl(descriptor, F_GETFL);
    reader->watched = uv_poll_init(reader->loop, &reader->poll, descriptor) == 0;
    if (!reader->watched)
        return;
    reader->poll.data = reader;
    reader->handles_open++;
    /* libuv has made it non-blocking, for everybody who shares it, and for good if we are killed;
     * one read per notice does not need that. */
    fcntl(descriptor, F_SETFL, flags);
}

struct line_reader *line_reader_new(uv_loop_t *loop, const struct line_reader_options *options)
{
    struct line_reader *reader = memory_new(sizeof(*reader));
    reader->loop = loop;
    reader->options = *options;
    reader->capacity = options->bytes_max + 1 + READ_BYTES_MIN;
    reader->data = memory_new(reader->capacity);
    uv_idle_init(loop, &reader->idle);
    reader->idle.data = reader;
    reader->handles_open = 1;
    watch(reader);
    plan_turn(reader);
    return reader;
}
