/* simulated_redis: see simulated_redis.h. */
#include "simulated_redis.h"

#include <assert.h>
#include <float.h>
#include <inttypes.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uthash.h>

#include "common/clock.h"
#include "common/memory.h"
#include "common/redis_subscriber.h"

enum { KEYS_MAX = 16, ARGUMENTS_MAX = 16, ITEMS_MAX = 32 };

/* A field of a hash, or a member of a sorted set. */
struct item {
    char name[48], text[48];
    double score;
    UT_hash_handle hh;
};

struct key {
    char name[192];
    struct item *items;
    double least_score; /* no member has less */
};

struct question {
    struct redis_client *client;
    struct redis_command *command;
    const struct redis_script *script;
    size_t keys, count;
    const char *arguments[ARGUMENTS_MAX];
    unsigned life;
    int64_t timeout_at_us;
    bool failed; /* Redis was not there */
    int64_t answer[ITEMS_MAX];
    size_t answer_count;
};

static struct simulated_redis_options options;
static lua_State *lua;
static const char *loaded; /* the script that lies in the registry */
static struct key keys[KEYS_MAX];
static size_t key_count;
static bool is_down;
static int64_t busy_until_us;
static uint64_t calls;

/* ---- data ---- */

static struct key *key_of(const char *name)
{
    for (size_t i = 0; i < key_count; i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    assert(key_count < KEYS_MAX);
    struct key *key = &keys[key_count++];
    *key = (struct key){.least_score = DBL_MAX};
    snprintf(key->name, sizeof key->name, "%s", name);
    return key;
}

static struct item *find(const struct key *key, const char *name)
{
    struct item *item;
    HASH_FIND_STR(key->items, name, item);
    return item;
}

static struct item *find_or_add(struct key *key, const char *name)
{
    struct item *item = find(key, name);
    if (item)
        return item;
    item = memory_new(sizeof *item);
    snprintf(item->name, sizeof item->name, "%s", name);
    HASH_ADD_STR(key->items, name, item);
    return item;
}

/* ---- commands, as far as the script knows them ---- */

static int push_time(lua_State *state)
{
    lua_newtable(state);
    lua_pushfstring(state, "%d", (int)(clock_wall_us() / CLOCK_US_PER_SECOND));
    lua_rawseti(state, -2, 1);
    lua_pushfstring(state, "%d", (int)(clock_wall_us() % CLOCK_US_PER_SECOND));
    lua_rawseti(state, -2, 2);
    return 1;
}

static int get_fields(lua_State *state, const struct key *key)
{
    int count = lua_gettop(state);
    lua_newtable(state);
    for (int i = 3; i <= count; i++) {
        const struct item *item = find(key, lua_tostring(state, i));
        if (item)
            lua_pushstring(state, item->text);
        else
            lua_pushboolean(state, 0);
        lua_rawseti(state, -2, i - 2);
    }
    return 1;
}

static int set_fields(lua_State *state, struct key *key)
{
    for (int i = 3; i < lua_gettop(state); i += 2) {
        struct item *item = find_or_add(key, lua_tostring(state, i));
        snprintf(item->text, sizeof item->text, "%s", lua_tostring(state, i + 1));
    }
    return 0;
}

static int remove_item(lua_State *state, struct key *key)
{
    struct item *item = find(key, lua_tostring(state, 3));
    if (item) {
        HASH_DEL(key->items, item);
        free(item);
    }
    return 0;
}

static int set_score(lua_State *state, struct key *key)
{
    struct item *item = find_or_add(key, lua_tostring(state, 4));
    item->score = strtod(lua_tostring(state, 3), NULL);
    if (item->score < key->least_score)
        key->least_score = item->score;
    return 0;
}

static int get_score(lua_State *state, const struct key *key)
{
    const struct item *item = find(key, lua_tostring(state, 3));
    if (item)
        lua_pushnumber(state, item->score);
    else
        lua_pushboolean(state, 0);
    return 1;
}

/* From -inf. */
static int get_range(lua_State *state, struct key *key)
{
    double most = strtod(lua_tostring(state, 4), NULL);
    assert(strcmp(lua_tostring(state, 3), "-inf") == 0);
    lua_newtable(state);
    if (key->least_score > most)
        return 1;
    int found = 0;
    key->least_score = DBL_MAX;
    for (const struct item *item = key->items; item; item = item->hh.next) {
        if (item->score < key->least_score)
            key->least_score = item->score;
        if (item->score > most)
            continue;
        lua_pushstring(state, item->name);
        lua_rawseti(state, -2, ++found);
    }
    return 1;
}

/* Above a score that is not counted itself, to +inf. */
static int count_above(lua_State *state, const struct key *key)
{
    const char *least = lua_tostring(state, 3);
    assert(least[0] == '(' && strcmp(lua_tostring(state, 4), "+inf") == 0);
    double score = strtod(least + 1, NULL);
    unsigned count = HASH_COUNT(key->items);
    if (key->least_score <= score)
        for (const struct item *item = key->items; item; item = item->hh.next)
            count -= item->score <= score;
    lua_pushnumber(state, count);
    return 1;
}

static int on_call(lua_State *state)
{
    const char *name = lua_tostring(state, 1);
    if (strcmp(name, "TIME") == 0)
        return push_time(state);
    if (strcmp(name, "PEXPIRE") == 0 || strcmp(name, "PUBLISH") == 0)
        return 0; /* weeks, and nobody listens */
    struct key *key = key_of(lua_tostring(state, 2));
    if (strcmp(name, "HMGET") == 0)
        return get_fields(state, key);
    if (strcmp(name, "HSET") == 0)
        return set_fields(state, key);
    if (strcmp(name, "HDEL") == 0 || strcmp(name, "ZREM") == 0)
        return remove_item(state, key);
    if (strcmp(name, "ZADD") == 0)
        return set_score(state, key);
    if (strcmp(name, "ZSCORE") == 0)
        return get_score(state, key);
    if (strcmp(name, "ZRANGEBYSCORE") == 0)
        return get_range(state, key);
    if (strcmp(name, "ZCOUNT") == 0)
        return count_above(state, key);
    return luaL_error(state, "there is no %s in this Redis", name);
}

/* ---- the script ---- */

static void check(int result)
{
    if (result == 0)
        return;
    fprintf(stderr, "simulated_redis: %s\n", lua_tostring(lua, -1));
    exit(1);
}

static void load(const struct redis_script *script)
{
    if (loaded == script->text)
        return;
    loaded = script->text;
    check(luaL_loadbuffer(lua, script->text, strlen(script->text), "script"));
    lua_setfield(lua, LUA_REGISTRYINDEX, "script");
}

static void set_table(const char *name, const char *const *texts, size_t count)
{
    lua_createtable(lua, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushstring(lua, texts[i]);
        lua_rawseti(lua, -2, (int)i + 1);
    }
    lua_setglobal(lua, name);
}

static void run_script(struct question *question)
{
    load(question->script);
    set_table("KEYS", question->arguments, question->keys);
    set_table("ARGV", question->arguments + question->keys, question->count - question->keys);
    lua_getfield(lua, LUA_REGISTRYINDEX, "script");
    check(lua_pcall(lua, 0, 1, 0));
    question->answer_count = lua_objlen(lua, -1);
    assert(question->answer_count <= ITEMS_MAX);
    for (size_t i = 0; i < question->answer_count; i++) {
        lua_rawgeti(lua, -1, (int)i + 1);
        question->answer[i] = (int64_t)lua_tonumber(lua, -1);
        lua_pop(lua, 1);
    }
    lua_pop(lua, 1);
    calls++;
}

/* ---- a question's way ---- */

static void on_answered(void *context)
{
    struct question *question = context;
    struct redis_answer answer = {.outcome = REDIS_UNAVAILABLE, .text = ""};
    if (!question->failed)
        answer = (struct redis_answer){
            .outcome = REDIS_ANSWERED,
            .kind = REDIS_ARRAY,
            .integer = (int64_t)question->answer_count,
            .text = "",
            .reply = question,
        };
    if (!question->failed && clock_monotonic_us() > question->timeout_at_us)
        answer = (struct redis_answer){.outcome = REDIS_TIMEOUT, .text = ""};
    question->command->on_answer(question->command, &answer);
    free(question);
}

static void answer(struct question *question, int64_t at_us)
{
    struct simulated_process *process = question->client->process;
    if (process->life == question->life)
        simulated_at(at_us, process, on_answered, question);
    else
        free(question);
}

static void on_turn(void *context)
{
    struct question *question = context;
    question->failed = is_down;
    if (!is_down)
        run_script(question);
    answer(question, clock_monotonic_us() + options.trip_us());
}

/* One after the other. */
static void on_arrived(void *context)
{
    int64_t now_us = clock_monotonic_us();
    busy_until_us = (busy_until_us > now_us ? busy_until_us : now_us) + options.script_us;
    simulated_at(busy_until_us, NULL, on_turn, context);
}

void redis_client_run_script(struct redis_client *client, struct redis_command *command,
    int64_t timeout_us, const struct redis_script *script, size_t key_arguments, size_t count,
    const char *const *arguments, const size_t *sizes)
{
    assert(count <= ARGUMENTS_MAX && !sizes);
    struct question *question = memory_new(sizeof *question);
    *question = (struct question){
        .client = client,
        .command = command,
        .script = script,
        .keys = key_arguments,
        .count = count,
        .life = client->process->life,
        .timeout_at_us = clock_monotonic_us() + timeout_us,
    };
    memcpy(question->arguments, arguments, count * sizeof *arguments);
    simulated_at(clock_monotonic_us() + options.trip_us(), NULL, on_arrived, question);
}

struct redis_answer redis_answer_item(const struct redis_answer *array, size_t index)
{
    const struct question *question = array->reply;
    return (struct redis_answer){
        .outcome = REDIS_ANSWERED,
        .kind = REDIS_INTEGER,
        .integer = question->answer[index],
        .text = "",
    };
}

/* The workers are given no subscriber. */
void redis_subscriber_add(
    struct redis_subscriber *subscriber, struct redis_subscription *subscription)
{
    (void)subscriber;
    (void)subscription;
    abort();
}

/* ---- life cycle ---- */

void simulated_redis_begin(const struct simulated_redis_options *wanted)
{
    options = *wanted;
    lua = luaL_newstate();
    luaL_openlibs(lua);
    lua_newtable(lua);
    lua_pushcfunction(lua, on_call);
    lua_setfield(lua, -2, "call");
    lua_setglobal(lua, "redis");
}

void simulated_redis_set_down(bool down)
{
    is_down = down;
}

void simulated_redis_forget(void)
{
    for (size_t i = 0; i < key_count; i++) {
        struct item *item, *following;
        HASH_ITER (hh, keys[i].items, item, following) {
            HASH_DEL(keys[i].items, item);
            free(item);
        }
    }
    key_count = 0;
}

uint64_t simulated_redis_calls(void)
{
    return calls;
}
