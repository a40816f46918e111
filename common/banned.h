/*
 * Included before every file by the build. Functions that overflow buffers, keep hidden state, or
 * hide errors do not compile; the name of the replacement is in the identifier.
 */
#ifndef COMMON_BANNED_H
#define COMMON_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef strcpy
#define strcpy(to, from) banned_strcpy_use_snprintf_or_buf
#undef strcat
#define strcat(to, from) banned_strcat_use_buf
#undef strncpy
#define strncpy(to, from, size) banned_strncpy_use_snprintf
#undef strncat
#define strncat(to, from, size) banned_strncat_use_buf
#undef sprintf
#define sprintf(...) banned_sprintf_use_snprintf
#undef vsprintf
#define vsprintf(...) banned_vsprintf_use_vsnprintf
#undef strtok
#define strtok(text, separators) banned_strtok_use_strcspn
#undef atoi
#define atoi(text) banned_atoi_use_strtol
#undef atol
#define atol(text) banned_atol_use_strtol
#undef atof
#define atof(text) banned_atof_use_strtod

#endif
