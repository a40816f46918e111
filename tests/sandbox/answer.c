/* answer: what one request gets back; see answer.h. */
#include "answer.h"

#include <strings.h>

#include "common/memory.h"

void answer_init(struct answer *answer)
{
    *answer = (struct answer){.manner = ANSWER_WHOLE, .status = 200};
    buf_init(&answer->body, ANSWER_BODY_BYTES_MAX);
}

static void answer_drop_headers(struct answer *answer)
{
    for (size_t i = 0; i < answer->header_count; i++) {
        free(answer->headers[i].name);
        free(answer->headers[i].value);
    }
    answer->header_count = 0;
}

void answer_release(struct answer *answer)
{
    answer_drop_headers(answer);
    buf_release(&answer->body);
}

void answer_put_header(struct answer *answer, const char *name, const char *value)
{
    for (size_t i = 0; i < answer->header_count; i++) {
        struct answer_header *header = &answer->headers[i];
        if (strcasecmp(header->name, name) == 0) {
            free(header->value);
            header->value = memory_copy_text(value);
            return;
        }
    }
    if (answer->header_count == ANSWER_HEADERS_MAX)
        return;
    answer->headers[answer->header_count++] =
        (struct answer_header){memory_copy_text(name), memory_copy_text(value)};
}

void answer_begin(struct answer *answer, unsigned status, const char *content_type)
{
    answer_drop_headers(answer);
    buf_reset(&answer->body);
    answer->status = status;
    if (content_type != NULL)
        answer_put_header(answer, "Content-Type", content_type);
}
