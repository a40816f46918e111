/* text_list: see text_list.h. */
#include "worker/text_list.h"

#include <stdarg.h>

#include "common/memory.h"
#include "common/utf8.h"

void text_list_release(struct text_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    list->count = 0;
}

void text_list_add(struct text_list *list, const char *format, ...)
{
    if (list->count == TEXT_LIST_MAX)
        return;
    char text[TEXT_LIST_TEXT_BYTES_MAX + 1];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (size > TEXT_LIST_TEXT_BYTES_MAX)
        text[utf8_valid_prefix(text, TEXT_LIST_TEXT_BYTES_MAX)] = '\0';
    list->items[list->count++] = memory_copy_text(text);
}

void text_list_put_json(const struct text_list *list, struct json_writer *writer, const char *name)
{
    json_open_array(writer, name);
    for (size_t i = 0; i < list->count; i++)
        json_put_text(writer, NULL, list->items[i]);
    json_close_array(writer);
}
