/* The link memory against a real redis-server, frozen and gone, and the in-process one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/metrics.h"
#include "common/redis_notes.h"
#include "support/redis_fixture.h"
#include "support/redis_server.h"
#include "worker/link_memory.h"

#define SECOND CLOCK_US_PER_SECOND
#define KEEP_US (3600 * SECOND)

static struct redis_server server;
static struct redis_fixture fixture;
static struct link_memory *memory;

struct asker {
    struct link_memory_ticket ticket;
    unsigned times;
    const struct link_fact *fact;
    enum link_match match;
};

static bool asking; /* inside a call of the memory: no callback may come */

static void on_found(
    struct link_memory_ticket *ticket, const struct link_fact *fact, enum link_match match)
{
    struct asker *asker = ticket->context;
    assert_false(asking);
    assert_true((fact != NULL) == (match != LINK_MATCH_NONE));
    asker->times++;
    asker->fact = fact;
    asker->match = match;
}

static void begin_find(
    struct asker *asker, const char *session_id, const char *user_id, const char *reference_id)
{
    asking = true;
    link_memory_find(memory, &asker->ticket, session_id, user_id, reference_id);
    asking = false;
}

static void init_asker(struct asker *asker)
{
    *asker = (struct asker){.ticket = {.on_found = on_found, .context = asker}};
}

/* request_id: of the link that is found; NULL: none is. */
static void assert_finds(const char *session_id, const char *user_id, const char *reference_id,
    const char *request_id, enum link_match match)
{
    struct asker asker;
    init_asker(&asker);
    begin_find(&asker, session_id, user_id, reference_id);
    redis_fixture_wait_times(&fixture, &asker.times, 1);
    assert_int_equal(asker.match, match);
    if (request_id)
        assert_string_equal(asker.fact->request_id, request_id);
    link_memory_ticket_release(&asker.ticket);
}

static void note(
    const char *session_id, const char *user_id, const char *reference_id, const char *request_id)
{
    /* Copied at once: the caller's memory may go. */
    char request[64], reference[64] = "";
    snprintf(request, sizeof request, "%s", request_id);
    if (reference_id)
        snprintf(reference, sizeof reference, "%s", reference_id);
    struct link_fact fact = {
        .request_id = request,
        .reference_id = reference_id ? reference : NULL,
        .answered_wall_us = 1795248936123456,
    };
    link_memory_note(memory, session_id, user_id, &fact);
    memset(request, 'x', sizeof request);
    memset(reference, 'x', sizeof reference);
}

static double counted(const char *name, const char *outcome)
{
    char labels[64];
    snprintf(labels, sizeof labels, "outcome=\"%s\"", outcome);
    return metric_value(metrics_counter(name, labels, ""));
}

static void open_memory(struct redis_client *redis, unsigned local_entries_max)
{
    memory = link_memory_new(&fixture.loop, &(struct link_memory_options){
                                                .redis = redis,
                                                .key_prefix = "test",
                                                .keep_us = KEEP_US,
                                                .local_entries_max = local_entries_max,
                                            });
}

static void begin_local(unsigned local_entries_max)
{
    redis_fixture_init(&fixture);
    open_memory(NULL, local_entries_max);
}

static void begin_redis(void)
{
    struct redis_probe probe;
    redis_fixture_init(&fixture);
    redis_fixture_open_port(&fixture, server.port, "");
    redis_probe_run(&probe, &fixture, "FLUSHALL");
    open_memory(fixture.client, 0);
}

static void end(void)
{
    link_memory_close(memory);
    redis_fixture_release(&fixture);
    link_memory_free(memory);
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

static void check_which_id_tells(void)
{
    static const struct {
        const char *session_id, *user_id, *reference_id; /* asked for */
        const char *request_id;                          /* found */
        enum link_match match;
    } rows[] = {
        {"s1", NULL, NULL, "r1", LINK_MATCH_SESSION},
        {"s1", "u2", "ref", "r1", LINK_MATCH_SESSION},
        {NULL, "u2", "ref", "r2", LINK_MATCH_USER},
        {"s9", "u2", NULL, "r2", LINK_MATCH_USER},
        {"s9", "u9", "ref", "r2", LINK_MATCH_REFERENCE}, /* the later one of two */
        {NULL, NULL, "ref", "r2", LINK_MATCH_REFERENCE},
        {"u2", "s1", "s1", NULL, LINK_MATCH_NONE}, /* an id counts as what it was noted as */
        {"s9", "u9", "ref9", NULL, LINK_MATCH_NONE},
        {NULL, NULL, NULL, NULL, LINK_MATCH_NONE},
        {"", "", "", NULL, LINK_MATCH_NONE},
    };
    note("s1", NULL, "ref", "r1");
    note(NULL, "u2", "ref", "r2");
    note("", "", NULL, "r3"); /* nothing to find it by */
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_finds(rows[i].session_id, rows[i].user_id, rows[i].reference_id, rows[i].request_id,
            rows[i].match);
}

static void check_all_of_a_fact_comes_back(void)
{
    struct asker asker;
    const struct link_fact full = {
        .request_id = "r\"1\\\xc3\xa9",
        .reference_id = "ref 4",
        .environment = "staging",
        .provider = "GARMIN",
        .answered_wall_us = 1795248936123456,
    };
    link_memory_note(memory, "s4", NULL, &full);
    init_asker(&asker);
    begin_find(&asker, "s4", NULL, NULL);
    redis_fixture_wait_times(&fixture, &asker.times, 1);
    assert_string_equal(asker.fact->request_id, full.request_id);
    assert_string_equal(asker.fact->reference_id, full.reference_id);
    assert_string_equal(asker.fact->environment, full.environment);
    assert_string_equal(asker.fact->provider, full.provider);
    assert_int_equal(asker.fact->answered_wall_us, full.answered_wall_us);

    /* The ticket again: what it held goes, and what is not known is NULL. */
    note("s5", NULL, NULL, "r5");
    begin_find(&asker, "s5", NULL, NULL);
    redis_fixture_wait_times(&fixture, &asker.times, 2);
    assert_string_equal(asker.fact->request_id, "r5");
    assert_null(asker.fact->reference_id);
    assert_null(asker.fact->environment);
    assert_null(asker.fact->provider);
    link_memory_ticket_release(&asker.ticket);
}

static void check_a_huge_fact_is_not_kept(void)
{
    char text[5000];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    double lost = counted("terra_connect_link_notes_total", "lost");
    link_memory_note(memory, "huge", NULL, &(struct link_fact){.request_id = text});
    assert_true(counted("terra_connect_link_notes_total", "lost") == lost + 1);
    assert_finds("huge", NULL, NULL, NULL, LINK_MATCH_NONE);
    /* A huge id is only hashed. */
    note(text, NULL, NULL, "r6");
    assert_finds(text, NULL, NULL, "r6", LINK_MATCH_SESSION);
}

static void check_both(void)
{
    check_which_id_tells();
    check_all_of_a_fact_comes_back();
    check_a_huge_fact_is_not_kept();
}

static void test_promises_in_process(void **state)
{
    (void)state;
    begin_local(0);
    check_both();
    end();
}

static void test_promises_in_redis(void **state)
{
    (void)state;
    begin_redis();
    check_both();
    end();
}

/* ---- in Redis ---- */

static void test_another_worker_finds_it(void **state)
{
    (void)state;
    begin_redis();
    note("s1", "u1", "ref", "r1");
    struct link_memory *first = memory;
    open_memory(fixture.client, 0);
    assert_finds("s1", NULL, NULL, "r1", LINK_MATCH_SESSION);
    link_memory_close(first);
    end();
    link_memory_free(first);
}

/* No id in a key, and a life for each. */
static void test_keys(void **state)
{
    (void)state;
    /* printf secret-1 | sha256sum | cut -c 1-32 */
    static const char *const keys[] = {"test:link:session:f7e7c36e458e80e6b6a2c67d0a9ec09b",
        "test:link:user:f7e7c36e458e80e6b6a2c67d0a9ec09b",
        "test:link:reference:f7e7c36e458e80e6b6a2c67d0a9ec09b"};
    struct redis_probe probe;
    char command[128];
    begin_redis();
    note("secret-1", "secret-1", "secret-1", "r1");
    redis_probe_run(&probe, &fixture, "DBSIZE");
    assert_int_equal(probe.integer, 3);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        snprintf(command, sizeof command, "PTTL %s", keys[i]);
        redis_probe_run(&probe, &fixture, command);
        assert_in_range(probe.integer, (KEEP_US - 60 * SECOND) / 1000, KEEP_US / 1000);
    }
    end();
}

static void test_what_cannot_be_read_counts_as_nothing(void **state)
{
    (void)state;
    static const char *const values[] = {"garbage", "[]", "{}", "7", "\"text\"",
        "{\"request_id\":\"r\"}", "{\"request_id\":7,\"answered_wall_us\":1}",
        "{\"request_id\":\"r\",\"answered_wall_us\":\"1\"}",
        "{\"request_id\":\"r\",\"answered_wall_us\":-1}",
        "{\"request_id\":\"r\",\"answered_wall_us\":1e300}",
        "{\"request_id\":\"r\",\"answered_wall_us\":1,\"provider\":{}}",
        "{\"request_id\":\"r\",\"answered_wall_us\":1,\"request_id\":\"s\"}"};
    char command[512];
    struct redis_probe probe;
    begin_redis();
    note("secret-1", NULL, NULL, "r1");
    note(NULL, "u1", NULL, "r2");
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        snprintf(command, sizeof command,
            "SET test:link:session:f7e7c36e458e80e6b6a2c67d0a9ec09b %s", values[i]);
        redis_probe_run(&probe, &fixture, command);
        assert_finds("secret-1", NULL, NULL, NULL, LINK_MATCH_NONE);
        /* The next id is looked at. */
        assert_finds("secret-1", "u1", NULL, "r2", LINK_MATCH_USER);
    }
    redis_probe_run(&probe, &fixture, "DEL test:link:session:f7e7c36e458e80e6b6a2c67d0a9ec09b");
    redis_probe_run(&probe, &fixture, "LPUSH test:link:session:f7e7c36e458e80e6b6a2c67d0a9ec09b x");
    assert_finds("secret-1", "u1", NULL, "r2", LINK_MATCH_USER);
    note("secret-1", NULL, NULL, "r3"); /* takes the place of whatever was there */
    assert_finds("secret-1", NULL, NULL, "r3", LINK_MATCH_SESSION);
    end();
}

static void test_redis_that_is_not_there(void **state)
{
    (void)state;
    struct redis_server absent = {0};
    redis_server_prepare(&absent);
    redis_fixture_init(&fixture);
    redis_fixture_open_port(&fixture, absent.port, "");
    open_memory(fixture.client, 0);
    double lost = counted("terra_connect_link_notes_total", "lost");
    double unavailable = counted("terra_connect_link_memory_total", "unavailable");
    note("s1", "u1", "ref", "r1");
    assert_finds("s1", "u1", "ref", NULL, LINK_MATCH_NONE);
    assert_true(counted("terra_connect_link_notes_total", "lost") == lost + 3);
    assert_true(counted("terra_connect_link_memory_total", "unavailable") == unavailable + 1);
    end();
    redis_server_end(&absent);
}

/* A Redis that hangs: notes pile up to their ceiling and no further, and closing ends them. */
static void test_redis_frozen(void **state)
{
    (void)state;
    begin_redis();
    assert_finds("s1", NULL, NULL, NULL, LINK_MATCH_NONE);
    redis_server_freeze(&server);
    double lost = counted("terra_connect_link_notes_total", "lost");
    for (unsigned i = 0; i < REDIS_NOTES_MAX + 10; i++)
        note("s1", NULL, NULL, "r1");
    assert_true(counted("terra_connect_link_notes_total", "lost") == lost + 10);
    end();
    assert_true(counted("terra_connect_link_notes_total", "lost") == lost + REDIS_NOTES_MAX + 10);
    redis_server_thaw(&server);
}

/* ---- in this process ---- */

static int64_t clock_us;

static int64_t fake_clock(void)
{
    return clock_us;
}

static void test_life_and_ceiling_in_process(void **state)
{
    (void)state;
    clock_us = SECOND;
    clock_set_source(fake_clock, fake_clock);
    begin_local(3);
    note("s1", NULL, NULL, "r1");
    clock_us += KEEP_US - 1;
    assert_finds("s1", NULL, NULL, "r1", LINK_MATCH_SESSION);
    clock_us += 1;
    assert_finds("s1", NULL, NULL, NULL, LINK_MATCH_NONE);
    note("s1", NULL, NULL, "r1");
    note("s2", "u2", "ref2", "r2");
    assert_finds("s1", NULL, NULL, NULL, LINK_MATCH_NONE);
    assert_finds("s2", NULL, NULL, "r2", LINK_MATCH_SESSION);
    end();
    clock_set_source(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_promises_in_process),
        cmocka_unit_test(test_promises_in_redis),
        cmocka_unit_test(test_another_worker_finds_it),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_what_cannot_be_read_counts_as_nothing),
        cmocka_unit_test(test_redis_that_is_not_there),
        cmocka_unit_test(test_redis_frozen),
        cmocka_unit_test(test_life_and_ceiling_in_process),
    };
    return cmocka_run_group_tests(tests, start_server, end_server);
}
