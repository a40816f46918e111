/*
 * event_body: Terra's JSON for an event of any type.
 *
 *   auth                          {type, status, message, flow_id, widget_session_id, user}; with
 *                                 status "error", as failures used to be, also reason, reference_id
 *   auth_cancelled                {type, status, flow_id, reason, reference_id}: no user
 *   user_reauth                   {type, status, message, old_user, new_user}
 *   deauth, access_revoked, connection_error, google_no_datasource
 *                                 {type, status, message, user}
 *   permission_change             {type, status, message, version, scopes_added, scopes_removed,
 *                                  user}
 *   activity, athlete, body, daily, menstruation, nutrition, sleep, planned_workout, route,
 *   hormone, health_observation   data: {type, user, data: […], version}
 *   lab_report.…                  {type, event_id, status}: no user
 *   healthcheck                   {type, status, creation_timestamp, trend_percentage,
 *                                  sent_webhooks_last_hour}
 *   s3_payload                    a pointer that leads nowhere: for a pointer within a payload
 *   anything else                 {type, status, user}
 *
 * Any type that is given a size has `data`. Samples that fill it up to that size are made when the
 * body is written, so that many large events can wait in little memory.
 */
#ifndef SANDBOX_EVENT_BODY_H
#define SANDBOX_EVENT_BODY_H

#include "common/buf.h"
#include "event_script.h"

struct event_body {
    char *text;
    size_t size;
    size_t filler_at; /* where in the text the filler goes */
    size_t filler_size;
};

/* What the script says, with {n} already replaced in its texts. */
void event_body_init(struct event_body *body, const struct event_script *script);
void event_body_copy(struct event_body *body, const struct event_body *other);
void event_body_release(struct event_body *body);

size_t event_body_size(const struct event_body *body); /* as written */
void event_body_write(const struct event_body *body, struct buf *buf);

#endif
