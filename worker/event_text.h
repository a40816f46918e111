/*
 * event_text: texts out of an event's JSON object, bounded and fit to be passed on. Pure.
 *
 * An id says what the event is about, and has to be right: one that cannot be taken as it stands is
 * a fault of the event. Words (a reason, a provider) only say more about it: they are made to fit.
 * Missing, null and "" are the same everywhere: not said. The object may be NULL: nothing is said.
 */
#ifndef WORKER_EVENT_TEXT_H
#define WORKER_EVENT_TEXT_H

#include "common/json.h"

#define EVENT_ID_BYTES_MAX 512

/* A text of at most EVENT_ID_BYTES_MAX bytes without control characters; a whole number from 0 to
 * 2^53 - 1, as senders write who keep their ids as numbers, becomes its digits. JSON_FOUND: *id is
 * the caller's to free(); JSON_WRONG_TYPE: something else is there. Only JSON_FOUND sets *id. */
enum json_get event_text_id(const json_value *object, const char *name, char **id);

/* A text cut at bytes_max, on a character's boundary, with blanks in place of control characters;
 * the caller's to free(). NULL: not said, or not as a text, or nothing but blanks. */
char *event_text_words(const json_value *object, const char *name, size_t bytes_max);

#endif
