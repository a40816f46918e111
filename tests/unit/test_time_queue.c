/* time_queue: always the earliest first, whatever is added and removed in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/time_queue.h"
#include "support/mutation.h"

enum { ITEMS = 500 };

static struct time_queue_item items[ITEMS];

static void test_few(void **state)
{
    struct time_queue queue = {0};

    (void)state;
    assert_null(time_queue_first(&queue));
    time_queue_remove(&queue, &items[0]); /* in no queue */
    time_queue_add(&queue, &items[0], 30);
    time_queue_add(&queue, &items[1], 10);
    time_queue_add(&queue, &items[2], 20);
    assert_ptr_equal(time_queue_first(&queue), &items[1]);
    time_queue_remove(&queue, &items[1]);
    assert_ptr_equal(time_queue_first(&queue), &items[2]);
    time_queue_remove(&queue, &items[0]);
    assert_ptr_equal(time_queue_first(&queue), &items[2]);
    time_queue_add(&queue, &items[0], -5);
    assert_ptr_equal(time_queue_first(&queue), &items[0]);
    time_queue_remove(&queue, &items[2]);
    time_queue_remove(&queue, &items[0]);
    assert_null(time_queue_first(&queue));
    time_queue_release(&queue);
}

static int64_t earliest_of_all(void)
{
    int64_t earliest = INT64_MAX;

    for (size_t i = 0; i < ITEMS; i++) {
        if (items[i].place != 0 && items[i].time_us < earliest)
            earliest = items[i].time_us;
    }
    return earliest;
}

/* Against a look at every item, after each of many random steps. */
static void test_many(void **state)
{
    struct time_queue queue = {0};
    struct mutation random;

    (void)state;
    mutation_init(&random, 11);
    for (int step = 0; step < 20000; step++) {
        struct time_queue_item *item = &items[mutation_random(&random, ITEMS)];
        if (item->place == 0)
            time_queue_add(&queue, item, (int64_t)mutation_random(&random, 1000));
        else
            time_queue_remove(&queue, item);
        const struct time_queue_item *first = time_queue_first(&queue);
        assert_int_equal(first ? first->time_us : INT64_MAX, earliest_of_all());
    }
    while (time_queue_first(&queue)) {
        assert_int_equal(time_queue_first(&queue)->time_us, earliest_of_all());
        time_queue_remove(&queue, time_queue_first(&queue));
    }
    assert_int_equal(earliest_of_all(), INT64_MAX);
    time_queue_release(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_few),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
