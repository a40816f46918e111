/*
 * kafka_admin_client: a librdkafka handle that answers questions, and why it does not. Private to
 * kafka_admin.c and kafka_admin_rights.c.
 */
#ifndef COMMON_KAFKA_ADMIN_CLIENT_H
#define COMMON_KAFKA_ADMIN_CLIENT_H

#include "common/kafka_admin.h"
#include "common/kafka_common.h"

/* Answers are awaited in slices, so that a refused login is noticed before the deadline. */
#define KAFKA_ADMIN_SLICE_MS 250

struct kafka_admin {
    rd_kafka_t *handle;
    rd_kafka_queue_t *reports; /* the library's main queue: its log lines and errors */
    rd_kafka_queue_t *answers;
    struct kafka_admin_fault reported; /* by the library: what says most */
    struct kafka_security security;
    /* As of kafka_admin_look. Questions about topics go to the controller, and the library would
     * wait for it until the deadline; librdkafka's own test cluster names one that is not there. */
    bool has_controller;
};

/* `own`: a property that the caller may not set; NULL: none. False with a message when a property
 * is refused. */
bool kafka_admin_open(struct kafka_admin *admin, rd_kafka_type_t type,
    const struct kafka_property *properties, size_t property_count,
    const struct kafka_property *own, char *error, size_t error_size);
void kafka_admin_close(struct kafka_admin *admin);

/* Takes in what the library has reported so far. */
void kafka_admin_take_reports(struct kafka_admin *admin);
/* TLS, login or access was refused: waiting on is of no use. */
bool kafka_admin_is_refused(const struct kafka_admin *admin);

void kafka_admin_set_fault(struct kafka_admin_fault *fault, enum kafka_admin_verdict verdict,
    const char *format, ...) __attribute__((format(printf, 3, 4)));
/* text: NULL for the code's own. */
void kafka_admin_set_code(
    struct kafka_admin_fault *fault, rd_kafka_resp_err_t code, const char *text);

/* False: a question to it would not be answered, and the fault says so. */
bool kafka_admin_has_controller(struct kafka_admin *admin, struct kafka_admin_fault *fault);
int kafka_admin_left_ms(int64_t deadline_us); /* 1 at least */
rd_kafka_AdminOptions_t *kafka_admin_options(
    struct kafka_admin *admin, rd_kafka_admin_op_t operation, int64_t deadline_us);
/* What was asked into admin->answers; never NULL, since the library answers every question, with a
 * timeout at the latest. */
rd_kafka_event_t *kafka_admin_await(struct kafka_admin *admin, struct kafka_admin_fault *fault);

#endif
