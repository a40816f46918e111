/*
 * fuzz: what the fuzz targets share. An input is a text and, behind its first NUL byte, whatever
 * else the target wants to know; so every example of schemas/ is an input as it stands.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* libFuzzer calls it with one input after the other. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold for every input. */
static inline void require(bool condition)
{
    if (!condition)
        abort();
}

static inline size_t text_size_of(const uint8_t *data, size_t size)
{
    const uint8_t *end = size > 0 ? memchr(data, '\0', size) : NULL;
    return end ? (size_t)(end - data) : size;
}

#endif
