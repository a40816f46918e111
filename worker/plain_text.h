/*
 * plain_text: text from outside in a line that people read on a terminal. Pure.
 *
 * Control characters (C0, DEL, C1) and what is no UTF-8 become question marks; what is longer than
 * PLAIN_TEXT_BYTES_MAX is cut and ends in an ellipsis.
 */
#ifndef WORKER_PLAIN_TEXT_H
#define WORKER_PLAIN_TEXT_H

#include "common/buf.h"

#define PLAIN_TEXT_BYTES_MAX 200

void plain_text_append(struct buf *text, const char *data, size_t size);
/* In quotes where it could not be told from what follows: when it is empty, or holds blanks or
 * quotes. Quotes and backslashes inside get a backslash before them. */
void plain_text_append_quoted(struct buf *text, const char *data, size_t size);

#endif
