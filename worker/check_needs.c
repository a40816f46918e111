/* check_needs: see check_needs.h. */
#include "worker/check_needs.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/memory.h"
#include "common/text.h"

#define COMMAND_BYTES_MAX 4096
#define NAME_BYTES_MAX 256

/* ---- what is needed ---- */

static void need_topic(
    struct check_needs *needs, enum check_topic_kind kind, const char *name, bool read, bool write)
{
    if (text_empty(name))
        return;
    for (size_t i = 0; i < needs->topic_count; i++) {
        struct check_topic_need *known = &needs->topics[i];
        if (text_equal(known->name, name)) {
            known->read |= read;
            known->write |= write;
            return;
        }
    }
    needs->topics[needs->topic_count++] = (struct check_topic_need){name, kind, read, write};
}

static void need_group(
    struct check_needs *needs, const struct config *config, const char *suffix, const char *topic)
{
    struct check_group_need *group = &needs->groups[needs->group_count++];
    snprintf(group->name, sizeof group->name, "%s%s", config->kafka_group_id, suffix);
    group->topic = topic;
}

void check_needs_init(
    struct check_needs *needs, const struct config *config, struct check_flows flows)
{
    *needs = (struct check_needs){.reply_topics_allowed = ""};
    if (flows.connect) {
        need_topic(needs, CHECK_TOPIC_REQUESTS, config->connect_requests_topic, true, false);
        need_topic(needs, CHECK_TOPIC_REPLIES, config->connect_replies_topic, false, true);
        need_topic(needs, CHECK_TOPIC_OUTCOMES, config->connect_outcomes_topic, false, true);
        need_group(needs, config, "", config->connect_requests_topic);
        needs->reply_topics_allowed = config->reply_topics_allowed;
    }
    if (flows.events) {
        need_topic(needs, CHECK_TOPIC_RAW_EVENTS, config->raw_events_topic, true, false);
        need_topic(needs, CHECK_TOPIC_AUTH_EVENTS, config->auth_events_topic, false, true);
        need_group(needs, config, "-events", config->raw_events_topic);
        if (config->events_delivery == EVENTS_EXACTLY_ONCE)
            snprintf(needs->transactional_prefix, sizeof needs->transactional_prefix, "%s-events-",
                config->kafka_group_id);
    }
    if (flows.connections) {
        need_topic(needs, CHECK_TOPIC_AUTH_EVENTS, config->auth_events_topic, true, false);
        need_topic(needs, CHECK_TOPIC_CONNECTIONS, config->connections_topic, false, true);
        need_group(needs, config, "-connections", config->auth_events_topic);
    }
    need_topic(needs, CHECK_TOPIC_DEAD_LETTERS, config->dead_letters_topic, false, true);
}

/* ---- the commands ---- */

/* As one word of a shell: in single quotes, unless nothing in it has a meaning there. */
static void append_word(struct buf *command, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "._-:,/@";
    if (*word != '\0' && word[strspn(word, plain)] == '\0') {
        buf_append_text(command, word);
        return;
    }
    buf_append_char(command, '\'');
    for (; *word; word++) {
        if (*word == '\'')
            buf_append_text(command, "'\\''");
        else
            buf_append_char(command, *word);
    }
    buf_append_char(command, '\'');
}

/* Who the cluster takes us for is known for certain only where the login's name says it. */
static const char *principal(const struct config *config, char text[NAME_BYTES_MAX])
{
    const char *name = "terra-connect";
    for (size_t i = 0; i < config->kafka_property_count; i++) {
        if (text_equal(config->kafka_properties[i].name, "sasl.username"))
            name = config->kafka_properties[i].value;
    }
    snprintf(text, NAME_BYTES_MAX, "User:%s", name);
    return text;
}

/* `operations` as it stands; the resource's name as one word. */
static void add_command(struct check_commands *commands, const struct config *config,
    const char *operations, const char *resource, const char *name, bool prefixed)
{
    struct buf command;
    char who[NAME_BYTES_MAX];
    if (commands->count == CHECK_COMMANDS_MAX)
        return;
    buf_init(&command, COMMAND_BYTES_MAX);
    buf_append_text(&command, "kafka-acls --bootstrap-server ");
    append_word(&command, config->kafka_bootstrap_servers);
    buf_append_text(&command, " --add --allow-principal ");
    append_word(&command, principal(config, who));
    buf_printf(&command, " %s %s ", operations, resource);
    append_word(&command, name);
    if (prefixed)
        buf_append_text(&command, " --resource-pattern-type prefixed");
    if (buf_ok(&command))
        commands->items[commands->count++] = buf_take(&command, NULL);
    buf_release(&command);
}

static void add_topics(
    const struct check_needs *needs, const struct config *config, struct check_commands *commands)
{
    for (size_t i = 0; i < needs->topic_count; i++) {
        const struct check_topic_need *topic = &needs->topics[i];
        char operations[100];
        /* The last is needed by the check alone. */
        snprintf(operations, sizeof operations, "%s%s--operation DescribeConfigs",
            topic->read ? "--operation Read " : "", topic->write ? "--operation Write " : "");
        add_command(commands, config, operations, "--topic", topic->name, false);
    }
}

static void add_reply_topics(
    const char *allowed, const struct config *config, struct check_commands *commands)
{
    struct text_items items;
    text_items_begin(&items, allowed);
    while (text_items_next(&items)) {
        char name[NAME_BYTES_MAX];
        bool prefixed = items.size > 0 && items.item[items.size - 1] == '*';
        snprintf(name, sizeof name, "%.*s", (int)(items.size - prefixed), items.item);
        if (prefixed && *name == '\0')
            add_command(commands, config, "--operation Write", "--topic", "*", false);
        else if (*name != '\0')
            add_command(commands, config, "--operation Write", "--topic", name, prefixed);
    }
}

void check_needs_list_commands(
    const struct check_needs *needs, const struct config *config, struct check_commands *commands)
{
    *commands = (struct check_commands){0};
    add_topics(needs, config, commands);
    add_reply_topics(needs->reply_topics_allowed, config, commands);
    for (size_t i = 0; i < needs->group_count; i++)
        add_command(commands, config, "--operation Read", "--group", needs->groups[i].name, false);
    if (!text_empty(needs->transactional_prefix))
        add_command(commands, config, "--operation Write --operation Describe",
            "--transactional-id", needs->transactional_prefix, true);
}

void check_commands_release(struct check_commands *commands)
{
    for (size_t i = 0; i < commands->count; i++)
        free(commands->items[i]);
    *commands = (struct check_commands){0};
}
