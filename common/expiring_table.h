/*
 * expiring_table: bytes by key, each for its time, in this process. What stands in for Redis where
 * there is none.
 *
 * Invariants: at most entries_max entries and bytes_max bytes of keys and values; at a ceiling the
 * entry that was put longest ago makes way. An entry past its time is never found.
 *
 * Ownership: keys and values are copied. What expiring_table_find gives back belongs to the table,
 * is aligned for any type, and may be changed in place until the next expiring_table_put.
 */
#ifndef COMMON_EXPIRING_TABLE_H
#define COMMON_EXPIRING_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct expiring_table;

struct expiring_table *expiring_table_new(unsigned entries_max, size_t bytes_max);
void expiring_table_free(struct expiring_table *table);

/* In place of what was under the key. An entry that is larger than bytes_max is not kept, and
 * neither is what was there before. */
void expiring_table_put(
    struct expiring_table *table, const char *key, const void *value, size_t size, int64_t keep_us);

/* NULL: nothing. size may be NULL. The value has a NUL behind it. */
void *expiring_table_find(struct expiring_table *table, const char *key, size_t *size);

#endif
