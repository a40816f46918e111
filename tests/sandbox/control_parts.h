/*
 * control_parts: the doors of the control endpoint, one function each; only control.c calls them.
 */
#ifndef SANDBOX_CONTROL_PARTS_H
#define SANDBOX_CONTROL_PARTS_H

#include "control.h"

struct control_turn {
    struct sandbox *sandbox;
    const struct request *request;
    const json_value *body; /* NULL when none was sent */
    struct answer *answer;
    struct json_writer writer; /* inside the answer's outermost object */
};

/* Makes a failure of the answer, with {"error": …}. */
void control_fail(struct control_turn *turn, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* since and limit of the query; absent: from the beginning, and the ordinary limit. False: one of
 * them cannot be read, and the answer says so. */
bool control_read_page(struct control_turn *turn, uint64_t *since, uint64_t *limit);

/* control_calls.c */
void control_get_calls(struct control_turn *turn);
void control_count_calls(struct control_turn *turn);
void control_delete_calls(struct control_turn *turn);

/* control_terra.c */
void control_add_faults(struct control_turn *turn);
void control_get_faults(struct control_turn *turn);
void control_delete_faults(struct control_turn *turn);
void control_set_latency(struct control_turn *turn);
void control_put_credential(struct control_turn *turn);
void control_get_credentials(struct control_turn *turn);
void control_put_user(struct control_turn *turn);
void control_delete_users(struct control_turn *turn);

/* control_kafka.c */
void control_fail_kafka(struct control_turn *turn);
void control_clear_kafka(struct control_turn *turn);
void control_set_broker(struct control_turn *turn);
void control_create_topic(struct control_turn *turn);

/* control_events.c */
void control_put_range(struct control_turn *turn, const struct event_range *range);
void control_add_events(struct control_turn *turn);
void control_get_events(struct control_turn *turn);
void control_delete_events(struct control_turn *turn);

/* control_connection.c */
void control_complete_session(struct control_turn *turn);
void control_cancel_session(struct control_turn *turn);
void control_reconnect_user(struct control_turn *turn);
void control_disconnect_user(struct control_turn *turn);
void control_revoke_user(struct control_turn *turn);
void control_degrade_user(struct control_turn *turn);
void control_permit_user(struct control_turn *turn);
void control_empty_user(struct control_turn *turn); /* no data source */

#endif
