/*
 * provider: the data providers the simulated Terra knows. A sample of Terra's, not the whole list:
 * the real one changes from month to month.
 */
#ifndef SANDBOX_PROVIDER_H
#define SANDBOX_PROVIDER_H

#include <stdbool.h>
#include <stddef.h>

enum provider_kind {
    PROVIDER_WEB,         /* can be linked in a browser */
    PROVIDER_NOT_ENABLED, /* the same, but wants provider credentials that the sandbox lacks */
    PROVIDER_SDK,         /* only through a mobile SDK */
};

struct provider {
    const char *name; /* upper case */
    const char *title;
    enum provider_kind kind;
};

extern const struct provider providers[];
extern const size_t provider_count;

/* By name in any case, `size` bytes; NULL when unknown. */
const struct provider *provider_find(const char *name, size_t size);

#endif
