/* The trace id of a traceparent header, by the rules of W3C Trace Context. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/traceparent.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define NO_TRACE "00000000000000000000000000000000"
#define PARENT "b7ad6b7169203331"

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        const char *trace_id;
    } cases[] = {
        {"00-" TRACE "-" PARENT "-01", TRACE},
        {"00-" TRACE "-" PARENT "-00", TRACE},
        {"00-" TRACE "-" PARENT "-ff", TRACE},
        {NULL, ""},
        {"", ""},
        {"00-" TRACE "-" PARENT, ""},
        {"00-" TRACE "-" PARENT "-0", ""},
        {"00-" TRACE "-" PARENT "-01 ", ""},
        {" 00-" TRACE "-" PARENT "-01", ""},
        {"00-" TRACE "-" PARENT "-0g", ""},
        /* version 00 has nothing behind its flags; a later one may */
        {"00-" TRACE "-" PARENT "-01-more", ""},
        {"cc-" TRACE "-" PARENT "-01-what-the-future-will-be", TRACE},
        {"cc-" TRACE "-" PARENT "-01", TRACE},
        {"cc-" TRACE "-" PARENT "-01.what-the-future-will-be", ""},
        {"ff-" TRACE "-" PARENT "-01", ""},
        {"0-" TRACE "-" PARENT "-001", ""},
        /* zeroes are no ids */
        {"00-" NO_TRACE "-" PARENT "-01", ""},
        {"00-" TRACE "-0000000000000000-01", ""},
        {"00-00000000000000000000000000000001-0000000000000001-01",
            "00000000000000000000000000000001"},
        /* upper case, other characters, other lengths */
        {"00-0AF7651916CD43DD8448EB211C80319C-" PARENT "-01", ""},
        {"00-0af7651916cd43dd8448eb211c80319g-" PARENT "-01", ""},
        {"00-" TRACE "-b7ad6b716920333/-01", ""},
        {"00-0af7651916cd43dd8448eb211c80319-" PARENT "-001", ""},
        {"00_" TRACE "-" PARENT "-01", ""},
        {"00-" TRACE "_" PARENT "-01", ""},
        {"00-" TRACE "-" PARENT "_01", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *value = cases[i].value;
        char trace_id[TRACE_ID_SIZE] = "before";
        traceparent_read(value, value ? strlen(value) : 0, trace_id);
        assert_string_equal(trace_id, cases[i].trace_id);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
