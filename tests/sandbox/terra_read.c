/* terra_read: the endpoints that change nothing, by which a credential
 * can be tried; see terra.h. */
#include <errno.h>
#include <strings.h>
#include <utlist.h>

#include "common/text.h"
#include "provider.h"
#include "terra_error.h"
#include "terra_parts.h"

#define PER_PAGE_DEFAULT 500

static void fail(struct terra_turn *turn, unsigned status, const char *detail)
{
    terra_error(turn->answer, turn->request, turn->call->endpoint, status, NULL, detail);
}

static bool concerns(const struct terra_turn *turn, const struct user *user)
{
    return text_equal(user->environment, turn->credential->environment);
}

/* By reference id: a bare array, as Terra's description has it. */
static void user_info_by_reference(struct terra_turn *turn, const char *reference_id)
{
    answer_begin(turn->answer, 200, "application/json");
    struct json_writer writer;
    json_writer_init(&writer, &turn->answer->body);
    json_open_array(&writer, NULL);
    size_t found = 0;
    const struct user *user;
    DL_FOREACH (turn->terra->users.list, user)
        if (concerns(turn, user) && text_equal(user->reference_id, reference_id)) {
            user_write(user, NULL, &writer);
            found++;
        }
    json_close_array(&writer);
    if (found == 0)
        fail(turn, 404, "no user with this reference_id");
}

void terra_user_info(struct terra_turn *turn)
{
    const char *user_id = request_query(turn->request, "user_id");
    const char *reference_id = request_query(turn->request, "reference_id");
    if (user_id == NULL && reference_id == NULL) {
        fail(turn, 400, "user_id or reference_id is missing");
        return;
    }
    if (user_id == NULL) {
        user_info_by_reference(turn, reference_id);
        return;
    }
    const struct user *user =
        users_find(&turn->terra->users, turn->credential->environment, user_id);
    if (user == NULL) {
        fail(turn, 404, "user not found");
        return;
    }
    answer_begin(turn->answer, 200, "application/json");
    struct json_writer writer;
    json_writer_init(&writer, &turn->answer->body);
    json_open_object(&writer, NULL);
    user_write(user, "user", &writer);
    json_put_text(&writer, "status", "success");
    json_put_boolean(&writer, "is_authenticated", true);
    json_close_object(&writer);
}

/* A whole number in the query; false when it is there and is none. */
static bool query_number(
    const struct request *request, const char *name, size_t minimum, size_t *number)
{
    const char *text = request_query(request, name);
    if (text == NULL)
        return true;
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < (long long)minimum ||
        value > USERS_MAX)
        return false;
    *number = (size_t)value;
    return true;
}

/* Users `from` and on, at most `most`. */
static void put_users(
    struct terra_turn *turn, struct json_writer *writer, const char *name, size_t from, size_t most)
{
    size_t index = 0;
    const struct user *user;
    json_open_array(writer, name);
    DL_FOREACH (turn->terra->users.list, user)
        if (concerns(turn, user)) {
            if (index >= from && index - from < most)
                user_write(user, NULL, writer);
            index++;
        }
    json_close_array(writer);
}

static size_t count_users(const struct terra_turn *turn)
{
    size_t count = 0;
    const struct user *user;
    DL_FOREACH (turn->terra->users.list, user)
        if (concerns(turn, user))
            count++;
    return count;
}

void terra_subscriptions(struct terra_turn *turn)
{
    size_t page = 0;
    size_t per_page = PER_PAGE_DEFAULT;
    if (!query_number(turn->request, "page", 0, &page) ||
        !query_number(turn->request, "per_page", 1, &per_page)) {
        fail(turn, 400, "page and per_page must be whole numbers");
        return;
    }
    answer_begin(turn->answer, 200, "application/json");
    struct json_writer writer;
    json_writer_init(&writer, &turn->answer->body);
    json_open_object(&writer, NULL);
    if (request_query(turn->request, "page") == NULL) {
        json_put_text(&writer, "status", "success");
        put_users(turn, &writer, "users", 0, USERS_MAX);
    } else {
        size_t count = count_users(turn);
        size_t page_max = count == 0 ? 0 : (count - 1) / per_page;
        put_users(turn, &writer, "results", page * per_page, per_page);
        json_put_integer(&writer, "max_page", (int64_t)page_max);
        if (page < page_max)
            json_put_integer(&writer, "next", (int64_t)page + 1);
        else
            json_put_null(&writer, "next");
    }
    json_close_object(&writer);
}

void terra_integrations(struct terra_turn *turn)
{
    answer_begin(turn->answer, 200, "application/json");
    struct json_writer writer;
    json_writer_init(&writer, &turn->answer->body);
    json_open_object(&writer, NULL);
    json_put_text(&writer, "status", "success");
    json_open_array(&writer, "providers");
    for (size_t i = 0; i < provider_count; i++)
        if (providers[i].kind != PROVIDER_SDK)
            json_put_text(&writer, NULL, providers[i].name);
    json_close_array(&writer);
    json_open_array(&writer, "sdk_providers");
    for (size_t i = 0; i < provider_count; i++)
        if (providers[i].kind == PROVIDER_SDK)
            json_put_text(&writer, NULL, providers[i].name);
    json_close_array(&writer);
    json_close_object(&writer);
}

/* Without a dev-id everything looks enabled, as with Terra. */
static bool provider_enabled(const struct provider *provider, const struct credential *credential)
{
    if (credential == NULL)
        return true;
    return provider->kind != PROVIDER_NOT_ENABLED &&
           (credential->flags & CREDENTIAL_NO_SOURCES) == 0;
}

static void put_detailed(struct json_writer *writer, const struct provider *provider, bool enabled)
{
    static const char *const types[] = {
        "activity", "body", "daily", "menstruation", "nutrition", "sleep"};
    json_open_object(writer, NULL);
    json_put_text(writer, "provider", provider->name);
    json_put_text(writer, "name", provider->title);
    json_put_text(writer, "icon", "");
    json_put_text(writer, "setup", provider->kind == PROVIDER_SDK ? "SDK" : "API_KEYS_MANAGED");
    json_put_boolean(writer, "enabled", enabled);
    json_open_object(writer, "types");
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        json_put_boolean(writer, types[i], true);
    json_close_object(writer);
    json_close_object(writer);
}

/* Public: the dev-id only says whose view it is. */
void terra_integrations_detailed(struct terra_turn *turn)
{
    const char *sdk = request_query(turn->request, "sdk");
    bool with_sdk = sdk != NULL && strcasecmp(sdk, "true") == 0;
    const struct credential *credential;
    (void)credentials_check(&turn->terra->credentials, turn->request, &credential);
    answer_begin(turn->answer, 200, "application/json");
    struct json_writer writer;
    json_writer_init(&writer, &turn->answer->body);
    json_open_object(&writer, NULL);
    json_put_text(&writer, "status", "success");
    json_open_array(&writer, "providers");
    for (size_t i = 0; i < provider_count; i++)
        if (with_sdk || providers[i].kind != PROVIDER_SDK)
            put_detailed(&writer, &providers[i], provider_enabled(&providers[i], credential));
    json_close_array(&writer);
    json_close_object(&writer);
}
