/*
 * fuzz_event_pointer: any bytes as a pointer record; behind the first NUL byte stand the hosts that
 * are allowed. Whatever comes, it is followed to an allowed place, or there is a reason in words
 * that does not give the URL away.
 */
#include "common/url.h"
#include "common/utf8.h"
#include "fuzz.h"
#include "worker/event_pointer.h"

static struct event_pointer_rules *rules_of(const uint8_t *data, size_t size)
{
    char text[1024] = ".amazonaws.com,storage.googleapis.com,127.0.0.1:8080,a.example/bucket";
    char error[256];

    if (size > 0 && size < sizeof(text) && !memchr(data, '\0', size)) {
        memcpy(text, data, size);
        text[size] = '\0';
    }
    struct event_pointer_rules *rules =
        event_pointer_rules_new(text, size % 2 == 1, error, sizeof(error));
    require(rules || error[0]);
    return rules;
}

static void check_followed(const struct event_pointer *pointer)
{
    struct url url;

    require(url_parse_sized(pointer->url, EVENT_POINTER_URL_BYTES_MAX, &url));
    require(strcmp(url.scheme, "https") == 0 || strcmp(url.scheme, "http") == 0);
    require(url.host[0] && url.host[strlen(url.host) - 1] != '.' && !url.has_userinfo);
    require(pointer->life_us >= 0 && pointer->life_us <= EVENT_POINTER_LIFE_MAX_US);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t record_size = text_size_of(data, size);
    struct event_pointer_rules *rules =
        record_size < size ? rules_of(data + record_size + 1, size - record_size - 1)
                           : rules_of(NULL, 0);
    struct event_pointer pointer;
    char error[EVENT_POINTER_ERROR_SIZE];

    if (!rules)
        return 0;
    enum event_pointer_verdict verdict =
        event_pointer_read(&pointer, data, record_size, rules, error);
    require((verdict == EVENT_POINTER_FOLLOW) == (error[0] == '\0'));
    require(utf8_valid(error, strlen(error)) && !strstr(error, "://"));
    if (verdict == EVENT_POINTER_FOLLOW)
        check_followed(&pointer);
    event_pointer_release(&pointer);
    event_pointer_rules_free(rules);
    return 0;
}
