/*
 * terra_link: a link that Terra gave: what it is, how it is read out of an
 * answer, when it ends. Pure.
 *
 * Where a link leads is checked strictly: an https host without user info; the rest is the
 * provider's own and only has to be printable ASCII without blanks, ", \, < and >. Everything else
 * about it may be missing or odd: no id, no expiry, warnings that are no texts.
 */
#ifndef WORKER_TERRA_LINK_H
#define WORKER_TERRA_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/json.h"
#include "worker/text_list.h"

#define TERRA_LINK_BYTES_MAX 4096
#define TERRA_ID_BYTES_MAX 256
#define TERRA_LINK_SECONDS_MAX (366 * 86400)

/* All texts owned; {0} holds nothing. */
struct terra_link {
    bool widget;               /* url and session_id; else auth_url and user_id */
    char *link;                /* a bearer secret; at most TERRA_LINK_BYTES_MAX */
    char *id;                  /* session_id or user_id; NULL when Terra left it out */
    int64_t expires_wall_us;   /* 0: unknown */
    struct text_list warnings; /* Terra's own, cleaned by terra_words.h */
};

/* Fills in `link` from Terra's JSON object; false when it holds no link that can be given
 * away, and then `link` is untouched. expires_in counts from called_wall_us; one that is no
 * positive number says nothing. */
bool terra_link_read(
    struct terra_link *link, const json_value *answer, bool widget, int64_t called_wall_us);

/* `to` holds nothing yet. */
void terra_link_copy(struct terra_link *to, const struct terra_link *from);
void terra_link_release(struct terra_link *link);

#endif
