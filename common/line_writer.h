/*
 * line_writer: lines onto a descriptor, from a libuv loop that is never kept waiting by whoever
 * reads them. Any kind will do: a pipe, a terminal, a socket, a plain file.
 *
 * Lines are kept here and written by libuv's thread pool, whole and in order. line_writer_put takes
 * every line; when it says that there are many (LINE_WRITER_BYTES_FULL) the caller shall stop until
 * on_room. That the reader has gone is noticed within LINE_WRITER_LOOK_MS, also when there is
 * nothing to write.
 *
 * Callbacks come on the loop's thread, none inside a call of this interface.
 *
 * The descriptor belongs to the caller and stays as it is: its flags are not changed, since other
 * processes may share them.
 *
 * Life cycle: line_writer_new; line_writer_close, which writes what there is first, for as long as
 * that takes, or line_writer_abort, which lets go of what is not yet being written (also after
 * line_writer_close); then on_closed and the writer is gone.
 */
#ifndef COMMON_LINE_WRITER_H
#define COMMON_LINE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#define LINE_WRITER_BYTES_FULL ((size_t)256 * 1024)
#define LINE_WRITER_LINE_BYTES_MAX ((size_t)32 * 1024 * 1024)
#define LINE_WRITER_LOOK_MS 500

struct line_writer;

struct line_writer_options {
    int descriptor;
    void (*on_room)(void *context);
    /* Nothing more can be written; what comes later is thrown away. error: of errno(3); EPIPE when
     * the reader has gone. At most once. */
    void (*on_failed)(void *context, int error);
    void (*on_closed)(void *context);
    void *context;
};

struct line_writer *line_writer_new(uv_loop_t *loop, const struct line_writer_options *options);
void line_writer_close(struct line_writer *writer);
void line_writer_abort(struct line_writer *writer);

/* The line without its newline, at most LINE_WRITER_LINE_BYTES_MAX. False: on_room will come. */
bool line_writer_put(struct line_writer *writer, const char *line, size_t size);

#endif
