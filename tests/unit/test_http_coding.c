/* http_coding: the layers that a line names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/http_coding.h"

static void test_lines(void **state)
{
    static const struct {
        const char *line;
        bool known;
        unsigned layers;
    } rows[] = {
        {"Content-Length: 8\r\n", true, 0},
        {"X-Content-Encoding: gzip\r\n", true, 0},
        {"Content-Encodings: gzip\r\n", true, 0},
        {"", true, 0},
        {"\r\n", true, 0},
        {"Content-Encoding:\r\n", true, 0},
        {"Content-Encoding: identity\r\n", true, 0},
        {"Content-Encoding: gzip\r\n", true, 1},
        {"content-encoding:GZIP", true, 1},
        {"CONTENT-ENCODING: \t X-Gzip \t \r\n", true, 1},
        {"Content-Encoding: deflate\r\n", true, 1},
        {"Content-Encoding: gzip, gzip\r\n", true, 2},
        {"Content-Encoding: gzip,,deflate ,identity,x-gzip\r\n", true, 3},
        {"Content-Encoding: gzip gzip\r\n", true, 2},
        {"Content-Encoding: br\r\n", false, 0},
        {"Content-Encoding: zstd\r\n", false, 0},
        {"Content-Encoding: gzip;q=1\r\n", false, 0},
        {"Content-Encoding: gzipped\r\n", false, 0},
        {"Content-Encoding: gzip, none\r\n", false, 1},
        {"Transfer-Encoding: chunked\r\n", true, 0},
        {"transfer-encoding: gzip, chunked\r\n", true, 1},
        {"Transfer-Encoding: compress\r\n", false, 0},
        {" gzip\r\n", false, 0},
        {"\tgzip\r\n", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        unsigned layers = 0;
        bool known = http_coding_count(rows[i].line, strlen(rows[i].line), &layers);
        if (known != rows[i].known || layers != rows[i].layers)
            fail_msg("\"%s\": %d, %u layers", rows[i].line, known, layers);
    }
}

static void test_layers_of_several_lines_add_up(void **state)
{
    unsigned layers = 0;

    (void)state;
    assert_true(http_coding_count("Content-Encoding: gzip", 22, &layers));
    assert_true(http_coding_count("Transfer-Encoding: gzip", 23, &layers));
    assert_true(http_coding_count("Content-Encoding: gzip", 20, &layers) == false); /* "gz" */
    assert_int_equal(layers, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_layers_of_several_lines_add_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
