/* terra_page: what a person sees who opens a link: a plain page with the way on; see terra.h. */
#include "common/clock.h"
#include "common/text.h"
#include "provider.h"
#include "terra_parts.h"

static void put_escaped(struct buf *buf, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '<':
            buf_append_text(buf, "&lt;");
            break;
        case '>':
            buf_append_text(buf, "&gt;");
            break;
        case '&':
            buf_append_text(buf, "&amp;");
            break;
        case '"':
            buf_append_text(buf, "&quot;");
            break;
        default:
            buf_append_char(buf, *text);
        }
    }
}

static void put_percent(struct buf *buf, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            strchr("-._~", c) != NULL)
            buf_append_char(buf, (char)c);
        else
            buf_printf(buf, "%%%02X", c);
    }
}

static void page_begin(struct answer *answer, unsigned status, const char *title)
{
    answer_begin(answer, status, "text/html; charset=utf-8");
    answer_put_header(answer, "Cache-Control", "no-store");
    buf_printf(&answer->body,
        "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n"
        "<meta name=viewport content=\"width=device-width\">\n<title>%s</title>\n"
        "<style>body{font:1rem/1.5 sans-serif;max-width:36rem;margin:2rem auto;padding:0 1rem}"
        "</style>\n<h1>%s</h1>\n<p>This is the sandbox, not Terra: nothing is connected "
        "here.</p>\n",
        title, title);
}

static void page_failure(struct answer *answer, unsigned status, const char *title)
{
    page_begin(answer, status, title);
    buf_append_text(&answer->body, "<p>Ask for a new link.</p>\n");
}

/* Terra's redirect: its parameters behind those that are there. Only addresses a browser may follow
 * from a page become links. */
static void put_way(struct buf *buf, const struct session *session, const char *url,
    const char *provider, const char *label)
{
    if (url == NULL || (!text_starts_with(url, "https://") && !text_starts_with(url, "http://")))
        return;
    buf_append_text(buf, "<li><a href=\"");
    put_escaped(buf, url);
    buf_append_text(buf, strchr(url, '?') != NULL ? "&amp;" : "?");
    buf_printf(buf, "user_id=%s&amp;reference_id=", session->user_id);
    put_percent(buf, session->reference_id != NULL ? session->reference_id : "null");
    buf_printf(buf, "&amp;resource=%s\">%s: %s</a>\n", provider, provider, label);
}

static bool offered(const struct session *session, const struct provider *provider)
{
    const char *list = session->providers;
    if (text_empty(list) || text_equal(list, "ALL"))
        return provider->kind == PROVIDER_WEB;
    for (;;) {
        size_t size = strcspn(list, ",");
        if (provider_find(list, size) == provider)
            return true;
        if (list[size] == '\0')
            return false;
        list += size + 1;
    }
}

static void put_session_page(struct answer *answer, const struct session *session)
{
    page_begin(answer, 200, "Connect a device");
    struct buf *body = &answer->body;
    if (session->reference_id != NULL) {
        buf_append_text(body, "<p>Reference id: <code>");
        put_escaped(body, session->reference_id);
        buf_append_text(body, "</code></p>\n");
    }
    buf_append_text(body, "<p>Offered:</p>\n<ul>\n");
    for (size_t i = 0; i < provider_count; i++) {
        const struct provider *provider = &providers[i];
        if (!offered(session, provider))
            continue;
        buf_printf(body, "<li>%s <code>%s</code>\n", provider->title, provider->name);
        if (session->success_url == NULL && session->failure_url == NULL)
            continue;
        buf_append_text(body, "<ul>\n");
        put_way(body, session, session->success_url, provider->name, "go on as connected");
        put_way(body, session, session->failure_url, provider->name, "go on as failed");
        buf_append_text(body, "</ul>\n");
    }
    buf_append_text(body, "</ul>\n");
}

/* /session/<uuid> of a widget; /oauth/<provider>?state=<uuid> of a direct link. */
void terra_page(struct terra_turn *turn)
{
    const char *link_id = text_starts_with(turn->request->path, "/session/")
                              ? turn->request->path + strlen("/session/")
                              : request_query(turn->request, "state");
    const struct session *session =
        link_id != NULL ? sessions_find(turn->terra->sessions, link_id) : NULL;
    if (session == NULL) {
        page_failure(turn->answer, 404, "This link is not known");
        return;
    }
    if (session->reference_id != NULL)
        snprintf(turn->call->reference_id, sizeof(turn->call->reference_id), "%s",
            session->reference_id);
    if (session->expires_wall_us < clock_wall_us()) {
        page_failure(turn->answer, 410, "This link has expired");
        return;
    }
    put_session_page(turn->answer, session);
}
