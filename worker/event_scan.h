/*
 * event_scan: what kind of JSON a record or a payload is, found out from as few of its bytes as can
 * be. Pure.
 *
 * Most records of an unfiltered topic are data (activity, sleep, …, up to 10 MB). They are
 * recognised without being parsed: the scanner walks over the top-level object and decides at its
 * first telling key, wherever that stands: "type" by its value, or "data" with an array or object
 * in it, which no auth event has.
 *
 *   {"type":"sleep", …          EVENT_DATA     after 15 bytes
 *   {"data":[ …                 EVENT_DATA     after 9 bytes, whatever type follows 10 MB later
 *   {"type":"auth", …           EVENT_AUTH     auth_event.h reads it whole
 *   {"type":"s3_payload", …     EVENT_POINTER  event_pointer.h reads it whole
 *   {"type":"healthcheck", …    EVENT_OTHER    known or not, of no use to us; so is a type that is
 *                                              no text, and an object without any
 *   [ …, "text", (cut off)      EVENT_UNREADABLE
 *
 * Blanks and a byte order mark in front are passed over. Escapes in keys and values are understood
 * ("\u0074ype" is "type"); of two types the first decides. It is no validator: of what it walks
 * over it knows where it ends (strings, brackets that match, EVENT_SCAN_DEPTH_MAX deep at most),
 * not whether all of it is JSON. What it calls AUTH or POINTER is therefore read again, strictly.
 *
 * It allocates nothing and may be fed in pieces of any size, a single byte included; the verdict
 * does not depend on where they are cut.
 */
#ifndef WORKER_EVENT_SCAN_H
#define WORKER_EVENT_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVENT_SCAN_DEPTH_MAX 64
#define EVENT_SCAN_TYPE_BYTES_MAX 40

enum event_class {
    EVENT_UNDECIDED, /* feed it more */
    EVENT_AUTH,
    EVENT_POINTER,
    EVENT_DATA,
    EVENT_OTHER,
    EVENT_UNREADABLE,
};
#define EVENT_CLASS_COUNT (EVENT_UNREADABLE + 1)

struct event_scan { /* private */
    enum event_class class;
    unsigned char state; /* what the next byte belongs to: enum scan_state of event_scan.c */
    unsigned char bom;   /* bytes of a byte order mark seen */
    unsigned char depth; /* open containers within a value of the top-level object */
    uint64_t objects;    /* bit by depth: it is an object, closed by }, else an array */

    /* the string that is being read, or passed over */
    unsigned char
        escape;    /* 0: none; 1: behind a backslash; 2 to 5: hex digits of \u to come, less 1 */
    uint16_t unit; /* of \uXXXX so far */
    bool typed;    /* text is the type's value */
    unsigned char text_size;
    char text[EVENT_SCAN_TYPE_BYTES_MAX +
              1]; /* a key, or the type's value; ? for what is not ASCII */
};

void event_scan_init(struct event_scan *scan);

/* The verdict so far. Once it is decided, further bytes are not looked at. */
enum event_class event_scan_feed(struct event_scan *scan, const void *bytes, size_t size);

/* There are no more bytes: never EVENT_UNDECIDED. */
enum event_class event_scan_end(struct event_scan *scan);

/* The type's value, for counting and the log: printable, at most EVENT_SCAN_TYPE_BYTES_MAX bytes,
 * the rest cut off; "" when something else decided, or nothing has yet. Lives in `scan`. */
const char *event_scan_type(const struct event_scan *scan);

#endif
