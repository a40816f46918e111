/* control_events: Terra's events over the control endpoint; see control.h. */
#include <math.h>

#include "common/text.h"
#include "control_parts.h"

#define PER_SECOND_MAX 1e6
#define SEED_MAX 9007199254740992.0 /* 2^53: every whole number up to it is a double */

/* False: no Kafka, and the answer says so. */
static bool ready(struct control_turn *turn)
{
    if (turn->sandbox->terra.destination != NULL)
        return true;
    control_fail(turn, 400, "the sandbox was started without Kafka");
    return false;
}

/* What an order has besides its events. */
struct order {
    const json_value *events;
    bool shuffled;
    double seed;
    double per_second;
};

static bool order_read(struct control_turn *turn, struct order *order)
{
    const json_value *body = turn->body;
    *order = (struct order){.events = body};
    if (body == NULL || !json_is_object(body) || json_field(body, "events") == NULL)
        return true;
    order->events = json_field(body, "events");
    enum json_get seed = json_get_number(body, "shuffle", &order->seed);
    order->shuffled = seed == JSON_FOUND;
    if (seed == JSON_WRONG_TYPE || order->seed != floor(order->seed) || order->seed < 0 ||
        order->seed > SEED_MAX ||
        json_get_number(body, "per_second", &order->per_second) == JSON_WRONG_TYPE ||
        order->per_second < 0 || order->per_second > PER_SECOND_MAX) {
        control_fail(turn, 400, "shuffle and per_second must be numbers, shuffle a whole one");
        return false;
    }
    for (const json_value *field = json_first(body); field; field = json_next(field)) {
        const char *name = json_name(field);
        if (!text_equal(name, "events") && !text_equal(name, "shuffle") &&
            !text_equal(name, "per_second")) {
            control_fail(turn, 400, "beside events there are shuffle and per_second only");
            return false;
        }
    }
    return true;
}

/* False: something cannot be read, and the answer says so. */
static bool fill_batch(
    struct control_turn *turn, const json_value *events, struct event_batch *batch)
{
    bool array = events != NULL && json_is_array(events);
    const json_value *object = array ? json_first(events) : events;
    if (object == NULL && !array) {
        control_fail(turn, 400, "the body must be an event, or an array of them");
        return false;
    }
    for (; object != NULL; object = array ? json_next(object) : NULL) {
        struct event_script script;
        char error[EVENT_ERROR_SIZE];
        event_script_init(&script);
        if (!event_script_read(&script, object, NULL, error)) {
            control_fail(turn, 400, "%s", error);
            return false;
        }
        if (script.texts[EVENT_PROVIDER] == NULL)
            script.texts[EVENT_PROVIDER] = "GARMIN";
        if (script.texts[EVENT_SCOPES] == NULL)
            script.texts[EVENT_SCOPES] = "daily,sleep";
        if (!event_batch_add(batch, &script)) {
            control_fail(turn, 400, "that is more than %d events, or than %zu bytes",
                EVENT_COUNT_MAX, EVENT_BATCH_BYTES_MAX);
            return false;
        }
    }
    return true;
}

void control_put_range(struct control_turn *turn, const struct event_range *range)
{
    json_put_integer(&turn->writer, "first", (int64_t)range->first);
    json_put_integer(&turn->writer, "last", (int64_t)range->last);
}

void control_add_events(struct control_turn *turn)
{
    struct order order;
    if (!ready(turn) || !order_read(turn, &order))
        return;
    struct event_batch batch;
    struct event_range range;
    event_batch_init(&batch);
    if (fill_batch(turn, order.events, &batch)) {
        if (order.shuffled)
            event_batch_shuffle(&batch, (uint64_t)order.seed);
        if (destination_send(turn->sandbox->terra.destination, &batch, order.per_second, &range) ==
            RESULT_OK)
            control_put_range(turn, &range);
        else
            control_fail(turn, 400, "too many events are still on their way");
    }
    event_batch_release(&batch);
}

void control_get_events(struct control_turn *turn)
{
    struct event_filter filter = {
        .type = request_query(turn->request, "type"),
        .reference_id = request_query(turn->request, "reference_id"),
        .user_id = request_query(turn->request, "user_id"),
    };
    uint64_t limit;
    if (ready(turn) && control_read_page(turn, &filter.since, &limit))
        destination_write_events(
            turn->sandbox->terra.destination, &filter, (size_t)limit, &turn->writer);
}

void control_delete_events(struct control_turn *turn)
{
    if (ready(turn))
        destination_clear(turn->sandbox->terra.destination);
}
