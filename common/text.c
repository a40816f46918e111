#include "common/text.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

#define NAME_BYTES_MAX 64

bool text_equal(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return strcmp(a, b) == 0;
}

bool text_starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool text_empty(const char *text)
{
    return text == NULL || text[0] == '\0';
}

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/*
 * Optimal string alignment, row by row: cell [i][j] is the distance of a's first i bytes to b's
 * first j. A swap of neighbours looks two rows back, so three rows are kept.
 */
unsigned text_edit_distance(const char *a, const char *b, unsigned most)
{
    unsigned storage[3][NAME_BYTES_MAX + 1];
    unsigned *before = storage[0], *above = storage[1], *row = storage[2];
    size_t a_size = strnlen(a, NAME_BYTES_MAX + 1);
    size_t b_size = strnlen(b, NAME_BYTES_MAX + 1);

    assert(most < UINT_MAX);
    if (a_size > NAME_BYTES_MAX || b_size > NAME_BYTES_MAX)
        return most + 1;
    for (size_t j = 0; j <= b_size; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= a_size; i++) {
        unsigned *oldest = before;
        before = above;
        above = row;
        row = oldest;
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_size; j++) {
            unsigned substitution = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = smaller(substitution, smaller(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = smaller(row[j], before[j - 2] + 1);
        }
    }
    return smaller(row[b_size], most + 1);
}

const char *text_nearest(const char *name, const char *const *candidates, unsigned most)
{
    const char *nearest = NULL;
    unsigned nearest_distance = most + 1;

    for (; *candidates != NULL; candidates++) {
        unsigned distance = text_edit_distance(name, *candidates, most);
        if (distance < nearest_distance) {
            nearest = *candidates;
            nearest_distance = distance;
        }
    }
    return nearest;
}

static const char blanks[] = " \t\r\n";

void text_items_begin(struct text_items *items, const char *list)
{
    *items = (struct text_items){.rest = list[strspn(list, blanks)] ? list : NULL};
}

bool text_items_next(struct text_items *items)
{
    if (!items->rest)
        return false;
    items->item = items->rest + strspn(items->rest, blanks);
    items->size = strcspn(items->item, ",");
    items->rest = items->item[items->size] ? items->item + items->size + 1 : NULL;
    while (items->size > 0 && strchr(blanks, items->item[items->size - 1]))
        items->size--;
    return true;
}
