/*
 * terra_call: what is known of a call of the simulated Terra besides the request itself; for
 * records and fault scripts. Plain data.
 */
#ifndef SANDBOX_TERRA_CALL_H
#define SANDBOX_TERRA_CALL_H

#include <stdbool.h>

#include "endpoint.h"

#define TERRA_REFERENCE_ID_SIZE 512

struct terra_call {
    enum endpoint endpoint;
    const char *environment;                    /* whose credential it carried; NULL: nobody's */
    char reference_id[TERRA_REFERENCE_ID_SIZE]; /* cut; "" when there is none */
    bool magic;                                 /* the reference id shaped the answer */
};

#endif
