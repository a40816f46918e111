/* session: the links given out; see session.h. */
#include "session.h"

#include <uthash.h>

#include "common/memory.h"
#include "common/text.h"

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
    free(entry->session.environment);
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

struct session *sessions_add(struct sessions *sessions, const struct session_terms *terms)
{
    if (HASH_COUNT(sessions->table) >= SESSIONS_MAX)
        drop(sessions, sessions->table);
    struct entry *entry = memory_new(sizeof(*entry));
    struct session *session = &entry->session;
    uuid_make(session->link_id);
    uuid_make(session->session_id);
    uuid_make(session->user_id);
    session->widget = terms->widget;
    session->environment = memory_copy_text(terms->environment);
    session->reference_id = memory_copy_text(terms->reference_id);
    session->providers = memory_copy_text(terms->providers);
    session->success_url = memory_copy_text(terms->success_url);
    session->failure_url = memory_copy_text(terms->failure_url);
    session->expires_wall_us = terms->expires_wall_us;
    HASH_ADD_STR(sessions->table, session.link_id, entry);
    return session;
}

struct session *sessions_find(const struct sessions *sessions, const char *link_id)
{
    struct entry *entry;
    HASH_FIND_STR(sessions->table, link_id, entry);
    return entry != NULL ? &entry->session : NULL;
}

struct session *sessions_search(const struct sessions *sessions, const char *session_id,
    const char *user_id, const char *reference_id)
{
    struct session *found = NULL;
    for (struct entry *entry = sessions->table; entry != NULL; entry = entry->hh.next) {
        struct session *session = &entry->session;
        if ((session_id == NULL || text_equal(session->session_id, session_id)) &&
            (user_id == NULL || text_equal(session->user_id, user_id)) &&
            (reference_id == NULL || text_equal(session->reference_id, reference_id)))
            found = session;
    }
    return found;
}
