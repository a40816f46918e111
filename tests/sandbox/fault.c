/* fault: scripted faults; see fault.h. */
#include "fault.h"

#include <math.h>
#include <time.h>
#include <utlist.h>

#include "common/clock.h"
#include "common/memory.h"
#include "common/text.h"
#include "terra_error.h"

#define SCRIPT_BYTES_MAX (2 * 1024 * 1024)
#define HUGE_BYTES_DEFAULT (1024.0 * 1024.0)
#define HUGE_BYTES_MAX (4.0 * 1024.0 * 1024.0 * 1024.0)
#define BOMB_BYTES_MAX (UINT64_C(1024) * 1024 * 1024)

enum fault_kind {
    FAULT_ANSWER,
    FAULT_HTML,
    FAULT_EMPTY,
    FAULT_NULL_MESSAGE,
    FAULT_TRUNCATED,
    FAULT_HUGE,
    FAULT_GZIP_BOMB,
    FAULT_WRONG_LENGTH,
    FAULT_STALL,
    FAULT_STALL_MID_BODY,
    FAULT_DROP,
    FAULT_RESET,
    FAULT_RESET_MID_BODY,
    FAULT_CLOSE,
    FAULT_RAW,
    FAULT_KIND_COUNT
};

static const struct {
    const char *name;
    enum answer_manner manner;
} kinds[FAULT_KIND_COUNT] = {
    [FAULT_ANSWER] = {"answer", ANSWER_WHOLE},
    [FAULT_HTML] = {"html", ANSWER_WHOLE},
    [FAULT_EMPTY] = {"empty", ANSWER_WHOLE},
    [FAULT_NULL_MESSAGE] = {"null_message", ANSWER_WHOLE},
    [FAULT_TRUNCATED] = {"truncated", ANSWER_WHOLE},
    [FAULT_HUGE] = {"huge", ANSWER_HUGE},
    [FAULT_GZIP_BOMB] = {"gzip_bomb", ANSWER_WHOLE},
    [FAULT_WRONG_LENGTH] = {"wrong_length", ANSWER_WRONG_LENGTH},
    [FAULT_STALL] = {"stall", ANSWER_STALL},
    [FAULT_STALL_MID_BODY] = {"stall_mid_body", ANSWER_STALL_MID_BODY},
    [FAULT_DROP] = {"drop", ANSWER_DROP},
    [FAULT_RESET] = {"reset", ANSWER_RESET},
    [FAULT_RESET_MID_BODY] = {"reset_mid_body", ANSWER_RESET_MID_BODY},
    [FAULT_CLOSE] = {"close", ANSWER_CLOSE},
    [FAULT_RAW] = {"raw", ANSWER_RAW},
};

struct fault {
    struct fault *prev, *next;
    int64_t id;
    json_value *script; /* owned; texts and values below point into it */
    /* which calls */
    enum endpoint endpoint; /* ENDPOINT_COUNT: any */
    const char *reference_id_prefix;
    const char *environment;
    bool kept_connection;
    double skip;
    double count; /* 0: without end */
    double taken;
    /* what they get */
    enum fault_kind kind;
    double status; /* 0: not given */
    const json_value *body;
    const json_value *headers;
    double retry_after;      /* -1: not given */
    double retry_after_date; /* -1: not given */
    double delay_ms;
    double bytes;
    bool chunked;
};

static void fault_free(struct fault *fault)
{
    json_free(fault->script);
    free(fault);
}

void faults_clear(struct faults *faults)
{
    struct fault *fault, *next;
    DL_FOREACH_SAFE (faults->list, fault, next)
        fault_free(fault);
    faults->list = NULL;
    faults->count = 0;
}

bool faults_delete(struct faults *faults, int64_t id)
{
    struct fault *fault, *next;
    DL_FOREACH_SAFE (faults->list, fault, next)
        if (fault->id == id) {
            DL_DELETE(faults->list, fault);
            faults->count--;
            fault_free(fault);
            return true;
        }
    return false;
}

/* --- reading a script --- */

static bool say(char error[FAULT_ERROR_SIZE], const char *name, const char *wanted)
{
    snprintf(error, FAULT_ERROR_SIZE, "%s must be %s", name, wanted);
    return false;
}

static bool read_numbers(struct fault *fault, char error[FAULT_ERROR_SIZE])
{
    const struct {
        const char *name;
        double *number;
        double minimum, maximum;
    } numbers[] = {
        {"skip", &fault->skip, 0, 1e9},
        {"count", &fault->count, 0, 1e9},
        {"status", &fault->status, 200, 599},
        {"retry_after", &fault->retry_after, 0, 1e9},
        {"retry_after_date", &fault->retry_after_date, 0, 1e9},
        {"delay_ms", &fault->delay_ms, 0, FAULT_DELAY_MS_MAX},
        {"bytes", &fault->bytes, 1, HUGE_BYTES_MAX},
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        enum json_get get = json_get_number(fault->script, numbers[i].name, numbers[i].number);
        double number = *numbers[i].number;
        if (get == JSON_WRONG_TYPE ||
            (get == JSON_FOUND && (number != floor(number) || number < numbers[i].minimum ||
                                      number > numbers[i].maximum))) {
            snprintf(error, FAULT_ERROR_SIZE, "%s must be a whole number from %.0f to %.0f",
                numbers[i].name, numbers[i].minimum, numbers[i].maximum);
            return false;
        }
    }
    return true;
}

static bool read_endpoint_and_kind(struct fault *fault, char error[FAULT_ERROR_SIZE])
{
    const char *endpoint = NULL;
    const char *kind = "answer";
    if (json_get_text(fault->script, "endpoint", &endpoint) == JSON_WRONG_TYPE ||
        (endpoint != NULL && !endpoint_find(endpoint, &fault->endpoint)))
        return say(error, "endpoint", "the name of an endpoint");
    if (json_get_text(fault->script, "kind", &kind) == JSON_WRONG_TYPE)
        return say(error, "kind", "a text");
    for (int i = 0; i < FAULT_KIND_COUNT; i++)
        if (text_equal(kind, kinds[i].name)) {
            fault->kind = (enum fault_kind)i;
            return true;
        }
    return say(error, "kind", "one of those the manual names");
}

static bool read_headers(struct fault *fault, char error[FAULT_ERROR_SIZE])
{
    if (json_get_object(fault->script, "headers", &fault->headers) == JSON_WRONG_TYPE)
        return say(error, "headers", "an object of texts");
    if (fault->headers == NULL)
        return true;
    for (const json_value *header = json_first(fault->headers); header; header = json_next(header))
        if (json_text(header) == NULL)
            return say(error, "headers", "an object of texts");
    return true;
}

static bool read_script(struct fault *fault, char error[FAULT_ERROR_SIZE])
{
    static const char *const known[] = {"endpoint", "reference_id_prefix", "environment",
        "kept_connection", "skip", "count", "kind", "status", "body", "headers", "retry_after",
        "retry_after_date", "delay_ms", "bytes", "chunked", NULL};
    for (const json_value *field = json_first(fault->script); field; field = json_next(field)) {
        const char *const *name = known;
        while (*name != NULL && !text_equal(*name, json_name(field)))
            name++;
        if (*name == NULL)
            return say(error, json_name(field), "left out: the sandbox does not know it");
    }
    fault->body = json_field(fault->script, "body");
    if (json_get_text(fault->script, "reference_id_prefix", &fault->reference_id_prefix) ==
        JSON_WRONG_TYPE)
        return say(error, "reference_id_prefix", "a text");
    if (json_get_text(fault->script, "environment", &fault->environment) == JSON_WRONG_TYPE)
        return say(error, "environment", "a text");
    if (json_get_boolean(fault->script, "kept_connection", &fault->kept_connection) ==
            JSON_WRONG_TYPE ||
        json_get_boolean(fault->script, "chunked", &fault->chunked) == JSON_WRONG_TYPE)
        return say(error, "kept_connection and chunked", "booleans");
    return read_numbers(fault, error) && read_endpoint_and_kind(fault, error) &&
           read_headers(fault, error);
}

/* The script is kept, so it is copied: through its text, which also gives it back unchanged. */
static json_value *copy_script(const json_value *script, char error[FAULT_ERROR_SIZE])
{
    static const struct json_limits limits = {
        .bytes_max = SCRIPT_BYTES_MAX, .depth_max = 32, .values_max = 100000};
    struct buf text;
    buf_init(&text, SCRIPT_BYTES_MAX);
    struct json_writer writer;
    json_writer_init(&writer, &text);
    json_put_value(&writer, NULL, script);
    struct json_error parse_error;
    json_value *copy = json_parse(text.data, text.size, &limits, &parse_error);
    if (copy == NULL)
        snprintf(error, FAULT_ERROR_SIZE, "%.*s", FAULT_ERROR_SIZE - 1, parse_error.message);
    buf_release(&text);
    return copy;
}

int64_t faults_add(struct faults *faults, const json_value *script, char error[FAULT_ERROR_SIZE])
{
    if (!json_is_object(script)) {
        say(error, "a fault", "an object");
        return 0;
    }
    if (faults->count == FAULTS_MAX) {
        snprintf(error, FAULT_ERROR_SIZE, "there are %d faults already", FAULTS_MAX);
        return 0;
    }
    json_value *copy = copy_script(script, error);
    if (copy == NULL)
        return 0;
    struct fault *fault = memory_new(sizeof(*fault));
    *fault = (struct fault){.script = copy,
        .endpoint = ENDPOINT_COUNT,
        .count = 1,
        .retry_after = -1,
        .retry_after_date = -1,
        .bytes = HUGE_BYTES_DEFAULT};
    if (!read_script(fault, error)) {
        fault_free(fault);
        return 0;
    }
    fault->id = ++faults->last_id;
    DL_APPEND(faults->list, fault);
    faults->count++;
    return fault->id;
}

/* --- applying --- */

static bool fault_matches(
    const struct fault *fault, const struct request *request, const struct terra_call *call)
{
    bool anywhere = fault->endpoint == ENDPOINT_COUNT;
    if (anywhere ? !endpoint_is_api(call->endpoint) : call->endpoint != fault->endpoint)
        return false;
    if (fault->reference_id_prefix != NULL &&
        !text_starts_with(call->reference_id, fault->reference_id_prefix))
        return false;
    if (fault->environment != NULL && !text_equal(call->environment, fault->environment))
        return false;
    return !fault->kept_connection || request->connection_request > 1;
}

static void put_given_body(const struct fault *fault, struct answer *answer)
{
    const char *text = json_text(fault->body);
    answer_begin(answer, answer->status, text != NULL ? "text/plain" : "application/json");
    if (text != NULL) {
        buf_append_text(&answer->body, text);
        return;
    }
    struct json_writer writer;
    json_writer_init(&writer, &answer->body);
    json_put_value(&writer, NULL, fault->body);
}

static void put_content(const struct fault *fault, const struct request *request,
    const struct terra_call *call, struct answer *answer)
{
    unsigned status = (unsigned)fault->status;
    unsigned failure = status != 0 ? status : 500;
    switch (fault->kind) {
    case FAULT_HTML:
        terra_error_html(answer, failure);
        break;
    case FAULT_EMPTY:
        answer_begin(answer, failure, NULL);
        break;
    case FAULT_NULL_MESSAGE:
        terra_error_null_message(answer, failure);
        break;
    default:
        if (status >= 300)
            terra_error(answer, request, call->endpoint, status, NULL, "scripted fault");
        else if (status != 0)
            answer->status = status;
    }
    if (fault->body != NULL)
        put_given_body(fault, answer);
}

static void put_headers(const struct fault *fault, struct answer *answer)
{
    char text[64];
    if (fault->retry_after >= 0) {
        snprintf(text, sizeof(text), "%.0f", fault->retry_after);
        answer_put_header(answer, "Retry-After", text);
    }
    if (fault->retry_after_date >= 0) {
        /* Rounded up to the whole second that an HTTP date has, never to before what was asked. */
        int64_t at_us = clock_wall_us() + (int64_t)fault->delay_ms * CLOCK_US_PER_MS +
                        (int64_t)fault->retry_after_date * CLOCK_US_PER_SECOND;
        time_t at = (time_t)((at_us + CLOCK_US_PER_SECOND - 1) / CLOCK_US_PER_SECOND);
        struct tm parts;
        gmtime_r(&at, &parts);
        strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &parts);
        answer_put_header(answer, "Retry-After", text);
    }
    if (fault->headers == NULL)
        return;
    for (const json_value *header = json_first(fault->headers); header; header = json_next(header))
        answer_put_header(answer, json_name(header), json_text(header));
}

static void fault_apply(struct fault *fault, const struct request *request,
    const struct terra_call *call, struct answer *answer)
{
    answer->manner = kinds[fault->kind].manner;
    put_content(fault, request, call, answer);
    put_headers(fault, answer);
    answer->delay_us += (int64_t)fault->delay_ms * CLOCK_US_PER_MS;
    uint64_t bytes = (uint64_t)fault->bytes;
    uint64_t bytes_whole = bytes > answer->body.size ? bytes : answer->body.size;
    answer->cut = fault->kind == FAULT_TRUNCATED;
    answer->huge_bytes = bytes_whole;
    answer->chunked = fault->chunked;
    answer->claimed_bytes = bytes;
    if (fault->kind == FAULT_GZIP_BOMB) {
        answer->gzip = true;
        answer->gzip_blanks = bytes_whole < BOMB_BYTES_MAX ? bytes_whole - answer->body.size
                                                           : BOMB_BYTES_MAX - answer->body.size;
    }
}

int64_t faults_apply(struct faults *faults, const struct request *request,
    const struct terra_call *call, struct answer *answer)
{
    struct fault *fault;
    DL_FOREACH (faults->list, fault) {
        if (fault->count > 0 && fault->taken >= fault->count)
            continue;
        if (!fault_matches(fault, request, call))
            continue;
        if (fault->skip > 0) {
            fault->skip--;
            continue;
        }
        fault->taken++;
        fault_apply(fault, request, call, answer);
        return fault->id;
    }
    return 0;
}

void faults_write(const struct faults *faults, struct json_writer *writer)
{
    json_open_array(writer, "faults");
    const struct fault *fault;
    DL_FOREACH (faults->list, fault) {
        json_open_object(writer, NULL);
        json_put_integer(writer, "id", fault->id);
        json_put_integer(writer, "taken", (int64_t)fault->taken);
        if (fault->count > 0)
            json_put_integer(writer, "left", (int64_t)(fault->count - fault->taken));
        else
            json_put_null(writer, "left");
        json_put_value(writer, "script", fault->script);
        json_close_object(writer);
    }
    json_close_array(writer);
}
