/*
 * redirect_rules: where Terra may send the user's browser afterwards (REDIRECT_URLS_ALLOWED). Pure.
 *
 * Without rules: any https URL and any app deep link. With rules, comma-separated URLs without
 * query or fragment: scheme, host and port equal, and the rule's path a prefix that ends on a
 * segment boundary (https://a.example/app allows /app, /app/ and /app/x, not /apple;
 * https://a.example/app/ allows /app/ and /app/x). "." and ".." segments, also percent-encoded, are
 * refused under a rule with a path. Never, whatever the rules: userinfo, and the schemes
 * javascript, data, file, intent, vbscript, blob, about, ws, wss, ftp, and http but for a rule that
 * names a loopback host.
 *
 * An empty entry between commas is a mistake, not "no rules": those would allow everything.
 */
#ifndef WORKER_REDIRECT_RULES_H
#define WORKER_REDIRECT_RULES_H

#include <stddef.h>

#include "common/result.h"

struct redirect_rules;

/* NULL and a message in error when a rule cannot be read. "" gives rules that allow the default. */
struct redirect_rules *redirect_rules_new(const char *text, char *error, size_t error_size);
void redirect_rules_free(struct redirect_rules *rules);

enum redirect_verdict {
    REDIRECT_ALLOWED,
    REDIRECT_MALFORMED, /* not an absolute URL: the request is invalid */
    REDIRECT_FORBIDDEN, /* a scheme, userinfo or place that is not allowed */
};
/* rules NULL: none, as with "". */
enum redirect_verdict redirect_rules_judge(const struct redirect_rules *rules, const char *url);

#endif
