/* What may be committed when records finish in any order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/offset_window.h"

static void test_the_example_of_the_header(void **state)
{
    (void)state;
    struct offset_window window;
    int64_t next = -1;
    offset_window_init(&window);
    uint64_t a = offset_window_add(&window, 10);
    uint64_t b = offset_window_add(&window, 11);
    uint64_t c = offset_window_add(&window, 15);
    assert_int_equal(window.last_offset, 15);
    assert_int_equal(offset_window_in_flight(&window), 3);
    assert_false(offset_window_finish(&window, b, &next));
    assert_int_equal(next, -1);
    assert_true(offset_window_finish(&window, a, &next));
    assert_int_equal(next, 12);
    assert_int_equal(offset_window_in_flight(&window), 1);
    assert_true(offset_window_finish(&window, c, &next));
    assert_int_equal(next, 16);
    assert_int_equal(offset_window_in_flight(&window), 0);
    offset_window_release(&window);
}

static void test_an_empty_window(void **state)
{
    (void)state;
    struct offset_window window;
    offset_window_init(&window);
    assert_int_equal(offset_window_in_flight(&window), 0);
    assert_int_equal(window.last_offset, -1);
    offset_window_release(&window);
    offset_window_release(&window);
}

/* The topic was made anew under the consumer: the order of delivery counts, not the number. */
static void test_offsets_that_fall_back(void **state)
{
    (void)state;
    struct offset_window window;
    int64_t next = -1;
    offset_window_init(&window);
    uint64_t old = offset_window_add(&window, 5000);
    uint64_t anew = offset_window_add(&window, 0);
    assert_false(offset_window_finish(&window, anew, &next));
    assert_true(offset_window_finish(&window, old, &next));
    assert_int_equal(next, 1);
    offset_window_release(&window);
}

/* One slow record holds all others back, and the ring grows around it. */
static void test_one_slow_record(void **state)
{
    (void)state;
    enum { COUNT = 10000 };
    struct offset_window window;
    int64_t next = -1;
    offset_window_init(&window);
    uint64_t slow = offset_window_add(&window, 0);
    for (int64_t offset = 1; offset < COUNT; offset++) {
        uint64_t sequence = offset_window_add(&window, offset);
        assert_false(offset_window_finish(&window, sequence, &next));
    }
    assert_int_equal(offset_window_in_flight(&window), COUNT);
    assert_true(offset_window_finish(&window, slow, &next));
    assert_int_equal(next, COUNT);
    offset_window_release(&window);
}

/* A window that is in steady use does not grow: sequences wrap around the ring. */
static void test_steady_use_keeps_its_memory(void **state)
{
    (void)state;
    struct offset_window window;
    int64_t next = -1;
    offset_window_init(&window);
    uint64_t before = offset_window_add(&window, 0);
    size_t capacity = window.capacity;
    for (int64_t offset = 1; offset < 5000; offset++) {
        uint64_t sequence = offset_window_add(&window, offset);
        assert_true(offset_window_finish(&window, before, &next));
        assert_int_equal(next, offset);
        before = sequence;
    }
    assert_int_equal(window.capacity, capacity);
    offset_window_release(&window);
}

/* The reference: every record ever delivered, looked through from the start each time. */
enum { MODEL_MAX = 3000 };

struct model {
    int64_t offsets[MODEL_MAX];
    bool finished[MODEL_MAX];
    size_t count;
    int64_t stored;
};

static int64_t model_safe_offset(const struct model *model)
{
    int64_t safe = -1;
    for (size_t i = 0; i < model->count && model->finished[i]; i++)
        safe = model->offsets[i] + 1;
    return safe;
}

static uint64_t draw(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void finish_and_compare(struct offset_window *window, struct model *model, size_t record)
{
    int64_t next = -1;
    model->finished[record] = true;
    bool moved = offset_window_finish(window, record, &next);
    int64_t safe = model_safe_offset(model);
    assert_int_equal(moved, safe != model->stored);
    if (moved)
        assert_int_equal(next, safe);
    model->stored = safe;
}

static void run_against_the_model(uint64_t seed, size_t in_flight_max)
{
    struct model model = {.stored = -1};
    struct offset_window window;
    size_t unfinished[MODEL_MAX], unfinished_count = 0;
    int64_t offset = (int64_t)(draw(&seed) % 1000);
    offset_window_init(&window);
    while (model.count < MODEL_MAX || unfinished_count > 0) {
        bool add = model.count < MODEL_MAX && unfinished_count < in_flight_max &&
                   (unfinished_count == 0 || draw(&seed) % 2);
        if (add) {
            assert_int_equal(offset_window_add(&window, offset), model.count);
            model.offsets[model.count] = offset;
            unfinished[unfinished_count++] = model.count++;
            offset += draw(&seed) % 8 == 0 ? (int64_t)(draw(&seed) % 50) + 1 : 1;
        } else {
            size_t chosen = draw(&seed) % unfinished_count;
            size_t record = unfinished[chosen];
            unfinished[chosen] = unfinished[--unfinished_count];
            finish_and_compare(&window, &model, record);
        }
    }
    assert_int_equal(model.stored, model.offsets[MODEL_MAX - 1] + 1);
    assert_int_equal(offset_window_in_flight(&window), 0);
    offset_window_release(&window);
}

static void test_random_orders_against_a_naive_reference(void **state)
{
    (void)state;
    static const size_t in_flight_max[] = {1, 2, 3, 63, 64, 65, 200, 1024};
    for (size_t i = 0; i < sizeof in_flight_max / sizeof in_flight_max[0]; i++)
        for (uint64_t seed = 1; seed <= 5; seed++)
            run_against_the_model(seed * UINT64_C(0x9e3779b97f4a7c15), in_flight_max[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_example_of_the_header),
        cmocka_unit_test(test_an_empty_window),
        cmocka_unit_test(test_offsets_that_fall_back),
        cmocka_unit_test(test_one_slow_record),
        cmocka_unit_test(test_steady_use_keeps_its_memory),
        cmocka_unit_test(test_random_orders_against_a_naive_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
