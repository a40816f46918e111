/* terra: the simulated Terra; see terra.h. */
#include "terra.h"

#include <strings.h>

#include "common/clock.h"
#include "common/text.h"
#include "terra_error.h"
#include "terra_parts.h"
#include "uuid.h"

static const struct json_limits body_limits = {
    .bytes_max = REQUEST_BODY_BYTES_MAX, .depth_max = 16, .values_max = 10000};

void terra_init(struct terra *terra)
{
    *terra = (struct terra){0};
    terra->sessions = sessions_new();
    terra->flaky = flaky_new();
}

void terra_release(struct terra *terra)
{
    users_release(&terra->users);
    sessions_free(terra->sessions);
    flaky_free(terra->flaky);
}

static void fail(struct terra_turn *turn, unsigned status, const char *code, const char *detail)
{
    terra_error(turn->answer, turn->request, turn->call->endpoint, status, code, detail);
}

/* False: refused, and the answer says so. */
static bool check_credentials(struct terra_turn *turn)
{
    bool problem = endpoint_speaks_problem(turn->call->endpoint);
    switch (credentials_check(&turn->terra->credentials, turn->request, &turn->credential)) {
    case CREDENTIAL_ACCEPTED:
        break;
    case CREDENTIAL_MISSING:
        fail(turn, problem ? 401 : 403, NULL, "dev-id or x-api-key headers are missing");
        return false;
    case CREDENTIAL_MISCASED:
        terra_error_html(turn->answer, 500);
        return false;
    case CREDENTIAL_NULL:
        terra_error_null_message(turn->answer, 500);
        return false;
    case CREDENTIAL_WRONG:
        fail(turn, 403, NULL, "invalid dev-id or x-api-key");
        return false;
    }
    if ((turn->credential->flags & CREDENTIAL_DISABLED) != 0) {
        fail(turn, 403, "environment_disabled", "this environment is disabled");
        return false;
    }
    return true;
}

/* False: refused, and the answer says so. *body stays NULL when there was none. */
static bool read_body(struct terra_turn *turn, json_value **body)
{
    const struct request *request = turn->request;
    if (request->body_size == 0)
        return true;
    const char *type = request_header_any_case(request, "content-type");
    if (type == NULL || strncasecmp(type, "application/json", strlen("application/json")) != 0) {
        fail(turn, 400, NULL, "the body must come with Content-Type: application/json");
        return false;
    }
    struct json_error error;
    *body = json_parse(request->body, request->body_size, &body_limits, &error);
    if (*body == NULL || !json_is_object(*body)) {
        fail(turn, 400, NULL, "the body must be a JSON object");
        return false;
    }
    return true;
}

static void note_reference_id(struct terra_turn *turn)
{
    const char *reference_id = NULL;
    if (turn->body != NULL)
        json_get_text(turn->body, "reference_id", &reference_id);
    if (reference_id == NULL)
        reference_id = request_query(turn->request, "reference_id");
    snprintf(turn->call->reference_id, sizeof(turn->call->reference_id), "%s",
        reference_id != NULL ? reference_id : "");
}

/* True: the reference id asks for a failure, and the answer is it. */
static bool fail_by_magic(struct terra_turn *turn)
{
    const struct magic *magic = &turn->magic;
    turn->call->magic = magic->kind != MAGIC_NONE && magic->kind != MAGIC_UNKNOWN;
    switch (magic->kind) {
    case MAGIC_ERROR:
        fail(turn, magic->status, NULL, magic->message);
        if (magic->retry_after != NULL)
            answer_put_header(turn->answer, "Retry-After", magic->retry_after);
        return true;
    case MAGIC_NO_ANSWER:
        turn->answer->manner = ANSWER_STALL;
        return true;
    case MAGIC_FLAKY:
        if (!flaky_fails(turn->terra->flaky, turn->call->reference_id, magic->number))
            return false;
        fail(turn, 503, NULL, "service unavailable");
        return true;
    case MAGIC_SLOW:
        turn->answer->delay_us = magic->number * CLOCK_US_PER_MS;
        return false;
    case MAGIC_NONE:
    case MAGIC_UNKNOWN:
        break;
    }
    return false;
}

/* The endpoints that make a link: read the body first, so that a record knows the reference id also
 * of a refused call. */
static void make_link(struct terra_turn *turn)
{
    json_value *body = NULL;
    bool readable = read_body(turn, &body);
    struct answer *answer = turn->answer;
    if (readable) {
        turn->body = body;
        note_reference_id(turn);
        turn->magic = magic_of(turn->call->reference_id);
    }
    if (check_credentials(turn) && readable && !fail_by_magic(turn)) {
        answer_begin(answer, 200, "application/json");
        if (turn->call->endpoint == ENDPOINT_AUTHENTICATE_USER)
            terra_authenticate_user(turn);
        else
            terra_widget_session(turn);
    }
    turn->body = NULL;
    json_free(body);
}

static void dispatch(struct terra_turn *turn)
{
    switch (turn->call->endpoint) {
    case ENDPOINT_WIDGET_SESSION:
    case ENDPOINT_LEGACY_WIDGET:
    case ENDPOINT_AUTHENTICATE_USER:
        make_link(turn);
        return;
    case ENDPOINT_USER_INFO:
        note_reference_id(turn);
        if (check_credentials(turn))
            terra_user_info(turn);
        return;
    case ENDPOINT_SUBSCRIPTIONS:
        if (check_credentials(turn))
            terra_subscriptions(turn);
        return;
    case ENDPOINT_INTEGRATIONS:
        terra_integrations(turn);
        return;
    case ENDPOINT_INTEGRATIONS_DETAILED:
        terra_integrations_detailed(turn);
        return;
    case ENDPOINT_PAGE:
        terra_page(turn);
        return;
    case ENDPOINT_PAYLOAD: /* sandbox.c asks the store */
    case ENDPOINT_UNKNOWN:
    case ENDPOINT_COUNT:
        break;
    }
    fail(turn, 404, NULL, "no such endpoint");
}

void terra_answer(struct terra *terra, const struct request *request, struct terra_call *call,
    struct answer *answer)
{
    const char *method;
    *call = (struct terra_call){.endpoint = endpoint_of_path(request->path, &method)};
    struct terra_turn turn = {.terra = terra, .request = request, .call = call, .answer = answer};
    if (method != NULL && !text_equal(method, request->method)) {
        fail(&turn, 405, NULL, "method not allowed");
        answer_put_header(answer, "Allow", method);
    } else {
        dispatch(&turn);
    }
    credentials_check(&terra->credentials, request, &turn.credential);
    call->environment = turn.credential != NULL ? turn.credential->environment : NULL;
    char trace_id[UUID_SIZE];
    uuid_make(trace_id);
    answer_put_header(answer, "x-terra-trace-id", trace_id);
}
