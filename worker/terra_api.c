/* terra_api: see terra_api.h. */
#include "worker/terra_api.h"

#include <assert.h>
#include <inttypes.h>
#include <strings.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/text.h"
#include "common/url.h"
#include "worker/retry_after.h"
#include "worker/terra_words.h"

enum {
    ANSWER_DEPTH_MAX = 32,
    ANSWER_VALUES_MAX = 8192,
    WORDS_SIZE = 201, /* Terra's own words in an error */
    NAME_SIZE = 65,   /* a problem's code or product */
};

/* What of Terra's answer is looked at; absent, null, empty and of the wrong type are all NULL. */
struct answer_body {
    json_value *tree; /* NULL: no JSON object */
    const char *status, *message, *detail, *title, *code, *product;
    bool null_message;
    size_t invalid_user_ids;
};

const char *terra_endpoint_name(enum terra_endpoint endpoint)
{
    static const char *const names[TERRA_ENDPOINT_COUNT] = {
        [TERRA_WIDGET_SESSION] = "widget_session",
        [TERRA_LEGACY_WIDGET] = "legacy_widget",
        [TERRA_AUTHENTICATE_USER] = "authenticate_user",
    };
    return names[endpoint];
}

/* The call. */

static void put_text(struct json_writer *writer, const char *name, const char *text)
{
    if (!text_empty(text))
        json_put_text(writer, name, text);
}

static void put_choice(struct json_writer *writer, const char *name, enum connect_choice choice)
{
    if (choice != CONNECT_UNSET)
        json_put_boolean(writer, name, choice == CONNECT_YES);
}

static void put_widget_fields(struct json_writer *writer, const struct connect_request *request)
{
    put_text(writer, "providers", request->providers);
    put_choice(writer, "show_disconnect", request->show_disconnect);
    if (request->connected_uids && json_count(request->connected_uids) > 0)
        json_put_value(writer, "connected_uids", request->connected_uids);
    put_choice(writer, "multi_auth", request->multi_auth);
    put_choice(writer, "bypass_feedback", request->bypass_feedback);
    put_choice(writer, "use_terra_avengers_app", request->use_terra_avengers_app);
    put_text(writer, "apple_app_url", request->apple_app_url);
    put_text(writer, "samsung_app_url", request->samsung_app_url);
}

void terra_api_encode(enum terra_endpoint endpoint, const struct connect_request *request,
    struct buf *url, struct buf *body)
{
    const char *base = request->environment->urls[endpoint];
    struct json_writer writer;

    buf_append_text(url, base);
    json_writer_init(&writer, body);
    json_open_object(&writer, NULL);
    put_text(&writer, "reference_id", request->reference_id);
    put_text(&writer, "language", request->language);
    put_text(&writer, "auth_success_redirect_url", request->auth_success_redirect_url);
    put_text(&writer, "auth_failure_redirect_url", request->auth_failure_redirect_url);
    if (endpoint == TERRA_AUTHENTICATE_USER) {
        assert(request->provider);
        buf_append_text(url, strchr(base, '?') ? "&resource=" : "?resource=");
        url_append_encoded(url, request->provider);
        put_text(&writer, "sdk_app", request->sdk_app);
    } else {
        put_widget_fields(&writer, request);
    }
    json_close_object(&writer);
}

/* The body of an answer. */

/* What Terra says, as a clause to put behind our own words: `: "unknown resource"`, or "". */
struct clause {
    char text[WORDS_SIZE + 4];
};

static struct clause terra_says(const struct answer_body *body)
{
    const char *said = body->message ? body->message : body->detail ? body->detail : body->title;
    char words[WORDS_SIZE];
    struct clause clause = {""};
    if (!said)
        return clause;
    terra_words_clean(words, sizeof words, said);
    if (words[0])
        snprintf(clause.text, sizeof clause.text, ": \"%s\"", words);
    return clause;
}

static const char *get_text(const json_value *object, const char *name)
{
    const char *text;
    return json_get_text(object, name, &text) == JSON_FOUND && *text ? text : NULL;
}

static void read_body(struct answer_body *body, const struct http_response *response)
{
    static const struct json_limits limits = {
        .bytes_max = TERRA_ANSWER_BYTES_MAX,
        .depth_max = ANSWER_DEPTH_MAX,
        .values_max = ANSWER_VALUES_MAX,
    };
    struct json_error ignored;
    const json_value *list;
    *body = (struct answer_body){0};
    body->tree = json_parse(response->body, response->body_size, &limits, &ignored);
    if (body->tree && !json_is_object(body->tree)) {
        json_free(body->tree);
        body->tree = NULL;
    }
    if (!body->tree)
        return;
    body->status = get_text(body->tree, "status");
    body->message = get_text(body->tree, "message");
    body->detail = get_text(body->tree, "detail");
    body->title = get_text(body->tree, "title");
    body->code = get_text(body->tree, "code");
    body->product = get_text(body->tree, "product");
    const char *text;
    body->null_message = json_field(body->tree, "message") &&
                         json_get_text(body->tree, "message", &text) == JSON_ABSENT;
    if (json_get_array(body->tree, "invalid_user_ids", &list) == JSON_FOUND)
        body->invalid_user_ids = json_count(list);
}

static bool says_error(const struct answer_body *body)
{
    return body->status && strcasecmp(body->status, "error") == 0;
}

static bool says(const struct answer_body *body, const char *words)
{
    const char *const texts[] = {body->message, body->detail, body->title, body->code};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i] && strcasestr(texts[i], words))
            return true;
    return false;
}

/* Terra names no code for it. A 429 speaks of quotas that are not about users. */
static bool says_user_limit(const struct answer_body *body, int status)
{
    static const char *const words[] = {"user limit", "users limit", "user_limit", "limit of users",
        "number of users", "device limit"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (says(body, words[i]))
            return true;
    return status != 429 && says(body, "quota");
}

static bool says_entitlement(const struct answer_body *body)
{
    return body->product || says(body, "entitlement") ||
           (body->code && (strcasestr(body->code, "environment_disabled") ||
                              strcasestr(body->code, "product")));
}

/* The verdicts. */

static void judge_transport(const struct http_response *response, struct terra_answer *answer)
{
    static const char *const messages[] = {
        [HTTP_ANSWERED] = "",
        [HTTP_TIMEOUT] = "Terra: it did not answer in time",
        [HTTP_CONNECT_FAILED] = "Terra or operator: Terra could not be reached; when it lasts, "
                                "check network, proxy and URLs",
        [HTTP_BROKEN] = "Terra: the connection broke before its whole answer had come",
        [HTTP_RESPONSE_TOO_LARGE] = "Terra or operator: the answer was larger than any that holds "
                                    "a link; check the URLs",
        [HTTP_UNDECODABLE] = "Terra: the answer was compressed in a way that nobody asked for",
        [HTTP_CANCELLED] = "nobody is at fault: the worker gave up the call to Terra since it "
                           "stops; send the same request again",
    };
    answer->verdict = response->outcome == HTTP_RESPONSE_TOO_LARGE ? TERRA_RETRY_FEW : TERRA_RETRY;
    if (response->outcome == HTTP_TLS_UNTRUSTED)
        connect_error_set(&answer->error, CONNECT_TERRA_UNAVAILABLE,
            "operator: Terra's certificate was refused (%s); check TERRA_CA_FILE, proxy and URLs",
            response->error);
    else
        connect_error_set(
            &answer->error, CONNECT_TERRA_UNAVAILABLE, "%s", messages[response->outcome]);
}

static void judge_no_link(enum terra_endpoint endpoint, int status, const struct answer_body *body,
    struct terra_answer *answer)
{
    const char *field = endpoint == TERRA_AUTHENTICATE_USER ? "auth_url" : "url";
    struct clause clause = terra_says(body);
    answer->verdict = TERRA_REJECT;
    if (says_error(body))
        connect_error_set(&answer->error, CONNECT_REJECTED_BY_TERRA,
            "caller: Terra refused the request within an answer of HTTP %d%s", status, clause.text);
    else if (body->tree && json_field(body->tree, field))
        connect_error_set(&answer->error, CONNECT_REJECTED_BY_TERRA,
            "Terra: it answered HTTP %d with something that is no https link", status);
    else
        connect_error_set(&answer->error, CONNECT_REJECTED_BY_TERRA,
            "Terra or operator: the answer, HTTP %d, holds no link%s; check the URL of the "
            "endpoint %s",
            status, clause.text, terra_endpoint_name(endpoint));
}

static void judge_forbidden(int status, const struct answer_body *body, struct terra_answer *answer)
{
    struct clause clause = terra_says(body);
    char code[NAME_SIZE], product[NAME_SIZE];
    if (status == 403 && says_entitlement(body)) {
        terra_words_clean(code, sizeof code, body->code ? body->code : "none");
        terra_words_clean(product, sizeof product, body->product ? body->product : "none");
        answer->verdict = TERRA_REJECT;
        connect_error_set(&answer->error, CONNECT_REJECTED_BY_TERRA,
            "operator: Terra does not allow this to the account (HTTP 403, code %s, product %s)%s; "
            "have it enabled by Terra",
            code, product, clause.text);
        return;
    }
    answer->verdict = TERRA_CREDENTIALS;
    connect_error_set(&answer->error, CONNECT_CREDENTIALS_REJECTED,
        "operator: Terra refused the dev id and API key (HTTP %d)%s; check that they belong "
        "together, to the right environment of Terra, and have the right scope",
        status, clause.text);
}

static void judge_retired(
    enum terra_endpoint endpoint, int status, const char *deprecation, struct terra_answer *answer)
{
    bool widget = endpoint != TERRA_AUTHENTICATE_USER;
    answer->verdict = widget ? TERRA_OTHER_ENDPOINT : TERRA_REJECT;
    connect_error_set(&answer->error, CONNECT_ENDPOINT_RETIRED,
        "operator: Terra does not serve the endpoint %s to this account (HTTP %d%s); check the URL "
        "of the endpoint%s",
        terra_endpoint_name(endpoint), status, deprecation ? ", marked as deprecated" : "",
        widget ? " and TERRA_WIDGET_ENDPOINT" : "");
}

static void judge_refusal(enum terra_endpoint endpoint, int status, const struct answer_body *body,
    struct terra_answer *answer)
{
    struct clause clause = terra_says(body);
    char uids[80] = "";
    if (body->invalid_user_ids > 0)
        snprintf(uids, sizeof uids, "; Terra does not know %zu of the connected_uids",
            body->invalid_user_ids);
    answer->verdict = TERRA_REJECT;
    if (status == 404 && endpoint == TERRA_AUTHENTICATE_USER)
        connect_error_set(&answer->error, CONNECT_REJECTED_BY_TERRA,
            "caller or operator: Terra does not know what was asked for (HTTP 404)%s; check the "
            "provider, and the URL of the endpoint",
            clause.text);
    else
        connect_error_set(&answer->error, CONNECT_REJECTED_BY_TERRA,
            "caller: Terra refused the request (HTTP %d)%s%s", status, clause.text, uids);
}

static void judge_client_error(enum terra_endpoint endpoint, int status,
    const struct answer_body *body, const char *deprecation, struct terra_answer *answer)
{
    struct clause clause = terra_says(body);
    bool widget = endpoint != TERRA_AUTHENTICATE_USER;
    if (says_user_limit(body, status)) {
        answer->verdict = TERRA_REJECT;
        connect_error_set(&answer->error, CONNECT_USER_LIMIT_REACHED,
            "operator: the Terra account has as many connected users as it may have (HTTP %d)%s; "
            "disconnect some, or use a production environment",
            status, clause.text);
    } else if (status == 401 || status == 403) {
        judge_forbidden(status, body, answer);
    } else if (status == 405 || status == 410 || (status == 404 && widget)) {
        judge_retired(endpoint, status, deprecation, answer);
    } else if (status == 429) {
        answer->verdict = TERRA_RETRY;
        connect_error_set(&answer->error, CONNECT_RATE_LIMITED,
            "nobody is at fault: Terra takes no more requests for now (HTTP 429)%s; send the same "
            "request again later; where this is frequent, lower TERRA_RATE_LIMIT",
            clause.text);
    } else if (status == 408 || status == 424 || status == 425) {
        answer->verdict = TERRA_RETRY;
        connect_error_set(&answer->error, CONNECT_TERRA_UNAVAILABLE,
            "Terra: it could not answer for now (HTTP %d)%s; send the same request again later",
            status, clause.text);
    } else {
        judge_refusal(endpoint, status, body, answer);
    }
}

static void judge_server_error(
    int status, const struct answer_body *body, struct terra_answer *answer)
{
    struct clause clause = terra_says(body);
    if (status == 502 || status == 503 || status == 504) {
        answer->verdict = TERRA_RETRY;
        connect_error_set(&answer->error, CONNECT_TERRA_UNAVAILABLE,
            "Terra: it is not available (HTTP %d)%s", status, clause.text);
        return;
    }
    answer->verdict = TERRA_RETRY_FEW;
    connect_error_set(&answer->error, CONNECT_TERRA_UNAVAILABLE,
        "Terra or operator: Terra failed (HTTP %d)%s; when it lasts, check that this environment "
        "of "
        "Terra has a data source enabled, and that dev id and API key are right",
        status, clause.text);
}

static void judge_status(enum terra_endpoint endpoint, int status, const struct answer_body *body,
    const char *deprecation, struct terra_answer *answer)
{
    if (body->null_message) {
        answer->verdict = TERRA_CREDENTIALS;
        connect_error_set(&answer->error, CONNECT_CREDENTIALS_REJECTED,
            "operator: Terra does not know this pair of dev id and API key (HTTP %d with a null "
            "message); check that both are set, not swapped, and belong together",
            status);
    } else if (status >= 500) {
        judge_server_error(status, body, answer);
    } else if (status >= 400) {
        judge_client_error(endpoint, status, body, deprecation, answer);
    } else if (status >= 200 && status < 300) {
        judge_no_link(endpoint, status, body, answer);
    } else {
        answer->verdict = TERRA_REJECT;
        connect_error_set(&answer->error, CONNECT_ENDPOINT_RETIRED,
            "operator: Terra answered HTTP %d instead of serving the endpoint %s; redirects are "
            "not "
            "followed, they would take the API key along; correct the URL of the endpoint",
            status, terra_endpoint_name(endpoint));
    }
}

static void copy_trace_id(char copy[TERRA_TRACE_ID_SIZE], const char *trace_id)
{
    size_t size = 0;
    while (trace_id && size < TERRA_TRACE_ID_SIZE - 1 && trace_id[size] > ' ' &&
           trace_id[size] < 0x7f) {
        copy[size] = trace_id[size];
        size++;
    }
    copy[size] = '\0';
}

void terra_api_judge(enum terra_endpoint endpoint, const struct http_response *response,
    const struct terra_response_headers *headers, int64_t called_wall_us, int64_t now_wall_us,
    struct terra_answer *answer)
{
    struct answer_body body;
    *answer = (struct terra_answer){
        .retry_after_us = retry_after_us(headers->retry_after, now_wall_us),
    };
    copy_trace_id(answer->trace_id, headers->trace_id);
    if (response->outcome != HTTP_ANSWERED) {
        judge_transport(response, answer);
    } else {
        bool success = response->status >= 200 && response->status < 300;
        read_body(&body, response);
        bool widget = endpoint != TERRA_AUTHENTICATE_USER;
        if (success && !says_error(&body) &&
            terra_link_read(&answer->link, body.tree, widget, called_wall_us))
            answer->verdict = TERRA_LINK;
        else
            judge_status(endpoint, response->status, &body, headers->deprecation, answer);
        json_free(body.tree);
    }
    if (answer->verdict == TERRA_LINK)
        return;
    answer->error.http_status = response->outcome == HTTP_ANSWERED ? response->status : 0;
    if (answer->error.retryable)
        answer->error.retry_after_us = answer->retry_after_us;
}

void terra_answer_release(struct terra_answer *answer)
{
    terra_link_release(&answer->link);
}

/* The neutral GET. */

void terra_api_encode_probe(const struct environment *environment, uint64_t random, struct buf *url)
{
    buf_printf(
        url, "%s?reference_id=terra-connect-probe-%016" PRIx64, environment->user_info_url, random);
}

enum terra_probe_verdict terra_api_judge_probe(
    const struct http_response *response, struct connect_error *error)
{
    static const struct terra_response_headers no_headers;
    struct terra_answer answer;
    /* Its errors look like those of the other v2 endpoint. */
    terra_api_judge(TERRA_AUTHENTICATE_USER, response, &no_headers, 0, 0, &answer);
    enum terra_verdict verdict = answer.verdict;
    *error = answer.error;
    terra_answer_release(&answer);
    switch (verdict) {
    case TERRA_CREDENTIALS:
        return TERRA_PROBE_REFUSED;
    case TERRA_RETRY:
    case TERRA_RETRY_FEW:
        return error->code == CONNECT_RATE_LIMITED ? TERRA_PROBE_UNCLEAR : TERRA_PROBE_FAILED;
    case TERRA_OTHER_ENDPOINT:
        return TERRA_PROBE_UNCLEAR;
    case TERRA_REJECT:
        /* Not served (3xx, 405, 410): the credential may not have been looked at. */
        return error->code == CONNECT_ENDPOINT_RETIRED ? TERRA_PROBE_UNCLEAR : TERRA_PROBE_ACCEPTED;
    case TERRA_LINK:
        break;
    }
    return TERRA_PROBE_ACCEPTED;
}
