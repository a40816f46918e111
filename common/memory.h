/*
 * memory: allocation that cannot fail. Out of memory ends the process with a line on stderr: all
 * input is bounded, so it is the machine that is at fault, and Kafka delivers again.
 */
#ifndef COMMON_MEMORY_H
#define COMMON_MEMORY_H

#include <stddef.h>

void *memory_new(size_t size); /* zeroed; free() */
void *memory_resize(void *memory, size_t size);
void *memory_copy(const void *data, size_t size); /* with a NUL behind; free() */
char *memory_copy_text(const char *text);         /* NULL gives NULL; free() */

#endif
