/* http_headers: see http_headers.h. */
#include "common/http_headers.h"

#include <curl/curl.h>

#include "common/buf.h"
#include "common/memory.h"

#define HEADER_BYTES_MAX ((size_t)64 * 1024)

struct http_headers {
    struct curl_slist *list;
    unsigned references;
};

static void append_header(struct http_headers *headers, const char *line)
{
    struct curl_slist *list = curl_slist_append(headers->list, line);

    if (list == NULL)
        abort();
    headers->list = list;
}

struct http_headers *http_headers_new(const struct http_header *headers, size_t count)
{
    struct http_headers *made = memory_new(sizeof(*made));
    struct buf line;

    made->references = 1;
    append_header(made, "Expect:"); /* none: it costs a round trip */
    buf_init(&line, HEADER_BYTES_MAX);
    for (size_t i = 0; i < count; i++) {
        int value_size = (int)strcspn(headers[i].value, "\r\n");
        /* "name:" means none to curl, and "name;" an empty one. */
        buf_reset(&line);
        buf_printf(&line, "%s%s%.*s", headers[i].name, value_size > 0 ? ": " : ";", value_size,
            headers[i].value);
        append_header(made, buf_text(&line));
    }
    buf_release(&line);
    return made;
}

struct http_headers *http_headers_share(struct http_headers *headers)
{
    headers->references++;
    return headers;
}

void http_headers_free(struct http_headers *headers)
{
    if (headers == NULL || --headers->references > 0)
        return;
    curl_slist_free_all(headers->list);
    free(headers);
}

struct curl_slist *http_headers_list(const struct http_headers *headers)
{
    return headers->list;
}
