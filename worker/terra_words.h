/*
 * terra_words: what Terra says in its answers, made harmless for logs, replies and outcomes. Pure.
 *
 * Terra's messages are meant for people and could hold anything: the request's path with its query,
 * the session's URL, an echoed key, HTML, control characters. What comes out is printable ASCII,
 * one blank between words, and a word that looks like a URL or a key is replaced whole:
 *
 *   "see https://widget.tryterra.co/session/1 \a now"  ->  "see [removed] now"
 */
#ifndef WORKER_TERRA_WORDS_H
#define WORKER_TERRA_WORDS_H

#include <stddef.h>

/* Cut at size - 1 bytes; a character outside ASCII becomes question marks. */
void terra_words_clean(char *clean, size_t size, const char *text);

#endif
