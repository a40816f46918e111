/* expiring_table: see expiring_table.h. */
#include "common/expiring_table.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>
#include <utlist.h>

#include "common/clock.h"
#include "common/memory.h"

struct entry {
    void *value; /* size bytes and a NUL */
    char *key;
    size_t size;
    int64_t expires_us; /* monotonic */
    struct entry *previous, *next;
    UT_hash_handle hh;
};

struct expiring_table {
    struct entry *by_key;
    struct entry *by_age; /* put longest ago first */
    unsigned entries_max;
    size_t bytes, bytes_max;
};

static size_t bytes_of(const struct entry *entry)
{
    return entry->size + strlen(entry->key);
}

static void drop(struct expiring_table *table, struct entry *entry)
{
    HASH_DEL(table->by_key, entry);
    DL_DELETE2(table->by_age, entry, previous, next);
    table->bytes -= bytes_of(entry);
    free(entry->value);
    free(entry->key);
    free(entry);
}

static struct entry *find_entry(struct expiring_table *table, const char *key)
{
    struct entry *entry;
    HASH_FIND_STR(table->by_key, key, entry);
    return entry;
}

/* Where all are kept equally long, the expired ones are at the old end; others go when they are
 * asked for, or at the ceiling. */
static void make_way(struct expiring_table *table)
{
    int64_t now_us = clock_monotonic_us();
    while (table->by_age &&
           (table->by_age->expires_us <= now_us || HASH_COUNT(table->by_key) > table->entries_max ||
               table->bytes > table->bytes_max))
        drop(table, table->by_age);
}

void expiring_table_put(
    struct expiring_table *table, const char *key, const void *value, size_t size, int64_t keep_us)
{
    struct entry *before = find_entry(table, key);
    if (before)
        drop(table, before);
    if (size > table->bytes_max || strlen(key) > table->bytes_max - size)
        return;
    struct entry *entry = memory_new(sizeof *entry);
    entry->key = memory_copy_text(key);
    entry->value = memory_copy(value, size);
    entry->size = size;
    entry->expires_us = clock_monotonic_us() + keep_us;
    HASH_ADD_KEYPTR(hh, table->by_key, entry->key, strlen(entry->key), entry);
    DL_APPEND2(table->by_age, entry, previous, next);
    table->bytes += bytes_of(entry);
    make_way(table);
}

void *expiring_table_find(struct expiring_table *table, const char *key, size_t *size)
{
    struct entry *entry = find_entry(table, key);
    if (!entry)
        return NULL;
    if (entry->expires_us <= clock_monotonic_us()) {
        drop(table, entry);
        return NULL;
    }
    if (size)
        *size = entry->size;
    return entry->value;
}

struct expiring_table *expiring_table_new(unsigned entries_max, size_t bytes_max)
{
    struct expiring_table *table = memory_new(sizeof *table);
    table->entries_max = entries_max;
    table->bytes_max = bytes_max;
    return table;
}

void expiring_table_free(struct expiring_table *table)
{
    if (!table)
        return;
    while (table->by_age)
        drop(table, table->by_age);
    free(table);
}
