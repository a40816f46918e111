/* terra_link: see terra_link.h. */
#include "worker/terra_link.h"

#include <strings.h>

#include "common/clock.h"
#include "common/memory.h"
#include "common/text.h"
#include "common/url.h"
#include "worker/terra_words.h"

enum { AUTHORITY_SIZE = 320 };

/* Printable ASCII without blanks, and none of the others. */
static bool is_plain(const char *text, const char *others)
{
    for (; *text; text++)
        if (*text <= ' ' || *text >= 0x7f || strchr(others, *text))
            return false;
    return true;
}

static bool is_https_link(const char *text)
{
    static const char scheme[] = "https://";
    const size_t scheme_size = sizeof scheme - 1;
    char authority[AUTHORITY_SIZE];
    struct url url;
    if (strncasecmp(text, scheme, scheme_size) != 0 || strlen(text) > TERRA_LINK_BYTES_MAX ||
        !is_plain(text, "\"\\<>"))
        return false;
    size_t size = scheme_size + strcspn(text + scheme_size, "/?#");
    if (size >= sizeof authority)
        return false;
    memcpy(authority, text, size);
    authority[size] = '\0';
    return url_parse(authority, &url) && url.host[0] && !url.has_userinfo;
}

/* An id is opaque, but never something that could be a link. */
static bool is_id(const char *text)
{
    return *text && strlen(text) <= TERRA_ID_BYTES_MAX && is_plain(text, "\"\\<>/");
}

static int64_t read_expiry(const json_value *answer, int64_t called_wall_us)
{
    double seconds;
    /* Nobody can have a link that ended before it was made: as good as nothing said. */
    if (json_get_number(answer, "expires_in", &seconds) != JSON_FOUND || !(seconds > 0))
        return 0;
    if (seconds > TERRA_LINK_SECONDS_MAX)
        seconds = TERRA_LINK_SECONDS_MAX;
    return called_wall_us + (int64_t)(seconds * (double)CLOCK_US_PER_SECOND);
}

static void read_warnings(struct text_list *list, const json_value *answer)
{
    const json_value *warnings;
    char warning[TEXT_LIST_TEXT_BYTES_MAX + 1];
    if (json_get_array(answer, "warnings", &warnings) != JSON_FOUND)
        return;
    for (const json_value *item = json_first(warnings); item && list->count < TEXT_LIST_MAX;
         item = json_next(item)) {
        if (!json_is_string(item))
            continue;
        terra_words_clean(warning, sizeof warning, json_text(item));
        if (warning[0])
            text_list_add(list, "%s", warning);
    }
}

bool terra_link_read(
    struct terra_link *link, const json_value *answer, bool widget, int64_t called_wall_us)
{
    const char *text, *id;
    if (!json_is_object(answer) ||
        json_get_text(answer, widget ? "url" : "auth_url", &text) != JSON_FOUND ||
        !is_https_link(text))
        return false;
    *link = (struct terra_link){
        .widget = widget,
        .link = memory_copy_text(text),
        .expires_wall_us = read_expiry(answer, called_wall_us),
    };
    if (json_get_text(answer, widget ? "session_id" : "user_id", &id) == JSON_FOUND && is_id(id))
        link->id = memory_copy_text(id);
    read_warnings(&link->warnings, answer);
    return true;
}

void terra_link_copy(struct terra_link *to, const struct terra_link *from)
{
    *to = (struct terra_link){
        .widget = from->widget,
        .link = memory_copy_text(from->link),
        .id = memory_copy_text(from->id),
        .expires_wall_us = from->expires_wall_us,
    };
    for (size_t i = 0; i < from->warnings.count; i++)
        text_list_add(&to->warnings, "%s", from->warnings.items[i]);
}

void terra_link_release(struct terra_link *link)
{
    free(link->link);
    free(link->id);
    text_list_release(&link->warnings);
    *link = (struct terra_link){0};
}
