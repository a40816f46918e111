/* admission_keys: see admission_keys.h. */
#include "worker/admission_keys.h"

#include <stdio.h>
#include <string.h>

#include "common/digest.h"

void admission_keys_set(
    struct admission_keys *keys, const char *prefix, const char *dev_id, unsigned share)
{
    char hex[DIGEST_HEX_SIZE], tag[ADMISSION_KEY_SIZE - 32];
    digest_bytes(dev_id, strlen(dev_id), hex);
    snprintf(tag, sizeof tag, "%.100s:{limit:%.16s}", prefix, hex);
    snprintf(keys->state, sizeof keys->state, "%s:state", tag);
    snprintf(keys->override, sizeof keys->override, "%s:override", tag);
    snprintf(keys->workers, sizeof keys->workers, "%s:workers", tag);
    snprintf(keys->waiting, sizeof keys->waiting, "%s:waiting", tag);
    snprintf(keys->share_workers, sizeof keys->share_workers, "%s:workers:%u", tag, share);
    snprintf(keys->channel, sizeof keys->channel, "%s:news", tag);
}
