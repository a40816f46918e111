/* uuid: random identifiers; see uuid.h. */
#include "uuid.h"

#include "common/backoff.h"

void uuid_make(char uuid[UUID_SIZE])
{
    uint64_t high = backoff_random();
    uint64_t low = backoff_random();
    snprintf(uuid, UUID_SIZE, "%08x-%04x-4%03x-%04x-%012llx", (unsigned)(high >> 32),
        (unsigned)(high >> 16) & 0xffff, (unsigned)high & 0xfff,
        ((unsigned)(low >> 48) & 0x3fff) | 0x8000, (unsigned long long)(low & 0xffffffffffff));
}
