/* control_kafka: the embedded Kafka's faults over the control endpoint; see control.h. */
#include <math.h>

#include "common/text.h"
#include "control_parts.h"

#define PARTITIONS_MAX 1000
#define RTT_MS_MAX 60000

/* False: no Kafka, or no object in the body, and the answer says so. */
static bool ready(struct control_turn *turn)
{
    if (turn->sandbox->kafka == NULL) {
        control_fail(turn, 400, "the sandbox was started without Kafka");
        return false;
    }
    if (turn->body == NULL || !json_is_object(turn->body)) {
        control_fail(turn, 400, "the body must be an object");
        return false;
    }
    return true;
}

/* A whole number; left as it was when absent. */
static bool read_number(
    struct control_turn *turn, const char *name, int minimum, int maximum, int *number)
{
    double value = *number;
    if (json_get_number(turn->body, name, &value) == JSON_WRONG_TYPE || value != floor(value) ||
        value < minimum || value > maximum) {
        control_fail(turn, 400, "%s must be a whole number from %d to %d", name, minimum, maximum);
        return false;
    }
    *number = (int)value;
    return true;
}

void control_fail_kafka(struct control_turn *turn)
{
    const char *request = NULL;
    const char *error_name = NULL;
    int count = 1;
    char error[KAFKA_ERROR_SIZE];
    if (!ready(turn) || !read_number(turn, "count", 1, KAFKA_REQUEST_ERRORS_MAX, &count))
        return;
    if (json_get_text(turn->body, "request", &request) != JSON_FOUND ||
        json_get_text(turn->body, "error", &error_name) != JSON_FOUND)
        control_fail(turn, 400, "request and error must be texts");
    else if (kafka_fail_requests(turn->sandbox->kafka, request, error_name, (size_t)count, error) !=
             RESULT_OK)
        control_fail(turn, 400, "%s", error);
}

void control_clear_kafka(struct control_turn *turn)
{
    char error[KAFKA_ERROR_SIZE];
    if (turn->sandbox->kafka == NULL)
        control_fail(turn, 400, "the sandbox was started without Kafka");
    else if (kafka_clear_failures(turn->sandbox->kafka, error) != RESULT_OK)
        control_fail(turn, 400, "%s", error);
}

void control_set_broker(struct control_turn *turn)
{
    bool up;
    int rtt_ms = -1;
    char error[KAFKA_ERROR_SIZE];
    if (!ready(turn) || !read_number(turn, "rtt_ms", -1, RTT_MS_MAX, &rtt_ms))
        return;
    enum json_get get = json_get_boolean(turn->body, "up", &up);
    if (get == JSON_WRONG_TYPE || (get == JSON_ABSENT && rtt_ms < 0)) {
        control_fail(turn, 400, "the body must have up, a boolean, or rtt_ms, a number, or both");
        return;
    }
    if (rtt_ms >= 0 && kafka_set_rtt(turn->sandbox->kafka, rtt_ms, error) != RESULT_OK)
        control_fail(turn, 400, "%s", error);
    else if (get == JSON_FOUND && kafka_set_up(turn->sandbox->kafka, up, error) != RESULT_OK)
        control_fail(turn, 400, "%s", error);
}

void control_create_topic(struct control_turn *turn)
{
    struct kafka_topic topic = {.partitions = 4};
    const char *name = NULL;
    char error[KAFKA_ERROR_SIZE];
    if (!ready(turn) || !read_number(turn, "partitions", 1, PARTITIONS_MAX, &topic.partitions))
        return;
    if (json_get_text(turn->body, "name", &name) != JSON_FOUND || text_empty(name) ||
        strlen(name) >= sizeof(topic.name)) {
        control_fail(turn, 400, "name must be a topic's name");
        return;
    }
    snprintf(topic.name, sizeof(topic.name), "%s", name);
    if (kafka_create_topic(turn->sandbox->kafka, &topic, error) != RESULT_OK)
        control_fail(turn, 400, "%s", error);
}
