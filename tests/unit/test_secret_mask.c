/* Links and tokens do not come through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/json.h"
#include "worker/secret_mask.h"

struct row {
    const char *text, *masked; /* NULL: unchanged */
};

static void check(const struct row *rows, size_t count, enum secret_mask_mode mode)
{
    for (size_t i = 0; i < count; i++) {
        const char *expected = rows[i].masked ? rows[i].masked : rows[i].text;
        struct buf once, twice;
        buf_init(&once, 4096);
        buf_init(&twice, 4096);
        secret_mask(rows[i].text, strlen(rows[i].text), mode, &once);
        assert_string_equal(buf_text(&once), expected);
        secret_mask(buf_text(&once), once.size, mode, &twice);
        assert_string_equal(buf_text(&twice), expected);
        buf_release(&once);
        buf_release(&twice);
    }
}

static const struct row known[] = {
    /* by name */
    {"{\"link\":\"https://w.example/s/1\"}", "{\"link\":\"https://w.example/***\"}"},
    {"{\"url\" : \"http://w.example:8080/s/1\"}", "{\"url\" : \"http://w.example:8080/***\"}"},
    {"{\"auth_url\":\"app://secret\",\"a\":1}", "{\"auth_url\":\"***\",\"a\":1}"},
    {"{\"link\":\"https://w.example\"}", NULL},
    {"{\"link\":\"\"}", NULL},
    {"{\"link\":null}", NULL},
    {"{\"link\":\"https://h/a b\"}", "{\"link\":\"https://h/***\"}"},
    {"{\"link\":\"https\"}", "{\"link\":\"***\"}"},
    {"{\"link\":\"a\\\"b\",\"c\":2}", "{\"link\":\"***\",\"c\":2}"},
    {"{\"token\":12.5,\"b\":[1]}", "{\"token\":\"***\",\"b\":[1]}"},
    {"{\"token\":true}", "{\"token\":\"***\"}"},
    {"{\"url\":[\"https://a/b\",\"]\"],\"b\":1}", "{\"url\":\"***\",\"b\":1}"},
    {"{\"secret\":{\"a\":{\"b\":\"}\\\"\"}},\"b\":1}", "{\"secret\":\"***\",\"b\":1}"},
    {"{\"Access-Token\":\"t\"}", "{\"Access-Token\":\"***\"}"},
    {"{\"__dlq.header.Authorization\":\"Bearer t\"}", "{\"__dlq.header.Authorization\":\"***\"}"},
    {"{\"x-api-key\":\"k\"}", "{\"x-api-key\":\"***\"}"},
    {"{\"m\":\"{\\\"link\\\":\\\"https://w.example/s/1\\\",\\\"a\\\":1}\"}",
        "{\"m\":\"{\\\"link\\\":\\\"https://w.example/***\\\",\\\"a\\\":1}\"}"},
    {"{\"m\":\"token=abc def\"}", "{\"m\":\"token=*** def\"}"},
    {"{\"m\":\"token=abc\"}", "{\"m\":\"token=***\"}"},
    {"link=https://w.example/s/1 code=3", "link=https://w.example/*** code=3"},
    {"link=https://w.example/s?a=b&state=c,d;e code=3", "link=https://w.example/*** code=3"},
    {"auth_url=app://secret?a=b&state=c code=3", "auth_url=*** code=3"},
    {"a?token=b&c=d", "a?token=***&c=d"},
    {"link=\"https://w.example/s 1\" code=3", "link=\"https://w.example/***\" code=3"},
    /* other names */
    {"{\"link_expires_at\":\"2026\",\"links\":[1],\"session_id\":\"s\",\"user_id\":\"u\"}", NULL},
    {"{\"code\":\"credentials_rejected\",\"message\":\"no link: ask\"}", NULL},
    {"{\"a\":\"link\",\"b\":\"token\"}", NULL},
    /* by what a URL has */
    {"{\"a\":\"https://h/p/q\"}", NULL},
    {"{\"a\":\"https://h/p?x=1\"}", "{\"a\":\"https://h/***\"}"},
    {"{\"a\":\"https://h?x=1\"}", "{\"a\":\"https://h/***\"}"},
    {"{\"a\":\"https://h/#x\"}", "{\"a\":\"https://h/***\"}"},
    {"{\"a\":\"https://u:p@h/\"}", "{\"a\":\"https://h/\"}"},
    {"{\"a\":\"https://u@v@h/p\"}", "{\"a\":\"https://h/***\"}"},
    {"{\"a\":\"https://h/p?x=\\\\\\u0041\\n\",\"b\":1}", "{\"a\":\"https://h/***\",\"b\":1}"},
    {"{\"a\":\"see https://h/p?x=1, and https://h/q now\"}",
        "{\"a\":\"see https://h/*** and https://h/q now\"}"},
    {"{\"https://h/p?x\":1}", "{\"https://h/***\":1}"},
    {"{\"a\":\"postgres://u:p@h/db\"}", "{\"a\":\"postgres://h/***\"}"},
    {"{\"a\":\"://\"}", NULL},
    {"", NULL},
};

static const struct row strict[] = {
    {"{\"link\":\"https://w.example/s/1", "{\"link\":\"https://w.example/***"},
    {"{\"link\":\"https:\\/\\/w.example\\/s\\/1", "{\"link\":\"https:\\/\\/w.example/***"},
    {"it is https://w.example/s/1 or so", "it is https://w.example/*** or so"},
    {"token: abc", "token: ***"},
    {"'token' : 'abc'", "'token' : \"***\""},
    {"{\"link\":[\"https://w.example/s/1", "{\"link\":\"***\""},
    {"{\"link\":\"a\\", "{\"link\":\"***"},
    {"link", NULL},
    {"link:", NULL},
    {"link: \"", NULL},
    {"http://", NULL},
};

static void test_known(void **state)
{
    (void)state;
    check(known, sizeof known / sizeof known[0], SECRET_MASK_KNOWN);
}

static void test_strict(void **state)
{
    (void)state;
    check(strict, sizeof strict / sizeof strict[0], SECRET_MASK_STRICT);
}

static void test_json_stays_json(void **state)
{
    (void)state;
    const struct json_limits limits = {.bytes_max = 4096, .depth_max = 10, .values_max = 100};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].text[0] != '{')
            continue;
        struct json_error error;
        struct buf masked;
        buf_init(&masked, 4096);
        secret_mask(known[i].text, strlen(known[i].text), SECRET_MASK_KNOWN, &masked);
        json_value *value = json_parse(masked.data, masked.size, &limits, &error);
        if (!value)
            fail_msg("%s: %s", buf_text(&masked), error.message);
        json_free(value);
        buf_release(&masked);
    }
}

/* Cut off anywhere: nothing is read behind the end, which the sanitizers watch. */
static void test_every_prefix(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        for (size_t size = 0; size <= strlen(known[i].text); size++) {
            char *exact = malloc(size > 0 ? size : 1);
            struct buf masked;
            assert_non_null(exact);
            memcpy(exact, known[i].text, size);
            buf_init(&masked, 4096);
            secret_mask(exact, size, (enum secret_mask_mode)(size % 2), &masked);
            assert_true(buf_ok(&masked));
            buf_release(&masked);
            free(exact);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_strict),
        cmocka_unit_test(test_json_stays_json),
        cmocka_unit_test(test_every_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
