/*
 * text_list: a short list of texts with a ceiling, such as the warnings of one reply. Pure.
 */
#ifndef WORKER_TEXT_LIST_H
#define WORKER_TEXT_LIST_H

#include <stddef.h>

#include "common/json.h"

#define TEXT_LIST_MAX 16
#define TEXT_LIST_TEXT_BYTES_MAX 256

struct text_list {
    char *items[TEXT_LIST_MAX];
    size_t count;
};

/* {0} is an empty list. */
void text_list_release(struct text_list *list);
/* Past the ceiling nothing is added; a long text is cut at a character's boundary. */
void text_list_add(struct text_list *list, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void text_list_put_json(const struct text_list *list, struct json_writer *writer, const char *name);

#endif
