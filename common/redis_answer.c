/* redis_answer: see redis_answer.h, and redis_client.h for redis_answer_item. */
#include "common/redis_answer.h"

#include <assert.h>
#include <hiredis/hiredis.h>

struct redis_answer redis_answer_without_reply(enum redis_outcome outcome)
{
    return (struct redis_answer){.outcome = outcome, .kind = REDIS_NIL, .text = ""};
}

struct redis_answer redis_answer_from_reply(const struct redisReply *reply)
{
    struct redis_answer answer = redis_answer_without_reply(REDIS_ANSWERED);
    switch (reply->type) {
    case REDIS_REPLY_ERROR:
        answer.outcome = REDIS_ERROR;
        answer.text = reply->str;
        answer.text_size = reply->len;
        break;
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
        answer.kind = REDIS_TEXT;
        answer.text = reply->str;
        answer.text_size = reply->len;
        break;
    case REDIS_REPLY_INTEGER:
        answer.kind = REDIS_INTEGER;
        answer.integer = reply->integer;
        break;
    case REDIS_REPLY_ARRAY:
        answer.kind = REDIS_ARRAY;
        answer.integer = (int64_t)reply->elements;
        answer.reply = reply;
        break;
    default: /* nil; further types come only to a client that asks for RESP3 */
        break;
    }
    return answer;
}

struct redis_answer redis_answer_item(const struct redis_answer *answer, size_t index)
{
    const struct redisReply *reply = answer->reply;
    assert(answer->kind == REDIS_ARRAY && index < reply->elements);
    return redis_answer_from_reply(reply->element[index]);
}

#define TEXT_OF(number) #number
#define VERSION_OF(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

const char *redis_library_version(void)
{
    return VERSION_OF(HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
}
