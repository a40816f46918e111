/*
 * fuzz_json: any bytes as JSON. What is taken can be written, and what was written reads back as
 * the same; what is refused is refused at a byte of the input, and in words.
 */
#include "common/json.h"
#include "common/utf8.h"
#include "fuzz.h"

#define TEXT_BYTES_MAX (1024 * 1024)

static const struct json_limits limits = {
    .bytes_max = TEXT_BYTES_MAX, .depth_max = 32, .values_max = 10000};

static void print(const json_value *value, struct buf *text)
{
    struct json_writer writer;
    buf_init(text, TEXT_BYTES_MAX);
    json_writer_init(&writer, text);
    json_put_value(&writer, NULL, value);
    require(buf_ok(text) && utf8_valid(text->data, text->size));
}

static void require_same_again(const json_value *value)
{
    struct buf first, second;
    struct json_error error;
    print(value, &first);
    json_value *again = json_parse(first.data, first.size, &limits, &error);
    require(again);
    print(again, &second);
    require(first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
    json_free(again);
    buf_release(&first);
    buf_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_error error;
    json_value *value = json_parse(data, size, &limits, &error);
    if (value) {
        require_same_again(value);
    } else {
        require(error.offset <= size && error.message[0]);
        require(utf8_valid(error.message, strlen(error.message)));
    }
    json_free(value);
    return 0;
}
