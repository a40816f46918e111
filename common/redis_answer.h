/*
 * redis_answer: what hiredis read, as the struct redis_answer of redis_client.h. For the files of
 * the Redis client only.
 */
#ifndef COMMON_REDIS_ANSWER_H
#define COMMON_REDIS_ANSWER_H

#include "common/redis_client.h"

struct redisReply;

/* Points into the reply and lives as long. */
struct redis_answer redis_answer_from_reply(const struct redisReply *reply);

/* An answer that Redis did not give: REDIS_TIMEOUT or REDIS_UNAVAILABLE. */
struct redis_answer redis_answer_without_reply(enum redis_outcome outcome);

#endif
