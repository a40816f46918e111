/*
 * redis_client: commands to one Redis through hiredis on a libuv loop, kept connected.
 *
 * Promises:
 *  - every sent command gets exactly one on_answer, never inside redis_client_send, always on the
 *    loop's thread; after a disconnect the pending ones still run, with REDIS_UNAVAILABLE;
 *  - no command waits longer than its timeout (REDIS_TIMEOUT); a late reply is thrown away. A
 *    connection on which commands time out is replaced;
 *  - names are resolved off the loop; reconnecting is by itself, with full jitter and a cap;
 *    going away and coming back are logged once each, without the password;
 *  - a command sent while the first connection is being made waits for it; one sent while Redis is
 *    known to be away is answered REDIS_UNAVAILABLE in the next turn;
 *  - commands sent in one turn of the loop leave in one write;
 *  - at most REDIS_COMMANDS_MAX commands wait; one too many is REDIS_UNAVAILABLE in the next turn.
 *
 * URLs: redis://[[user]:password@]host[:port][/database], rediss:// (TLS; only where hiredis has
 * it), unix:///path[?db=n]. User and password percent-decoded.
 *
 * Ownership: arguments are copied into the connection at once. The command belongs to the caller
 * and stays valid until on_answer has been called; answers live only during on_answer.
 *
 * Life cycle: redis_client_new, which waits for nothing; redis_client_close, after which the
 * commands that still wait are answered REDIS_UNAVAILABLE in the next turn and the client frees
 * itself. Run the loop until it has no handles left before freeing what the callbacks use. Both
 * redis_client_send and redis_client_close may be called from any callback.
 *
 * SIGPIPE is ignored in the whole process from redis_client_new on, since
 * hiredis writes with write(2).
 */
#ifndef COMMON_REDIS_CLIENT_H
#define COMMON_REDIS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/result.h"

#define REDIS_ARGUMENTS_MAX 32
#define REDIS_COMMANDS_MAX 65536

struct redis_client;

enum redis_outcome {
    REDIS_ANSWERED,    /* Redis answered, not with an error */
    REDIS_ERROR,       /* with an error: text says which (NOAUTH, READONLY, LOADING, …) */
    REDIS_TIMEOUT,     /* no answer in time */
    REDIS_UNAVAILABLE, /* not connected, or the connection broke before the answer */
};

enum redis_kind { REDIS_NIL, REDIS_TEXT, REDIS_INTEGER, REDIS_ARRAY };

struct redis_answer {
    enum redis_outcome outcome;
    enum redis_kind kind; /* REDIS_NIL unless REDIS_ANSWERED */
    int64_t integer;      /* REDIS_INTEGER; for REDIS_ARRAY the number of items */
    const char *text;     /* REDIS_TEXT, and the message of REDIS_ERROR; NUL-terminated; else "" */
    size_t text_size;
    const void *reply; /* for redis_answer_item only */
};

struct redis_client_options {
    const char *url;
    /* For the name, and for each address up to the answer to AUTH and SELECT. */
    int64_t connect_timeout_us;
    int64_t reconnect_max_us; /* the cap of the backoff */
    const char *ca_file;      /* for rediss://; NULL: the system's */
    /* Told when the connection comes up (after AUTH and SELECT) and when it goes; not by
     * redis_client_close. May be NULL. */
    void (*on_connection)(void *context, bool connected);
    /* Told of each attempt to connect that failed, and of each connection that was lost, before the
     * commands that waited on it are answered; the texts live only during the call. refused: Redis
     * is there and will not have us. May be NULL. */
    void (*on_trouble)(void *context, bool refused, const char *reason, const char *advice);
    /* Only for a connection that subscribes to channels: a published message, which is no answer to
     * any command. Both live only during the call. May be NULL. */
    void (*on_message)(
        void *context, const struct redis_answer *channel, const struct redis_answer *message);
    void *context;
    bool quiet; /* its comings and goings are not logged: another client's to the same Redis are */
};

struct redis_command {
    void (*on_answer)(struct redis_command *command, const struct redis_answer *answer);
    void *context;

    /* private */
    struct redis_command *previous, *next;
    int64_t expires_us;
    enum redis_outcome failure;     /* while it waits to be told */
    struct redis_formatted *unsent; /* its bytes, while the first connection is being made */
    struct redis_script_run *run;   /* for redis_client_run_script */
};

/* A script and its SHA-1, as embed_text makes them. */
struct redis_script {
    const char *text;
    const char *sha1;
};

/* RESULT_REJECT with a message in `error` when the URL cannot be used; the message
 * never holds the password. */
enum result redis_client_new(uv_loop_t *loop, const struct redis_client_options *options,
    struct redis_client **client, char *error, size_t error_size) MUST_CHECK;
void redis_client_close(struct redis_client *client);
bool redis_client_connected(const struct redis_client *client);

/* sizes may be NULL: NUL-terminated arguments. At most REDIS_ARGUMENTS_MAX. */
void redis_client_send(struct redis_client *client, struct redis_command *command,
    int64_t timeout_us, size_t count, const char *const *arguments, const size_t *sizes);

/* EVALSHA, and by itself EVAL where the server does not know the script yet. `count` arguments, of
 * which the first `keys` are keys; at most REDIS_ARGUMENTS_MAX - 3. Unlike those of
 * redis_client_send the texts, and the script, must stay valid until on_answer has been called; the
 * arrays need not. */
void redis_client_run_script(struct redis_client *client, struct redis_command *command,
    int64_t timeout_us, const struct redis_script *script, size_t keys, size_t count,
    const char *const *arguments, const size_t *sizes);

/* Item `index` of an array answer, as an answer of its own. An item that is
 * an error has REDIS_ERROR. */
struct redis_answer redis_answer_item(const struct redis_answer *answer, size_t index);

/* Of hiredis, as it was built with: "1.2.0"; the library does not tell its own. */
const char *redis_library_version(void);

#endif
