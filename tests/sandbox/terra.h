/*
 * terra: the simulated Terra. It knows accounts, links, users and what each endpoint answers;
 * faults by reference id (magic.h) are part of it, scripted faults (fault.h) are not.
 *
 * As Terra, by its published descriptions of October 2026:
 *  - headers exactly `dev-id` and `x-api-key`. Missing: 401 problem, on the widget 403 {message,
 *    status}; wrong: 403; swapped or empty: {"message": null} under 500; written Dev-Id: 500 with
 *    an HTML page;
 *  - widget session 201, older generateWidgetSession 200 (410 for a retired account), each with
 *    session_id, url, status, expires_in (86400; 900) and warnings where a provider is unknown, not
 *    enabled or SDK-only; the UUID in url is not the session_id;
 *  - `providers` as an array: 500 with an HTML page; connected_uids that name nobody: 400 with
 *    invalid_user_ids;
 *  - authenticateUser 200 with user_id and auth_url; 404 for an unknown resource, 400 for an
 *    SDK-only one except APPLE_HEALTH;
 *  - userInfo, subscriptions, integrations: enough to try a credential without consequences.
 *
 * Where Terra is silent, the sandbox is strict, so that a mistake shows: a body with another
 * Content-Type than application/json, a field of a wrong type, a resource that is not enabled: 400.
 *
 * Links. Terra's are https, and a worker may insist on it, so the default is
 * https://widget.sandbox.invalid/session/<uuid>: a name that by RFC 2606 never leads anywhere, so
 * no test ever calls a stranger. The page itself is served under /session/<uuid> of the sandbox's
 * own port, in plain http; --public-url puts another scheme, host and path in front, such as that
 * of a TLS proxy, or `self` for the sandbox's own address, where plain http links are accepted.
 */
#ifndef SANDBOX_TERRA_H
#define SANDBOX_TERRA_H

#include "answer.h"
#include "credential.h"
#include "destination.h"
#include "magic.h"
#include "request.h"
#include "session.h"
#include "terra_call.h"
#include "user.h"

struct terra {
    struct credentials credentials;
    struct users users;
    struct sessions *sessions;
    struct flaky *flaky;
    struct destination *destination; /* where its events go; NULL: nowhere. Not owned */
    const char *link_base;           /* without a slash at its end */
    bool legacy_retired;             /* for every account */
};

void terra_init(struct terra *terra);
void terra_release(struct terra *terra);

void terra_answer(struct terra *terra, const struct request *request, struct terra_call *call,
    struct answer *answer);

#endif
