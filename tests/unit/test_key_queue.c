/* One at a time per key, in the order they came; tables of joins and leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "worker/key_queue.h"

enum { TICKETS = 8 };

/* "+k1" ticket 1 joins key k; "-1" it leaves. After each step, who is told to go: a digit, or '.'
 * for nobody. */
static void play(const char *const *steps, const char *expected)
{
    struct key_queue queue = {0};
    struct key_queue_ticket tickets[TICKETS] = {0};
    for (size_t i = 0; steps[i]; i++) {
        const char *step = steps[i];
        size_t number = (size_t)(step[strlen(step) - 1] - '0');
        struct key_queue_ticket *ticket = &tickets[number];
        ticket->owner = ticket;
        char told = '.';
        if (step[0] == '+') {
            if (key_queue_join(&queue, ticket, step + 1, strlen(step) - 2))
                told = (char)('0' + number);
        } else {
            const struct key_queue_ticket *next = key_queue_leave(&queue, ticket);
            if (next)
                told = (char)('0' + ((struct key_queue_ticket *)next->owner - tickets));
        }
        assert_int_equal(told, expected[i]);
    }
    assert_null(queue.entries);
}

static void test_turns(void **state)
{
    (void)state;
    static const struct {
        const char *steps[16], *told;
    } rows[] = {
        /* alone */
        {{"+a0", "-0"}, "0."},
        /* the second waits for the first */
        {{"+a0", "+a1", "-0", "-1"}, "0.1."},
        /* other keys do not wait */
        {{"+a0", "+b1", "+a2", "-1", "-0", "-2"}, "01..2."},
        /* one that gives up in the middle wakes nobody, and the one behind it moves up */
        {{"+a0", "+a1", "+a2", "-1", "-0", "-2"}, "0...2."},
        /* a key that was empty begins anew */
        {{"+a0", "-0", "+a0", "-0"}, "0.0."},
        /* the empty key is a key; prefixes are others */
        {{"+0", "+ab1", "+a2", "+3", "-0", "-3", "-1", "-2"}, "012.3..."},
        /* leaving without having joined */
        {{"-0"}, "."},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        play(rows[i].steps, rows[i].told);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_turns)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
