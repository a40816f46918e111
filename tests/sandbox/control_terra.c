/* control_terra: faults, accounts and users over the control endpoint; see control.h. */
#include <errno.h>

#include "common/clock.h"
#include "common/text.h"
#include "control_parts.h"

/* --- faults --- */

/* All or none: an array with a mistake leaves nothing behind. */
void control_add_faults(struct control_turn *turn)
{
    struct faults *faults = &turn->sandbox->faults;
    char error[FAULT_ERROR_SIZE];
    bool array = turn->body != NULL && json_is_array(turn->body);
    const json_value *script = array ? json_first(turn->body) : turn->body;
    int64_t before = faults->last_id;
    for (; script != NULL; script = array ? json_next(script) : NULL)
        if (faults_add(faults, script, error) == 0) {
            for (int64_t id = faults->last_id; id > before; id--)
                faults_delete(faults, id);
            control_fail(turn, 400, "%s", error);
            return;
        }
    if (turn->body == NULL) {
        control_fail(turn, 400, "the body must be a fault, or an array of them");
        return;
    }
    json_open_array(&turn->writer, "ids");
    for (int64_t id = before + 1; id <= faults->last_id; id++)
        json_put_integer(&turn->writer, NULL, id);
    json_close_array(&turn->writer);
}

void control_get_faults(struct control_turn *turn)
{
    faults_write(&turn->sandbox->faults, &turn->writer);
}

void control_delete_faults(struct control_turn *turn)
{
    const char *text = request_query(turn->request, "id");
    if (text == NULL) {
        faults_clear(&turn->sandbox->faults);
        return;
    }
    char *end;
    errno = 0;
    long long id = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || !faults_delete(&turn->sandbox->faults, id))
        control_fail(turn, 404, "there is no fault of that id");
}

static bool read_milliseconds(struct control_turn *turn, const char *name, int64_t *us)
{
    double number = 0;
    if (json_get_number(turn->body, name, &number) == JSON_WRONG_TYPE || number < 0 ||
        number > LATENCY_MS_MAX) {
        control_fail(turn, 400, "%s must be a number from 0 to %d", name, LATENCY_MS_MAX);
        return false;
    }
    *us = (int64_t)(number * (double)CLOCK_US_PER_MS);
    return true;
}

void control_set_latency(struct control_turn *turn)
{
    int64_t latency_us;
    int64_t jitter_us;
    if (turn->body == NULL || !json_is_object(turn->body)) {
        control_fail(turn, 400, "the body must be an object");
        return;
    }
    if (!read_milliseconds(turn, "milliseconds", &latency_us) ||
        !read_milliseconds(turn, "jitter_milliseconds", &jitter_us))
        return;
    turn->sandbox->latency_us = latency_us;
    turn->sandbox->jitter_us = jitter_us;
}

/* --- accounts --- */

static const struct credential *find_credential(
    const struct credentials *credentials, const char *environment)
{
    for (size_t i = 0; i < credentials->count; i++)
        if (text_equal(credentials->items[i].environment, environment))
            return &credentials->items[i];
    return NULL;
}

/* False: not an array of known names, and the answer says so. */
static bool read_flags(struct control_turn *turn, unsigned *flags)
{
    const json_value *array = NULL;
    enum json_get get = json_get_array(turn->body, "flags", &array);
    if (get == JSON_ABSENT)
        return true;
    bool known = get == JSON_FOUND;
    *flags = 0;
    for (const json_value *flag = known ? json_first(array) : NULL; flag; flag = json_next(flag))
        known = known && json_text(flag) != NULL && credential_flag_of_name(json_text(flag), flags);
    if (!known)
        control_fail(turn, 400,
            "flags must be an array of legacy_retired, no_sources, disabled, user_limit");
    return known;
}

void control_put_credential(struct control_turn *turn)
{
    struct credentials *credentials = &turn->sandbox->terra.credentials;
    const char *environment = NULL;
    if (turn->body == NULL || !json_is_object(turn->body) ||
        json_get_text(turn->body, "environment", &environment) != JSON_FOUND) {
        control_fail(turn, 400, "the body must be an object that names an environment");
        return;
    }
    struct credential known = {0};
    if (find_credential(credentials, environment) != NULL)
        known = *find_credential(credentials, environment);
    const char *dev_id = known.dev_id;
    const char *api_key = known.api_key;
    if (json_get_text(turn->body, "dev_id", &dev_id) == JSON_WRONG_TYPE ||
        json_get_text(turn->body, "api_key", &api_key) == JSON_WRONG_TYPE) {
        control_fail(turn, 400, "dev_id and api_key must be texts");
        return;
    }
    if (!read_flags(turn, &known.flags))
        return;
    if (credentials_put(credentials, environment, dev_id, api_key, known.flags) != RESULT_OK)
        control_fail(turn, 400,
            "environment, dev_id and api_key must be texts below %d bytes, the dev_id no other "
            "environment's, the environments at most %d",
            CREDENTIAL_TEXT_SIZE, CREDENTIALS_MAX);
}

void control_get_credentials(struct control_turn *turn)
{
    credentials_write(&turn->sandbox->terra.credentials, &turn->writer);
}

/* --- users --- */

void control_put_user(struct control_turn *turn)
{
    const char *environment = "default";
    const char *provider = "GARMIN";
    const char *user_id = NULL;
    const char *reference_id = NULL;
    const char *scopes = NULL;
    const json_value *body = turn->body;
    if (body == NULL || !json_is_object(body) ||
        json_get_text(body, "user_id", &user_id) != JSON_FOUND ||
        json_get_text(body, "environment", &environment) == JSON_WRONG_TYPE ||
        json_get_text(body, "provider", &provider) == JSON_WRONG_TYPE ||
        json_get_text(body, "reference_id", &reference_id) == JSON_WRONG_TYPE ||
        json_get_text(body, "scopes", &scopes) == JSON_WRONG_TYPE ||
        users_put(&turn->sandbox->terra.users, environment, user_id, provider, reference_id,
            scopes) != RESULT_OK)
        control_fail(turn, 400,
            "user_id must be there; it, provider, reference_id, scopes and environment must be "
            "texts of 1 "
            "to %d bytes; there can be %d users",
            USER_TEXT_BYTES_MAX, USERS_MAX);
}

void control_delete_users(struct control_turn *turn)
{
    users_clear(&turn->sandbox->terra.users);
}
