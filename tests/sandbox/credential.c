/* credential: the accounts of the simulated Terra; see credential.h. */
#include "credential.h"

#include "common/text.h"

static const struct {
    const char *name;
    enum credential_flag flag;
} flag_names[] = {
    {"legacy_retired", CREDENTIAL_LEGACY_RETIRED},
    {"no_sources", CREDENTIAL_NO_SOURCES},
    {"disabled", CREDENTIAL_DISABLED},
    {"user_limit", CREDENTIAL_USER_LIMIT},
};
#define FLAG_NAME_COUNT (sizeof(flag_names) / sizeof(flag_names[0]))

static bool text_fits(const char *text)
{
    return !text_empty(text) && strlen(text) < CREDENTIAL_TEXT_SIZE;
}

enum result credentials_put(struct credentials *credentials, const char *environment,
    const char *dev_id, const char *api_key, unsigned flags)
{
    if (!text_fits(environment) || !text_fits(dev_id) || !text_fits(api_key))
        return RESULT_REJECT;
    struct credential *place = NULL;
    for (size_t i = 0; i < credentials->count; i++) {
        struct credential *credential = &credentials->items[i];
        if (text_equal(credential->environment, environment))
            place = credential;
        else if (text_equal(credential->dev_id, dev_id))
            return RESULT_REJECT;
    }
    if (place == NULL) {
        if (credentials->count == CREDENTIALS_MAX)
            return RESULT_REJECT;
        place = &credentials->items[credentials->count++];
    }
    snprintf(place->environment, sizeof(place->environment), "%s", environment);
    snprintf(place->dev_id, sizeof(place->dev_id), "%s", dev_id);
    snprintf(place->api_key, sizeof(place->api_key), "%s", api_key);
    place->flags = flags;
    return RESULT_OK;
}

bool credential_flag_of_name(const char *name, unsigned *flags)
{
    for (size_t i = 0; i < FLAG_NAME_COUNT; i++)
        if (text_equal(name, flag_names[i].name)) {
            *flags |= flag_names[i].flag;
            return true;
        }
    return false;
}

enum credential_verdict credentials_check(const struct credentials *credentials,
    const struct request *request, const struct credential **found)
{
    const char *dev_id = request_header(request, "dev-id");
    const char *api_key = request_header(request, "x-api-key");
    *found = NULL;
    for (size_t i = 0; i < credentials->count; i++) {
        const struct credential *credential = &credentials->items[i];
        if (text_equal(dev_id, credential->dev_id) || text_equal(api_key, credential->dev_id))
            *found = credential;
    }
    if (dev_id == NULL || api_key == NULL) {
        bool there = request_header_any_case(request, "dev-id") != NULL &&
                     request_header_any_case(request, "x-api-key") != NULL;
        return there ? CREDENTIAL_MISCASED : CREDENTIAL_MISSING;
    }
    if (*dev_id == '\0' || *api_key == '\0')
        return CREDENTIAL_NULL;
    if (*found == NULL)
        return CREDENTIAL_WRONG;
    if (text_equal(api_key, (*found)->dev_id))
        return CREDENTIAL_NULL;
    return text_equal(api_key, (*found)->api_key) ? CREDENTIAL_ACCEPTED : CREDENTIAL_WRONG;
}

void credentials_write(const struct credentials *credentials, struct json_writer *writer)
{
    json_open_array(writer, "credentials");
    for (size_t i = 0; i < credentials->count; i++) {
        const struct credential *credential = &credentials->items[i];
        json_open_object(writer, NULL);
        json_put_text(writer, "environment", credential->environment);
        json_put_text(writer, "dev_id", credential->dev_id);
        json_put_text(writer, "api_key", credential->api_key);
        json_open_array(writer, "flags");
        for (size_t j = 0; j < FLAG_NAME_COUNT; j++)
            if ((credential->flags & flag_names[j].flag) != 0)
                json_put_text(writer, NULL, flag_names[j].name);
        json_close_array(writer);
        json_close_object(writer);
    }
    json_close_array(writer);
}
