/* url: what is taken apart, what is refused, what counts as this machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/url.h"

static void check_part(const char *text, const char *expected, const char *part, size_t size)
{
    if (size != strlen(expected) || memcmp(part, expected, size) != 0)
        fail_msg("%s: \"%.*s\" is not \"%s\"", text, (int)size, part, expected);
}

static void splits_absolute_urls(void **state)
{
    (void)state;
    static const struct {
        const char *text, *scheme, *host;
        int port;
        const char *path;
        const char *query; /* NULL: none */
        bool userinfo, fragment;
    } rows[] = {
        {"https://a.example", "https", "a.example", 443, "", NULL, false, false},
        {"https://a.example/", "https", "a.example", 443, "/", NULL, false, false},
        {"HTTPS://A.Example/Path", "https", "a.example", 443, "/Path", NULL, false, false},
        {"http://a.example:8080/x?y=1&z#f", "http", "a.example", 8080, "/x", "y=1&z", false, true},
        {"https://a.example:443", "https", "a.example", 443, "", NULL, false, false},
        {"https://a.example?", "https", "a.example", 443, "", "", false, false},
        {"https://a.example#", "https", "a.example", 443, "", NULL, false, true},
        {"https://a.example?x=/y?z", "https", "a.example", 443, "", "x=/y?z", false, false},
        {"https://a.example/%2e%2E/%ff", "https", "a.example", 443, "/%2e%2E/%ff", NULL, false,
            false},
        {"https://a.example/@b", "https", "a.example", 443, "/@b", NULL, false, false},
        {"https://user:pass@a.example/", "https", "a.example", 443, "/", NULL, true, false},
        {"https://good.example@evil.example", "https", "evil.example", 443, "", NULL, true, false},
        {"https://@a.example", "https", "a.example", 443, "", NULL, true, false},
        {"https://a_b.example.", "https", "a_b.example.", 443, "", NULL, false, false},
        {"https://[2001:DB8::1]:8443/x", "https", "[2001:db8::1]", 8443, "/x", NULL, false, false},
        {"https://[::ffff:127.0.0.1]", "https", "[::ffff:127.0.0.1]", 443, "", NULL, false, false},
        {"https://127.0.0.1", "https", "127.0.0.1", 443, "", NULL, false, false},
        {"myapp://callback", "myapp", "callback", -1, "", NULL, false, false},
        {"MyApp://Callback/Done?x", "myapp", "callback", -1, "/Done", "x", false, false},
        {"myapp:/done", "myapp", "", -1, "/done", NULL, false, false},
        {"myapp:done", "myapp", "", -1, "done", NULL, false, false},
        {"myapp:", "myapp", "", -1, "", NULL, false, false},
        {"myapp:///done", "myapp", "", -1, "/done", NULL, false, false},
        {"com.example.app+x-1://x:9", "com.example.app+x-1", "x", 9, "", NULL, false, false},
        {"javascript:alert(1)", "javascript", "", -1, "alert(1)", NULL, false, false},
        {"mailto:a@b.example", "mailto", "", -1, "a@b.example", NULL, false, false},
        {"redis://r.example:1", "redis", "r.example", 1, "", NULL, false, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct url url;
        const char *text = rows[i].text;
        if (!url_parse(text, &url))
            fail_msg("%s: refused", text);
        assert_string_equal(url.scheme, rows[i].scheme);
        assert_string_equal(url.host, rows[i].host);
        assert_int_equal(url.port, rows[i].port);
        check_part(text, rows[i].path, url.path, url.path_size);
        assert_int_equal(url.query != NULL, rows[i].query != NULL);
        if (rows[i].query)
            check_part(text, rows[i].query, url.query, url.query_size);
        assert_int_equal(url.has_userinfo, rows[i].userinfo);
        assert_int_equal(url.has_fragment, rows[i].fragment);
    }
}

static void refuses_what_programs_read_differently(void **state)
{
    (void)state;
    static const char *const rows[] = {"", "a", "/", "//a.example", "/relative", "relative/path",
        "?x", "#x", ":", "://a.example", "https", "https:", "https:/", "https://", "https:///",
        "https:///path", "https:a.example", "https:/a.example", "https:\\\\a.example",
        "https://a.example\\@evil.example", "https://good.example\\.evil.example",
        "https://a.example/\\x", " https://a.example", "https://a.example ",
        "https://a.example/a b", "https://a.exam\tple", "\thttps://a.example",
        "https://a.example\n", "https://a.example/\r\nX: y", "https://a.example/\x01",
        "https://a.example/\x7f", "https://m\xc3\xbcller.example", "https://a.example/\xc3\xbc",
        "https://a.example/\xff", "h\xc3\xa9://x", "https://a.example/%", "https://a.example/%2",
        "https://a.example/%zz", "https://a.example/%2g?x", "https://a%2eexample/",
        "https://a.example:", "https://a.example:/", "https://a.example:x", "https://a.example:0",
        "https://a.example:65536", "https://a.example:99999999999", "https://a.example:-1",
        "https://a.example:+1", "https://a.example:80a", "https://a.example:80:80", "https://:443",
        "https://:443/x", "https://user@", "https://user@/", "https://a@b@c.example",
        "https://a b@c.example", "https://us%er@c.example", "https://.a.example",
        "https://a..example", "https://.", "https://*.example", "https://a,b.example",
        "https://a!b.example", "https://~a.example", "https://[", "https://[]", "https://[::1",
        "https://::1", "https://[::1]x", "https://[::1%25eth0]", "https://[v1.x]",
        "https://[127.0.0.1]", "https://[1:2:3]", "https://[::1]:", "https://x[::1]",
        "https://a.example/[x]", "https://a.example/{x}", "https://a.example/<x>",
        "https://a.example/\"x\"", "https://a.example/a|b", "https://a.example/a^b",
        "https://a.example/`", "https://a.example/#a#b", "https://a.example/?a=[1]", "1app://x",
        "+app:x", "-app:x", "my_app://x", "my app://x", "myapp://user@", "myapp://:80", "%41pp:x"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct url url;
        if (url_parse(rows[i], &url))
            fail_msg("\"%s\": taken, host \"%s\"", rows[i], url.host);
    }
}

static void holds_its_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *before;
        size_t count; /* of the letter a */
        const char *after;
        bool taken;
    } rows[] = {
        {"https://a.example/", URL_BYTES_MAX - 18, "", true},
        {"https://a.example/", URL_BYTES_MAX - 17, "", false},
        {"https://a.example/", 100000, "", false},
        {"", URL_SCHEME_SIZE - 1, ":x", true},
        {"", URL_SCHEME_SIZE, ":x", false},
        {"https://", URL_HOST_SIZE - 1, "/", true},
        {"https://", URL_HOST_SIZE, "/", false},
        {"https://[::", 100, "]/", false},
        {"https://[::", 1000, "]/", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf text;
        struct url url;
        buf_init(&text, 200000);
        buf_append_text(&text, rows[i].before);
        for (size_t n = 0; n < rows[i].count; n++)
            buf_append_char(&text, 'a');
        buf_append_text(&text, rows[i].after);
        if (url_parse(buf_text(&text), &url) != rows[i].taken)
            fail_msg("row %zu", i);
        buf_release(&text);
    }
}

static void knows_loopback_hosts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool loopback;
    } rows[] = {
        {"http://localhost", true},
        {"http://LOCALHOST:1234/x", true},
        {"http://127.0.0.1", true},
        {"http://127.255.3.4:80", true},
        {"http://[::1]:80", true},
        {"http://localhost.", false},
        {"http://localhost.evil.example", false},
        {"http://127.0.0.1.evil.example", false},
        {"http://127.1", false},
        {"http://0127.0.0.1", false},
        {"http://2130706433", false},
        {"http://0.0.0.0", false},
        {"http://128.0.0.1", false},
        {"http://10.0.0.1", false},
        {"http://[::2]", false},
        {"http://[::ffff:127.0.0.1]", false},
        {"http://evil.example/localhost", false},
        {"http://localhost@evil.example", false},
        {"myapp:/localhost", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct url url;
        assert_true(url_parse(rows[i].text, &url));
        if (url_host_is_loopback(&url) != rows[i].loopback)
            fail_msg("%s", rows[i].text);
    }
}

static void encodes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
    } rows[] = {
        {"", ""},
        {"GARMIN", "GARMIN"},
        {"aZ09-._~", "aZ09-._~"},
        {"a b&c=d/e?f#g%", "a%20b%26c%3Dd%2Fe%3Ff%23g%25"},
        {"+", "%2B"},
        {"\xc3\xbc\xff\x01", "%C3%BC%FF%01"},
        {"%41", "%2541"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf buf;
        buf_init(&buf, 256);
        url_append_encoded(&buf, rows[i].text);
        assert_string_equal(buf_text(&buf), rows[i].expected);
        buf_release(&buf);
    }
}

static void holds_a_ceiling_of_the_callers(void **state)
{
    (void)state;
    struct url url;
    struct buf text;
    buf_init(&text, 10000);
    buf_append_text(&text, "https://a.example/");
    while (text.size < 8192)
        buf_append_char(&text, 'a');
    assert_true(url_parse_sized(buf_text(&text), 8192, &url));
    assert_int_equal(url.path_size, 8192 - 17);
    assert_false(url_parse_sized(buf_text(&text), 8191, &url));
    buf_release(&text);
}

static void sees_dot_segments(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        bool dots;
    } rows[] = {
        {"", false},
        {"/", false},
        {"/a/b", false},
        {"/a..b/.c/d./...", false},
        {"/.", true},
        {"/a/../b", true},
        {"/a/..", true},
        {"/a/./b", true},
        {"/a/%2e%2E/b", true},
        {"/a%2f..%2Fb", true},
        {"/a%5c..", true},
        {"/..;x/b", true},
        {"/a;../b", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (url_path_has_dot_segment(rows[i].path, strlen(rows[i].path)) != rows[i].dots)
            fail_msg("\"%s\"", rows[i].path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_absolute_urls),
        cmocka_unit_test(refuses_what_programs_read_differently),
        cmocka_unit_test(holds_its_sizes),
        cmocka_unit_test(holds_a_ceiling_of_the_callers),
        cmocka_unit_test(sees_dot_segments),
        cmocka_unit_test(knows_loopback_hosts),
        cmocka_unit_test(encodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
