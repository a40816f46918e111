/* key_queue: see key_queue.h. */
#include "worker/key_queue.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>
#include <utlist.h>

#include "common/memory.h"

struct key_queue_entry {
    void *key;
    struct key_queue_ticket *tickets;
    UT_hash_handle hh;
};

bool key_queue_join(
    struct key_queue *queue, struct key_queue_ticket *ticket, const void *key, size_t key_size)
{
    struct key_queue_entry *entry;
    HASH_FIND(hh, queue->entries, key, key_size, entry);
    if (!entry) {
        entry = memory_new(sizeof *entry);
        entry->key = memory_new(key_size + 1);
        memcpy(entry->key, key, key_size);
        HASH_ADD_KEYPTR(hh, queue->entries, entry->key, key_size, entry);
    }
    ticket->entry = entry;
    DL_APPEND2(entry->tickets, ticket, previous, next);
    return entry->tickets == ticket;
}

struct key_queue_ticket *key_queue_leave(struct key_queue *queue, struct key_queue_ticket *ticket)
{
    struct key_queue_entry *entry = ticket->entry;
    if (!entry)
        return NULL;
    bool was_first = entry->tickets == ticket;
    ticket->entry = NULL;
    DL_DELETE2(entry->tickets, ticket, previous, next);
    struct key_queue_ticket *first = entry->tickets;
    if (!first) {
        HASH_DEL(queue->entries, entry);
        free(entry->key);
        free(entry);
    }
    return was_first ? first : NULL;
}
