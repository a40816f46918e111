/* session: the links given out; see session.h. */
#include "session.h"

#include <uthash.h>

#include "common/memory.h"

struct entry {
    struct session session;
    UT_hash_handle hh; /* by session.link_id, in order of addition */
};

struct sessions {
    struct entry *table;
};

struct sessions *sessions_new(void)
{
    return memory_new(sizeof(struct sessions));
}

static void drop(struct sessions *sessions, struct entry *entry)
{
    HASH_DEL(sessions->table, entry);
    free(entry->session.reference_id);
    free(entry->session.providers);
    free(entry->session.success_url);
    free(entry->session.failure_url);
    free(entry);
}

void sessions_free(struct sessions *sessions)
{
    while (sessions->table != NULL)
        drop(sessions, sessions->table);
    free(sessions);
}

const struct session *sessions_add(struct sessions *sessions, const char *reference_id,
    const char *providers, const char *success_url, const char *failure_url,
    int64_t expires_wall_us)
{
    if (HASH_COUNT(sessions->table) >= SESSIONS_MAX)
        drop(sessions, sessions->table);
    struct entry *entry = memory_new(sizeof(*entry));
    struct session *session = &entry->session;
    uuid_make(session->link_id);
    uuid_make(session->session_id);
    uuid_make(session->user_id);
    session->reference_id = memory_copy_text(reference_id);
    session->providers = memory_copy_text(providers);
    session->success_url = memory_copy_text(success_url);
    session->failure_url = memory_copy_text(failure_url);
    session->expires_wall_us = expires_wall_us;
    HASH_ADD_STR(sessions->table, session.link_id, entry);
    return session;
}

const struct session *sessions_find(const struct sessions *sessions, const char *link_id)
{
    struct entry *entry;
    HASH_FIND_STR(sessions->table, link_id, entry);
    return entry != NULL ? &entry->session : NULL;
}
