/* request_line: see request_line.h. */
#include "worker/request_line.h"

#include <assert.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/text.h"
#include "worker/request_field.h"

static const struct json_limits request_limits = {
    .bytes_max = REQUEST_LINE_BYTES_MAX, .depth_max = 16, .values_max = 2000};
static const struct json_limits reply_limits = {
    .bytes_max = REQUEST_REPLY_BYTES_MAX, .depth_max = 32, .values_max = 10000};

bool request_line_read(struct request_line *request, const char *line, size_t size,
    const struct request_choice *choice, char *message, size_t message_size)
{
    *request = (struct request_line){0};
    struct json_error fault;
    request->tree = json_parse(line, size, &request_limits, &fault);
    if (!request->tree) {
        snprintf(message, message_size, "the line cannot be read: %s (at byte %zu)", fault.message,
            fault.offset);
        return false;
    }
    if (!json_is_object(request->tree)) {
        snprintf(message, message_size, "the line must be a JSON object, but is of type %s",
            json_type_name(request->tree));
        request_line_release(request);
        return false;
    }

    /* What the line does not name is added from the choice: see request_line_write. */
    const char *reference = request_field_name(FIELD_REFERENCE_ID);
    const char *id = request_field_name(FIELD_REQUEST_ID);
    request->reference_id = json_field(request->tree, reference)
                                ? json_text(json_field(request->tree, reference))
                                : choice->reference_id;
    request->request_id = json_field(request->tree, id) ? json_text(json_field(request->tree, id))
                                                        : choice->request_id;
    double seconds = 0;
    json_get_number(request->tree, request_field_name(FIELD_TIMEOUT_SECONDS), &seconds);
    if (!(seconds > 0 && seconds <= TIMEOUT_SECONDS_MAX))
        seconds = choice->timeout_seconds;
    request->timeout_us = (int64_t)(seconds * (double)CLOCK_US_PER_SECOND);
    return true;
}

void request_line_release(struct request_line *request)
{
    json_free(request->tree);
    request->tree = NULL;
}

/* One request that is being completed. */
struct completion {
    const json_value *line;
    struct json_writer writer;
};

static bool names(const struct completion *completion, enum request_field_id id)
{
    return json_field(completion->line, request_field_name(id)) != NULL;
}

static void add_text(struct completion *completion, enum request_field_id id, const char *text)
{
    if (text && !names(completion, id))
        json_put_text(&completion->writer, request_field_name(id), text);
}

void request_line_write(const struct request_line *request, const char *line, size_t size,
    const struct request_choice *choice, struct buf *json)
{
    /* It has been parsed: the last brace is the one that closes the object. */
    const char *brace = memrchr(line, '}', size);
    assert(brace);
    buf_append(json, line, (size_t)(brace - line));

    struct completion completion = {.line = request->tree};
    json_writer_init(&completion.writer, json);
    completion.writer.comma = json_count(request->tree) > 0;
    add_text(&completion, FIELD_REQUEST_ID, choice->request_id);
    add_text(&completion, FIELD_REFERENCE_ID, choice->reference_id);
    add_text(&completion, FIELD_ENVIRONMENT, choice->environment);
    if (choice->timeout_seconds > 0 && !names(&completion, FIELD_TIMEOUT_SECONDS))
        json_put_integer(
            &completion.writer, request_field_name(FIELD_TIMEOUT_SECONDS), choice->timeout_seconds);
    if (!names(&completion, FIELD_PROVIDER) && !names(&completion, FIELD_PROVIDERS)) {
        add_text(&completion, FIELD_PROVIDER, choice->provider);
        if (choice->providers)
            json_put_items(
                &completion.writer, request_field_name(FIELD_PROVIDERS), choice->providers);
    }
    add_text(&completion, FIELD_LANGUAGE, choice->language);
    add_text(&completion, FIELD_SUCCESS_URL, choice->success_url);
    add_text(&completion, FIELD_FAILURE_URL, choice->failure_url);
    json_close_object(&completion.writer);
}

static bool is_link(const char *text)
{
    if (!text_starts_with(text, "https://") && !text_starts_with(text, "http://"))
        return false;
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c <= ' ' || c == 0x7f)
            return false;
    }
    return true;
}

static bool read_error(struct request_reply *reply)
{
    const json_value *error;
    reply->retry_after_seconds = -1;
    if (json_get_object(reply->tree, "error", &error) != JSON_FOUND ||
        json_get_text(error, "code", &reply->code) != JSON_FOUND ||
        json_get_text(error, "message", &reply->message) != JSON_FOUND)
        return false;
    json_get_boolean(error, "retryable", &reply->retryable);
    json_get_number(error, "retry_after_seconds", &reply->retry_after_seconds);
    return true;
}

bool request_reply_read(struct request_reply *reply, const void *value, size_t size)
{
    *reply = (struct request_reply){0};
    struct json_error fault;
    reply->tree = json_parse(value, size, &reply_limits, &fault);
    const char *status = NULL;
    bool read = false;
    if (json_is_object(reply->tree))
        json_get_text(reply->tree, "status", &status);
    if (text_equal(status, "success"))
        read =
            json_get_text(reply->tree, "link", &reply->link) == JSON_FOUND && is_link(reply->link);
    else if (text_equal(status, "error"))
        read = read_error(reply);
    if (!read)
        request_reply_release(reply);
    return read;
}

void request_reply_release(struct request_reply *reply)
{
    json_free(reply->tree);
    *reply = (struct request_reply){0};
}

void request_reply_copy(struct buf *line, const void *value, size_t size)
{
    /* Inside a JSON string a line break is written \n: a raw one is just a blank. */
    const char *from = value;
    while (size > 0) {
        const char *end = from;
        while ((size_t)(end - from) < size && *end != '\n' && *end != '\r')
            end++;
        size_t part = (size_t)(end - from);
        buf_append(line, from, part);
        if (part == size)
            break;
        buf_append_char(line, ' ');
        from += part + 1;
        size -= part + 1;
    }
}

void request_fault_write(const struct request_fault *fault, struct buf *json)
{
    struct json_writer writer;
    json_writer_init(&writer, json);
    json_open_object(&writer, NULL);
    json_put_text(&writer, "status", "error");
    json_put_text(&writer, "request_id", fault->request_id);
    json_put_text(&writer, "reference_id", fault->reference_id);
    if (fault->line > 0)
        json_put_integer(&writer, "line", (int64_t)fault->line);
    json_open_object(&writer, "error");
    json_put_text(&writer, "code", fault->code);
    json_put_text(&writer, "message", fault->message);
    json_put_boolean(&writer, "retryable", fault->retryable);
    json_put_null(&writer, "retry_after_seconds");
    json_put_null(&writer, "http_status");
    json_close_object(&writer);
    json_open_array(&writer, "warnings");
    json_close_array(&writer);
    json_close_object(&writer);
}
