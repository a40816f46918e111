/* terra_page: what a person sees who opens a link: the providers, with a button each to connect and
 * to cancel; see terra.h. */
#include "common/clock.h"
#include "common/text.h"
#include "connection.h"
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
        "form{display:inline}</style>\n<h1>%s</h1>\n<p>This is the sandbox, not Terra: no device "
        "is connected here.</p>\n",
        title, title);
}

static void page_failure(struct answer *answer, unsigned status, const char *title)
{
    page_begin(answer, status, title);
    buf_append_text(&answer->body, "<p>Ask for a new link.</p>\n");
}

/* An address that a browser may be sent to from a page; an app's deep link is not for it. */
static bool leads_on(const char *url)
{
    return url != NULL && (text_starts_with(url, "https://") || text_starts_with(url, "http://"));
}

/* Terra's redirect: its parameters behind those that are there. */
static void put_way(struct buf *buf, const struct session *session, const char *url,
    const char *user_id, const char *provider)
{
    buf_append_text(buf, url);
    buf_printf(buf, "%suser_id=", strchr(url, '?') != NULL ? "&" : "?");
    put_percent(buf, user_id);
    buf_append_text(buf, "&reference_id=");
    put_percent(buf, session->reference_id != NULL ? session->reference_id : "null");
    buf_printf(buf, "&resource=%s", provider);
}

/* The query of the form's address says which button it was; a form needs no other field. */
static void put_button(struct buf *buf, const struct session *session,
    const struct provider *provider, const char *action, const char *label)
{
    if (session->widget)
        buf_printf(buf, "<form method=post action=\"/session/%s?", session->link_id);
    else
        buf_printf(buf, "<form method=post action=\"/oauth/%s?state=%s&amp;", provider->name,
            session->link_id);
    buf_printf(
        buf, "do=%s&amp;provider=%s\"><button>%s</button></form>\n", action, provider->name, label);
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
        if (!connection_offered(session, provider))
            continue;
        buf_printf(body, "<li>%s <code>%s</code>\n", provider->title, provider->name);
        put_button(body, session, provider, "complete", "Connect");
        put_button(body, session, provider, "cancel", "Cancel");
    }
    buf_append_text(body, "</ul>\n");
}

/* On to the address that came with the request for the link, else a page that says what
 * happened. */
static void put_outcome(struct terra_turn *turn, const struct session *session, bool completed,
    const char *user_id, const char *provider)
{
    const char *url = completed ? session->success_url : session->failure_url;
    page_begin(turn->answer, leads_on(url) ? 303 : 200, completed ? "Connected" : "Cancelled");
    buf_append_text(&turn->answer->body, "<p>You can close this page.</p>\n");
    if (!leads_on(url))
        return;
    struct buf way;
    buf_init(&way, REQUEST_BODY_BYTES_MAX);
    put_way(&way, session, url, user_id, provider);
    answer_put_header(turn->answer, "Location", buf_text(&way));
    buf_release(&way);
}

/* A button was pressed. */
static void act(struct terra_turn *turn, struct session *session)
{
    const char *action = request_query(turn->request, "do");
    const char *name = request_query(turn->request, "provider");
    const struct provider *provider = name != NULL ? provider_find(name, strlen(name)) : NULL;
    bool completes = text_equal(action, "complete");
    if (provider == NULL || (!completes && !text_equal(action, "cancel"))) {
        page_failure(turn->answer, 400, "This page has no such button");
        return;
    }
    struct event_script script;
    event_script_init(&script);
    script.texts[EVENT_PROVIDER] = provider->name;
    struct connection_change change;
    char error[CONNECTION_ERROR_SIZE];
    enum result result = completes
                             ? connection_complete(turn->terra, session, &script, &change, error)
                             : connection_cancel(turn->terra, session, &script, &change, error);
    if (result != RESULT_OK)
        page_failure(turn->answer, 400, "This cannot be done now");
    else
        put_outcome(turn, session, completes, completes ? change.user_id : session->user_id,
            provider->name);
}

/* /session/<uuid> of a widget; /oauth/<provider>?state=<uuid> of a direct link. */
void terra_page(struct terra_turn *turn)
{
    const char *link_id = text_starts_with(turn->request->path, "/session/")
                              ? turn->request->path + strlen("/session/")
                              : request_query(turn->request, "state");
    struct session *session =
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
    } else if (text_equal(turn->request->method, "POST")) {
        act(turn, session);
    } else if (text_equal(turn->request->method, "GET")) {
        put_session_page(turn->answer, session);
    } else {
        page_failure(turn->answer, 405, "A page can only be read");
        answer_put_header(turn->answer, "Allow", "GET, POST");
    }
}
