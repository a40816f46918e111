/* endpoint: what the simulated Terra serves; see endpoint.h. */
#include "endpoint.h"

#include "common/text.h"

static const struct {
    const char *name;
    const char *path;
    const char *method;
} endpoints[ENDPOINT_COUNT] = {
    [ENDPOINT_WIDGET_SESSION] = {"widget_session", "/api/widget/session", "POST"},
    [ENDPOINT_LEGACY_WIDGET] = {"legacy_widget", "/api/v2/auth/generateWidgetSession", "POST"},
    [ENDPOINT_AUTHENTICATE_USER] = {"authenticate_user", "/api/v2/auth/authenticateUser", "POST"},
    [ENDPOINT_USER_INFO] = {"user_info", "/api/v2/userInfo", "GET"},
    [ENDPOINT_SUBSCRIPTIONS] = {"subscriptions", "/api/v2/subscriptions", "GET"},
    [ENDPOINT_INTEGRATIONS] = {"integrations", "/api/v2/integrations", "GET"},
    [ENDPOINT_INTEGRATIONS_DETAILED] = {"integrations_detailed", "/api/v2/integrations/detailed",
        "GET"},
    [ENDPOINT_PAGE] = {"page", NULL, NULL},
    [ENDPOINT_PAYLOAD] = {"payload", NULL, NULL},
    [ENDPOINT_UNKNOWN] = {"unknown", NULL, NULL},
};

const char *endpoint_name(enum endpoint endpoint)
{
    return endpoints[endpoint].name;
}

bool endpoint_find(const char *name, enum endpoint *endpoint)
{
    for (int i = 0; i < ENDPOINT_COUNT; i++)
        if (text_equal(name, endpoints[i].name)) {
            *endpoint = (enum endpoint)i;
            return true;
        }
    return false;
}

enum endpoint endpoint_of_path(const char *path, const char **method)
{
    enum endpoint found = ENDPOINT_UNKNOWN;
    if (text_starts_with(path, "/session/") || text_starts_with(path, "/oauth/"))
        found = ENDPOINT_PAGE;
    else if (text_starts_with(path, "/payloads/"))
        found = ENDPOINT_PAYLOAD;
    for (int i = 0; i < ENDPOINT_COUNT; i++)
        if (endpoints[i].path != NULL && text_equal(path, endpoints[i].path))
            found = (enum endpoint)i;
    *method = endpoints[found].method;
    return found;
}

bool endpoint_is_api(enum endpoint endpoint)
{
    return endpoint != ENDPOINT_PAGE && endpoint != ENDPOINT_PAYLOAD;
}

bool endpoint_speaks_problem(enum endpoint endpoint)
{
    return endpoint != ENDPOINT_WIDGET_SESSION;
}
