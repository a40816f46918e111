#include "common/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* No stdio here: it may allocate. */
static void *checked(void *memory)
{
    static const char line[] = "out of memory\n";

    if (memory == NULL) {
        ssize_t written = write(STDERR_FILENO, line, sizeof(line) - 1);
        (void)written;
        abort();
    }
    return memory;
}

/* One byte at least: the C library may answer NULL to a size of 0, which is no failure. */
static size_t at_least_one(size_t size)
{
    return size > 0 ? size : 1;
}

void *memory_new(size_t size)
{
    return checked(calloc(1, at_least_one(size)));
}

void *memory_resize(void *memory, size_t size)
{
    return checked(realloc(memory, at_least_one(size)));
}

void *memory_copy(const void *data, size_t size)
{
    char *copy = checked(size < SIZE_MAX ? malloc(size + 1) : NULL);

    if (size > 0)
        memcpy(copy, data, size);
    copy[size] = '\0';
    return copy;
}

char *memory_copy_text(const char *text)
{
    return text != NULL ? memory_copy(text, strlen(text)) : NULL;
}
