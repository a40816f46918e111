/* environments_load: see environments_load.h. */
#include "worker/environments_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "worker/config_value.h"

static bool load_file(struct environments *environments, const char *path,
    const struct environment_defaults *defaults, char error[ENVIRONMENT_ERROR_SIZE])
{
    char reason[160];
    char *json = config_value_read_file(path, reason, sizeof reason);
    if (!json) {
        snprintf(error, ENVIRONMENT_ERROR_SIZE, "TERRA_ENVIRONMENTS_FILE: cannot read %s: %s", path,
            reason);
        return false;
    }
    enum result result = environments_add_json(
        environments, json, strlen(json), defaults, config_value_read_file, error);
    free(json);
    return result == RESULT_OK;
}

/* That of TERRA_DEV_ID, where it is set. */
static bool load_default(struct environments *environments, const struct config *config,
    const struct environment_defaults *defaults, char error[ENVIRONMENT_ERROR_SIZE])
{
    if (text_empty(config->terra_dev_id))
        return true;
    if (environments_add(environments, config->terra_environment, config->terra_dev_id,
            config->terra_api_key, defaults, error) != RESULT_OK)
        return false;
    if (!text_empty(config->terra_api_key_file) && !defaults->keys_unused)
        environments_set_key_file(environments, 0, config->terra_api_key_file);
    return true;
}

bool environments_load(struct environments *environments, const struct config *config,
    bool keys_unused, char error[ENVIRONMENT_ERROR_SIZE])
{
    const struct environment_defaults defaults = {
        .base_url = config->terra_base_url,
        .urls =
            {
                [TERRA_WIDGET_SESSION] = config->terra_widget_session_url,
                [TERRA_LEGACY_WIDGET] = config->terra_legacy_widget_url,
                [TERRA_AUTHENTICATE_USER] = config->terra_authenticate_user_url,
            },
        .rate = config->terra_rate_limit,
        .burst = config->terra_rate_burst,
        .plain_http_allowed = config->terra_allow_http,
        .keys_unused = keys_unused,
    };
    if (!load_default(environments, config, &defaults, error))
        return false;
    return text_empty(config->terra_environments_file) ||
           load_file(environments, config->terra_environments_file, &defaults, error);
}
