/* kafka_admin_client: see the header. */
#include "common/kafka_admin_client.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/text.h"

static const struct kafka_pin pins[] = {
    {"group.id", NULL, KAFKA_PIN_OWNED},
    {"transactional.id", NULL, KAFKA_PIN_OWNED},
    {"enable.auto.commit", "false", KAFKA_PIN_OWNED},
};

void kafka_admin_set_fault(
    struct kafka_admin_fault *fault, enum kafka_admin_verdict verdict, const char *format, ...)
{
    va_list arguments;
    fault->verdict = verdict;
    va_start(arguments, format);
    vsnprintf(fault->reason, sizeof fault->reason, format, arguments);
    va_end(arguments);
}

static enum kafka_admin_verdict verdict_of(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return KAFKA_ADMIN_OK;
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
        return KAFKA_ADMIN_UNREACHABLE;
    case RD_KAFKA_RESP_ERR__SSL:
        return KAFKA_ADMIN_TLS_FAILED;
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
        return KAFKA_ADMIN_SASL_FAILED;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
        return KAFKA_ADMIN_DENIED;
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
        return KAFKA_ADMIN_MISSING;
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION:
        return KAFKA_ADMIN_UNSUPPORTED;
    default:
        return KAFKA_ADMIN_FAILED;
    }
}

void kafka_admin_set_code(
    struct kafka_admin_fault *fault, rd_kafka_resp_err_t code, const char *text)
{
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        *fault = (struct kafka_admin_fault){.verdict = KAFKA_ADMIN_OK};
    else
        kafka_admin_set_fault(
            fault, verdict_of(code), "%s", text_empty(text) ? rd_kafka_err2str(code) : text);
}

int kafka_admin_left_ms(int64_t deadline_us)
{
    int64_t left_us = deadline_us - clock_monotonic_us();
    return left_us > CLOCK_US_PER_MS ? (int)(left_us / CLOCK_US_PER_MS) : 1;
}

/* ---- what the library reports ---- */

/* What says most is kept: a broker that refuses us is called down as well. */
static void note_error(struct kafka_admin *admin, rd_kafka_event_t *event)
{
    struct kafka_admin_fault fault;
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const char *text = rd_kafka_event_error_string(event);
    char told[KAFKA_REASON_SIZE];
    switch (kafka_security_judge(&admin->security, code, text, told)) {
    case KAFKA_SECURITY_TLS:
        kafka_admin_set_fault(&fault, KAFKA_ADMIN_TLS_FAILED, "%s", told);
        break;
    case KAFKA_SECURITY_LOGIN:
        kafka_admin_set_fault(&fault, KAFKA_ADMIN_SASL_FAILED, "%s", told);
        break;
    case KAFKA_SECURITY_WELL:
        kafka_admin_set_code(&fault, code, text);
        break;
    }
    bool telling = fault.verdict == KAFKA_ADMIN_TLS_FAILED ||
                   fault.verdict == KAFKA_ADMIN_SASL_FAILED || fault.verdict == KAFKA_ADMIN_DENIED;
    bool first = admin->reported.verdict == KAFKA_ADMIN_OK;
    bool only_down = code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
    if (telling || first || (admin->reported.verdict == KAFKA_ADMIN_UNREACHABLE && !only_down))
        admin->reported = fault;
}

/* Its log lines are for those who want them all: what matters comes as an error too. */
void kafka_admin_take_reports(struct kafka_admin *admin)
{
    rd_kafka_event_t *event;
    while ((event = rd_kafka_queue_poll(admin->reports, 0)) != NULL) {
        const char *facility, *text;
        int level;
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR) {
            note_error(admin, event);
        } else if (rd_kafka_event_log(event, &facility, &text, &level) == 0) {
            kafka_security_take_log(&admin->security, facility, text);
            log_debug("kafka", "librdkafka", LOG_TEXT("client", "admin"),
                LOG_TEXT("facility", facility), LOG_TEXT("text", text));
        }
        rd_kafka_event_destroy(event);
    }
}

bool kafka_admin_is_refused(const struct kafka_admin *admin)
{
    return admin->reported.verdict == KAFKA_ADMIN_TLS_FAILED ||
           admin->reported.verdict == KAFKA_ADMIN_SASL_FAILED ||
           admin->reported.verdict == KAFKA_ADMIN_DENIED;
}

/* ---- life cycle ---- */

bool kafka_admin_open(struct kafka_admin *admin, rd_kafka_type_t type,
    const struct kafka_property *properties, size_t property_count,
    const struct kafka_property *own, char *error, size_t error_size)
{
    *admin = (struct kafka_admin){0};
    rd_kafka_conf_t *conf = kafka_conf_new(
        pins, sizeof pins / sizeof pins[0], properties, property_count, error, error_size);
    if (!conf)
        return false;
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_ERROR);
    if (own &&
        rd_kafka_conf_set(conf, own->name, own->value, error, error_size) != RD_KAFKA_CONF_OK) {
        rd_kafka_conf_destroy(conf);
        return false;
    }
    admin->handle = kafka_handle_new(type, conf, error, error_size);
    if (!admin->handle)
        return false;
    /* What a consumer reports of its group comes by the consumer's queue. */
    if (type == RD_KAFKA_CONSUMER)
        rd_kafka_poll_set_consumer(admin->handle);
    admin->reports = type == RD_KAFKA_CONSUMER ? rd_kafka_queue_get_consumer(admin->handle)
                                               : rd_kafka_queue_get_main(admin->handle);
    rd_kafka_set_log_queue(admin->handle, admin->reports);
    admin->answers = rd_kafka_queue_new(admin->handle);
    return true;
}

void kafka_admin_close(struct kafka_admin *admin)
{
    rd_kafka_queue_destroy(admin->answers);
    rd_kafka_queue_destroy(admin->reports);
    rd_kafka_destroy(admin->handle);
}

/* ---- questions that are answered by an event ---- */

bool kafka_admin_has_controller(struct kafka_admin *admin, struct kafka_admin_fault *fault)
{
    if (admin->has_controller)
        return true;
    kafka_admin_set_fault(fault, KAFKA_ADMIN_UNSUPPORTED, "the cluster has no controller to ask");
    return false;
}

rd_kafka_AdminOptions_t *kafka_admin_options(
    struct kafka_admin *admin, rd_kafka_admin_op_t operation, int64_t deadline_us)
{
    char error[KAFKA_ADMIN_REASON_SIZE];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(admin->handle, operation);
    rd_kafka_AdminOptions_set_request_timeout(
        options, kafka_admin_left_ms(deadline_us), error, sizeof error);
    return options;
}

/* The library answers every question, with a timeout at the latest. */
rd_kafka_event_t *kafka_admin_await(struct kafka_admin *admin, struct kafka_admin_fault *fault)
{
    rd_kafka_event_t *event = NULL;
    while (!event) {
        event = rd_kafka_queue_poll(admin->answers, KAFKA_ADMIN_SLICE_MS);
        kafka_admin_take_reports(admin);
    }
    kafka_admin_set_code(fault, rd_kafka_event_error(event), rd_kafka_event_error_string(event));
    return event;
}
