/* terra_error: Terra's failures in the shapes it gives them; see terra_error.h. */
#include "terra_error.h"

#include <ctype.h>
#include <microhttpd.h>

#include "common/json.h"

/* 3 Nov 2026, 00:00 UTC: the day Terra names for the older widget endpoint. */
#define DEPRECATION "@1793664000"
#define DEPRECATION_LINK "<https://docs.tryterra.co/>; rel=\"deprecation\"; type=\"text/html\""

static void put_title(struct json_writer *writer, unsigned status)
{
    char title[64];
    snprintf(title, sizeof(title), "%s", MHD_get_reason_phrase_for(status));
    for (char *c = title; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    json_put_text(writer, "title", title);
}

static void put_problem(struct json_writer *writer, const struct request *request, unsigned status,
    const char *code, const char *detail)
{
    json_put_text(writer, "type", "about:blank");
    put_title(writer, status);
    json_put_text(writer, "instance", request->target);
    json_put_text(writer, "detail", detail);
    if (code != NULL)
        json_put_text(writer, "code", code);
}

void terra_error(struct answer *answer, const struct request *request, enum endpoint endpoint,
    unsigned status, const char *code, const char *detail)
{
    if (endpoint == ENDPOINT_PAYLOAD) {
        terra_error_storage(answer, status, status >= 500 ? "SlowDown" : "AccessDenied", detail);
        return;
    }
    bool problem = endpoint_speaks_problem(endpoint);
    bool labelled = problem && status != 403 && status != 410;
    answer_begin(answer, status, labelled ? "application/problem+json" : "application/json");
    if (status == 410) {
        answer_put_header(answer, "Deprecation", DEPRECATION);
        answer_put_header(answer, "Link", DEPRECATION_LINK);
    }
    struct json_writer writer;
    json_writer_init(&writer, &answer->body);
    json_open_object(&writer, NULL);
    if (problem) {
        put_problem(&writer, request, status, code, detail);
    } else {
        json_put_text(&writer, "message", detail);
        json_put_text(&writer, "status", "error");
    }
    json_close_object(&writer);
}

void terra_error_storage(
    struct answer *answer, unsigned status, const char *error, const char *message)
{
    answer_begin(answer, status, "application/xml");
    buf_printf(&answer->body,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>%s</Message>"
        "<RequestId>SANDBOX</RequestId></Error>",
        error, message);
}

void terra_error_html(struct answer *answer, unsigned status)
{
    answer_begin(answer, status, "text/html; charset=utf-8");
    const char *phrase = MHD_get_reason_phrase_for(status);
    buf_printf(&answer->body,
        "<!doctype html>\n<html lang=en>\n<title>%u %s</title>\n<h1>%s</h1>\n"
        "<p>The server encountered an internal error and was unable to complete your "
        "request.</p>\n",
        status, phrase, phrase);
}

void terra_error_null_message(struct answer *answer, unsigned status)
{
    answer_begin(answer, status, "application/json");
    buf_append_text(&answer->body, "{\"message\": null}");
}
