/* kafka: the embedded Kafka, or topics on a real one; see kafka.h. */
#include "kafka.h"

#include <arpa/inet.h>
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/memory.h"
#include "common/text.h"
#include "kafka_socket.h"

#define CREATE_TIMEOUT_MS 15000
#define METADATA_REQUEST 3 /* its number in the protocol */

struct kafka {
    rd_kafka_t *handle;
    rd_kafka_mock_cluster_t *mock; /* NULL: a real one */
    char *brokers;
};

static const struct {
    const char *name;
    int16_t number;
} request_names[] = {
    {"Produce", 0},
    {"Fetch", 1},
    {"ListOffsets", 2},
    {"OffsetCommit", 8},
    {"OffsetFetch", 9},
    {"FindCoordinator", 10},
    {"JoinGroup", 11},
    {"Heartbeat", 12},
    {"LeaveGroup", 13},
    {"SyncGroup", 14},
    {"ApiVersion", 18},
    {"InitProducerId", 22},
    {"AddPartitionsToTxn", 24},
    {"AddOffsetsToTxn", 25},
    {"EndTxn", 26},
    {"TxnOffsetCommit", 28},
};
#define REQUEST_NAME_COUNT (sizeof(request_names) / sizeof(request_names[0]))

static enum result reject(char error[KAFKA_ERROR_SIZE], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static enum result reject(char error[KAFKA_ERROR_SIZE], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, KAFKA_ERROR_SIZE, format, arguments);
    va_end(arguments);
    return RESULT_REJECT;
}

/* The mock's thread serves an order, then empties the pipe that woke it: an order that comes in
 * between, right behind an earlier one, has lost its wake-up and waits for the thread's next turn,
 * up to a second later. So each order lets the one before it come to rest. */
static void let_settle(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* --- start and end --- */

/* librdkafka cannot take it back when its bind() fails (an assertion ends the process), so the port
 * is tried first. */
static bool port_is_free(struct in_addr address, uint16_t port)
{
    struct sockaddr_in wanted = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = address};
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return false;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    bool is_free = bind(fd, (struct sockaddr *)&wanted, sizeof(wanted)) == 0;
    int saved = errno;
    close(fd);
    errno = saved;
    return is_free;
}

static enum result start_mock(
    struct kafka *kafka, const struct kafka_options *options, char error[KAFKA_ERROR_SIZE])
{
    struct in_addr address;
    if (inet_pton(AF_INET, options->listen, &address) != 1 || address.s_addr == htonl(INADDR_ANY))
        return reject(error,
            "the embedded Kafka tells its clients the address it listens on, so that must be one "
            "address, not %s",
            options->listen);
    if (!port_is_free(address, options->port))
        return reject(error, "cannot listen on %s:%u for Kafka: %s", options->listen,
            (unsigned)options->port, strerror(errno));
    kafka_socket_arm(address, options->port);
    kafka->mock = rd_kafka_mock_cluster_new(kafka->handle, 1);
    kafka_socket_disarm();
    if (kafka->mock == NULL)
        return reject(error, "the embedded Kafka cannot be started");
    /* By itself it offers versions without the flag against creating topics, and then makes every
     * topic that somebody asks for: a slip in a reply topic's name would not show. */
    rd_kafka_mock_set_apiversion(kafka->mock, METADATA_REQUEST, 0, 4);
    kafka->brokers = memory_copy_text(rd_kafka_mock_cluster_bootstraps(kafka->mock));
    return RESULT_OK;
}

static enum result start(
    struct kafka *kafka, const struct kafka_options *options, char error[KAFKA_ERROR_SIZE])
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "client.id", "terra-sandbox", NULL, 0);
    rd_kafka_conf_set(conf, "log_level", "3", NULL, 0);
    if (options->brokers != NULL && rd_kafka_conf_set(conf, "bootstrap.servers", options->brokers,
                                        error, KAFKA_ERROR_SIZE) != RD_KAFKA_CONF_OK) {
        rd_kafka_conf_destroy(conf);
        return RESULT_REJECT;
    }
    kafka->handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, KAFKA_ERROR_SIZE);
    if (kafka->handle == NULL) {
        rd_kafka_conf_destroy(conf);
        return RESULT_REJECT;
    }
    if (options->brokers == NULL)
        return start_mock(kafka, options, error);
    kafka->brokers = memory_copy_text(options->brokers);
    return RESULT_OK;
}

enum result kafka_new(
    const struct kafka_options *options, struct kafka **kafka, char error[KAFKA_ERROR_SIZE])
{
    *kafka = memory_new(sizeof(**kafka));
    enum result result = start(*kafka, options, error);
    for (size_t i = 0; result == RESULT_OK && i < options->topic_count; i++)
        result = kafka_create_topic(*kafka, &options->topics[i], error);
    if (result != RESULT_OK) {
        kafka_free(*kafka);
        *kafka = NULL;
    }
    return result;
}

void kafka_free(struct kafka *kafka)
{
    if (kafka == NULL)
        return;
    if (kafka->mock != NULL) {
        let_settle();
        rd_kafka_mock_cluster_destroy(kafka->mock);
    }
    if (kafka->handle != NULL)
        rd_kafka_destroy(kafka->handle);
    free(kafka->brokers);
    free(kafka);
}

const char *kafka_brokers(const struct kafka *kafka)
{
    return kafka->brokers;
}

/* --- topics --- */

static enum result judge_creation(
    rd_kafka_event_t *event, const char *name, char error[KAFKA_ERROR_SIZE])
{
    if (event == NULL)
        return reject(error, "topic %s: the broker did not answer", name);
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return reject(error, "topic %s: %s", name, rd_kafka_event_error_string(event));
    size_t count;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[i]);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
            return reject(error, "topic %s: %s", name, rd_kafka_err2str(code));
    }
    return RESULT_OK;
}

static enum result create_on_real(
    struct kafka *kafka, const struct kafka_topic *topic, char error[KAFKA_ERROR_SIZE])
{
    rd_kafka_NewTopic_t *new_topic =
        rd_kafka_NewTopic_new(topic->name, topic->partitions, -1, error, KAFKA_ERROR_SIZE);
    if (new_topic == NULL)
        return RESULT_REJECT;
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(kafka->handle, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_AdminOptions_set_request_timeout(options, CREATE_TIMEOUT_MS, NULL, 0);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(kafka->handle);
    rd_kafka_CreateTopics(kafka->handle, &new_topic, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 2 * CREATE_TIMEOUT_MS);
    enum result result = judge_creation(event, topic->name, error);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_NewTopic_destroy(new_topic);
    return result;
}

enum result kafka_create_topic(
    struct kafka *kafka, const struct kafka_topic *topic, char error[KAFKA_ERROR_SIZE])
{
    if (kafka->mock == NULL)
        return create_on_real(kafka, topic, error);
    let_settle();
    rd_kafka_resp_err_t code =
        rd_kafka_mock_topic_create(kafka->mock, topic->name, topic->partitions, 1);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        return reject(error, "topic %s: %s", topic->name, rd_kafka_err2str(code));
    return RESULT_OK;
}

/* --- faults --- */

static enum result need_mock(const struct kafka *kafka, char error[KAFKA_ERROR_SIZE])
{
    if (kafka->mock == NULL)
        return reject(error, "a real Kafka has no scripted faults");
    let_settle();
    return RESULT_OK;
}

static bool number_of(const char *text, int16_t *number)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < INT16_MIN || value > INT16_MAX)
        return false;
    *number = (int16_t)value;
    return true;
}

static bool find_request(const char *name, int16_t *number)
{
    for (size_t i = 0; i < REQUEST_NAME_COUNT; i++)
        if (text_equal(name, request_names[i].name)) {
            *number = request_names[i].number;
            return true;
        }
    return number_of(name, number) && *number >= 0;
}

static bool find_error(const char *name, rd_kafka_resp_err_t *code)
{
    const struct rd_kafka_err_desc *descriptions;
    size_t count;
    rd_kafka_get_err_descs(&descriptions, &count);
    for (size_t i = 0; i < count; i++)
        if (descriptions[i].name != NULL && text_equal(name, descriptions[i].name)) {
            *code = descriptions[i].code;
            return true;
        }
    int16_t number;
    if (!number_of(name, &number))
        return false;
    *code = (rd_kafka_resp_err_t)number;
    return true;
}

enum result kafka_fail_requests(struct kafka *kafka, const char *request, const char *error_name,
    size_t count, char error[KAFKA_ERROR_SIZE])
{
    if (need_mock(kafka, error) != RESULT_OK)
        return RESULT_REJECT;
    int16_t number;
    rd_kafka_resp_err_t code;
    if (!find_request(request, &number))
        return reject(error, "request must be a name such as Produce, or its number");
    if (!find_error(error_name, &code))
        return reject(
            error, "error must be a name such as NOT_LEADER_FOR_PARTITION, or its number");
    if (count > KAFKA_REQUEST_ERRORS_MAX)
        return reject(error, "count must be at most %d", KAFKA_REQUEST_ERRORS_MAX);
    for (size_t i = 0; i < count; i++)
        rd_kafka_mock_push_request_errors_array(kafka->mock, number, 1, &code);
    return RESULT_OK;
}

enum result kafka_clear_failures(struct kafka *kafka, char error[KAFKA_ERROR_SIZE])
{
    if (need_mock(kafka, error) != RESULT_OK)
        return RESULT_REJECT;
    for (size_t i = 0; i < REQUEST_NAME_COUNT; i++)
        rd_kafka_mock_clear_request_errors(kafka->mock, request_names[i].number);
    return RESULT_OK;
}

enum result kafka_set_up(struct kafka *kafka, bool up, char error[KAFKA_ERROR_SIZE])
{
    if (need_mock(kafka, error) != RESULT_OK)
        return RESULT_REJECT;
    rd_kafka_resp_err_t code = up ? rd_kafka_mock_broker_set_up(kafka->mock, -1)
                                  : rd_kafka_mock_broker_set_down(kafka->mock, -1);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return reject(error, "%s", rd_kafka_err2str(code));
    return RESULT_OK;
}

enum result kafka_set_rtt(struct kafka *kafka, int rtt_ms, char error[KAFKA_ERROR_SIZE])
{
    if (need_mock(kafka, error) != RESULT_OK)
        return RESULT_REJECT;
    rd_kafka_resp_err_t code = rd_kafka_mock_broker_set_rtt(kafka->mock, -1, rtt_ms);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return reject(error, "%s", rd_kafka_err2str(code));
    return RESULT_OK;
}
