/*
 * traceparent: the trace that a record belongs to, from the header of W3C Trace Context. Pure.
 */
#ifndef COMMON_TRACEPARENT_H
#define COMMON_TRACEPARENT_H

#include <stddef.h>

#define TRACE_ID_SIZE 33 /* 32 hexadecimal digits and a NUL */

/* "" when the value is none that version 00 of the standard lets a reader use; a later version may
 * have more behind a dash. The value may be NULL and may hold any bytes. */
void traceparent_read(const void *value, size_t value_size, char trace_id[TRACE_ID_SIZE]);

#endif
