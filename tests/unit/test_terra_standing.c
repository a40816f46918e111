/* terra_standing: what calls and neutral GETs say about a credential and about Terra, as scripts of
 * what happens and how the environment stands after each step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"
#include "worker/terra_standing.h"

enum happening {
    END, /* of the script */
    /* calls, with the key of the step's generation */
    LINK,
    REFUSED,
    REJECTED,
    FAILED,      /* 503, or no answer */
    FAILED_FAST, /* the same, but it says nothing about Terra */
    LIMITED,     /* 429 */
    BROKEN,      /* 500 */
    TOO_LARGE,   /* an answer past its ceiling */
    ELSEWHERE,   /* the other endpoint is to be asked */
    /* neutral GETs */
    PROBE_ACCEPTED,
    PROBE_UNCLEAR,
    PROBE_REFUSED,
    PROBE_FAILED,
    /* the step's generation is the environment's key from now on */
    KEY,
};

enum { WANTS_PROBE = 1 << 8 }; /* beside the state */

struct step {
    enum happening happening;
    const char *request; /* who called; NULL: nobody did */
    unsigned generation;
    int seconds;         /* pass before it */
    unsigned afterwards; /* enum terra_health_state, WANTS_PROBE */
};

#define STEPS_MAX 20

static const struct script {
    const char *name;
    struct step steps[STEPS_MAX];
} scripts[] = {
    {"one refusal is looked into",
        {{REFUSED, "a", 0, 0, TERRA_WELL | WANTS_PROBE}, {PROBE_ACCEPTED, NULL, 0, 0, TERRA_WELL},
            {REFUSED, "b", 0, 0, TERRA_WELL | WANTS_PROBE},
            {PROBE_REFUSED, NULL, 0, 0, TERRA_KEY_REFUSED}}},
    {"the same request refused again counts once",
        {{REFUSED, "a", 0, 0, TERRA_WELL | WANTS_PROBE},
            {REFUSED, "a", 0, 0, TERRA_WELL | WANTS_PROBE},
            {REFUSED, "b", 0, 0, TERRA_KEY_REFUSED | WANTS_PROBE}}},
    {"two refused with failures and answers between them",
        {{REFUSED, "a", 0, 0, TERRA_WELL | WANTS_PROBE},
            {FAILED, "b", 0, 0, TERRA_WELL | WANTS_PROBE},
            {REJECTED, "c", 0, 0, TERRA_WELL | WANTS_PROBE},
            {LIMITED, "d", 0, 0, TERRA_WELL | WANTS_PROBE},
            {REFUSED, "e", 0, 0, TERRA_KEY_REFUSED | WANTS_PROBE}}},
    {"a link between two refusals says that the key is good",
        {{REFUSED, "a", 0, 0, TERRA_WELL | WANTS_PROBE},
            {LINK, "b", 0, 0, TERRA_WELL | WANTS_PROBE},
            {REFUSED, "c", 0, 0, TERRA_WELL | WANTS_PROBE}}},
    {"one neutral GET refused is enough, and one accepted ends it",
        {{PROBE_REFUSED, NULL, 0, 0, TERRA_KEY_REFUSED},
            {PROBE_FAILED, NULL, 0, 0, TERRA_KEY_REFUSED},
            {PROBE_UNCLEAR, NULL, 0, 0, TERRA_KEY_REFUSED},
            {REJECTED, "a", 0, 0, TERRA_KEY_REFUSED}, {PROBE_ACCEPTED, NULL, 0, 0, TERRA_WELL}}},
    {"another key begins anew",
        {{PROBE_REFUSED, NULL, 0, 0, TERRA_KEY_REFUSED},
            {KEY, NULL, 1, 0, TERRA_WELL | WANTS_PROBE}, {PROBE_ACCEPTED, NULL, 1, 0, TERRA_WELL}}},
    {"refusals of an older key tell nothing",
        {{REFUSED, "a", 0, 0, TERRA_WELL | WANTS_PROBE},
            {KEY, NULL, 1, 0, TERRA_WELL | WANTS_PROBE},
            {REFUSED, "b", 0, 0, TERRA_WELL | WANTS_PROBE},
            {REFUSED, "c", 0, 0, TERRA_WELL | WANTS_PROBE},
            {PROBE_REFUSED, NULL, 0, 0, TERRA_WELL | WANTS_PROBE},
            {REFUSED, "d", 1, 0, TERRA_WELL | WANTS_PROBE},
            {REFUSED, "e", 1, 0, TERRA_KEY_REFUSED | WANTS_PROBE}}},
    {"a link with an older key says nothing for the new one",
        {{KEY, NULL, 1, 0, TERRA_WELL | WANTS_PROBE},
            {PROBE_REFUSED, NULL, 1, 0, TERRA_KEY_REFUSED}, {LINK, "a", 0, 0, TERRA_KEY_REFUSED},
            {LINK, "b", 1, 0, TERRA_WELL}}},
    {"a run of failures, and the neutral GET fails as well",
        {{PROBE_ACCEPTED, NULL, 0, 0, TERRA_WELL}, {FAILED, "a", 0, 0, TERRA_WELL},
            {FAILED, "a", 0, 0, TERRA_WELL}, {FAILED, "a", 0, 0, TERRA_WELL},
            {FAILED, "b", 0, 0, TERRA_WELL}, {FAILED, "c", 0, 0, TERRA_WELL | WANTS_PROBE},
            {PROBE_FAILED, NULL, 0, 0, TERRA_DOWN}, {PROBE_FAILED, NULL, 0, 100, TERRA_DOWN},
            {PROBE_ACCEPTED, NULL, 0, 0, TERRA_WELL}, {PROBE_FAILED, NULL, 0, 0, TERRA_WELL}}},
    {"a run of failures, but the neutral GET is answered",
        {{FAILED, "a", 0, 0, TERRA_WELL}, {FAILED, "b", 0, 0, TERRA_WELL},
            {FAILED, "c", 0, 0, TERRA_WELL}, {FAILED, "d", 0, 0, TERRA_WELL},
            {FAILED, "e", 0, 0, TERRA_WELL | WANTS_PROBE}, {PROBE_UNCLEAR, NULL, 0, 0, TERRA_WELL},
            {FAILED, "f", 0, 0, TERRA_WELL}, {PROBE_FAILED, NULL, 0, 0, TERRA_WELL}}},
    {"one request's failures are its own",
        {{FAILED, "a", 0, 0, TERRA_WELL}, {FAILED, "a", 0, 0, TERRA_WELL},
            {FAILED, "a", 0, 0, TERRA_WELL}, {FAILED, "a", 0, 0, TERRA_WELL},
            {FAILED, "a", 0, 0, TERRA_WELL}, {FAILED, "a", 0, 0, TERRA_WELL},
            {FAILED, "b", 0, 0, TERRA_WELL | WANTS_PROBE}}},
    {"whatever Terra answers ends a run",
        {{FAILED, "a", 0, 0, TERRA_WELL}, {FAILED, "b", 0, 0, TERRA_WELL},
            {FAILED, "c", 0, 0, TERRA_WELL}, {FAILED, "d", 0, 0, TERRA_WELL},
            {LIMITED, "e", 0, 0, TERRA_WELL}, {FAILED, "a", 0, 0, TERRA_WELL},
            {FAILED, "b", 0, 0, TERRA_WELL}, {FAILED, "c", 0, 0, TERRA_WELL},
            {FAILED, "d", 0, 0, TERRA_WELL}, {BROKEN, "e", 0, 0, TERRA_WELL},
            {FAILED, "a", 0, 0, TERRA_WELL}, {FAILED, "b", 0, 0, TERRA_WELL},
            {FAILED, "c", 0, 0, TERRA_WELL}, {FAILED, "d", 0, 0, TERRA_WELL},
            {ELSEWHERE, "e", 0, 0, TERRA_WELL}, {FAILED, "f", 0, 0, TERRA_WELL}}},
    {"failures that tell nothing do not count",
        {{FAILED, "a", 0, 0, TERRA_WELL}, {FAILED, "b", 0, 0, TERRA_WELL},
            {FAILED, "c", 0, 0, TERRA_WELL}, {FAILED, "d", 0, 0, TERRA_WELL},
            {FAILED_FAST, "e", 0, 0, TERRA_WELL}, {TOO_LARGE, "f", 0, 0, TERRA_WELL},
            {FAILED, "g", 0, 0, TERRA_WELL | WANTS_PROBE}}},
    {"an answer to a call that was on its way ends an outage",
        {{FAILED, "a", 0, 0, TERRA_WELL}, {FAILED, "b", 0, 0, TERRA_WELL},
            {FAILED, "c", 0, 0, TERRA_WELL}, {FAILED, "d", 0, 0, TERRA_WELL},
            {FAILED, "e", 0, 0, TERRA_WELL | WANTS_PROBE}, {PROBE_FAILED, NULL, 0, 0, TERRA_DOWN},
            {REJECTED, "f", 0, 0, TERRA_WELL}}},
    {"a neutral GET that was never answered does not keep Terra down for ever",
        {{PROBE_FAILED, NULL, 0, 0, TERRA_WELL}, {FAILED, "a", 0, 0, TERRA_WELL},
            {FAILED, "b", 0, 0, TERRA_WELL}, {FAILED, "c", 0, 0, TERRA_WELL},
            {FAILED, "d", 0, 0, TERRA_WELL}, {FAILED, "e", 0, 0, TERRA_WELL | WANTS_PROBE},
            {PROBE_FAILED, NULL, 0, 0, TERRA_DOWN}, {PROBE_FAILED, NULL, 0, 9, TERRA_DOWN},
            {PROBE_FAILED, NULL, 0, 1, TERRA_WELL}, {FAILED, "f", 0, 0, TERRA_WELL}}},
    {"an outage turns out to be a refusal",
        {{FAILED, "a", 0, 0, TERRA_WELL}, {FAILED, "b", 0, 0, TERRA_WELL},
            {FAILED, "c", 0, 0, TERRA_WELL}, {FAILED, "d", 0, 0, TERRA_WELL},
            {FAILED, "e", 0, 0, TERRA_WELL | WANTS_PROBE}, {PROBE_FAILED, NULL, 0, 0, TERRA_DOWN},
            {PROBE_REFUSED, NULL, 0, 0, TERRA_KEY_REFUSED}}},
};

static const struct {
    enum terra_verdict verdict;
    enum connect_code code;
    int http_status;
    bool telling;
} calls[] = {
    [LINK] = {TERRA_LINK, 0, 0, true},
    [REFUSED] = {TERRA_CREDENTIALS, CONNECT_CREDENTIALS_REJECTED, 403, true},
    [REJECTED] = {TERRA_REJECT, CONNECT_REJECTED_BY_TERRA, 400, true},
    [FAILED] = {TERRA_RETRY, CONNECT_TERRA_UNAVAILABLE, 503, true},
    [FAILED_FAST] = {TERRA_RETRY, CONNECT_TERRA_UNAVAILABLE, 0, false},
    [LIMITED] = {TERRA_RETRY, CONNECT_RATE_LIMITED, 429, true},
    [BROKEN] = {TERRA_RETRY_FEW, CONNECT_TERRA_UNAVAILABLE, 500, true},
    [TOO_LARGE] = {TERRA_RETRY_FEW, CONNECT_TERRA_UNAVAILABLE, 0, true},
    [ELSEWHERE] = {TERRA_OTHER_ENDPOINT, CONNECT_ENDPOINT_RETIRED, 404, true},
};

static const enum terra_probe_verdict probes[] = {
    [PROBE_ACCEPTED] = TERRA_PROBE_ACCEPTED,
    [PROBE_UNCLEAR] = TERRA_PROBE_UNCLEAR,
    [PROBE_REFUSED] = TERRA_PROBE_REFUSED,
    [PROBE_FAILED] = TERRA_PROBE_FAILED,
};

static void happen(struct terra_standing *standing, const struct step *step, int64_t now_us)
{
    if (step->happening == KEY) {
        terra_standing_set_key(standing, step->generation);
    } else if (step->request) {
        char digest[DIGEST_HEX_SIZE];
        digest_bytes(step->request, 1, digest);
        const struct terra_answer answer = {
            .verdict = calls[step->happening].verdict,
            .error = {.code = calls[step->happening].code,
                .http_status = calls[step->happening].http_status},
        };
        terra_standing_note_call(
            standing, step->generation, digest, &answer, calls[step->happening].telling);
    } else {
        terra_standing_note_probe(standing, step->generation, probes[step->happening], now_us);
    }
}

static void test_scripts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        struct terra_standing standing = {0};
        int64_t now_us = 1000 * CLOCK_US_PER_SECOND;
        const struct step *step = scripts[i].steps;
        for (; step->happening != END; step++) {
            now_us += step->seconds * CLOCK_US_PER_SECOND;
            happen(&standing, step, now_us);
            unsigned stands = standing.state | (standing.wants_probe ? WANTS_PROBE : 0);
            if (stands != step->afterwards)
                fail_msg("%s, step %td: %#x, not %#x", scripts[i].name, step - scripts[i].steps + 1,
                    stands, step->afterwards);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_scripts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
