/*
 * result: what a caller can do about an outcome.
 *
 * Every fallible function of this project returns an enum result, and only the caller decides what
 * follows. The reason for anything but RESULT_OK goes to the log or to an explicit error argument.
 */
#ifndef COMMON_RESULT_H
#define COMMON_RESULT_H

enum result {
    RESULT_OK,     /* done */
    RESULT_RETRY,  /* may pass later: timeout, overload, a server that is away */
    RESULT_REJECT, /* never will pass: the input is at fault */
    RESULT_FATAL,  /* this process cannot go on */
};

#define MUST_CHECK __attribute__((warn_unused_result))

const char *result_name(enum result result);

#endif
