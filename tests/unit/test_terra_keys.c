/* terra_keys: real files, written over, renamed and swapped under it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/metrics.h"
#include "common/text.h"
#include "worker/config_value.h"
#include "worker/terra_keys.h"

#define PATIENCE_US (20 * CLOCK_US_PER_SECOND)

static const struct environment_defaults defaults = {
    .base_url = "https://access.tryterra.co/api",
    .rate = {.calls = 10, .period_us = CLOCK_US_PER_SECOND},
    .burst = 10,
};

static char folder[64];
static uv_loop_t loop;
static struct environments environments;
static struct terra_keys *keys;
static int told, complaints;
static bool key_in_log;

static void path_of(const char *name, char path[128])
{
    snprintf(path, 128, "%s/%s", folder, name);
}

static void write_file(const char *name, const char *content)
{
    char path[128];
    path_of(name, path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(content, file);
    fclose(file);
}

static void link_to(const char *target, const char *name)
{
    char path[128], temporary[128];
    path_of(name, path);
    path_of("temporary", temporary);
    assert_int_equal(symlink(target, temporary), 0);
    assert_int_equal(rename(temporary, path), 0);
}

static void on_key(void *context, const struct environment *environment)
{
    (void)context;
    assert_ptr_equal(environment, &environments.items[1]);
    told++;
}

static void on_line(const char *line, size_t size)
{
    complaints += memmem(line, size, "cannot be used", 14) != NULL;
    key_in_log = key_in_log || memmem(line, size, "key-", 4) != NULL;
}

/* The second environment's key is in the file "key"; the first has none. */
static void begin(void)
{
    char error[ENVIRONMENT_ERROR_SIZE], path[128];
    told = complaints = 0;
    key_in_log = false;
    log_set_sink(on_line);
    uv_loop_init(&loop);
    environments_init(&environments);
    assert_int_equal(
        environments_add(&environments, "given", "dev-1", "key-given", &defaults, error), 0);
    assert_int_equal(
        environments_add(&environments, "filed", "dev-2", "key-1", &defaults, error), 0);
    path_of("key", path);
    environments_set_key_file(&environments, 1, path);
    keys = terra_keys_new(&loop,
        &(struct terra_keys_options){
            .environments = &environments, .read_file = config_value_read_file, .on_key = on_key});
}

static void end(void)
{
    terra_keys_read(keys); /* the close finds a round on its way */
    terra_keys_close(keys);
    terra_keys_read(keys);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    terra_keys_free(keys);
    environments_release(&environments);
    log_set_sink(NULL);
    assert_false(key_in_log);
}

static void run_until_key(const char *key)
{
    int64_t end_us = clock_monotonic_us() + PATIENCE_US;
    while (!text_equal(environments.items[1].api_key, key)) {
        assert_true(clock_monotonic_us() < end_us);
        uv_run(&loop, UV_RUN_ONCE);
    }
}

/* Until a round that began now or later has looked at the file. */
static void run_until_read(void)
{
    int64_t since_us = clock_monotonic_us(), end_us = since_us + PATIENCE_US;
    while (!terra_keys_read_since(keys, &environments.items[1], since_us)) {
        assert_true(clock_monotonic_us() < end_us);
        uv_run(&loop, UV_RUN_ONCE);
    }
}

static void test_a_file_that_is_written_over(void **state)
{
    (void)state;
    write_file("key", "key-1\n");
    begin();
    terra_keys_hurry(keys, true);
    run_until_read();
    assert_int_equal(told, 0);
    write_file("key", "key-2\n");
    run_until_key("key-2");
    write_file("key", "key-1\n");
    run_until_key("key-1");
    assert_int_equal(told, 2);
    assert_int_equal(environments.items[1].key_generation, 2);
    assert_int_equal(environments.items[0].key_generation, 0);
    assert_string_equal(environments.items[0].api_key, "key-given");
    end();
}

/* As Kubernetes has it: key -> ..data/key, and ..data -> the folder of this version. */
static void test_links_that_are_swapped(void **state)
{
    (void)state;
    char path[128];
    path_of("v1", path);
    assert_int_equal(mkdir(path, 0700), 0);
    path_of("v2", path);
    assert_int_equal(mkdir(path, 0700), 0);
    write_file("v1/key", "key-1");
    write_file("v2/key", "key-2");
    link_to("v1", "..data");
    path_of("key", path);
    unlink(path);
    assert_int_equal(symlink("..data/key", path), 0);
    begin();
    run_until_read();
    link_to("v2", "..data");
    run_until_key("key-2"); /* without hurry: within a second or so */
    assert_int_equal(told, 1);
    end();
    unlink(path);
}

static void test_what_is_no_key_is_not_taken(void **state)
{
    (void)state;
    static const char *const contents[] = {"", "\n", "key two", "key\x01two", "\xff\xfe"};
    write_file("key", "key-1");
    begin();
    terra_keys_hurry(keys, true);
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++) {
        write_file("key", contents[i]);
        run_until_read();
        run_until_read();
    }
    char path[128];
    path_of("key", path);
    unlink(path);
    run_until_read();
    assert_int_equal(told, 0);
    assert_int_equal(complaints, 1); /* once, not each time */
    assert_string_equal(environments.items[1].api_key, "key-1");
    write_file("key", "key-2");
    run_until_key("key-2");
    write_file("key", "");
    run_until_read();
    assert_int_equal(complaints, 2); /* and again when it had been well meanwhile */
    end();
}

/* Gives another half at each reading, then the whole. */
static int readings;

static char *read_halves(const char *path, char *error, size_t error_size)
{
    static const char *const halves[] = {"key-", "key-2-is", "key-2-is-l", "key-2-is-longer"};
    (void)path;
    (void)error;
    (void)error_size;
    int reading = __atomic_fetch_add(&readings, 1, __ATOMIC_SEQ_CST);
    return memory_copy_text(halves[reading < 3 ? reading : 3]);
}

static void test_a_half_written_key_is_not_taken(void **state)
{
    (void)state;
    write_file("key", "key-1");
    begin();
    terra_keys_close(keys);
    uv_run(&loop, UV_RUN_DEFAULT);
    terra_keys_free(keys);
    keys = terra_keys_new(
        &loop, &(struct terra_keys_options){
                   .environments = &environments, .read_file = read_halves, .on_key = on_key});
    terra_keys_read(keys);
    run_until_key("key-2-is-longer");
    assert_int_equal(told, 1);
    end();
}

static void test_without_files_nothing_is_read(void **state)
{
    (void)state;
    begin();
    terra_keys_close(keys);
    uv_run(&loop, UV_RUN_DEFAULT);
    terra_keys_free(keys);
    environments_set_key_file(&environments, 1, NULL);
    keys = terra_keys_new(&loop,
        &(struct terra_keys_options){
            .environments = &environments, .read_file = config_value_read_file, .on_key = on_key});
    terra_keys_read(keys);
    terra_keys_hurry(keys, true);
    assert_int_equal(uv_run(&loop, UV_RUN_NOWAIT), 0);
    assert_true(terra_keys_read_since(keys, &environments.items[1], INT64_MAX));
    end();
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/terra-connect-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    metrics_reset();
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_that_is_written_over),
        cmocka_unit_test(test_links_that_are_swapped),
        cmocka_unit_test(test_what_is_no_key_is_not_taken),
        cmocka_unit_test(test_a_half_written_key_is_not_taken),
        cmocka_unit_test(test_without_files_nothing_is_read),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
