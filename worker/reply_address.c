/* reply_address: see reply_address.h. */
#include "worker/reply_address.h"

#include "common/memory.h"
#include "common/text.h"

struct rule {
    char text[KAFKA_TOPIC_NAME_SIZE]; /* a whole name, or what a name begins with */
    size_t size;
    bool prefix;
};

struct reply_address_rules {
    char default_topic[KAFKA_TOPIC_NAME_SIZE];
    struct rule rules[REPLY_ADDRESS_RULES_MAX];
    size_t count;
};

/* Kafka's own rule for the characters of a topic name. */
static bool is_topic_text(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        bool alphanumeric =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alphanumeric && c != '.' && c != '_' && c != '-')
            return false;
    }
    return size < KAFKA_TOPIC_NAME_SIZE;
}

static bool is_topic_name(const char *text, size_t size)
{
    bool dots = (size == 1 && text[0] == '.') || (size == 2 && memcmp(text, "..", 2) == 0);
    return size > 0 && !dots && is_topic_text(text, size);
}

static bool add_rule(struct reply_address_rules *rules, const char *item, size_t size)
{
    if (rules->count == REPLY_ADDRESS_RULES_MAX)
        return false;
    struct rule *rule = &rules->rules[rules->count];
    rule->prefix = item[size - 1] == '*';
    if (rule->prefix)
        size--;
    if (rule->prefix ? !is_topic_text(item, size) : !is_topic_name(item, size))
        return false;
    memcpy(rule->text, item, size);
    rule->text[size] = '\0';
    rule->size = size;
    rules->count++;
    return true;
}

static bool add_rules(
    struct reply_address_rules *rules, const char *allowed, char *error, size_t error_size)
{
    struct text_items items;
    text_items_begin(&items, allowed);
    while (text_items_next(&items)) {
        if (items.size == 0 || add_rule(rules, items.item, items.size))
            continue;
        if (rules->count == REPLY_ADDRESS_RULES_MAX)
            snprintf(error, error_size, "more than %d names", REPLY_ADDRESS_RULES_MAX);
        else
            snprintf(error, error_size,
                "\"%.*s\" is no topic name: 1 to 249 of A-Z a-z 0-9 . _ -, and at most one * "
                "at the end",
                (int)(items.size > 64 ? 64 : items.size), items.item);
        return false;
    }
    return true;
}

struct reply_address_rules *reply_address_rules_new(
    const char *default_topic, const char *allowed, char *error, size_t error_size)
{
    struct reply_address_rules *rules = memory_new(sizeof *rules);
    size_t size = strlen(default_topic);
    if (!is_topic_name(default_topic, size)) {
        snprintf(error, error_size, "the default reply topic is no topic name");
        goto fail;
    }
    memcpy(rules->default_topic, default_topic, size);
    if (allowed && !add_rules(rules, allowed, error, error_size))
        goto fail;
    return rules;

fail:
    free(rules);
    return NULL;
}

void reply_address_rules_free(struct reply_address_rules *rules)
{
    free(rules);
}

static bool rule_allows(const struct rule *rule, const char *topic)
{
    if (!rule->prefix)
        return text_equal(topic, rule->text);
    /* A rule such as "*" is not meant to open the offsets of all groups to a request. */
    if (text_starts_with(topic, "__") && !text_starts_with(rule->text, "__"))
        return false;
    return text_starts_with(topic, rule->text);
}

bool reply_address_rules_allow(const struct reply_address_rules *rules, const char *topic)
{
    if (text_equal(topic, rules->default_topic))
        return true;
    for (size_t i = 0; i < rules->count; i++)
        if (rule_allows(&rules->rules[i], topic))
            return true;
    return false;
}

void reply_address_set_default(
    const struct reply_address_rules *rules, struct reply_address *address)
{
    *address = (struct reply_address){.partition = -1, .is_default = true};
    memcpy(address->topic, rules->default_topic, sizeof address->topic);
}

static bool is_given(const struct kafka_header *header)
{
    return header && header->value;
}

static bool same_value(const struct kafka_header *a, const struct kafka_header *b)
{
    return a->value_size == b->value_size && memcmp(a->value, b->value, a->value_size) == 0;
}

static bool read_topic(const struct reply_address_rules *rules, const struct kafka_header *header,
    struct reply_address *address, struct connect_error *error)
{
    if (!is_topic_name(header->value, header->value_size)) {
        connect_error_set(error, CONNECT_REPLY_ADDRESS_REJECTED,
            "caller: the header %s is no Kafka topic name: 1 to 249 characters of A-Z a-z 0-9 . _ "
            "- "
            "as plain text",
            header->name);
        return false;
    }
    memcpy(address->topic, header->value, header->value_size);
    address->topic[header->value_size] = '\0';
    if (!reply_address_rules_allow(rules, address->topic)) {
        connect_error_set(error, CONNECT_REPLY_ADDRESS_REJECTED,
            "caller or operator: the header %s names the topic %s, which is not allowed for "
            "replies; name an allowed one, or add it to REPLY_TOPICS_ALLOWED",
            header->name, address->topic);
        return false;
    }
    return true;
}

static bool read_partition(
    const struct kafka_header *header, struct reply_address *address, struct connect_error *error)
{
    const unsigned char *bytes = header->value;
    if (header->value_size != 4 || bytes[0] > 0x7f) {
        connect_error_set(error, CONNECT_REPLY_ADDRESS_REJECTED,
            "caller: the header %s is no partition: a 4-byte big-endian integer, 0 or more",
            header->name);
        return false;
    }
    address->partition = bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
    return true;
}

static bool read_address(const struct reply_address_rules *rules, const struct kafka_header *topic,
    const struct kafka_header *partition, struct reply_address *address,
    struct connect_error *error)
{
    if (topic && !read_topic(rules, topic, address, error))
        return false;
    if (partition && !read_partition(partition, address, error))
        return false;
    address->is_default =
        address->partition < 0 && text_equal(address->topic, rules->default_topic);
    return true;
}

bool reply_address_read(const struct reply_address_rules *rules,
    const struct kafka_header *reply_topic, const struct kafka_header *reply_to,
    const struct kafka_header *reply_partition, struct reply_address *address,
    struct connect_error *error)
{
    const struct kafka_header *topic = is_given(reply_topic) ? reply_topic
                                       : is_given(reply_to)  ? reply_to
                                                             : NULL;
    const struct kafka_header *partition = is_given(reply_partition) ? reply_partition : NULL;
    bool good = false;

    reply_address_set_default(rules, address);
    if (is_given(reply_topic) && is_given(reply_to) && !same_value(reply_topic, reply_to))
        connect_error_set(error, CONNECT_REPLY_ADDRESS_REJECTED,
            "caller: the headers %s and %s name different topics; send one of them",
            reply_topic->name, reply_to->name);
    else
        good = read_address(rules, topic, partition, address, error);
    if (!good)
        reply_address_set_default(rules, address);
    address->named = topic || partition;
    return good;
}
