/*
 * uuid: random (version 4) identifiers, as Terra's session and user ids are.
 */
#ifndef SANDBOX_UUID_H
#define SANDBOX_UUID_H

#define UUID_SIZE 37 /* 36 characters and the NUL */

void uuid_make(char uuid[UUID_SIZE]);

#endif
