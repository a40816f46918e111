/*
 * fuzz_terra_answer: any bytes as the body of an answer of Terra's. Behind the first NUL byte stand
 * one byte that chooses the status, and the headers, each ended by a NUL byte. Whatever comes,
 * there is a link that may be given away or an error in words, with no URL among Terra's own.
 */
#include "common/clock.h"
#include "common/memory.h"
#include "fuzz.h"
#include "worker/terra_api.h"

#define NOW_US (INT64_C(1795244674) * CLOCK_US_PER_SECOND)

/* 0: no answer at all; the outcome is then whichever is next in turn. */
static const int statuses[] = {
    201, 200, 204, 302, 400, 401, 403, 404, 405, 408, 410, 418, 424, 429, 500, 502, 503, 504, 0};

static void require_plain(const char *text)
{
    for (; *text; text++)
        require(*text >= ' ' && *text < 0x7f);
}

static void require_link(const struct terra_link *link)
{
    require(link->link && strncasecmp(link->link, "https://", 8) == 0);
    require(strlen(link->link) <= TERRA_LINK_BYTES_MAX && !strpbrk(link->link, " \"\\<>"));
    require_plain(link->link);
    require(!link->id || (link->id[0] && !strchr(link->id, '/')));
    require(link->expires_wall_us >= 0);
    for (size_t i = 0; i < link->warnings.count; i++) {
        require_plain(link->warnings.items[i]);
        require(!strstr(link->warnings.items[i], "//"));
    }
}

static void judge(enum terra_endpoint endpoint, const struct http_response *response,
    const struct terra_response_headers *headers)
{
    struct terra_answer answer;
    terra_api_judge(endpoint, response, headers, NOW_US - CLOCK_US_PER_SECOND, NOW_US, &answer);
    require_plain(answer.trace_id);
    require(answer.retry_after_us >= -1);
    if (answer.verdict == TERRA_LINK) {
        require(response->outcome == HTTP_ANSWERED);
        require_link(&answer.link);
    } else {
        require(!answer.link.link && answer.error.message[0]);
        require_plain(answer.error.message);
        require(!strstr(answer.error.message, "//"));
    }
    terra_answer_release(&answer);
}

/* The next text of those behind the body; NULL: there is none. */
static const char *next_text(const char **at, const char *end)
{
    const char *text = *at;
    if (text >= end)
        return NULL;
    *at = text + strlen(text) + 1;
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t body_size = text_size_of(data, size);
    const uint8_t *rest = data + body_size + 1;
    size_t rest_size = body_size < size ? size - body_size - 1 : 0;
    unsigned choice = rest_size > 0 ? rest[0] : 0;
    int status = statuses[choice % (sizeof statuses / sizeof statuses[0])];
    char *body = memory_copy(data, body_size);
    char *texts = rest_size > 1 ? memory_copy(rest + 1, rest_size - 1) : memory_copy("", 0);
    const char *at = texts, *end = texts + (rest_size > 1 ? rest_size - 1 : 0);
    const struct http_response response = {
        .outcome = status ? HTTP_ANSWERED
                          : (enum http_outcome)(HTTP_TIMEOUT + choice % (unsigned)HTTP_CANCELLED),
        .status = status,
        .body = body,
        .body_size = body_size,
        .error = "",
    };
    struct terra_response_headers headers;
    headers.retry_after = next_text(&at, end);
    headers.deprecation = next_text(&at, end);
    headers.link = next_text(&at, end);
    headers.trace_id = next_text(&at, end);
    judge(TERRA_WIDGET_SESSION, &response, &headers);
    judge(TERRA_AUTHENTICATE_USER, &response, &headers);
    free(texts);
    free(body);
    return 0;
}
