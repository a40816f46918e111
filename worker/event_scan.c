/* event_scan: see event_scan.h. */
#include "worker/event_scan.h"

#include <endian.h>
#include <string.h>

enum scan_state {
    AT_START,     /* in front of the object */
    AT_FIRST_KEY, /* behind its { */
    AT_KEY,       /* behind a comma */
    IN_KEY,       /* in its string */
    AT_COLON,
    AT_VALUE,       /* of a key that tells nothing, unless it is the first type or data */
    IN_TYPE,        /* in the string that decides */
    IN_TEXT,        /* in a string of no interest */
    IN_WORD,        /* in a number, true, false or null */
    IN_NESTED,      /* in a container of no interest */
    IN_NESTED_TEXT, /* in a string in there */
    BEHIND_VALUE,
};

struct known_type {
    enum event_class class;
    unsigned char size;
    const char *name;
};

#define KNOWN(class, name)                                                                         \
    {                                                                                              \
        class, sizeof(name) - 1, name                                                              \
    }

static const struct known_type known_types[] = {
    KNOWN(EVENT_DATA, "activity"),
    KNOWN(EVENT_DATA, "athlete"),
    KNOWN(EVENT_DATA, "body"),
    KNOWN(EVENT_DATA, "daily"),
    KNOWN(EVENT_DATA, "health_observation"),
    KNOWN(EVENT_DATA, "hormone"),
    KNOWN(EVENT_DATA, "menstruation"),
    KNOWN(EVENT_DATA, "nutrition"),
    KNOWN(EVENT_DATA, "planned_workout"),
    KNOWN(EVENT_DATA, "route"),
    KNOWN(EVENT_DATA, "sleep"),
    KNOWN(EVENT_DATA, "lab_report"),
    KNOWN(EVENT_POINTER, "s3_payload"),
    KNOWN(EVENT_AUTH, "auth"),
    KNOWN(EVENT_AUTH, "auth_cancelled"),
    KNOWN(EVENT_AUTH, "deauth"),
    KNOWN(EVENT_AUTH, "user_reauth"),
    KNOWN(EVENT_AUTH, "access_revoked"),
    KNOWN(EVENT_AUTH, "connection_error"),
    KNOWN(EVENT_AUTH, "permission_change"),
    KNOWN(EVENT_AUTH, "google_no_datasource"),
};

/* A family: lab_report.completed, lab_report.failed, … */
static const char lab_reports[] = "lab_report.";

static enum event_class class_of(const char *type, size_t size)
{
    for (size_t i = 0; i < sizeof known_types / sizeof known_types[0]; i++)
        if (known_types[i].size == size && memcmp(known_types[i].name, type, size) == 0)
            return known_types[i].class;
    return strncmp(type, lab_reports, sizeof lab_reports - 1) == 0 ? EVENT_DATA : EVENT_OTHER;
}

static bool is_blank(unsigned char byte)
{
    return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
}

static bool is_word_byte(unsigned char byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z') || byte == '-' || byte == '+' || byte == '.';
}

/* Eight bytes at a time. The lowest bit of what is given back belongs to the first byte of the
 * word, in the order of memory, that is sought; 0: none is. Bits above it may be wrong. */
#define ONES UINT64_C(0x0101010101010101)

static uint64_t load(const unsigned char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return le64toh(word);
}

static uint64_t equal_bytes(uint64_t word, unsigned char byte)
{
    uint64_t difference = word ^ (ONES * byte);
    return (difference - ONES) & ~difference & (ONES << 7);
}

static const unsigned char *skip_to_quote_or_backslash(
    const unsigned char *at, const unsigned char *end)
{
    for (; end - at >= 8; at += 8) {
        uint64_t word = load(at);
        uint64_t found = equal_bytes(word, '"') | equal_bytes(word, '\\');
        if (found)
            return at + __builtin_ctzll(found) / 8;
    }
    while (at < end && *at != '"' && *at != '\\')
        at++;
    return at;
}

static const unsigned char *skip_to_quote_or_bracket(
    const unsigned char *at, const unsigned char *end)
{
    for (; end - at >= 8; at += 8) {
        uint64_t word = load(at);
        uint64_t folded = word | (ONES * 0x20); /* [ and ] become { and }; so do no others */
        uint64_t found =
            equal_bytes(word, '"') | equal_bytes(folded, '{') | equal_bytes(folded, '}');
        if (found)
            return at + __builtin_ctzll(found) / 8;
    }
    while (at < end && *at != '"' && (*at | 0x20) != '{' && (*at | 0x20) != '}')
        at++;
    return at;
}

/* Strings of no interest: goes behind the closing quote and to the state `then`, or to the end. */
static const unsigned char *pass_text(struct event_scan *scan, const unsigned char *at,
    const unsigned char *end, enum scan_state then)
{
    while (at < end) {
        if (scan->escape) {
            scan->escape = 0;
            at++;
            continue;
        }
        at = skip_to_quote_or_backslash(at, end);
        if (at == end)
            break;
        if (*at++ == '"') {
            scan->state = (unsigned char)then;
            return at;
        }
        scan->escape = 1;
    }
    return at;
}

/* Strings that are read: keys, and the type's value. */

/* What does not fit is dropped: no word that matters is that long. */
static void add_to_text(struct event_scan *scan, unsigned code)
{
    if (scan->text_size < EVENT_SCAN_TYPE_BYTES_MAX)
        scan->text[scan->text_size++] = code >= ' ' && code < 0x7f ? (char)code : '?';
}

static bool text_is(const struct event_scan *scan, const char *name, size_t size)
{
    return scan->text_size == size && memcmp(scan->text, name, size) == 0;
}

static int hex_digit(unsigned char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* Behind a backslash. False: there is no such escape. */
static bool read_escape(struct event_scan *scan, unsigned char byte)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    if (scan->escape == 1 && byte == 'u') {
        scan->escape = 5;
        scan->unit = 0;
        return true;
    }
    if (scan->escape == 1) {
        const char *letter = byte ? strchr(letters, byte) : NULL;
        if (letter)
            add_to_text(scan, (unsigned char)meant[letter - letters]);
        scan->escape = 0;
        return letter != NULL;
    }
    int digit = hex_digit(byte);
    if (digit < 0)
        return false;
    scan->unit = (uint16_t)(scan->unit << 4 | digit);
    if (--scan->escape == 1) {
        add_to_text(scan, scan->unit);
        scan->escape = 0;
    }
    return true;
}

static void finish_text(struct event_scan *scan)
{
    scan->text[scan->text_size] = '\0';
    if (scan->state == IN_KEY) {
        scan->state = AT_COLON;
    } else {
        scan->typed = true;
        scan->class = class_of(scan->text, scan->text_size);
    }
}

/* Goes behind the closing quote, or to the end. */
static const unsigned char *read_text(
    struct event_scan *scan, const unsigned char *at, const unsigned char *end)
{
    while (at < end) {
        unsigned char byte = *at++;
        if (scan->escape) {
            if (!read_escape(scan, byte)) {
                scan->class = EVENT_UNREADABLE;
                break;
            }
        } else if (byte == '"') {
            finish_text(scan);
            break;
        } else if (byte == '\\') {
            scan->escape = 1;
        } else if (byte < ' ') {
            scan->class = EVENT_UNREADABLE;
            break;
        } else if ((byte & 0xc0) != 0x80) { /* a character's first byte stands for all of it */
            add_to_text(scan, byte);
        }
    }
    return at;
}

/* Containers. */

static void open_container(struct event_scan *scan, unsigned char bracket)
{
    if (scan->depth == EVENT_SCAN_DEPTH_MAX) {
        scan->class = EVENT_UNREADABLE;
        return;
    }
    uint64_t bit = UINT64_C(1) << scan->depth++;
    scan->objects = bracket == '{' ? scan->objects | bit : scan->objects & ~bit;
    scan->state = IN_NESTED;
}

static void close_container(struct event_scan *scan, unsigned char bracket)
{
    bool object = scan->objects >> --scan->depth & 1;
    if (object != (bracket == '}'))
        scan->class = EVENT_UNREADABLE;
    else
        scan->state = scan->depth > 0 ? IN_NESTED : BEHIND_VALUE;
}

static const unsigned char *pass_nested(
    struct event_scan *scan, const unsigned char *at, const unsigned char *end)
{
    while (scan->state == IN_NESTED && scan->class == EVENT_UNDECIDED) {
        at = skip_to_quote_or_bracket(at, end);
        if (at == end)
            break;
        unsigned char byte = *at++;
        if (byte == '"') {
            scan->state = IN_NESTED_TEXT;
            at = pass_text(scan, at, end, IN_NESTED);
        } else if (byte == '{' || byte == '[') {
            open_container(scan, byte);
        } else {
            close_container(scan, byte);
        }
    }
    return at;
}

/* The top level. */

static void start(struct event_scan *scan, unsigned char byte)
{
    static const unsigned char bom[] = {0xef, 0xbb, 0xbf};
    if (scan->bom < sizeof bom && byte == bom[scan->bom])
        scan->bom++;
    else if (scan->bom % sizeof bom == 0 && byte == '{')
        scan->state = AT_FIRST_KEY;
    else
        scan->class = EVENT_UNREADABLE;
}

static void begin_value(struct event_scan *scan, unsigned char byte)
{
    bool container = byte == '{' || byte == '[';
    if (text_is(scan, "type", 4)) {
        scan->state = IN_TYPE;
        if (byte != '"')
            scan->class = container || is_word_byte(byte) ? EVENT_OTHER : EVENT_UNREADABLE;
        else
            scan->text_size = 0;
    } else if (container && text_is(scan, "data", 4)) {
        scan->class = EVENT_DATA;
    } else if (container) {
        open_container(scan, byte);
    } else if (byte == '"') {
        scan->state = IN_TEXT;
    } else if (is_word_byte(byte)) {
        scan->state = IN_WORD;
    } else {
        scan->class = EVENT_UNREADABLE;
    }
}

/* At a byte of the top level that is no blank. */
static void take_structure(struct event_scan *scan, unsigned char byte)
{
    switch ((enum scan_state)scan->state) {
    case AT_START:
        start(scan, byte);
        return;
    case AT_FIRST_KEY:
    case AT_KEY:
        if (byte == '"') {
            scan->text_size = 0;
            scan->state = IN_KEY;
        } else if (byte == '}' && scan->state == AT_FIRST_KEY) {
            scan->class = EVENT_OTHER;
        } else {
            scan->class = EVENT_UNREADABLE;
        }
        return;
    case AT_COLON:
        if (byte == ':')
            scan->state = AT_VALUE;
        else
            scan->class = EVENT_UNREADABLE;
        return;
    case AT_VALUE:
        begin_value(scan, byte);
        return;
    default: /* BEHIND_VALUE */
        if (byte == ',')
            scan->state = AT_KEY;
        else
            scan->class = byte == '}' ? EVENT_OTHER : EVENT_UNREADABLE;
        return;
    }
}

/* Takes at least one byte. */
static const unsigned char *take(
    struct event_scan *scan, const unsigned char *at, const unsigned char *end)
{
    switch ((enum scan_state)scan->state) {
    case IN_KEY:
    case IN_TYPE:
        return read_text(scan, at, end);
    case IN_TEXT:
        return pass_text(scan, at, end, BEHIND_VALUE);
    case IN_NESTED_TEXT:
        return pass_text(scan, at, end, IN_NESTED);
    case IN_NESTED:
        return pass_nested(scan, at, end);
    case IN_WORD:
        while (at < end && is_word_byte(*at))
            at++;
        if (at == end)
            return at;
        scan->state = BEHIND_VALUE;
        break;
    default:
        break;
    }
    if (!is_blank(*at))
        take_structure(scan, *at);
    return at + 1;
}

void event_scan_init(struct event_scan *scan)
{
    *scan = (struct event_scan){.state = AT_START};
}

enum event_class event_scan_feed(struct event_scan *scan, const void *bytes, size_t size)
{
    const unsigned char *at = bytes, *end = size > 0 ? at + size : at;
    while (at < end && scan->class == EVENT_UNDECIDED)
        at = take(scan, at, end);
    return scan->class;
}

enum event_class event_scan_end(struct event_scan *scan)
{
    if (scan->class == EVENT_UNDECIDED)
        scan->class = EVENT_UNREADABLE;
    return scan->class;
}

const char *event_scan_type(const struct event_scan *scan)
{
    return scan->typed ? scan->text : "";
}
