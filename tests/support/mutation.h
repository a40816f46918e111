/*
 * mutation: spoils valid JSON a little, the same way on every machine, for tests that ask whether a
 * decoder survives it. Bytes change, runs are cut out or doubled, pieces of JSON appear anywhere.
 */
#ifndef TESTS_SUPPORT_MUTATION_H
#define TESTS_SUPPORT_MUTATION_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct mutation {
    uint64_t seed;
};

static inline void mutation_init(struct mutation *mutation, uint64_t seed)
{
    mutation->seed = seed; /* not 0 */
}

/* 0..below-1, by xorshift64. */
static inline size_t mutation_random(struct mutation *mutation, size_t below)
{
    mutation->seed ^= mutation->seed << 13;
    mutation->seed ^= mutation->seed >> 7;
    mutation->seed ^= mutation->seed << 17;
    return (size_t)(mutation->seed % below);
}

/* Makes room for `count` bytes at `at`; the size afterwards, unchanged when there is no room. */
static inline size_t mutation_open(
    char *bytes, size_t size, size_t capacity, size_t at, size_t count)
{
    if (size + count > capacity)
        return size;
    memmove(bytes + at + count, bytes + at, size - at);
    return size + count;
}

static inline size_t mutation_insert_piece(
    struct mutation *mutation, char *bytes, size_t size, size_t capacity, size_t at)
{
    static const char *const pieces[] = {"\"", "{", "}", "[", "]", ":", ",", "null", "true",
        "1e309", "-", "\\", "\\u0000", "\\ud83d", "\xff", "\xc3", "\"reference_id\"",
        "\"provider\""};
    const char *piece = pieces[mutation_random(mutation, sizeof(pieces) / sizeof(pieces[0]))];
    size_t grown = mutation_open(bytes, size, capacity, at, strlen(piece));
    if (grown > size)
        memcpy(bytes + at, piece, strlen(piece));
    return grown;
}

/* One edit in place; the size afterwards, at most capacity. */
static inline size_t mutation_apply(
    struct mutation *mutation, char *bytes, size_t size, size_t capacity)
{
    if (size == 0)
        return mutation_insert_piece(mutation, bytes, size, capacity, 0);
    size_t at = mutation_random(mutation, size);
    size_t count = 1 + mutation_random(mutation, size - at);
    switch (mutation_random(mutation, 5)) {
    case 0:
        bytes[at] = (char)mutation_random(mutation, 256);
        return size;
    case 1: /* cut out a little */
        count = count < 8 ? count : 8;
        memmove(bytes + at, bytes + at + count, size - at - count);
        return size - count;
    case 2: /* cut off the rest, seldom */
        return mutation_random(mutation, 8) ? size : at;
    case 3: /* double a run */
        return mutation_open(bytes, size, capacity, at, count);
    default:
        return mutation_insert_piece(mutation, bytes, size, capacity, at);
    }
}

#endif
