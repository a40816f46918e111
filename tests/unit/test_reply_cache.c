/* The reply cache against a real redis-server, killed and frozen, and the in-process one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/redis_fixture.h"
#include "support/redis_server.h"
#include "worker/reply_cache.h"

#define MS CLOCK_US_PER_MS
#define SECOND CLOCK_US_PER_SECOND
#define KEEP_US (600 * SECOND)

static struct redis_server server;
static struct redis_fixture fixture;
static struct reply_cache *cache;

/* One ticket and what it was told. */
struct asker {
    struct reply_cache_ticket ticket;
    unsigned times;
    bool found;
    struct terra_link link; /* when found */
    int64_t asked_us, told_us;
};

static bool asking; /* inside a call of the cache: no callback may come */

static void on_link(struct reply_cache_ticket *ticket, struct terra_link *link)
{
    struct asker *asker = ticket->context;
    assert_false(asking);
    asker->times++;
    asker->told_us = clock_monotonic_us();
    asker->found = link != NULL;
    if (link) {
        asker->link = *link;
        *link = (struct terra_link){0};
    }
}

static void wait_for(struct asker *asker)
{
    redis_fixture_wait_times(&fixture, &asker->times, 1);
    assert_int_equal(asker->times, 1);
}

static void begin_ask(struct asker *asker)
{
    *asker = (struct asker){
        .ticket = {.on_link = on_link, .context = asker},
        .asked_us = clock_monotonic_us(),
    };
    asking = true;
}

static void digest_of(const char *name, char digest[DIGEST_HEX_SIZE])
{
    digest_bytes(name, strlen(name), digest);
}

static void find(struct asker *asker, const char *name)
{
    char digest[DIGEST_HEX_SIZE];
    digest_of(name, digest);
    begin_ask(asker);
    reply_cache_find(cache, &asker->ticket, digest);
    asking = false;
    wait_for(asker);
}

static void keep(struct asker *asker, const char *name, const struct terra_link *link)
{
    char digest[DIGEST_HEX_SIZE];
    digest_of(name, digest);
    begin_ask(asker);
    reply_cache_keep(cache, &asker->ticket, digest, link);
    asking = false;
    wait_for(asker);
}

static void release(struct asker *asker)
{
    terra_link_release(&asker->link);
}

/* Nothing is kept under the name. */
static void assert_absent(const char *name)
{
    struct asker asker;
    find(&asker, name);
    assert_false(asker.found);
}

static void assert_kept(const char *name, const char *link)
{
    struct asker asker;
    find(&asker, name);
    assert_true(asker.found);
    assert_string_equal(asker.link.link, link);
    release(&asker);
}

/* Keeps a link of which nobody was first. */
static void keep_first(const char *name, const char *text, int64_t life_us)
{
    struct asker asker;
    char copy[256];
    snprintf(copy, sizeof copy, "%s", text);
    struct terra_link link = {
        .widget = true,
        .link = copy,
        .expires_wall_us = life_us ? clock_wall_us() + life_us : 0,
    };
    keep(&asker, name, &link);
    assert_false(asker.found);
}

static void open_cache(struct redis_client *redis, unsigned local_entries_max)
{
    cache = reply_cache_new(&fixture.loop, &(struct reply_cache_options){
                                               .redis = redis,
                                               .key_prefix = "test",
                                               .keep_us = KEEP_US,
                                               .local_entries_max = local_entries_max,
                                           });
}

static void begin_local(unsigned local_entries_max)
{
    redis_fixture_init(&fixture);
    open_cache(NULL, local_entries_max);
}

static void begin_redis(void)
{
    struct redis_probe probe;
    redis_fixture_init(&fixture);
    redis_fixture_open_port(&fixture, server.port, "");
    redis_probe_run(&probe, &fixture, "FLUSHALL");
    open_cache(fixture.client, 0);
}

static void end(void)
{
    reply_cache_close(cache);
    redis_fixture_release(&fixture);
    reply_cache_free(cache);
}

/* The key as it stands in Redis, for commands beside the cache's back. */
static void run_on_key(
    struct redis_probe *probe, const char *command, const char *name, const char *rest)
{
    char digest[DIGEST_HEX_SIZE], text[512];
    digest_of(name, digest);
    snprintf(text, sizeof text, "%s test:reply:%s %s", command, digest, rest);
    redis_probe_run(probe, &fixture, text);
}

static int64_t life_in_redis(const char *name)
{
    struct redis_probe probe;
    run_on_key(&probe, "PTTL", name, "");
    assert_int_equal(probe.kind, REDIS_INTEGER);
    return probe.integer * MS;
}

static int start_server(void **state)
{
    (void)state;
    redis_server_start(&server);
    return 0;
}

static int end_server(void **state)
{
    (void)state;
    redis_server_end(&server);
    return 0;
}

/* ---- what both kinds promise ---- */

static void check_first_writer_wins(void)
{
    struct asker asker;
    assert_absent("r1");
    keep_first("r1", "https://a.example/1", 0);
    assert_kept("r1", "https://a.example/1");

    struct terra_link second = {.widget = true, .link = (char *)"https://a.example/2"};
    keep(&asker, "r1", &second);
    assert_true(asker.found);
    assert_string_equal(asker.link.link, "https://a.example/1");
    release(&asker);
    assert_kept("r1", "https://a.example/1");
    assert_absent("r2"); /* another request */
}

static void check_all_of_a_link_comes_back(void)
{
    struct asker asker;
    struct terra_link link = {
        .widget = false,
        .link = (char *)"https://a.example/?q=\"\\\xc3\xa9",
        .id = (char *)"user-1",
        .expires_wall_us = clock_wall_us() + 3600 * SECOND + 123456,
    };
    text_list_add(&link.warnings, "one");
    text_list_add(&link.warnings, "%s", "two \"quoted\"");
    keep(&asker, "r1", &link);
    assert_false(asker.found);
    find(&asker, "r1");
    assert_true(asker.found);
    assert_false(asker.link.widget);
    assert_string_equal(asker.link.link, link.link);
    assert_string_equal(asker.link.id, "user-1");
    assert_int_equal(asker.link.expires_wall_us, link.expires_wall_us);
    assert_int_equal(asker.link.warnings.count, 2);
    assert_string_equal(asker.link.warnings.items[1], "two \"quoted\"");
    release(&asker);
    text_list_release(&link.warnings);

    /* What Terra left out is left out. */
    keep_first("r2", "https://a.example/2", 0);
    find(&asker, "r2");
    assert_true(asker.link.widget);
    assert_null(asker.link.id);
    assert_int_equal(asker.link.expires_wall_us, 0);
    assert_int_equal(asker.link.warnings.count, 0);
    release(&asker);
}

/* Nobody is told of a link that was not kept, and the caller's own counts. */
static void check_a_short_life_is_not_kept(void)
{
    static const int64_t lives_us[] = {60 * SECOND, 30 * SECOND, 1, -3600 * SECOND};
    for (size_t i = 0; i < sizeof lives_us / sizeof lives_us[0]; i++) {
        keep_first("short", "https://a.example/1", lives_us[i]);
        assert_absent("short");
    }
}

static void check_a_huge_link_is_not_kept(void)
{
    struct asker asker;
    char *text = malloc(20000);
    memset(text, 'a', 19999);
    text[19999] = '\0';
    struct terra_link link = {.widget = true, .link = text};
    keep(&asker, "huge", &link);
    assert_false(asker.found);
    assert_absent("huge");
    free(text);
}

static void check_both(void)
{
    check_first_writer_wins();
    check_a_short_life_is_not_kept();
    check_a_huge_link_is_not_kept();
}

static void test_promises_in_process(void **state)
{
    (void)state;
    begin_local(0);
    check_both();
    end();
    begin_local(0);
    check_all_of_a_link_comes_back();
    end();
}

static void test_promises_in_redis(void **state)
{
    (void)state;
    begin_redis();
    check_both();
    end();
    begin_redis();
    check_all_of_a_link_comes_back();
    end();
}

/* ---- many at once, and a ticket used again inside its own callback ---- */

enum { MANY = 50 };

struct chain {
    struct reply_cache_ticket ticket;
    char digest[DIGEST_HEX_SIZE];
    unsigned finds_left, told;
};

static void on_chain(struct reply_cache_ticket *ticket, struct terra_link *link)
{
    struct chain *chain = ticket->context;
    assert_false(asking);
    assert_non_null(link);
    chain->told++;
    if (chain->finds_left-- == 0)
        return;
    asking = true;
    reply_cache_find(cache, &chain->ticket, chain->digest);
    asking = false;
}

static void check_many_at_once(void)
{
    static struct chain chains[MANY];
    memset(chains, 0, sizeof chains);
    for (unsigned i = 0; i < MANY; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%u", i);
        keep_first(name, "https://a.example/m", 0);
        chains[i].ticket = (struct reply_cache_ticket){.on_link = on_chain, .context = &chains[i]};
        chains[i].finds_left = 3;
        digest_of(name, chains[i].digest);
    }
    asking = true;
    for (unsigned i = 0; i < MANY; i++)
        reply_cache_find(cache, &chains[i].ticket, chains[i].digest);
    asking = false;
    for (unsigned i = 0; i < MANY; i++)
        redis_fixture_wait_times(&fixture, &chains[i].told, 4);
}

static void test_many_at_once(void **state)
{
    (void)state;
    begin_local(0);
    check_many_at_once();
    end();
    begin_redis();
    check_many_at_once();
    end();
}

/* ---- in Redis ---- */

static void test_life_in_redis(void **state)
{
    (void)state;
    begin_redis();
    keep_first("unknown", "https://a.example/1", 0);
    keep_first("long", "https://a.example/2", 86400 * SECOND);
    keep_first("short", "https://a.example/3", 100 * SECOND);
    assert_in_range(life_in_redis("unknown"), KEEP_US - 20 * SECOND, KEEP_US);
    assert_in_range(life_in_redis("long"), KEEP_US - 20 * SECOND, KEEP_US);
    /* A minute less than the link lives. */
    assert_in_range(life_in_redis("short"), 20 * SECOND, 40 * SECOND);
    /* The loser does not prolong it. */
    struct asker asker;
    struct terra_link link = {.widget = true, .link = (char *)"https://a.example/4"};
    keep(&asker, "short", &link);
    release(&asker);
    assert_in_range(life_in_redis("short"), 1, 40 * SECOND);
    end();
}

static void test_what_cannot_be_read_counts_as_nothing(void **state)
{
    (void)state;
    static const char *const values[] = {"garbage", "[]", "{}", "{\"widget\":true}",
        "{\"widget\":true,\"link\":7,\"expires_wall_us\":0}", "{\"widget\":1,\"link\":\"x\"}"};
    struct redis_probe probe;
    struct asker asker;
    begin_redis();
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        run_on_key(&probe, "SET", "odd", values[i]);
        assert_absent("odd");
        struct terra_link link = {.widget = true, .link = (char *)"https://a.example/1"};
        keep(&asker, "odd", &link);
        assert_false(asker.found);
    }
    /* A key of another type is answered with an error. */
    run_on_key(&probe, "DEL", "odd", "");
    run_on_key(&probe, "LPUSH", "odd", "x");
    assert_absent("odd");
    keep_first("odd", "https://a.example/1", 0);
    end();
}

static void test_two_caches_share_one_redis(void **state)
{
    (void)state;
    begin_redis();
    keep_first("r1", "https://a.example/1", 0);
    struct reply_cache *first = cache;
    open_cache(fixture.client, 0);
    assert_kept("r1", "https://a.example/1");
    struct asker asker;
    struct terra_link link = {.widget = true, .link = (char *)"https://a.example/2"};
    keep(&asker, "r1", &link);
    assert_string_equal(asker.link.link, "https://a.example/1");
    release(&asker);
    reply_cache_close(first);
    end();
    reply_cache_free(first);
}

static void test_a_forgotten_script_is_sent_again(void **state)
{
    (void)state;
    struct redis_probe probe;
    begin_redis();
    keep_first("r1", "https://a.example/1", 0);
    redis_probe_run(&probe, &fixture, "SCRIPT FLUSH");
    redis_probe_run(&probe, &fixture, "CONFIG RESETSTAT");
    keep_first("r2", "https://a.example/2", 0);
    keep_first("r3", "https://a.example/3", 0);
    assert_int_equal(redis_fixture_calls(&fixture, "eval"), 1);
    assert_kept("r2", "https://a.example/2");
    end();
}

/* ---- Redis away ---- */

static void test_redis_that_is_not_there(void **state)
{
    (void)state;
    struct redis_server absent = {0};
    redis_server_prepare(&absent);
    redis_fixture_init(&fixture);
    redis_fixture_open_port(&fixture, absent.port, "");
    open_cache(fixture.client, 0);
    assert_absent("r1");
    keep_first("r1", "https://a.example/1", 0);
    assert_absent("r1"); /* it is not kept here instead: another worker would not know it */
    end();
    redis_server_end(&absent);
}

static void test_redis_killed_and_back(void **state)
{
    (void)state;
    begin_redis();
    keep_first("r1", "https://a.example/1", 0);
    redis_server_kill(&server);
    assert_absent("r1");
    keep_first("r2", "https://a.example/2", 0);
    redis_server_start(&server);
    redis_fixture_wait_connected(&fixture);
    keep_first("r3", "https://a.example/3", 0);
    assert_kept("r3", "https://a.example/3");
    end();
}

static void test_redis_frozen(void **state)
{
    (void)state;
    struct asker asker;
    begin_redis();
    keep_first("r1", "https://a.example/1", 0);
    redis_server_freeze(&server);
    find(&asker, "r1");
    assert_false(asker.found);
    /* A person waits: half a second, and some for a slow machine. */
    assert_true(asker.told_us - asker.asked_us >= 400 * MS);
    assert_true(asker.told_us - asker.asked_us < 5 * SECOND);
    redis_server_thaw(&server);
    do {
        uv_run(&fixture.loop, UV_RUN_NOWAIT);
        find(&asker, "r1");
        release(&asker);
    } while (!asker.found);
    end();
}

/* ---- in this process ---- */

static int64_t clock_us;

static int64_t fake_clock(void)
{
    return clock_us;
}

static void test_life_in_process(void **state)
{
    (void)state;
    clock_us = INT64_C(1795248936) * SECOND;
    clock_set_source(fake_clock, fake_clock);
    begin_local(0);
    keep_first("unknown", "https://a.example/1", 0);
    keep_first("short", "https://a.example/2", 100 * SECOND);
    clock_us += 40 * SECOND - MS;
    assert_kept("short", "https://a.example/2");
    clock_us += MS; /* a minute less than the link lives */
    assert_absent("short");
    keep_first("short", "https://a.example/3", 0); /* free for the next */
    clock_us += KEEP_US - 40 * SECOND - MS;
    assert_kept("unknown", "https://a.example/1");
    clock_us += MS;
    assert_absent("unknown");
    assert_kept("short", "https://a.example/3");
    end();
    clock_set_source(NULL, NULL);
}

static void test_ceiling_in_process(void **state)
{
    (void)state;
    begin_local(3);
    keep_first("r1", "https://a.example/1", 0);
    keep_first("r2", "https://a.example/2", 0);
    keep_first("r3", "https://a.example/3", 0);
    assert_kept("r1", "https://a.example/1"); /* being asked for does not make it younger */
    keep_first("r4", "https://a.example/4", 0);
    assert_absent("r1");
    assert_kept("r2", "https://a.example/2");
    assert_kept("r3", "https://a.example/3");
    assert_kept("r4", "https://a.example/4");
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_promises_in_process),
        cmocka_unit_test(test_promises_in_redis),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_life_in_redis),
        cmocka_unit_test(test_what_cannot_be_read_counts_as_nothing),
        cmocka_unit_test(test_two_caches_share_one_redis),
        cmocka_unit_test(test_a_forgotten_script_is_sent_again),
        cmocka_unit_test(test_redis_that_is_not_there),
        cmocka_unit_test(test_redis_killed_and_back),
        cmocka_unit_test(test_redis_frozen),
        cmocka_unit_test(test_life_in_process),
        cmocka_unit_test(test_ceiling_in_process),
    };
    return cmocka_run_group_tests(tests, start_server, end_server);
}
