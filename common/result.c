#include "common/result.h"

const char *result_name(enum result result)
{
    switch (result) {
    case RESULT_OK:
        return "ok";
    case RESULT_RETRY:
        return "retry";
    case RESULT_REJECT:
        return "reject";
    case RESULT_FATAL:
        return "fatal";
    }
    return "unknown";
}
