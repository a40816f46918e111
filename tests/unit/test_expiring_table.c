/* The table of bytes that expire, on a clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/expiring_table.h"

#define SECOND CLOCK_US_PER_SECOND
#define MANY_BYTES ((size_t)1024 * 1024)

static int64_t clock_us = SECOND;

static int64_t fake_clock(void)
{
    return clock_us;
}

static int set_clock(void **state)
{
    (void)state;
    clock_set_source(fake_clock, fake_clock);
    return 0;
}

static void put(struct expiring_table *table, const char *key, const char *value, int64_t keep_us)
{
    expiring_table_put(table, key, value, strlen(value), keep_us);
}

static void assert_found(struct expiring_table *table, const char *key, const char *value)
{
    size_t size = 0;
    const char *found = expiring_table_find(table, key, &size);
    assert_non_null(found);
    assert_int_equal(size, strlen(value));
    assert_string_equal(found, value);
}

static void assert_absent(struct expiring_table *table, const char *key)
{
    assert_null(expiring_table_find(table, key, NULL));
}

static void test_put_and_find(void **state)
{
    (void)state;
    struct expiring_table *table = expiring_table_new(10, MANY_BYTES);
    assert_absent(table, "a");
    put(table, "a", "1", SECOND);
    put(table, "b", "", SECOND);
    assert_found(table, "a", "1");
    assert_found(table, "b", "");
    put(table, "a", "another", SECOND);
    assert_found(table, "a", "another");
    assert_absent(table, "ab");
    ((char *)expiring_table_find(table, "a", NULL))[0] = 'A';
    assert_found(table, "a", "Another");
    expiring_table_free(table);
    expiring_table_free(NULL);
}

static void test_each_has_its_time(void **state)
{
    (void)state;
    struct expiring_table *table = expiring_table_new(10, MANY_BYTES);
    put(table, "long", "1", 10 * SECOND);
    put(table, "short", "2", SECOND); /* behind one that lives longer */
    clock_us += SECOND - 1;
    assert_found(table, "short", "2");
    clock_us += 1;
    assert_absent(table, "short");
    assert_found(table, "long", "1");
    put(table, "long", "3", 10 * SECOND); /* begins anew */
    clock_us += 9 * SECOND + SECOND / 2;
    assert_found(table, "long", "3");
    clock_us += SECOND / 2;
    assert_absent(table, "long");
    expiring_table_free(table);
}

static void test_entries_max(void **state)
{
    (void)state;
    struct expiring_table *table = expiring_table_new(3, MANY_BYTES);
    put(table, "a", "1", SECOND);
    put(table, "b", "2", SECOND);
    put(table, "c", "3", SECOND);
    put(table, "a", "4", SECOND);  /* put again: the youngest now */
    assert_found(table, "b", "2"); /* being asked for does not make it younger */
    put(table, "d", "5", SECOND);
    assert_absent(table, "b");
    assert_found(table, "a", "4");
    assert_found(table, "c", "3");
    assert_found(table, "d", "5");
    expiring_table_free(table);
}

static void test_bytes_max(void **state)
{
    (void)state;
    struct expiring_table *table = expiring_table_new(100, 10);
    put(table, "a", "1234", SECOND);
    put(table, "b", "1234", SECOND); /* just fits: keys count */
    assert_found(table, "a", "1234");
    put(table, "c", "1", SECOND);
    assert_absent(table, "a");
    assert_found(table, "b", "1234");
    put(table, "c", "too much for it", SECOND);
    assert_absent(table, "c"); /* nor is the former one left */
    assert_found(table, "b", "1234");
    put(table, "d", "123456789", SECOND);
    assert_absent(table, "b");
    assert_found(table, "d", "123456789");
    expiring_table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_and_find),
        cmocka_unit_test(test_each_has_its_time),
        cmocka_unit_test(test_entries_max),
        cmocka_unit_test(test_bytes_max),
    };
    return cmocka_run_group_tests(tests, set_clock, NULL);
}
