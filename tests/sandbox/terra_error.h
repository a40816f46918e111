/*
 * terra_error: Terra's failures in the shapes it gives them.
 *
 *   /api/v2   problem+json (RFC 9457): type, title, instance (path with query), detail, code;
 *             403 and 410 come labelled application/json, as Terra's own description has it
 *   widget    {"message": …, "status": "error"}
 *   either    an HTML page under 500; {"message": null} under 500
 *   /payloads XML, as the store that keeps Terra's payloads (S3) has it
 */
#ifndef SANDBOX_TERRA_ERROR_H
#define SANDBOX_TERRA_ERROR_H

#include "answer.h"
#include "endpoint.h"
#include "request.h"

/* code: such as "environment_disabled", or NULL; only problems carry it. 410
 * gets Deprecation and Link. */
void terra_error(struct answer *answer, const struct request *request, enum endpoint endpoint,
    unsigned status, const char *code, const char *detail);
/* error: S3's own code, such as "NoSuchKey". */
void terra_error_storage(
    struct answer *answer, unsigned status, const char *error, const char *message);
void terra_error_html(struct answer *answer, unsigned status);
void terra_error_null_message(struct answer *answer, unsigned status);

#endif
