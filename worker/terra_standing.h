/*
 * terra_standing: how one environment stands with Terra: well, its key refused, or Terra down.
 * Pure: it is told what calls and neutral GETs (terra_api.h) came to, and says what follows.
 *
 *   well         -> key refused  two different requests, or one neutral GET, were refused with the
 *                                key
 *   well         -> down         a run of failures (5 of at least 2 different requests, without an
 *                                answer between them), and then a neutral GET that failed too
 *   key refused  -> well         a neutral GET is accepted, a link comes, or there is another key
 *   down         -> well         Terra answers: anything but a failure
 *   down         -> key refused  a neutral GET is refused
 *
 * One refusal, or a run of failures, makes a suspicion that a neutral GET is to settle
 * (wants_probe). So a refusal that concerns one request, an endpoint that fails alone, a slow
 * request and a second in which all connections broke do not become known trouble.
 *
 * What is known of a key holds for that key alone: answers to calls with an older one tell nothing,
 * and another key begins anew. A failure that is Terra's answer to one request only (HTTP 500) and
 * one that says "not so fast" (429) are answers.
 *
 * Where no neutral GET has ever been answered, it may be the GET that cannot work (the endpoints
 * may have URLs of their own): then down is forgotten after ten seconds, and found out anew.
 */
#ifndef WORKER_TERRA_STANDING_H
#define WORKER_TERRA_STANDING_H

#include "common/digest.h"
#include "worker/terra_api.h"

enum terra_health_state {
    TERRA_WELL,        /* nothing is known to be wrong */
    TERRA_KEY_REFUSED, /* Terra refuses the environment's key */
    TERRA_DOWN,        /* Terra cannot be reached, or does not work */
    TERRA_HEALTH_STATE_COUNT
};

/* {0} is well and knows nothing. */
struct terra_standing {
    enum terra_health_state state;
    unsigned key_generation;
    bool wants_probe;
    bool probe_answered; /* once at least, with whatever key */

    /* private */
    int64_t down_since_us;
    char refused[DIGEST_HEX_SIZE]; /* a request refused with this key; "": none */
    unsigned failures;             /* in a row */
    char failed[DIGEST_HEX_SIZE];  /* the request that failed first of the run */
    bool failed_others;            /* the run is not that request's alone */
};

/* What came of a call; request: its digest. telling: as in terra_call.h. */
void terra_standing_note_call(struct terra_standing *standing, unsigned key_generation,
    const char request[DIGEST_HEX_SIZE], const struct terra_answer *answer, bool telling);
void terra_standing_note_probe(struct terra_standing *standing, unsigned key_generation,
    enum terra_probe_verdict verdict, int64_t now_us);
/* The environment has another key. */
void terra_standing_set_key(struct terra_standing *standing, unsigned key_generation);

#endif
