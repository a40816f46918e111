/* answer: what one request gets back; see answer.h. */
#include "answer.h"

#include <inttypes.h>
#include <strings.h>

#include "common/memory.h"
#include "gzip.h"

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
    answer->gzip = false;
    if (content_type != NULL)
        answer_put_header(answer, "Content-Type", content_type);
}

static void encode(struct answer *answer)
{
    struct buf packed;
    buf_init(&packed, ANSWER_BODY_BYTES_MAX);
    gzip_append(&packed, answer->body.data, answer->body.size, answer->gzip_blanks);
    buf_release(&answer->body);
    answer->body = packed;
    answer_put_header(answer, "Content-Encoding", "gzip");
}

static void cut(struct buf *body)
{
    body->size /= 2;
    if (body->data != NULL)
        body->data[body->size] = '\0';
}

static void write_false_length(struct answer *answer)
{
    struct buf raw;
    buf_init(&raw, ANSWER_BODY_BYTES_MAX);
    buf_printf(&raw, "HTTP/1.1 %u Answer\r\nContent-Length: %" PRIu64 "\r\n", answer->status,
        answer->claimed_bytes);
    for (size_t i = 0; i < answer->header_count; i++)
        buf_printf(&raw, "%s: %s\r\n", answer->headers[i].name, answer->headers[i].value);
    buf_append_text(&raw, "\r\n");
    buf_append(&raw, answer->body.data, answer->body.size);
    buf_release(&answer->body);
    answer->body = raw;
    answer->manner = ANSWER_RAW;
}

void answer_settle(struct answer *answer)
{
    if (answer->gzip)
        encode(answer);
    if (answer->cut)
        cut(&answer->body);
    if (answer->manner == ANSWER_WRONG_LENGTH)
        write_false_length(answer);
}
