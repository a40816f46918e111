/*
 * endpoint: what the simulated Terra serves, by the names that records and fault scripts use.
 */
#ifndef SANDBOX_ENDPOINT_H
#define SANDBOX_ENDPOINT_H

#include <stdbool.h>

enum endpoint {
    ENDPOINT_WIDGET_SESSION,        /* POST /api/widget/session */
    ENDPOINT_LEGACY_WIDGET,         /* POST /api/v2/auth/generateWidgetSession */
    ENDPOINT_AUTHENTICATE_USER,     /* POST /api/v2/auth/authenticateUser?resource=X */
    ENDPOINT_USER_INFO,             /* GET /api/v2/userInfo?user_id=… or ?reference_id=… */
    ENDPOINT_SUBSCRIPTIONS,         /* GET /api/v2/subscriptions */
    ENDPOINT_INTEGRATIONS,          /* GET /api/v2/integrations */
    ENDPOINT_INTEGRATIONS_DETAILED, /* GET /api/v2/integrations/detailed */
    ENDPOINT_PAGE,                  /* GET, POST /session/… and /oauth/…: what a person opens */
    ENDPOINT_PAYLOAD,               /* GET /payloads/…: what a pointer leads to; event_object.h */
    ENDPOINT_UNKNOWN,
    ENDPOINT_COUNT
};

const char *endpoint_name(enum endpoint endpoint);             /* "widget_session", … */
bool endpoint_find(const char *name, enum endpoint *endpoint); /* by that name */
/* *method: its only one, NULL where there are several. */
enum endpoint endpoint_of_path(const char *path, const char **method);

/* Part of Terra's API: neither a page nor a payload. */
bool endpoint_is_api(enum endpoint endpoint);
/* Errors of /api/v2 are problem+json, those of the widget {message, status}. */
bool endpoint_speaks_problem(enum endpoint endpoint);

#endif
