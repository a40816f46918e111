/*
 * line_reader: the lines of a descriptor, on a libuv loop. Any kind will do: a pipe, a terminal, a
 * socket, a plain file, /dev/null.
 *
 * A line ends with a newline, which is not part of it; the last one may lack it. A line of more
 * than bytes_max bytes is passed over and told of by on_too_long. Between line_reader_pause and
 * line_reader_continue nothing is told, and no more is read than what one line may need.
 *
 * Callbacks come on the loop's thread, none inside a call of this interface. on_end is the last
 * one before on_closed.
 *
 * The descriptor belongs to the caller and stays as it is: its flags are not changed, since other
 * processes may share them. Whoever else reads from it at the same time may make us wait.
 *
 * Life cycle: line_reader_new; line_reader_close, then on_closed and the reader is gone.
 */
#ifndef COMMON_LINE_READER_H
#define COMMON_LINE_READER_H

#include <stddef.h>
#include <uv.h>

struct line_reader;

struct line_reader_options {
    int descriptor;
    size_t bytes_max; /* of a line */
    /* `line` is valid during the call, and not NUL-terminated. */
    void (*on_line)(void *context, const char *line, size_t size);
    void (*on_too_long)(void *context);
    /* reason: NULL at the end of the input, else why reading failed. */
    void (*on_end)(void *context, const char *reason);
    void (*on_closed)(void *context);
    void *context;
};

struct line_reader *line_reader_new(uv_loop_t *loop, const struct line_reader_options *options);
void line_reader_close(struct line_reader *reader);

void line_reader_pause(struct line_reader *reader);
void line_reader_continue(struct line_reader *reader);

#endif
