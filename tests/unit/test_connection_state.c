/* What events make of connections: step by step, and in any order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/memory.h"
#include "worker/connection_state.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
#define EVENTS_MAX 7
/* 2026-11-21T07:04:30Z; events are told in seconds from there. */
#define START INT64_C(1795244670000000)

enum {
    CONNECTED = AUTH_EVENT_CONNECTED,
    FAILED = AUTH_EVENT_CONNECT_FAILED,
    DISCONNECTED = AUTH_EVENT_DISCONNECTED,
    REVOKED = AUTH_EVENT_REVOKED,
    DEGRADED = AUTH_EVENT_DEGRADED,
    REAUTHENTICATED = AUTH_EVENT_REAUTHENTICATED,
    PERMISSIONS = AUTH_EVENT_PERMISSIONS_CHANGED,
    NO_DATA = AUTH_EVENT_NO_DATA_SOURCE
};

/* One event. An id is one letter, and '-' is none; "" and NULL as everywhere. */
struct told {
    int kind;
    int seconds;
    char user, old_user;
    const char *scopes, *reference_id, *environment;
};

/* All that is kept: the saved state of each id, "" when absent, and what the topic holds of it. */
struct world {
    struct {
        char saved[2048], record[1024];
    } of[3]; /* a, b, c */
};

static char *letter(char id)
{
    return id && id != '-' ? memory_copy_text((char[]){id, '\0'}) : NULL;
}

static void make_event(
    const struct told *told, struct auth_event *event, struct auth_event_context *context)
{
    *event = (struct auth_event){
        .kind = (enum auth_event_kind)told->kind,
        .user_id = letter(told->user),
        .old_user_id = letter(told->old_user),
        .scopes = memory_copy_text(told->scopes),
        .reference_id = memory_copy_text(told->reference_id),
        .provider = memory_copy_text("OURA"),
    };
    *context = (struct auth_event_context){
        .environment = told->environment,
        .published_wall_us = START + told->seconds * CLOCK_US_PER_SECOND,
    };
}

static enum connection_change apply(
    struct world *world, const struct told *told, enum connection_role role)
{
    struct auth_event event;
    struct auth_event_context context;
    struct connection_state state = {.status = CONNECTION_ABSENT};
    char id = role == CONNECTION_OF_USER ? told->user : told->old_user;
    struct buf json;
    if (!id || id == '-')
        return CONNECTION_UNCHANGED;
    char *saved = world->of[id - 'a'].saved, *record = world->of[id - 'a'].record;
    if (saved[0])
        assert_true(connection_state_decode(&state, saved, strlen(saved)));
    make_event(told, &event, &context);
    enum connection_change change = connection_state_apply(&state, &event, &context, role);
    buf_init(&json, CONNECTION_STATE_JSON_BYTES_MAX);
    if (change == CONNECTION_CHANGED) {
        connection_state_encode(&state, &json);
        snprintf(record, sizeof world->of[0].record, "%s", buf_text(&json));
        buf_reset(&json);
    } else if (change == CONNECTION_ENDED) {
        snprintf(record, sizeof world->of[0].record, "tombstone");
    }
    if (change != CONNECTION_UNCHANGED) {
        connection_state_save(&state, &json);
        snprintf(saved, sizeof world->of[0].saved, "%s", buf_text(&json));
    }
    buf_release(&json);
    connection_state_release(&state);
    auth_event_release(&event);
    return change;
}

static enum connection_change apply_both(struct world *world, const struct told *told)
{
    enum connection_change change = apply(world, told, CONNECTION_OF_USER);
    return told->kind == REAUTHENTICATED && apply(world, told, CONNECTION_OF_OLD_USER)
               ? CONNECTION_ENDED
               : change;
}

/* Step by step. */

static void assert_record(const struct world *world, char id, const char *status, const char *kind)
{
    char expected[64];
    const char *record = world->of[id - 'a'].record;
    if (!status) {
        assert_string_equal(record, "tombstone");
        return;
    }
    snprintf(expected, sizeof expected, "\"status\":\"%s\"", status);
    if (!strstr(record, expected))
        fail_msg("%c is not %s: %s", id, status, record);
    snprintf(expected, sizeof expected, "\"last_event\":{\"kind\":\"%s\"", kind);
    if (!strstr(record, expected))
        fail_msg("the last event of %c is not %s: %s", id, kind, record);
}

static void test_each_kind_on_an_absent_one(void **state)
{
    static const struct {
        int kind;
        enum connection_change change;
        const char *status, *name;
    } rows[] = {
        {CONNECTED, CONNECTION_CHANGED, "connected", "connected"},
        {REAUTHENTICATED, CONNECTION_CHANGED, "connected", "reauthenticated"},
        {PERMISSIONS, CONNECTION_CHANGED, "connected", "permissions_changed"},
        {NO_DATA, CONNECTION_CHANGED, "no_data_source", "no_data_source"},
        {DEGRADED, CONNECTION_CHANGED, "degraded", "degraded"},
        {REVOKED, CONNECTION_CHANGED, "revoked", "revoked"},
        {DISCONNECTED, CONNECTION_ENDED, NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct world world = {0};
        const struct told event = {rows[i].kind, 1, 'a', 0, NULL, NULL, NULL};
        assert_int_equal(apply(&world, &event, CONNECTION_OF_USER), rows[i].change);
        assert_record(&world, 'a', rows[i].status, rows[i].name);
        /* a repeat tells nothing new */
        assert_int_equal(apply(&world, &event, CONNECTION_OF_USER), CONNECTION_UNCHANGED);
    }
}

static void test_each_kind_on_a_connected_one(void **state)
{
    static const struct {
        int kind;
        const char *status, *name;
    } rows[] = {
        {CONNECTED, "connected", "connected"},
        {REAUTHENTICATED, "connected", "reauthenticated"},
        {PERMISSIONS, "connected", "permissions_changed"},
        {NO_DATA, "no_data_source", "no_data_source"},
        {DEGRADED, "degraded", "degraded"},
        {REVOKED, "revoked", "revoked"},
        {DISCONNECTED, NULL, NULL},
        {FAILED, "connected", "connected"},
    };
    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct world world = {0};
        const struct told first = {CONNECTED, 1, 'a', 0, "s", "r", "e"};
        const struct told event = {rows[i].kind, 2, 'a', 0, NULL, NULL, NULL};
        const struct told again = {CONNECTED, 3, 'a', 0, NULL, NULL, NULL};
        apply(&world, &first, CONNECTION_OF_USER);
        enum connection_change change = apply(&world, &event, CONNECTION_OF_USER);
        assert_int_equal(change, rows[i].kind == FAILED ? CONNECTION_UNCHANGED
                                 : rows[i].status       ? CONNECTION_CHANGED
                                                        : CONNECTION_ENDED);
        assert_record(&world, 'a', rows[i].status, rows[i].name);
        if (rows[i].status) {
            assert_non_null(strstr(world.of[0].record, "\"since\":\"2026-11-21T07:04:31.000Z\""));
            assert_non_null(strstr(world.of[0].record, "\"scopes\":[\"s\"]"));
            assert_non_null(strstr(world.of[0].record, "\"reference_id\":\"r\""));
            assert_non_null(strstr(world.of[0].record, "\"environment\":\"e\""));
        }
        /* connected again, unless it is over */
        change = apply(&world, &again, CONNECTION_OF_USER);
        assert_int_equal(change, rows[i].status ? CONNECTION_CHANGED : CONNECTION_UNCHANGED);
        assert_record(&world, 'a', rows[i].status ? "connected" : NULL, "connected");
    }
}

static void test_a_failed_attempt_is_no_connection(void **state)
{
    struct world world = {0};
    const struct told event = {FAILED, 1, 'a', 0, "s", "r", "e"};
    (void)state;
    assert_int_equal(apply(&world, &event, CONNECTION_OF_USER), CONNECTION_UNCHANGED);
    assert_string_equal(world.of[0].saved, "");
}

static void test_events_without_an_id_change_nothing(void **state)
{
    struct connection_state connection = {.status = CONNECTION_ABSENT};
    const struct auth_event_context context = {.published_wall_us = START};
    static char id[] = "a";
    const struct auth_event of_old = {.kind = AUTH_EVENT_REAUTHENTICATED, .old_user_id = id};
    const struct auth_event of_new = {.kind = AUTH_EVENT_REAUTHENTICATED, .user_id = id};
    (void)state;
    assert_int_equal(connection_state_apply(&connection, &of_old, &context, CONNECTION_OF_USER),
        CONNECTION_UNCHANGED);
    assert_int_equal(connection_state_apply(&connection, &of_new, &context, CONNECTION_OF_OLD_USER),
        CONNECTION_UNCHANGED);
    assert_int_equal(connection.status, CONNECTION_ABSENT);
    connection_state_release(&connection);
}

/* In any order. */

struct scenario {
    const char *name;
    struct told events[EVENTS_MAX];
    size_t count;
    const char *statuses[3]; /* of a, b, c in the end; NULL: over; "": absent */
};

static const struct scenario scenarios[] = {
    {"reauthentication and the new id's own event",
        {{CONNECTED, 1, 'a', 0, "x", "r", "e"}, {REAUTHENTICATED, 5, 'b', 'a', "x,y", "r", NULL},
            {CONNECTED, 6, 'b', 0, "x,y", "r", "e"}, {DEGRADED, 3, 'a', 0, "x", "r", NULL}},
        4, {NULL, "connected", ""}},
    {"both published in the same millisecond",
        {{CONNECTED, 1, 'a', 0, "x", "r", "e"}, {REAUTHENTICATED, 5, 'b', 'a', "y", "r", "f"},
            {CONNECTED, 5, 'b', 0, "x", "q", "e"}},
        3, {NULL, "connected", ""}},
    {"reauthenticated twice, with late words about the old ids",
        {{CONNECTED, 1, 'a', 0, "x", "r", "e"}, {REAUTHENTICATED, 2, 'b', 'a', "x", "r", NULL},
            {CONNECTED, 2, 'b', 0, "x", "r", NULL}, {REAUTHENTICATED, 3, 'c', 'b', "x", "r", NULL},
            {CONNECTED, 3, 'c', 0, "x", "r", NULL}, {CONNECTED, 9, 'a', 0, "x", "r", "e"}},
        6, {NULL, NULL, "connected"}},
    {"the new one goes bad before its events are in",
        {{REAUTHENTICATED, 2, 'b', 'a', "x", "r", NULL}, {CONNECTED, 3, 'b', 0, "x", "r", "e"},
            {PERMISSIONS, 4, 'b', 0, "y", NULL, NULL}, {REVOKED, 5, 'b', 0, NULL, NULL, NULL},
            {DEGRADED, 4, 'b', 0, NULL, "r", NULL}},
        5, {NULL, "revoked", ""}},
    {"the new one is disconnected",
        {{CONNECTED, 1, 'a', 0, "x", "r", "e"}, {REAUTHENTICATED, 2, 'b', 'a', "x", "r", NULL},
            {CONNECTED, 2, 'b', 0, "x", "r", NULL}, {DISCONNECTED, 8, 'b', 0, NULL, "r", NULL},
            {CONNECTED, 9, 'b', 0, NULL, "r", NULL}},
        5, {NULL, NULL, ""}},
    {"the newest word counts, field by field",
        {{CONNECTED, 1, 'a', 0, "x", "r", NULL}, {PERMISSIONS, 2, 'a', 0, "y", NULL, "e"},
            {NO_DATA, 3, 'a', 0, NULL, "q", NULL}, {PERMISSIONS, 4, 'a', 0, NULL, NULL, NULL},
            {FAILED, 5, 'a', 0, "z", "z", "z"}, {DEGRADED, 2, 'a', 0, "w", NULL, "f"}},
        6, {"no_data_source", "", ""}},
    {"all at the same time",
        {{CONNECTED, 1, 'a', 0, "x", "r", NULL}, {PERMISSIONS, 1, 'a', 0, "y", NULL, "e"},
            {NO_DATA, 1, 'a', 0, "", "q", NULL}, {DEGRADED, 1, 'a', 0, NULL, NULL, NULL}},
        4, {"degraded", "", ""}},
    {"without an old id",
        {{REAUTHENTICATED, 2, 'b', '-', "x", "r", NULL}, {CONNECTED, 3, 'b', 0, "y", "r", "e"},
            {CONNECTED, 1, 'a', 0, "x", "r", "e"}},
        3, {"connected", "connected", ""}},
};

static void assert_same(
    const struct scenario *scenario, const struct world *world, const struct world *expected)
{
    for (size_t i = 0; i < 3; i++)
        if (strcmp(world->of[i].record, expected->of[i].record) != 0)
            fail_msg("%s: %c is %s instead of %s", scenario->name, (char)('a' + i),
                world->of[i].record, expected->of[i].record);
}

/* All orders of the events from `from` on; each one plain, with each event at once again, and with
 * all of them again behind. */
static void try_orders(const struct scenario *scenario, struct told events[EVENTS_MAX], size_t from,
    const struct world *expected)
{
    if (from < scenario->count) {
        for (size_t i = from; i < scenario->count; i++) {
            struct told first = events[from];
            events[from] = events[i];
            events[i] = first;
            try_orders(scenario, events, from + 1, expected);
            events[i] = events[from];
            events[from] = first;
        }
        return;
    }
    struct world plain = {0}, doubled = {0};
    for (size_t i = 0; i < scenario->count; i++) {
        apply_both(&plain, &events[i]);
        apply_both(&doubled, &events[i]);
        assert_int_equal(apply_both(&doubled, &events[i]), CONNECTION_UNCHANGED);
    }
    assert_same(scenario, &plain, expected);
    assert_same(scenario, &doubled, expected);
    for (size_t i = 0; i < scenario->count; i++)
        assert_int_equal(apply_both(&plain, &events[i]), CONNECTION_UNCHANGED);
    assert_same(scenario, &plain, expected);
}

static void test_the_order_does_not_matter(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(scenarios); i++) {
        const struct scenario *scenario = &scenarios[i];
        struct told events[EVENTS_MAX];
        struct world world = {0};
        memcpy(events, scenario->events, sizeof events);
        for (size_t j = 0; j < scenario->count; j++)
            apply_both(&world, &events[j]);
        for (size_t j = 0; j < 3; j++) {
            const char *status = scenario->statuses[j];
            char expected[64];
            snprintf(expected, sizeof expected, "\"status\":\"%s\"", status ? status : "");
            if (!status || !status[0])
                assert_string_equal(world.of[j].record, status ? "" : "tombstone");
            else
                assert_non_null(strstr(world.of[j].record, expected));
        }
        try_orders(scenario, events, 0, &world);
    }
}

static void test_the_newest_word(void **state)
{
    struct world world = {0};
    (void)state;
    for (size_t i = 0; i < scenarios[5].count; i++)
        apply_both(&world, &scenarios[5].events[i]);
    assert_string_equal(world.of[0].record,
        "{\"user_id\":\"a\",\"status\":\"no_data_source\",\"provider\":\"OURA\","
        "\"reference_id\":\"q\",\"environment\":\"f\",\"since\":\"2026-11-21T07:04:31.000Z\","
        "\"last_event\":{\"kind\":\"permissions_changed\",\"at\":\"2026-11-21T07:04:34.000Z\"},"
        "\"scopes\":[\"y\"]}");
}

/* There and back. */

#define RECORD                                                                                     \
    "\"user_id\":\"a\",\"status\":\"degraded\",\"provider\":\"OURA\",\"reference_id\":\"r\","      \
    "\"environment\":null,\"since\":\"2026-11-21T07:04:31.000Z\","                                 \
    "\"last_event\":{\"kind\":\"permissions_changed\",\"at\":\"2026-11-21T07:04:34.000Z\"},"       \
    "\"scopes\":[\"x\",\"y\"]"

static void test_there_and_back(void **state)
{
    static const char record[] = "{" RECORD "}",
                      saved[] = "{" RECORD ",\"said_at\":{\"status\":\"2026-11-21T07:04:33.000Z\","
                                "\"provider\":\"2026-11-21T07:04:34.000Z\","
                                "\"reference_id\":\"2026-11-21T07:04:34.000Z\","
                                "\"scopes\":\"2026-11-21T07:04:32.000Z\"}}";
    struct connection_state connection;
    struct buf json;
    (void)state;
    buf_init(&json, CONNECTION_STATE_JSON_BYTES_MAX);
    assert_true(connection_state_decode(&connection, saved, sizeof saved - 1));
    connection_state_save(&connection, &json);
    assert_string_equal(buf_text(&json), saved);
    connection_state_release(&connection);
    /* a record tells less, and counts as said by its last event */
    buf_reset(&json);
    assert_true(connection_state_decode(&connection, record, sizeof record - 1));
    assert_int_equal(connection.status_wall_us, START + 4 * CLOCK_US_PER_SECOND);
    connection_state_encode(&connection, &json);
    assert_string_equal(buf_text(&json), record);
    connection_state_release(&connection);
    assert_null(connection.user_id);
    buf_release(&json);
}

static void test_reading(void **state)
{
#define REST                                                                                       \
    "\"since\":\"2026-11-21T07:04:31Z\",\"last_event\":{\"kind\":\"new\",\"at\":\"2026-11-21T07:"  \
    "04:31Z\",\"x\":1}"
    static const struct {
        const char *json;
        enum connection_status status; /* ABSENT: refused */
    } rows[] = {
        {"{\"user_id\":\"a\",\"status\":\"over\"," REST "}", CONNECTION_OVER},
        {"{\"user_id\":\"a\",\"status\":\"new\",\"more\":[{}]," REST "}", CONNECTION_CONNECTED},
        {"{\"user_id\":\"a\",\"status\":\"absent\"," REST "}", CONNECTION_CONNECTED},
        {"{\"user_id\":\"a\",\"status\":\"revoked\",\"provider\":7,\"scopes\":7,"
         "\"said_at\":[]," REST "}",
            CONNECTION_REVOKED},
        {"{\"user_id\":\"\",\"status\":\"over\"," REST "}", CONNECTION_ABSENT},
        {"{\"user_id\":{},\"status\":\"over\"," REST "}", CONNECTION_ABSENT},
        {"{\"user_id\":\"a\",\"status\":1," REST "}", CONNECTION_ABSENT},
        {"{\"user_id\":\"a\"," REST "}", CONNECTION_ABSENT},
        {"{\"user_id\":\"a\",\"status\":\"over\"}", CONNECTION_ABSENT},
        {"{\"user_id\":\"a\",\"status\":\"over\",\"since\":\"2026-11-21T07:04:31Z\","
         "\"last_event\":{\"kind\":\"connected\"}}",
            CONNECTION_ABSENT},
        {"{}", CONNECTION_ABSENT},
        {"[]", CONNECTION_ABSENT},
        {"", CONNECTION_ABSENT},
        {"x", CONNECTION_ABSENT},
    };
#undef REST
    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct connection_state connection;
        bool read = connection_state_decode(&connection, rows[i].json, strlen(rows[i].json));
        assert_int_equal(read, rows[i].status != CONNECTION_ABSENT);
        assert_int_equal(connection.status, rows[i].status);
        connection_state_release(&connection);
    }
}

static char *quotes(size_t size)
{
    char *text = memory_new(size + 1);
    memset(text, '"', size);
    return text;
}

static void test_the_largest_state_has_room(void **state)
{
    struct connection_state connection = {
        .status = CONNECTION_NO_DATA_SOURCE,
        .user_id = quotes(EVENT_ID_BYTES_MAX),
        .reference_id = {.text = quotes(EVENT_ID_BYTES_MAX)},
        .provider = {.text = quotes(AUTH_EVENT_PROVIDER_BYTES_MAX)},
        .environment = {.text = quotes(EVENT_ID_BYTES_MAX)},
        .scopes = {.text = quotes(SCOPE_SET_BYTES_MAX)},
        .last_event = AUTH_EVENT_PERMISSIONS_CHANGED,
    };
    struct buf json;
    (void)state;
    for (size_t i = 1; i <= SCOPE_SET_MAX; i++)
        connection.scopes.text[i * (SCOPE_SET_BYTES_MAX / SCOPE_SET_MAX) - 1] = ',';
    buf_init(&json, CONNECTION_STATE_JSON_BYTES_MAX);
    connection_state_save(&connection, &json);
    assert_true(buf_ok(&json));
    buf_release(&json);
    connection_state_release(&connection);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_kind_on_an_absent_one),
        cmocka_unit_test(test_each_kind_on_a_connected_one),
        cmocka_unit_test(test_a_failed_attempt_is_no_connection),
        cmocka_unit_test(test_events_without_an_id_change_nothing),
        cmocka_unit_test(test_the_order_does_not_matter),
        cmocka_unit_test(test_the_newest_word),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_the_largest_state_has_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
