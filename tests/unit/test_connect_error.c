/* connect_error: the codes are a contract, so they stand here once more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "worker/connect_error.h"

static void names_every_code(void **state)
{
    (void)state;
    static const struct {
        enum connect_code code;
        const char *name;
        bool retryable;
    } rows[] = {
        {CONNECT_INVALID_REQUEST, "invalid_request", false},
        {CONNECT_REDIRECT_NOT_ALLOWED, "redirect_not_allowed", false},
        {CONNECT_REPLY_ADDRESS_REJECTED, "reply_address_rejected", false},
        {CONNECT_UNKNOWN_ENVIRONMENT, "unknown_environment", false},
        {CONNECT_REJECTED_BY_TERRA, "rejected_by_terra", false},
        {CONNECT_CREDENTIALS_REJECTED, "credentials_rejected", true},
        {CONNECT_ENDPOINT_RETIRED, "endpoint_retired", false},
        {CONNECT_USER_LIMIT_REACHED, "user_limit_reached", false},
        {CONNECT_TERRA_UNAVAILABLE, "terra_unavailable", true},
        {CONNECT_RATE_LIMITED, "rate_limited", true},
        {CONNECT_DEADLINE_EXCEEDED, "deadline_exceeded", true},
        {CONNECT_INTERNAL_ERROR, "internal_error", true},
    };
    assert_int_equal(sizeof(rows) / sizeof(rows[0]), CONNECT_CODE_COUNT);
    for (size_t i = 0; i < CONNECT_CODE_COUNT; i++) {
        struct connect_error error;
        memset(&error, 0xa5, sizeof(error));
        connect_error_set(&error, rows[i].code, "%s %d", "why", 7);
        assert_string_equal(connect_code_name(rows[i].code), rows[i].name);
        assert_int_equal(error.code, rows[i].code);
        assert_int_equal(error.retryable, rows[i].retryable);
        assert_int_equal(error.retry_after_us, -1);
        assert_int_equal(error.http_status, 0);
        assert_string_equal(error.message, "why 7");
    }
}

static void cuts_long_messages_at_a_character(void **state)
{
    (void)state;
    static const struct {
        int ascii;
        const char *tail;
        size_t kept;
    } rows[] = {
        {511, "", 511},
        {512, "", 511},
        {5000, "", 511},
        {510, "\xc3\xbc", 510},
        {509, "\xc3\xbc", 511},
        {509, "\xe2\x82\xac", 509},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct connect_error error;
        connect_error_set(&error, CONNECT_INTERNAL_ERROR, "%0*d%s", rows[i].ascii, 0, rows[i].tail);
        assert_int_equal(strlen(error.message), rows[i].kept);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_every_code),
        cmocka_unit_test(cuts_long_messages_at_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
