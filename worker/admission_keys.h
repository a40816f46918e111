/*
 * admission_keys: what the limit of one credential is called in Redis. Pure.
 *
 *   <prefix>:{limit:<16 hex digits>}:state   :override   :workers   :waiting   :workers:<share>
 *
 * The digits are the start of the SHA-256 of the dev id: a limit belongs to the account, whatever
 * its key and whatever a deployment calls the environment. The braces put all keys of one limit on
 * one node of a cluster. News of the limit (a new epoch, as a decimal number) is published on the
 * channel <prefix>:{limit:…}:news.
 */
#ifndef WORKER_ADMISSION_KEYS_H
#define WORKER_ADMISSION_KEYS_H

#define ADMISSION_KEY_SIZE 192

struct admission_keys {
    char state[ADMISSION_KEY_SIZE];
    char override[ADMISSION_KEY_SIZE];
    char workers[ADMISSION_KEY_SIZE];
    char waiting[ADMISSION_KEY_SIZE];
    char share_workers[ADMISSION_KEY_SIZE];
    char channel[ADMISSION_KEY_SIZE];
};

/* prefix: at most 100 bytes. share: per cent. */
void admission_keys_set(
    struct admission_keys *keys, const char *prefix, const char *dev_id, unsigned share);

#endif
