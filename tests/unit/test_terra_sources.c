/* terra_sources: what Terra says of its sources. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "worker/terra_sources.h"

#define ENABLED(name) "{\"provider\":\"" name "\",\"enabled\":true}"
#define DISABLED(name) "{\"provider\":\"" name "\",\"enabled\":false}"

static const struct {
    const char *body;
    bool told;
    size_t enabled, all;
    const char *names;
} answers[] = {
    {"{\"providers\":[" ENABLED("GARMIN") "," DISABLED("OURA") "," ENABLED("POLAR") "]}", true, 2,
        3, "GARMIN, POLAR"},
    {"{\"status\":\"success\",\"providers\":[]}", true, 0, 0, ""},
    {"{\"providers\":[" DISABLED("OURA") "]}", true, 0, 1, ""},
    /* what is odd counts as not enabled, or not at all */
    {"{\"providers\":[{\"provider\":\"A\"},{\"provider\":\"B\",\"enabled\":\"yes\"},7,null,"
     "{\"enabled\":true}]}",
        true, 0, 2, ""},
    {"{\"providers\":[" ENABLED("https://x.example/key") "]}", true, 1, 1, "[removed]"},
    {"{\"providers\":{}}", false, 0, 0, ""},
    {"{}", false, 0, 0, ""},
    {"[]", false, 0, 0, ""},
    {"<html>", false, 0, 0, ""},
    {"", false, 0, 0, ""},
};

static void test_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct terra_sources sources;
        const char *body = answers[i].body;
        assert_int_equal(terra_sources_read(&sources, body, strlen(body)), answers[i].told);
        assert_int_equal(sources.enabled, answers[i].enabled);
        assert_int_equal(sources.all, answers[i].all);
        assert_string_equal(sources.names, answers[i].names);
    }
}

static void test_many_names_are_cut(void **state)
{
    (void)state;
    struct terra_sources sources;
    struct buf body;
    buf_init(&body, 16384);
    buf_append_text(&body, "{\"providers\":[" ENABLED("FIRST"));
    for (int i = 0; i < 100; i++)
        buf_append_text(&body, "," ENABLED("ANOTHER_SOURCE"));
    buf_append_text(&body, "]}");
    assert_true(terra_sources_read(&sources, body.data, body.size));
    buf_release(&body);
    assert_int_equal(sources.enabled, 101);
    assert_memory_equal(sources.names, "FIRST, ANOTHER_SOURCE, ", 23);
    assert_string_equal(sources.names + strlen(sources.names) - 5, ", ...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_many_names_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
