/*
 * text: small questions about C strings that several modules ask.
 */
#ifndef COMMON_TEXT_H
#define COMMON_TEXT_H

#include <stdbool.h>
#include <stddef.h>

bool text_equal(const char *a, const char *b); /* NULL equals only NULL */
bool text_starts_with(const char *text, const char *prefix);
bool text_empty(const char *text); /* NULL or "" */

/* How many insertions, deletions, substitutions and swaps of neighbours turn a into b;
 * counted up to `most`, beyond which most + 1 is given back. Names are at most 64
 * bytes; longer ones are far. */
unsigned text_edit_distance(const char *a, const char *b, unsigned most);

/* The candidate nearest to `name` within `most` edits, or NULL. The list ends with NULL. */
const char *text_nearest(const char *name, const char *const *candidates, unsigned most);

/* The items of a comma-separated list, without the blanks around each. A list of blanks alone has
 * none; "a,,b" has an empty one, and so has "a,". */
struct text_items {
    const char *item; /* not terminated */
    size_t size;
    const char *rest; /* private; NULL: no more */
};

void text_items_begin(struct text_items *items, const char *list);
bool text_items_next(struct text_items *items); /* false: there was none */

#endif
