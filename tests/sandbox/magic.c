/* magic: reference ids that make the simulated Terra fail; see magic.h. */
#include "magic.h"

#include <errno.h>
#include <uthash.h>

#include "common/memory.h"
#include "common/text.h"

#define PREFIX "sandbox-"
#define NOT_TERRAS                                                                                 \
    "no answer of Terra's causes this error code; it is the worker's own verdict on a request"

static const struct {
    const char *code;
    struct magic magic;
} errors[] = {
    {"rejected_by_terra", {.kind = MAGIC_ERROR, .status = 400, .message = "invalid parameter"}},
    {"credentials_rejected",
        {.kind = MAGIC_ERROR, .status = 403, .message = "invalid credentials"}},
    {"endpoint_retired",
        {.kind = MAGIC_ERROR, .status = 410, .message = "this endpoint has been retired"}},
    {"user_limit_reached", {.kind = MAGIC_ERROR, .status = 403, .message = "User Limit Reached"}},
    {"terra_unavailable", {.kind = MAGIC_ERROR, .status = 503, .message = "service unavailable"}},
    {"rate_limited",
        {.kind = MAGIC_ERROR, .status = 429, .message = "Too Many Requests", .retry_after = "1"}},
    {"deadline_exceeded", {.kind = MAGIC_NO_ANSWER}},
    {"invalid_request", {.kind = MAGIC_ERROR, .status = 400, .message = NOT_TERRAS}},
    {"redirect_not_allowed", {.kind = MAGIC_ERROR, .status = 400, .message = NOT_TERRAS}},
    {"reply_address_rejected", {.kind = MAGIC_ERROR, .status = 400, .message = NOT_TERRAS}},
    {"unknown_environment", {.kind = MAGIC_ERROR, .status = 400, .message = NOT_TERRAS}},
    {"internal_error", {.kind = MAGIC_ERROR, .status = 400, .message = NOT_TERRAS}},
};

/* The part after `word` when the text is that word, alone or followed by a hyphen. */
static const char *after_word(const char *text, const char *word)
{
    size_t size = strlen(word);
    if (strncmp(text, word, size) != 0)
        return NULL;
    if (text[size] == '\0')
        return text + size;
    return text[size] == '-' ? text + size + 1 : NULL;
}

/* A number, alone or followed by a hyphen. */
static bool number_of(const char *text, int64_t maximum, int64_t *number)
{
    if (*text < '0' || *text > '9')
        return false;
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || (*end != '\0' && *end != '-'))
        return false;
    *number = value < maximum ? value : maximum;
    return true;
}

struct magic magic_of(const char *reference_id)
{
    struct magic magic = {.kind = MAGIC_NONE};
    if (reference_id == NULL || !text_starts_with(reference_id, PREFIX))
        return magic;
    const char *text = reference_id + strlen(PREFIX);
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if (after_word(text, errors[i].code) != NULL)
            return errors[i].magic;
    const char *slow = after_word(text, "slow");
    const char *flaky = after_word(text, "flaky");
    magic.kind = MAGIC_UNKNOWN;
    if (slow != NULL && number_of(slow, MAGIC_SLOW_MS_MAX, &magic.number))
        magic.kind = MAGIC_SLOW;
    else if (flaky != NULL && number_of(flaky, INT32_MAX, &magic.number))
        magic.kind = MAGIC_FLAKY;
    return magic;
}

struct entry {
    UT_hash_handle hh; /* by id, in order of addition */
    int64_t failed;
    char id[];
};

struct flaky {
    struct entry *table;
};

struct flaky *flaky_new(void)
{
    return memory_new(sizeof(struct flaky));
}

static void drop(struct flaky *flaky, struct entry *entry)
{
    HASH_DEL(flaky->table, entry);
    free(entry);
}

void flaky_clear(struct flaky *flaky)
{
    while (flaky->table != NULL)
        drop(flaky, flaky->table);
}

void flaky_free(struct flaky *flaky)
{
    flaky_clear(flaky);
    free(flaky);
}

bool flaky_fails(struct flaky *flaky, const char *reference_id, int64_t times)
{
    struct entry *entry;
    HASH_FIND_STR(flaky->table, reference_id, entry);
    if (entry == NULL) {
        if (times == 0)
            return false;
        if (HASH_COUNT(flaky->table) >= MAGIC_FLAKY_IDS_MAX)
            drop(flaky, flaky->table);
        size_t size = strlen(reference_id);
        entry = memory_new(sizeof(*entry) + size + 1);
        memcpy(entry->id, reference_id, size + 1);
        HASH_ADD_STR(flaky->table, id, entry);
    }
    if (entry->failed < times) {
        entry->failed++;
        return true;
    }
    drop(flaky, entry);
    return false;
}
