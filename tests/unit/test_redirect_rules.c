/* redirect_rules: where a browser may be sent, with hostile neighbours for every allowed place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/redirect_rules.h"

#define OK REDIRECT_ALLOWED
#define BAD REDIRECT_MALFORMED
#define NO REDIRECT_FORBIDDEN

struct row {
    const char *url;
    enum redirect_verdict verdict;
};

static void check(const char *text, const struct row *rows, size_t count)
{
    char error[128] = "";
    struct redirect_rules *rules = redirect_rules_new(text, error, sizeof(error));
    if (!rules)
        fail_msg("\"%s\": %s", text, error);
    for (size_t i = 0; i < count; i++) {
        enum redirect_verdict verdict = redirect_rules_judge(rules, rows[i].url);
        if (verdict != rows[i].verdict)
            fail_msg("rules \"%s\": \"%s\" is judged %d", text, rows[i].url, verdict);
    }
    redirect_rules_free(rules);
}
#define CHECK(text, rows) check(text, rows, sizeof(rows) / sizeof(rows[0]))

static const struct row never[] = {
    {"https://good.example@evil.example", NO},
    {"https://good.example:pw@good.example/", NO},
    {"https://@good.example/", NO},
    {"javascript:alert(1)", NO},
    {"JaVaScRiPt:alert(1)", NO},
    {"javascript://good.example/%0aalert(1)", NO},
    {"data:text/html,x", NO},
    {"DATA:text/html;base64,PHNjcmlwdD4=", NO},
    {"file:///etc/passwd", NO},
    {"intent://scan/#Intent;scheme=zxing;end", NO},
    {"vbscript:msgbox(1)", NO},
    {"blob:https://good.example/1", NO},
    {"about:blank", NO},
    {"ws://good.example/", NO},
    {"wss://good.example/", NO},
    {"ftp://good.example/", NO},
    {"http://good.example/", NO},
    {"HTTP://good.example/", NO},
    {"http://127.0.0.1.evil.example/", NO},
    {"http://localhost.evil.example/", NO},
    {"http://127.1/", NO},
    {"", BAD},
    {"good.example", BAD},
    {"//good.example", BAD},
    {"/relative", BAD},
    {"relative", BAD},
    {"?x", BAD},
    {"https:good.example", BAD},
    {"https:/good.example", BAD},
    {"https:///good.example", BAD},
    {"https:\\\\good.example", BAD},
    {"https://good.example\\@evil.example", BAD},
    {"https://evil.example\\.good.example", BAD},
    {"https://good.example/\\x", BAD},
    {"https://good\t.example/", BAD},
    {"java\nscript:alert(1)", BAD},
    {" javascript:alert(1)", BAD},
    {" https://good.example/", BAD},
    {"https://good.example/ ", BAD},
    {"https://good.example/\r\nLocation: https://evil.example", BAD},
    {"https://g\xc3\xb6\xc3\xb6"
     "d.example/",
        BAD},
    {"https://good.example/\xe2\x80\xae", BAD},
    {"https://good.example/%", BAD},
    {"https://good.example/%0", BAD},
    {"https://good.example:99999/", BAD},
    {"https://[good.example]/", BAD},
    {"multi-auth", BAD},
};

static void never_allows_some(void **state)
{
    (void)state;
    CHECK("", never);
    CHECK("https://good.example", never);
    CHECK("https://good.example,myapp://callback,http://localhost:3000", never);
}

static void without_rules_allows_https_and_deep_links(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"https://any.example", OK},
        {"HTTPS://ANY.example:8443/x/../y?z=1#f", OK},
        {"https://[2001:db8::1]/x", OK},
        {"https://localhost/x", OK},
        {"myapp://callback", OK},
        {"MyApp://callback?x=1", OK},
        {"myapp:/x", OK},
        {"myapp:x", OK},
        {"com.example.app:/oauth", OK},
        {"http://localhost:3000/", NO},
        {"http://127.0.0.1/", NO},
    };
    CHECK("", rows);
    CHECK("  ", rows);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(redirect_rules_judge(NULL, rows[i].url), rows[i].verdict);
}

static void compares_scheme_host_and_port(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"https://good.example", OK},
        {"https://good.example/", OK},
        {"https://GOOD.example/any/where?x#y", OK},
        {"HtTpS://good.example:443/a/../b", OK},
        {"https://good.example:8443/", NO},
        {"https://good.example./", NO},
        {"https://good.example.evil.example/", NO},
        {"https://evilgood.example/", NO},
        {"https://sub.good.example/", NO},
        {"https://evil.example/https://good.example/", NO},
        {"https://evil.example?https://good.example/", NO},
        {"https://evil.example#https://good.example/", NO},
        {"https://port.example:8443/x", OK},
        {"https://port.example/x", NO},
        {"https://port.example:443/x", NO},
        {"https://port.example:84430/x", BAD},
        {"https://[2001:db8::1]/x", OK},
        {"https://[2001:DB8::1]:443/x", OK},
        {"https://[2001:db8::2]/x", NO},
        {"https://[2001:db8::1]:444/x", NO},
        {"http://localhost:3000/x", OK},
        {"http://localhost/x", NO},
        {"https://localhost:3000/x", NO},
        {"http://127.0.0.1:3000/x", NO},
        {"myapp://callback", OK},
        {"MYAPP://callback/x?y", OK},
        {"myapp://callback:80", NO},
        {"myapp://other", NO},
        {"myapp:/callback", NO},
        {"myapp2://callback", NO},
        {"host.less:/x", OK},
        {"host.less:x", OK},
        {"host.less:///x", OK},
        {"host.less://x", NO},
    };
    CHECK("https://good.example, https://PORT.example:8443/ ,https://[2001:db8::1],"
          "http://localhost:3000,myapp://callback,\thost.less:",
        rows);
}

static void compares_paths_on_segment_boundaries(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"https://a.example/app", OK},
        {"https://a.example/app/", OK},
        {"https://a.example/app/x/y?z=..#/../", OK},
        {"https://a.example/app?x", OK},
        {"https://a.example/app#x", OK},
        {"https://a.example/app/...", OK},
        {"https://a.example/app/..x/.y", OK},
        {"https://a.example/app/x..", OK},
        {"https://a.example/app/x%2fy", OK},
        {"https://a.example/apple", NO},
        {"https://a.example/app%2f", NO},
        {"https://a.example/app;x", NO},
        {"https://a.example/App", NO},
        {"https://a.example/%61pp", NO},
        {"https://a.example/", NO},
        {"https://a.example", NO},
        {"https://a.example//app", NO},
        {"https://a.example/x/app", NO},
        {"https://a.example/app/..", NO},
        {"https://a.example/app/.", NO},
        {"https://a.example/app/../admin", NO},
        {"https://a.example/app/./x", NO},
        {"https://a.example/app/x/../../admin", NO},
        {"https://a.example/app/%2e%2e/admin", NO},
        {"https://a.example/app/%2E%2E/admin", NO},
        {"https://a.example/app/.%2e/admin", NO},
        {"https://a.example/app/%2e/admin", NO},
        {"https://a.example/app/..%2fadmin", NO},
        {"https://a.example/app/..%2Fadmin", NO},
        {"https://a.example/app/%2e%2e%5cadmin", NO},
        {"https://a.example/app/x%2f..%2f..", NO},
        {"https://a.example/app/..;x/admin", NO},
        {"https://a.example/app/.;/admin", NO},
        {"https://a.example/folder/", OK},
        {"https://a.example/folder/x", OK},
        {"https://a.example/folder", NO},
        {"https://a.example/folderx", NO},
        {"myapp://callback/done", OK},
        {"myapp://callback/done/x", OK},
        {"myapp://callback", NO},
        {"myapp://callback/undone", NO},
        {"bare:done", OK},
        {"bare:done/x", OK},
        {"bare:donex", NO},
    };
    CHECK("https://a.example/app,https://a.example/folder/,myapp://callback/done,bare:done", rows);
}

static void holds_the_size_of_a_url(void **state)
{
    (void)state;
    char url[4096];
    snprintf(url, sizeof(url), "https://good.example/%0*d", 2048 - 21, 0);
    assert_int_equal(redirect_rules_judge(NULL, url), OK);
    snprintf(url, sizeof(url), "https://good.example/%0*d", 2048 - 20, 0);
    assert_int_equal(redirect_rules_judge(NULL, url), BAD);
}

static void refuses_rules_that_cannot_mean_anything(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } rows[] = {
        {",", "rule 1 is not an absolute URL"},
        {"https://a.example,", "rule 2 is not an absolute URL"},
        {",https://a.example", "rule 1 is not an absolute URL"},
        {"https://a.example,,https://b.example", "rule 2 is not an absolute URL"},
        {"a.example", "rule 1 is not an absolute URL"},
        {"https://*.a.example", "rule 1 is not an absolute URL"},
        {"*", "rule 1 is not an absolute URL"},
        {"https://a.example https://b.example", "rule 1 is not an absolute URL"},
        {"https://a.example,javascript:x", "rule 2 has a scheme or userinfo that is never allowed"},
        {"http://a.example", "rule 1 has a scheme or userinfo that is never allowed"},
        {"https://u@a.example", "rule 1 has a scheme or userinfo that is never allowed"},
        {"https://a.example?x", "rule 1 must end with its path"},
        {"https://a.example/#x", "rule 1 must end with its path"},
        {"https://a.example/x/../y", "rule 1 has a \".\" or \"..\" in its path"},
        {"https://a.example/%2e%2e", "rule 1 has a \".\" or \"..\" in its path"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char error[128] = "";
        assert_null(redirect_rules_new(rows[i].text, error, sizeof(error)));
        assert_string_equal(error, rows[i].error);
    }
    char many[65 * 20] = "a:b", error[128];
    for (int i = 1; i < 65; i++)
        snprintf(many + strlen(many), sizeof(many) - strlen(many), ",a:b");
    assert_null(redirect_rules_new(many, error, sizeof(error)));
    assert_string_equal(error, "rule 64 is the last one there is room for");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_allows_some),
        cmocka_unit_test(without_rules_allows_https_and_deep_links),
        cmocka_unit_test(compares_scheme_host_and_port),
        cmocka_unit_test(compares_paths_on_segment_boundaries),
        cmocka_unit_test(holds_the_size_of_a_url),
        cmocka_unit_test(refuses_rules_that_cannot_mean_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
