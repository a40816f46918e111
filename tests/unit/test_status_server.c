/* Metrics and health as a client of HTTP gets them, and the metrics' text read strictly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/metrics.h"
#include "common/text.h"
#include "support/http_fixture.h"
#include "worker/event_memory.h"
#include "worker/link_memory.h"
#include "worker/status_server.h"

#define BODY_SIZE 16384

static struct http_fixture fixture;
static struct status_server *server;

static unsigned reasons; /* how many things are missing */

static void on_readiness(void *context, struct status_readiness *readiness)
{
    assert_ptr_equal(context, &reasons);
    if (reasons > 0)
        status_readiness_object(readiness, "group_not_joined", "waits for \"partitions\"");
    if (reasons > 1)
        status_readiness_object(readiness, "draining", "it was told to stop");
}

static void begin(void)
{
    char error[256] = "";
    const struct status_server_options options = {
        .listen = "127.0.0.1:0", .on_readiness = on_readiness, .context = &reasons};
    http_fixture_init(&fixture, NULL, NULL);
    if (status_server_new(&fixture.loop, &options, &server, error, sizeof error) != RESULT_OK)
        fail_msg("%s", error);
}

static void end(void)
{
    status_server_close(server);
    http_fixture_release(&fixture);
}

struct page {
    struct http_probe probe; /* first, so that it leads to its page */
    int status;
    char type[128];
    char body[BODY_SIZE];
};

static void on_page(struct http_probe *probe, const struct http_response *response)
{
    struct page *page = (struct page *)probe;
    page->status = response->status;
    const char *type = http_response_header(response, "Content-Type");
    snprintf(page->type, sizeof page->type, "%s", type ? type : "");
    assert_true(response->body_size < sizeof page->body);
    snprintf(page->body, sizeof page->body, "%s", response->body);
}

static void get(struct page *page, const char *path)
{
    struct http_probe *probe = &page->probe;
    *page = (struct page){0};
    http_probe_init(probe, &fixture, path);
    snprintf(probe->url, sizeof probe->url, "http://%s%s?x=1", status_server_address(server), path);
    probe->then = on_page;
    http_probe_start(probe);
    http_probe_wait(probe);
    assert_int_equal(probe->outcome, HTTP_ANSWERED);
}

static void assert_page(const char *path, int status, const char *type, const char *body)
{
    struct page page;
    get(&page, path);
    assert_int_equal(page.status, status);
    assert_string_equal(page.type, type);
    assert_string_equal(page.body, body);
}

static void test_health(void **state)
{
    (void)state;
    begin();
    reasons = 2;
    assert_page("/healthz", 200, "application/json", "{\"alive\":true}\n");
    end();
}

static void test_readiness(void **state)
{
    (void)state;
    begin();
    reasons = 2;
    assert_page("/readyz", 503, "application/json",
        "{\"ready\":false,\"reasons\":[{\"code\":\"group_not_joined\",\"message\":\"waits for "
        "\\\"partitions\\\"\"},{\"code\":\"draining\",\"message\":\"it was told to stop\"}]}\n");
    reasons = 0;
    assert_page("/readyz", 200, "application/json", "{\"ready\":true,\"reasons\":[]}\n");
    reasons = 1;
    assert_page("/readyz", 503, "application/json",
        "{\"ready\":false,\"reasons\":[{\"code\":\"group_not_joined\",\"message\":\"waits for "
        "\\\"partitions\\\"\"}]}\n");
    end();
}

static void test_other_pages(void **state)
{
    (void)state;
    struct page page;
    begin();
    get(&page, "/");
    assert_int_equal(page.status, 404);
    get(&page, "/metrics/");
    assert_int_equal(page.status, 404);
    end();
}

/* ---- the metrics' text, read as Prometheus reads it, or more strictly ---- */

static size_t name_size(const char *text)
{
    return strspn(text, "abcdefghijklmnopqrstuvwxyz_0123456789");
}

/* `name{a="b",c="d"}` without escapes, which no label of ours needs; the text behind it. */
static const char *read_labels(const char *text)
{
    if (*text != '{')
        return text;
    do {
        text++;
        assert_true(name_size(text) > 0);
        text += name_size(text);
        assert_memory_equal(text, "=\"", 2);
        text += 2 + strcspn(text + 2, "\"\\\n");
        assert_int_equal(*text, '"');
        text++;
    } while (*text == ',');
    assert_int_equal(*text, '}');
    return text + 1;
}

struct family {
    char name[128];
    char type[16];
    unsigned samples;
};

static void read_sample(const char *line, struct family *family)
{
    static const char *const suffixes[] = {"", "_bucket", "_sum", "_count"};
    size_t family_size = strlen(family->name), size = name_size(line);
    assert_true(size >= family_size);
    assert_memory_equal(line, family->name, family_size);
    bool histogram = strcmp(family->type, "histogram") == 0, known = false;
    for (size_t i = histogram ? 1 : 0; i < (histogram ? 4 : 1); i++)
        known = known || (strlen(suffixes[i]) == size - family_size &&
                             strncmp(line + family_size, suffixes[i], size - family_size) == 0);
    assert_true(known);
    const char *value = read_labels(line + size);
    assert_int_equal(*value, ' ');
    char *rest;
    strtod(value + 1, &rest);
    assert_true(rest > value + 1);
    assert_int_equal(*rest, '\0');
    family->samples++;
}

/* A family comes once. seen: " name name " */
static void begin_family(
    struct family *family, struct buf *seen, const char *name, const char *help)
{
    char spaced[132];
    assert_true(family->samples > 0); /* the one before */
    assert_true(strncmp(name, "terra_connect_", 14) == 0 && name_size(name) == strlen(name));
    assert_true(strlen(help) > 10);
    snprintf(spaced, sizeof spaced, " %s ", name);
    assert_null(strstr(buf_text(seen), spaced));
    buf_append_text(seen, spaced);
    *family = (struct family){0};
    snprintf(family->name, sizeof family->name, "%s", name);
}

static void type_family(struct family *family, const char *name, const char *type)
{
    size_t size = strlen(name);
    bool total = size > 6 && strcmp(name + size - 6, "_total") == 0;
    assert_string_equal(name, family->name);
    assert_string_equal(family->type, "");
    assert_true(total == (strcmp(type, "counter") == 0));
    snprintf(family->type, sizeof family->type, "%s", type);
}

/* HELP, TYPE, then the samples. */
static void read_metrics(char *text)
{
    struct family family = {.samples = 1};
    struct buf seen;
    buf_init(&seen, BODY_SIZE);
    assert_int_equal(text[strlen(text) - 1], '\n');
    for (char *rest = NULL, *line = strtok_r(text, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest)) {
        char name[128] = "", type[16] = "";
        int help = 0;
        if (text_starts_with(line, "# HELP ")) {
            assert_int_equal(sscanf(line + 7, "%127s %n", name, &help), 1);
            begin_family(&family, &seen, name, line + 7 + help);
        } else if (text_starts_with(line, "# TYPE ")) {
            assert_int_equal(sscanf(line + 7, "%127s %15s", name, type), 2);
            type_family(&family, name, type);
        } else {
            assert_string_not_equal(family.type, "");
            read_sample(line, &family);
        }
    }
    assert_true(family.samples > 0);
    buf_release(&seen);
}

static void test_metrics(void **state)
{
    (void)state;
    struct page page;
    metrics_reset();
    begin();
    struct link_memory *links =
        link_memory_new(&fixture.loop, &(struct link_memory_options){.key_prefix = "t"});
    struct event_memory *events =
        event_memory_new(&fixture.loop, &(struct event_memory_options){.key_prefix = "t"});
    metric_observe(metrics_histogram("terra_connect_test_seconds", "a=\"b\"", "Of this test alone.",
                       metrics_seconds_bounds, metrics_seconds_bound_count),
        0.3);
    get(&page, "/metrics");
    assert_int_equal(page.status, 200);
    assert_string_equal(page.type, "text/plain; version=0.0.4; charset=utf-8");
    assert_non_null(
        strstr(page.body, "\nterra_connect_build_info{version=\"" TERRA_CONNECT_VERSION "\"} 1\n"));
    assert_non_null(strstr(page.body, "\nterra_connect_test_seconds_count{a=\"b\"} 1\n"));
    assert_non_null(strstr(page.body, "\nterra_connect_link_notes_total{outcome=\"lost\"} 0\n"));
    read_metrics(page.body);
    link_memory_close(links);
    event_memory_close(events);
    end();
    link_memory_free(links);
    event_memory_free(events);
}

/* ---- listening ---- */

static void test_nothing_listens(void **state)
{
    (void)state;
    static const char *const nowhere[] = {NULL, ""};
    char error[256] = "";
    http_fixture_init(&fixture, NULL, NULL);
    for (size_t i = 0; i < 2; i++) {
        const struct status_server_options options = {.listen = nowhere[i]};
        metrics_reset();
        assert_int_equal(
            status_server_new(&fixture.loop, &options, &server, error, sizeof error), RESULT_OK);
        assert_null(server);
        status_server_close(server);
        assert_true(metric_value(metrics_gauge("terra_connect_build_info",
                        "version=\"" TERRA_CONNECT_VERSION "\"", "")) == 1);
    }
    const struct status_server_options options = {.listen = "nowhere"};
    assert_int_equal(
        status_server_new(&fixture.loop, &options, &server, error, sizeof error), RESULT_REJECT);
    assert_non_null(strstr(error, "write host:port"));
    assert_null(server);
    http_fixture_release(&fixture);
}

/* Who does not ask after readiness gets a worker that is always ready. */
static void test_always_ready(void **state)
{
    (void)state;
    char error[256] = "";
    const struct status_server_options options = {.listen = "127.0.0.1:0"};
    http_fixture_init(&fixture, NULL, NULL);
    assert_int_equal(
        status_server_new(&fixture.loop, &options, &server, error, sizeof error), RESULT_OK);
    assert_page("/readyz", 200, "application/json", "{\"ready\":true,\"reasons\":[]}\n");
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_health),
        cmocka_unit_test(test_readiness),
        cmocka_unit_test(test_other_pages),
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_nothing_listens),
        cmocka_unit_test(test_always_ready),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
