/* redrive_letter: see redrive_letter.h. */
#include "worker/redrive_letter.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/text.h"
#include "worker/dead_letter.h"

/* The headers of ours that say what to do with the letter; of equal names the last counts. */
struct found {
    struct kafka_header code, topic, size, source, left_out;
};

static void take_header(struct found *found, const struct kafka_header *header)
{
    const struct {
        const char *name;
        struct kafka_header *place;
    } wanted[] = {
        {DEAD_LETTER_CODE, &found->code},
        {DEAD_LETTER_TOPIC, &found->topic},
        {DEAD_LETTER_SIZE, &found->size},
        {DEAD_LETTER_SOURCE, &found->source},
        {DEAD_LETTER_LEFT_OUT, &found->left_out},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (text_equal(header->name, wanted[i].name))
            *wanted[i].place = *header;
}

static void take_original(struct redrive_letter *letter, const struct kafka_header *header)
{
    const char *name = header->name + strlen(DEAD_LETTER_ORIGINAL);
    /* One place is left for our own. */
    if (letter->header_count == REDRIVE_HEADERS_MAX - 1 || text_equal(name, REDRIVE_HEADER))
        return;
    letter->headers[letter->header_count] = *header;
    letter->headers[letter->header_count++].name = name;
}

static bool equals(const struct kafka_header *header, const char *text)
{
    return header->value && header->value_size == strlen(text) &&
           memcmp(header->value, text, header->value_size) == 0;
}

/* A code is a word; anything else is not one of ours. */
static void read_code(struct redrive_letter *letter, const struct kafka_header *header)
{
    const char *text = header->value;
    letter->code[0] = '\0';
    if (!text || header->value_size >= sizeof letter->code)
        return;
    for (size_t i = 0; i < header->value_size; i++)
        if (!((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= '0' && text[i] <= '9') ||
                text[i] == '_'))
            return;
    memcpy(letter->code, text, header->value_size);
    letter->code[header->value_size] = '\0';
}

static unsigned read_count(const struct kafka_header *header)
{
    unsigned count = 0;
    const char *text = header->value;
    for (size_t i = 0; text && i < header->value_size && i < 8; i++)
        count = text[i] >= '0' && text[i] <= '9' ? count * 10 + (unsigned)(text[i] - '0') : count;
    return count;
}

static bool code_is_chosen(const struct redrive_choice *choice, const char *code)
{
    for (size_t i = 0; i < choice->code_count; i++)
        if (text_equal(choice->codes[i], code))
            return true;
    return choice->code_count == 0;
}

static bool is_chosen(const struct redrive_choice *choice, const struct redrive_letter *letter,
    const struct kafka_record *record, const struct found *found)
{
    if (!code_is_chosen(choice, letter->code))
        return false;
    if (choice->since_ms && record->timestamp_ms < choice->since_ms)
        return false;
    if (choice->until_ms && (record->timestamp_ms < 0 || record->timestamp_ms >= choice->until_ms))
        return false;
    if (choice->key && !(record->key && record->key_size == strlen(choice->key) &&
                           memcmp(record->key, choice->key, record->key_size) == 0))
        return false;
    return !choice->topic || equals(&found->topic, choice->topic);
}

static enum redrive_verdict judge(struct redrive_letter *letter, const struct kafka_record *record,
    const struct found *found, const struct redrive_choice *choice)
{
    if (!is_chosen(choice, letter, record, found))
        return REDRIVE_NOT_CHOSEN;
    if (!letter->code[0] || !found->topic.value)
        return REDRIVE_UNREADABLE;
    const char *topic = NULL;
    for (size_t i = 0; i < choice->topic_count; i++)
        if (equals(&found->topic, choice->topics[i]))
            topic = choice->topics[i];
    if (!topic)
        return REDRIVE_FOREIGN_TOPIC;
    if (found->size.value)
        return REDRIVE_WITHOUT_VALUE;
    if (text_equal(letter->code, REDRIVE_CODE_EXPIRED) && !choice->expired &&
        !equals(&found->source, DEAD_LETTER_FETCHED))
        return REDRIVE_EXPIRED;
    letter->topic = topic;
    return REDRIVE_PUT_BACK;
}

enum redrive_verdict redrive_letter_read(struct redrive_letter *letter,
    const struct kafka_record *record,
    bool (*header_at)(const struct kafka_record *record, size_t index, struct kafka_header *header),
    const struct redrive_choice *choice)
{
    struct found found = {0};
    struct kafka_header header;
    letter->topic = NULL;
    letter->header_count = 0;
    for (size_t i = 0; header_at(record, i, &header); i++) {
        if (text_starts_with(header.name, DEAD_LETTER_ORIGINAL))
            take_original(letter, &header);
        else
            take_header(&found, &header);
    }
    read_code(letter, &found.code);
    letter->left_out = read_count(&found.left_out);
    int size = snprintf(letter->place, sizeof letter->place, "%s/%" PRId32 "/%" PRId64,
        record->topic, record->partition, record->offset);
    letter->headers[letter->header_count++] =
        (struct kafka_header){REDRIVE_HEADER, letter->place, (size_t)size};
    return judge(letter, record, &found, choice);
}

static const struct {
    const char *name, *text;
} verdicts[REDRIVE_VERDICT_COUNT] = {
    [REDRIVE_PUT_BACK] = {"put_back", "put back"},
    [REDRIVE_NOT_CHOSEN] = {"not_chosen", "not chosen"},
    [REDRIVE_UNREADABLE] = {"unreadable", "no dead letters of ours"},
    [REDRIVE_FOREIGN_TOPIC] = {"foreign_topic", "from a topic that is not ours to write to"},
    [REDRIVE_WITHOUT_VALUE] = {"without_value", "without their value, which was too large"},
    [REDRIVE_EXPIRED] = {"expired", "expired pointers (--expired puts them back)"},
};

const char *redrive_verdict_name(enum redrive_verdict verdict)
{
    return verdicts[verdict].name;
}

const char *redrive_verdict_text(enum redrive_verdict verdict)
{
    return verdicts[verdict].text;
}
