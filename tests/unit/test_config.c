/* The settings: every row's default is within its own bounds, and every kind of
 * fault is found and named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/text.h"
#include "worker/config.h"

#define MINIMUM "KAFKA_BOOTSTRAP_SERVERS=b:9092", "TERRA_DEV_ID=d", "TERRA_API_KEY=secret-key"

static struct buf errors, warnings;

static enum result load(struct config *config, const char *const *variables, enum config_need need)
{
    buf_reset(&errors);
    buf_reset(&warnings);
    return config_load(config, variables, need, &errors, &warnings);
}

static int set_up(void **state)
{
    (void)state;
    buf_init(&errors, 64 * 1024);
    buf_init(&warnings, 64 * 1024);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_release(&errors);
    buf_release(&warnings);
    return 0;
}

static void test_defaults(void **state)
{
    (void)state;
    struct config config;
    const char *variables[] = {MINIMUM, NULL};
    assert_int_equal(load(&config, variables, CONFIG_NEED_TERRA), RESULT_OK);
    assert_string_equal(buf_text(&errors), "");
    assert_string_equal(buf_text(&warnings), "");
    assert_string_equal(config.kafka_group_id, "terra-connect");
    assert_string_equal(config.connect_requests_topic, "terra.connect.requests");
    assert_string_equal(config.reply_topics_allowed, "terra.connect.replies.*");
    assert_string_equal(config.terra_base_url, "https://access.tryterra.co/api");
    assert_int_equal(config.terra_rate_limit.calls, 10);
    assert_int_equal(config.terra_rate_limit.period_us, CLOCK_US_PER_SECOND);
    assert_int_equal(config.terra_rate_burst, 10);
    assert_int_equal(config.terra_timeout_us, 15 * CLOCK_US_PER_SECOND);
    assert_int_equal(config.terra_attempts_max, 5);
    assert_int_equal(config.terra_calls_in_flight_max, 256);
    assert_int_equal(config.requests_in_flight_max, 1024);
    assert_int_equal(config.request_deadline_us, 30 * CLOCK_US_PER_SECOND);
    assert_int_equal(config.reply_cache_ttl_us, 600 * CLOCK_US_PER_SECOND);
    assert_int_equal(config.revoke_timeout_us, CLOCK_US_PER_SECOND / 2);
    assert_int_equal(config.shutdown_timeout_us, 25 * CLOCK_US_PER_SECOND);
    assert_int_equal(config.terra_rate_share, 100);
    assert_int_equal(config.limit_without_redis, LIMIT_SHARE);
    assert_int_equal(config.events_in_flight_max, 256);
    assert_int_equal(config.events_delivery, EVENTS_AT_LEAST_ONCE);
    assert_int_equal(config.event_memory_ttl_us, 24 * 3600 * CLOCK_US_PER_SECOND);
    assert_string_equal(config.auth_events_topic, "terra.auth.events");
    assert_int_equal(config.log_level, LOG_LEVEL_INFO);
    config_release(&config);
}

/* One variable beside the required ones, and a part of what must be said
 * about it; "" for nothing. */
static void test_faults(void **state)
{
    (void)state;
    static const struct {
        const char *variable, *error, *warning;
    } rows[] = {
        {"TERRA_TIMEOUT=15s", "", ""},
        {"TERRA_TIMEOUT=15000ms", "", ""},
        {"TERRA_TIMEOUT=15", "expected 100ms to 2m", ""},
        {"TERRA_TIMEOUT=5 s", "expected 100ms to 2m", ""},
        {"TERRA_TIMEOUT=1h", "expected 100ms to 2m", ""},
        {"TERRA_TIMEOUT=99999999999999999999s", "expected 100ms to 2m", ""},
        {"TERRA_TIMEOUT=9223372036854775807h", "expected 100ms to 2m", ""},
        {"TERRA_TIMEOUT=-1s", "expected 100ms to 2m", ""},
        {"TERRA_TIMEOUT=", "expected 100ms to 2m", ""},
        {"TERRA_RATE_LIMIT=600/m", "", ""},
        {"TERRA_RATE_LIMIT=0", "", ""},
        {"TERRA_RATE_LIMIT=10", "N/s, N/m, N/h", ""},
        {"TERRA_RATE_LIMIT=ten/s", "N/s, N/m, N/h", ""},
        {"TERRA_RATE_BURST=0", "expected 1 to 1000000", ""},
        {"TERRA_RATE_SHARE=20%", "", ""},
        {"TERRA_RATE_SHARE=20", "expected 1% to 100%", ""},
        {"TERRA_RATE_SHARE=0%", "expected 1% to 100%", ""},
        {"LIMIT_WITHOUT_REDIS=unlimited", "", ""},
        {"LIMIT_WITHOUT_REDIS=none", "stop, share, unlimited", ""},
        {"EVENTS_DELIVERY=exactly_once", "", ""},
        {"EVENTS_DELIVERY=twice", "at_least_once, exactly_once", ""},
        {"RAW_EVENTS_TOPIC=terra.connections", "it is CONNECTIONS_TOPIC too", ""},
        {"CONNECTIONS_TOPIC=terra.auth.events", "it is CONNECTIONS_TOPIC too", ""},
        {"EVENT_PAYLOAD_HOSTS=x.example", "", "EVENT_PAYLOAD_HOSTS is not a setting"},
        {"TERRA_CA_FILE=/nowhere", "TERRA_CA_FILE: cannot use /nowhere: No such file", ""},
        {"EVENT_PAYLOAD_CA_FILE=/dev/null", "it holds no certificate", ""},
        {"REDIS_CA_FILE=/nowhere", "REDIS_CA_FILE: cannot use /nowhere", ""},
        {"REDIS_CA_FILE=", "", ""},
        {"TERRA_ATTEMPTS_MAX=21", "expected 1 to 20", ""},
        {"TERRA_ATTEMPTS_MAX=3x", "expected 1 to 20", ""},
        {"TERRA_WIDGET_ENDPOINT=session", "", ""},
        {"TERRA_WIDGET_ENDPOINT=Session", "auto, session, legacy", ""},
        {"TERRA_ALLOW_HTTP=true", "", ""},
        {"TERRA_ALLOW_HTTP=maybe", "expected 0 or 1", ""},
        {"CONNECT_OUTCOMES_TOPIC=", "", ""},
        {"CONNECT_REPLIES_TOPIC=", "expected a topic name", ""},
        {"CONNECT_REPLIES_TOPIC=a b", "expected a topic name", ""},
        {"CONNECT_REPLIES_TOPIC=terra.connect.requests", "cannot also be", ""},
        {"TERRA_API_KEY_FILE=/nowhere", "both set", ""},
        {"LOG_LEVEL=verbose", "debug, info, warn, error", ""},
        /* near misses are errors, strangers a warning, and other people's names nothing */
        {"TERRA_RATELIMIT=5/s", "did you mean TERRA_RATE_LIMIT?", ""},
        {"REDIS_URI=redis://localhost", "did you mean REDIS_URL?", ""},
        {"KAFKA_BOOTSTRAP_SERVER=b:9092", "did you mean KAFKA_BOOTSTRAP_SERVERS?", ""},
        {"KAFKA_GROUPID=x", "did you mean KAFKA_GROUP_ID?", ""},
        {"TERRA_FAVOURITE_COLOUR=blue", "", "TERRA_FAVOURITE_COLOUR is not a setting"},
        {"SOMETHING_ELSE=1", "", ""},
        {"PATH=/bin", "", ""},
        /* librdkafka's properties, and those that are the worker's own */
        {"KAFKA_SASL_USERNAME=u", "", ""},
        {"KAFKA_ENABLE_AUTO_COMMIT=true", "enable.auto.commit belongs to the worker", ""},
        {"KAFKA_ENABLE_AUTO_OFFSET_STORE=true", "belongs to the worker", ""},
        {"KAFKA_ISOLATION_LEVEL=x", "belongs to the worker", ""},
        {"KAFKA_PLUGIN_LIBRARY_PATHS=x", "belongs to the worker", ""},
        {"KAFKA_TRANSACTIONAL_ID=x", "belongs to the worker", ""},
        /* what Kubernetes injects for services called kafka, redis and terra */
        {"KAFKA_PORT=tcp://10.0.0.1:9092", "", ""},
        {"KAFKA_PORT_9092_TCP_ADDR=10.0.0.1", "", ""},
        {"KAFKA_SERVICE_HOST=10.0.0.1", "", ""},
        {"REDIS_SERVICE_PORT_REDIS=6379", "", ""},
        {"REDIS_PORT=tcp://10.0.0.2:6379", "", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct config config;
        const char *variables[] = {MINIMUM, rows[i].variable, NULL};
        enum result result = load(&config, variables, CONFIG_NEED_TERRA);
        print_message("%s\n", rows[i].variable);
        assert_int_equal(result, rows[i].error[0] ? RESULT_REJECT : RESULT_OK);
        assert_non_null(strstr(buf_text(&errors), rows[i].error));
        assert_non_null(strstr(buf_text(&warnings), rows[i].warning));
        if (!rows[i].warning[0])
            assert_string_equal(buf_text(&warnings), "");
        config_release(&config);
    }
}

static void test_all_faults_at_once(void **state)
{
    (void)state;
    struct config config;
    const char *variables[] = {
        "TERRA_TIMEOUT=soon", "TERRA_ATTEMPTS_MAX=0", "TERRA_DEV_ID=d", NULL};
    assert_int_equal(load(&config, variables, CONFIG_NEED_TERRA), RESULT_REJECT);
    assert_non_null(strstr(buf_text(&errors), "TERRA_TIMEOUT"));
    assert_non_null(strstr(buf_text(&errors), "TERRA_ATTEMPTS_MAX"));
    assert_non_null(strstr(buf_text(&errors), "KAFKA_BOOTSTRAP_SERVERS is required"));
    assert_non_null(strstr(buf_text(&errors), "TERRA_API_KEY"));
    config_release(&config);
}

static void test_kafka_properties(void **state)
{
    (void)state;
    struct config config;
    const char *variables[] = {
        MINIMUM, "KAFKA_SASL_USERNAME=user", "KAFKA_SASL_PASSWORD=hidden", NULL};
    assert_int_equal(load(&config, variables, CONFIG_NEED_TERRA), RESULT_OK);
    assert_int_equal(config.kafka_property_count, 2);
    assert_string_equal(config.kafka_properties[0].name, "sasl.username");
    assert_string_equal(config.kafka_properties[0].value, "user");

    struct buf text;
    buf_init(&text, 256 * 1024);
    config_print(&config, &text);
    config_print_json(&config, &text);
    assert_non_null(strstr(buf_text(&text), "sasl.username=user"));
    assert_null(strstr(buf_text(&text), "hidden"));
    assert_null(strstr(buf_text(&text), "secret-key"));
    buf_release(&text);
    config_release(&config);
}

/* The event flows need no Terra credential. */
static void test_without_terra(void **state)
{
    (void)state;
    struct config config;
    const char *variables[] = {"KAFKA_BOOTSTRAP_SERVERS=b:9092", NULL};
    assert_int_equal(load(&config, variables, CONFIG_NEED_KAFKA), RESULT_OK);
    config_release(&config);
    assert_int_equal(load(&config, variables, CONFIG_NEED_TERRA), RESULT_REJECT);
    config_release(&config);
}

static void test_secret_from_file(void **state)
{
    (void)state;
    char path[] = "/tmp/test_config_XXXXXX";
    char variable[80];
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, "from-the-file\n\n", 15), 15);
    close(file);
    snprintf(variable, sizeof variable, "TERRA_API_KEY_FILE=%s", path);

    struct config config;
    const char *variables[] = {"KAFKA_BOOTSTRAP_SERVERS=b:9092", "TERRA_DEV_ID=d", variable, NULL};
    assert_int_equal(load(&config, variables, CONFIG_NEED_TERRA), RESULT_OK);
    assert_string_equal(config.terra_api_key, "from-the-file");
    config_release(&config);
    unlink(path);
    assert_int_equal(load(&config, variables, CONFIG_NEED_TERRA), RESULT_REJECT);
    assert_non_null(strstr(buf_text(&errors), "TERRA_API_KEY_FILE: cannot read"));
    config_release(&config);
}

static void test_kafka_secret_from_file(void **state)
{
    (void)state;
    char path[] = "/tmp/test_config_XXXXXX", variable[80];
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, "from-the-file\n", 14), 14);
    close(file);
    snprintf(variable, sizeof variable, "KAFKA_SASL_PASSWORD_FILE=%s", path);

    struct config config;
    const char *variables[] = {MINIMUM, "KAFKA_SSL_KEY_PASSWORD_FILE=", variable, NULL, NULL};
    assert_int_equal(load(&config, variables, CONFIG_NEED_TERRA), RESULT_OK);
    assert_int_equal(config.kafka_property_count, 1);
    assert_string_equal(config.kafka_properties[0].name, "sasl.password");
    assert_string_equal(config.kafka_properties[0].value, "from-the-file");
    config_release(&config);

    variables[5] = "KAFKA_SASL_PASSWORD=hidden";
    assert_int_equal(load(&config, variables, CONFIG_NEED_TERRA), RESULT_REJECT);
    assert_non_null(strstr(buf_text(&errors), "sasl.password is set twice"));
    config_release(&config);
    unlink(path);
    assert_int_equal(load(&config, variables, CONFIG_NEED_TERRA), RESULT_REJECT);
    assert_non_null(strstr(buf_text(&errors), "KAFKA_SASL_PASSWORD_FILE: cannot read"));
    config_release(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_all_faults_at_once),
        cmocka_unit_test(test_kafka_properties),
        cmocka_unit_test(test_without_terra),
        cmocka_unit_test(test_secret_from_file),
        cmocka_unit_test(test_kafka_secret_from_file),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
