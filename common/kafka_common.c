/*
 * kafka_common: see the header.
 */
#include "common/kafka_common.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/text.h"

static const char area[] = "kafka";

#define CONNECTION_LINE_INTERVAL_MS 5000

static const struct kafka_pin common_pins[] = {
    /* Its lines come as events, on our thread. */
    {"log.queue", "true", KAFKA_PIN_OWNED},
    /* Looking at a topic must not create it. librdkafka calls this a consumer property, but its
     * producer sends the same flag with its metadata requests. */
    {"allow.auto.create.topics", "false", KAFKA_PIN_OWNED},
    /* Would load foreign code into the process. */
    {"plugin.library.paths", NULL, KAFKA_PIN_OWNED},
    /* The defaults notice a topic that appears or moves after up to five minutes, and try a broker
     * that has come back after up to ten seconds; somebody waits for each record. */
    {"topic.metadata.refresh.interval.ms", "10000", KAFKA_PIN_DEFAULT},
    {"reconnect.backoff.max.ms", "2000", KAFKA_PIN_DEFAULT},
    /* Small writes go out at once; a peer that vanished is noticed. */
    {"socket.nagle.disable", "true", KAFKA_PIN_DEFAULT},
    {"socket.keepalive.enable", "true", KAFKA_PIN_DEFAULT},
    /* Newer versions push telemetry to the broker unless told otherwise. */
    {"enable.metrics.push", "false", KAFKA_PIN_IF_KNOWN},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void set_pins(rd_kafka_conf_t *conf, const struct kafka_pin *pins, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!pins[i].value)
            continue;
        char reason[KAFKA_REASON_SIZE];
        rd_kafka_conf_res_t result =
            rd_kafka_conf_set(conf, pins[i].name, pins[i].value, reason, sizeof(reason));
        assert(result == RD_KAFKA_CONF_OK ||
               (result == RD_KAFKA_CONF_UNKNOWN && pins[i].kind == KAFKA_PIN_IF_KNOWN));
        (void)result;
    }
}

static bool owned(const char *name, const struct kafka_pin *pins, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (pins[i].kind == KAFKA_PIN_OWNED && text_equal(pins[i].name, name))
            return true;
    }
    return false;
}

static bool set_property(rd_kafka_conf_t *conf, const struct kafka_property *property,
    const struct kafka_pin *pins, size_t pin_count, char *error, size_t error_size)
{
    if (owned(property->name, common_pins, COUNT(common_pins)) ||
        owned(property->name, pins, pin_count)) {
        snprintf(error, error_size,
            "Kafka property \"%s\" cannot be set: this program depends on its own value for it",
            property->name);
        return false;
    }
    char reason[KAFKA_REASON_SIZE];
    rd_kafka_conf_res_t result =
        rd_kafka_conf_set(conf, property->name, property->value, reason, sizeof(reason));
    if (result == RD_KAFKA_CONF_OK)
        return true;
    snprintf(error, error_size, "Kafka property \"%s\" was refused: %s", property->name, reason);
    return false;
}

rd_kafka_conf_t *kafka_conf_new(const struct kafka_pin *pins, size_t pin_count,
    const struct kafka_property *properties, size_t property_count, char *error, size_t error_size)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set_pins(conf, common_pins, COUNT(common_pins));
    set_pins(conf, pins, pin_count);
    for (size_t i = 0; i < property_count; i++) {
        if (!set_property(conf, &properties[i], pins, pin_count, error, error_size)) {
            rd_kafka_conf_destroy(conf);
            return NULL;
        }
    }
    return conf;
}

static bool fetches_its_token(const rd_kafka_conf_t *conf)
{
    char method[16];
    size_t size = sizeof(method);
    return rd_kafka_conf_get(conf, "sasl.oauthbearer.method", method, &size) == RD_KAFKA_CONF_OK &&
           text_equal(method, "oidc");
}

rd_kafka_t *kafka_handle_new(
    rd_kafka_type_t type, rd_kafka_conf_t *conf, char *error, size_t error_size)
{
    kafka_security_prepare(conf);
    /* With OIDC the library asks for its token by a blocking HTTP call, from whoever polls its
     * queue; that shall be a thread of its own. */
    bool token_thread = fetches_its_token(conf);
    if (token_thread)
        rd_kafka_conf_enable_sasl_queue(conf, 1);

    char reason[KAFKA_REASON_SIZE] = "";
    rd_kafka_t *handle = rd_kafka_new(type, conf, reason, sizeof(reason));
    if (!handle) {
        rd_kafka_conf_destroy(conf);
        snprintf(error, error_size, "Kafka properties were refused: %s", reason);
        return NULL;
    }
    if (token_thread) {
        rd_kafka_error_t *failure = rd_kafka_sasl_background_callbacks_enable(handle);
        if (failure) {
            snprintf(error, error_size, "the thread that fetches OAUTHBEARER tokens: %s",
                rd_kafka_error_string(failure));
            rd_kafka_error_destroy(failure);
            rd_kafka_destroy(handle);
            return NULL;
        }
    }
    return handle;
}

static void take_turn(struct kafka_waker *waker)
{
    bool more = waker->take_turn(waker->context);
    if (uv_is_closing((uv_handle_t *)&waker->idle))
        return;
    if (!more)
        uv_idle_stop(&waker->idle);
    else
        kafka_waker_kick(waker);
}

static void on_async(uv_async_t *async)
{
    struct kafka_waker *waker =
        (struct kafka_waker *)((char *)async - offsetof(struct kafka_waker, async));
    /* When the idle handle is active this turn of the loop has had its share. */
    if (!uv_is_active((uv_handle_t *)&waker->idle))
        take_turn(waker);
}

static void on_idle(uv_idle_t *idle)
{
    take_turn((struct kafka_waker *)((char *)idle - offsetof(struct kafka_waker, idle)));
}

void kafka_waker_init(
    struct kafka_waker *waker, uv_loop_t *loop, bool (*turn)(void *context), void *context)
{
    waker->take_turn = turn;
    waker->context = context;
    int result = uv_async_init(loop, &waker->async, on_async);
    assert(result == 0);
    (void)result;
    uv_idle_init(loop, &waker->idle);
    waker->async.data = context;
    waker->idle.data = context;
}

static void wake_from_thread(rd_kafka_t *handle, void *opaque)
{
    (void)handle;
    struct kafka_waker *waker = opaque;
    uv_async_send(&waker->async);
}

void kafka_waker_watch(struct kafka_waker *waker, rd_kafka_queue_t *queue)
{
    rd_kafka_queue_cb_event_enable(queue, wake_from_thread, waker);
    /* What the queue holds already will not be told. */
    kafka_waker_kick(waker);
}

void kafka_waker_unwatch(rd_kafka_queue_t *queue)
{
    /* The library calls back under the queue's lock, which this takes as well. */
    rd_kafka_queue_cb_event_enable(queue, NULL, NULL);
}

void kafka_waker_kick(struct kafka_waker *waker)
{
    if (!uv_is_closing((uv_handle_t *)&waker->idle))
        uv_idle_start(&waker->idle, on_idle);
}

void kafka_waker_close(struct kafka_waker *waker, uv_close_cb on_handle_closed)
{
    uv_close((uv_handle_t *)&waker->async, on_handle_closed);
    uv_close((uv_handle_t *)&waker->idle, on_handle_closed);
}

bool kafka_headers_new(
    const struct kafka_header *headers, size_t header_count, rd_kafka_headers_t **made)
{
    *made = NULL;
    if (header_count == 0)
        return true;
    *made = rd_kafka_headers_new(header_count);
    for (size_t i = 0; i < header_count; i++) {
        if (rd_kafka_header_add(*made, headers[i].name, -1, headers[i].value,
                (ssize_t)headers[i].value_size) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            rd_kafka_headers_destroy(*made);
            *made = NULL;
            return false;
        }
    }
    return true;
}

static const char *const advice[] = {
    [KAFKA_TROUBLE_UNREACHABLE] = "no Kafka broker can be reached; check bootstrap.servers, "
                                  "security.protocol, the network, and that the brokers are up; "
                                  "trying on",
    [KAFKA_TROUBLE_TLS] = "TLS with Kafka fails; check security.protocol, ssl.ca.location and the "
                          "other ssl.* properties, and that the broker's certificate is good for "
                          "the name it is called by; trying on",
    [KAFKA_TROUBLE_CREDENTIALS] = "Kafka refuses this client's credentials; check sasl.mechanism, "
                                  "sasl.username and sasl.password; trying on",
    [KAFKA_TROUBLE_TOPIC_MISSING] = "a topic does not exist; create it or correct its name; work "
                                    "begins by itself when it is there",
    [KAFKA_TROUBLE_NOT_AUTHORIZED] = "Kafka denies access; grant this client's principal the topic "
                                     "and group permissions it lacks; "
                                     "trying on",
    [KAFKA_TROUBLE_OFFSET_LOST] =
        "records were deleted before they were read, or the topic was made anew; going on where "
        "auto.offset.reset says",
    [KAFKA_TROUBLE_FATAL] = "this Kafka client cannot go on",
    [KAFKA_TROUBLE_OTHER] = "Kafka reports trouble",
};

void kafka_reports_init(struct kafka_reports *reports, const char *client)
{
    *reports = (struct kafka_reports){.client = client};
}

void kafka_reports_all_well(struct kafka_reports *reports)
{
    for (size_t i = 0; i < COUNT(reports->troubles); i++)
        reports->troubles[i].last_us = 0;
    reports->in_trouble = false;
    reports->all_down = false;
    reports->connection_error[0] = '\0';
    reports->security = (struct kafka_security){0};
}

static bool in_spell(
    const struct kafka_reports *reports, enum kafka_trouble trouble, int64_t now_us)
{
    int64_t last_us = reports->troubles[trouble].last_us;
    return last_us != 0 && now_us - last_us < KAFKA_TROUBLE_SPELL_MS * CLOCK_US_PER_MS;
}

static bool note_trouble(struct kafka_reports *reports, enum kafka_trouble trouble,
    const char *reason, const char **kept)
{
    int64_t now_us = clock_monotonic_us();
    /* Brokers that refuse us count as down too; one line is enough, the one that helps. */
    if (trouble == KAFKA_TROUBLE_UNREACHABLE &&
        (in_spell(reports, KAFKA_TROUBLE_TLS, now_us) ||
            in_spell(reports, KAFKA_TROUBLE_CREDENTIALS, now_us)))
        return false;
    /* The reason names the topic or group, except where it is a matter of the whole connection. */
    bool one_for_all = trouble == KAFKA_TROUBLE_UNREACHABLE || trouble == KAFKA_TROUBLE_TLS ||
                       trouble == KAFKA_TROUBLE_CREDENTIALS;
    char *known = reports->troubles[trouble].reason;
    bool known_already =
        in_spell(reports, trouble, now_us) && (one_for_all || text_equal(known, reason));
    reports->troubles[trouble].last_us = now_us;
    reports->in_trouble = true;
    if (known_already)
        return false;
    snprintf(known, KAFKA_REASON_SIZE, "%s", reason);
    *kept = known;
    log_write(trouble == KAFKA_TROUBLE_OTHER ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, area,
        advice[trouble],
        LOG_FIELDS(LOG_TEXT("client", reports->client), LOG_TEXT("reason", known)));
    return true;
}

static enum kafka_trouble trouble_of(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
        return KAFKA_TROUBLE_TOPIC_MISSING;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
        return KAFKA_TROUBLE_NOT_AUTHORIZED;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
        return KAFKA_TROUBLE_OFFSET_LOST;
    default:
        return KAFKA_TROUBLE_OTHER;
    }
}

/* One broker's connection failed; it comes as a line of the library's log as well. Others may do,
 * and the library tries again. */
static bool is_connection_error(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__RESOLVE ||
           code == RD_KAFKA_RESP_ERR__TIMED_OUT;
}

/* A connection that had been in use; one that a broker drops because it is spoken to in the wrong
 * protocol is up for a moment too, and then the library makes this guess. */
static bool was_in_use(const char *connection_error)
{
    return strstr(connection_error, "in state UP") &&
           !strstr(connection_error, "security.protocol is correctly configured");
}

/* The library calls all brokers down as soon as the only connection is lost, also when a broker
 * closed it because it was idle. It is trouble when connecting fails too. */
static bool take_connection_error(struct kafka_reports *reports, rd_kafka_resp_err_t code,
    const char *text, enum kafka_trouble *trouble, const char **reason)
{
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        reports->all_down = true;
    else
        snprintf(reports->connection_error, KAFKA_REASON_SIZE, "%s", text);
    reports->in_trouble = true;
    if (!reports->all_down || was_in_use(reports->connection_error))
        return false;
    *trouble = KAFKA_TROUBLE_UNREACHABLE;
    if (!text_empty(reports->connection_error))
        text = reports->connection_error;
    return note_trouble(reports, KAFKA_TROUBLE_UNREACHABLE, text, reason);
}

static bool take_error(struct kafka_reports *reports, rd_kafka_event_t *event,
    enum kafka_trouble *trouble, const char **reason)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const char *text = rd_kafka_event_error_string(event);
    char told[KAFKA_REASON_SIZE];
    enum kafka_security_verdict verdict =
        kafka_security_judge(&reports->security, code, text, told);
    if (verdict != KAFKA_SECURITY_WELL) {
        *trouble = verdict == KAFKA_SECURITY_TLS ? KAFKA_TROUBLE_TLS : KAFKA_TROUBLE_CREDENTIALS;
        return note_trouble(reports, *trouble, told, reason);
    }
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || is_connection_error(code))
        return take_connection_error(reports, code, text, trouble, reason);
    *trouble = rd_kafka_event_error_is_fatal(event) ? KAFKA_TROUBLE_FATAL : trouble_of(code);
    return note_trouble(reports, *trouble, text, reason);
}

static enum log_level level_of(int syslog_level)
{
    if (syslog_level <= 3)
        return LOG_LEVEL_ERROR;
    if (syslog_level == 4)
        return LOG_LEVEL_WARN;
    return syslog_level <= 6 ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG;
}

static bool take_log(struct kafka_reports *reports, rd_kafka_event_t *event,
    enum kafka_trouble *trouble, const char **reason)
{
    const char *facility;
    const char *text;
    int syslog_level;
    if (rd_kafka_event_log(event, &facility, &text, &syslog_level) != 0)
        return false;
    enum log_level level = level_of(syslog_level);

    /* The library follows auto.offset.reset by itself when the position is out of the log's range;
     * this line is all it says. (It resets without a line where nothing was committed yet.) */
    if (level <= LOG_LEVEL_WARN && text_equal(facility, "OFFSET") && strstr(text, "offset reset")) {
        *trouble = KAFKA_TROUBLE_OFFSET_LOST;
        return note_trouble(reports, KAFKA_TROUBLE_OFFSET_LOST, text, reason);
    }
    /* Our callers hand one set of properties to consumers and producers. */
    if (text_equal(facility, "CONFWARN") && strstr(text, "will be ignored by this"))
        level = LOG_LEVEL_DEBUG;

    /* A transaction's owner is told why it failed, and often it is no trouble: a rebalance came. */
    if (text_equal(facility, "TXNERR") && strstr(text, "Current transaction failed"))
        level = LOG_LEVEL_DEBUG;

    /* These come again and again while the library tries on. */
    bool connection = kafka_security_take_log(&reports->security, facility, text) ||
                      text_equal(facility, "FAIL") || text_equal(facility, "GETPID");
    if (connection && level == LOG_LEVEL_ERROR)
        level = LOG_LEVEL_WARN;
    if (connection)
        log_limited(&reports->connection_lines, CONNECTION_LINE_INTERVAL_MS, level, area,
            "librdkafka", LOG_TEXT("client", reports->client), LOG_TEXT("text", text));
    else if (log_enabled(level))
        log_write(level, area, "librdkafka",
            LOG_FIELDS(LOG_TEXT("client", reports->client), LOG_TEXT("facility", facility),
                LOG_TEXT("text", text)));
    return false;
}

bool kafka_reports_take(struct kafka_reports *reports, rd_kafka_event_t *event,
    enum kafka_trouble *trouble, const char **reason)
{
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_ERROR:
        return take_error(reports, event, trouble, reason);
    case RD_KAFKA_EVENT_LOG:
        return take_log(reports, event, trouble, reason);
    default:
        return false;
    }
}
