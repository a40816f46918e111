/*
 * terra_parts: the endpoints of the simulated Terra, one function each; only terra.c calls them.
 * Credentials have been checked, the body has been read.
 */
#ifndef SANDBOX_TERRA_PARTS_H
#define SANDBOX_TERRA_PARTS_H

#include "terra.h"

/* One call on its way through an endpoint. */
struct terra_turn {
    struct terra *terra;
    const struct request *request;
    struct terra_call *call;
    const struct credential *credential; /* NULL on endpoints that ask for none */
    const json_value *body;              /* an object, or NULL: none was sent */
    struct magic magic;
    struct answer *answer;
};

/* terra_link.c: the three that make a link. */
void terra_widget_session(struct terra_turn *turn);
void terra_authenticate_user(struct terra_turn *turn);

/* terra_read.c: the neutral ones. */
void terra_user_info(struct terra_turn *turn);
void terra_subscriptions(struct terra_turn *turn);
void terra_integrations(struct terra_turn *turn);
void terra_integrations_detailed(struct terra_turn *turn);

/* terra_page.c: what a person sees who opens a link. */
void terra_page(struct terra_turn *turn);

#endif
