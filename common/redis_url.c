/* redis_url: see redis_url.h. */
#include "common/redis_url.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#include "common/memory.h"
#include "common/text.h"

#define DEFAULT_PORT 6379

/* A part of the text that is being parsed. */
struct part {
    const char *start;
    size_t size;
};

static int hex_value(char character)
{
    if (character >= '0' && character <= '9')
        return character - '0';
    if (!isxdigit((unsigned char)character))
        return -1;
    return tolower((unsigned char)character) - 'a' + 10;
}

/* The percent-decoded text; NULL when an escape is broken or stands for NUL. */
static char *decode(struct part part)
{
    char *decoded = memory_new(part.size + 1);
    size_t size = 0;
    for (size_t i = 0; i < part.size; i++) {
        char character = part.start[i];
        if (character == '%') {
            int high = i + 1 < part.size ? hex_value(part.start[i + 1]) : -1;
            int low = i + 2 < part.size ? hex_value(part.start[i + 2]) : -1;
            if (high < 0 || low < 0 || (high == 0 && low == 0)) {
                explicit_bzero(decoded, part.size);
                free(decoded);
                return NULL;
            }
            character = (char)(high * 16 + low);
            i += 2;
        }
        decoded[size++] = character;
    }
    return decoded;
}

/* Digits only, so that no sign, blank or overflow passes; false also when it is above `most`. */
static bool parse_number(struct part part, int most, int *number)
{
    if (part.size == 0 || part.size > 9)
        return false;
    int value = 0;
    for (size_t i = 0; i < part.size; i++) {
        if (!isdigit((unsigned char)part.start[i]))
            return false;
        value = value * 10 + (part.start[i] - '0');
    }
    *number = value;
    return value <= most;
}

static const char *parse_scheme(const char *text, struct redis_url *url, bool *unix_socket)
{
    static const struct {
        const char *prefix;
        bool tls, unix_socket;
    } schemes[] = {
        {"redis://", false, false}, {"rediss://", true, false}, {"unix://", false, true}};

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t size = strlen(schemes[i].prefix);
        if (strncasecmp(text, schemes[i].prefix, size) == 0) {
            url->tls = schemes[i].tls;
            *unix_socket = schemes[i].unix_socket;
            return text + size;
        }
    }
    return NULL;
}

static const char *parse_user(struct part userinfo, struct redis_url *url)
{
    const char *colon = memchr(userinfo.start, ':', userinfo.size);
    if (!colon)
        return userinfo.size ? "a user needs a password behind it: user:password@" : NULL;

    struct part user = {userinfo.start, (size_t)(colon - userinfo.start)};
    struct part password = {colon + 1, userinfo.size - user.size - 1};
    if (user.size == 0 && password.size == 0)
        return NULL;
    url->password = decode(password);
    if (user.size > 0)
        url->user = decode(user);
    if (!url->password || (user.size > 0 && !url->user))
        return "a percent escape in the user or password is broken; write a '%' itself as %25";
    return NULL;
}

static bool is_host(struct part host)
{
    for (size_t i = 0; i < host.size; i++) {
        if (!isalnum((unsigned char)host.start[i]) && !strchr("-._", host.start[i]))
            return false;
    }
    return host.size > 0 && host.size < 256;
}

/* Digits, colons, dots, and a zone such as %eth0. */
static bool is_ipv6_literal(struct part host)
{
    for (size_t i = 0; i < host.size; i++) {
        if (!isalnum((unsigned char)host.start[i]) && !strchr(":.%-_", host.start[i]))
            return false;
    }
    return host.size > 1 && host.size < 64 && memchr(host.start, ':', host.size);
}

static const char *parse_host(struct part authority, struct redis_url *url)
{
    struct part host = authority;
    const char *end = authority.start + authority.size;
    const char *behind;
    if (authority.size > 0 && authority.start[0] == '[') {
        const char *bracket = memchr(authority.start, ']', authority.size);
        if (!bracket)
            return "an IPv6 address is written in brackets: [::1]";
        host = (struct part){authority.start + 1, (size_t)(bracket - authority.start) - 1};
        if (!is_ipv6_literal(host))
            return "there is no IPv6 address in the brackets";
        behind = bracket + 1;
    } else {
        const char *colon = memchr(authority.start, ':', authority.size);
        behind = colon ? colon : end;
        host.size = (size_t)(behind - authority.start);
        if (!is_host(host))
            return "the host is missing or not a host name";
    }
    url->port = DEFAULT_PORT;
    if (behind < end) {
        struct part port = {behind + 1, (size_t)(end - behind) - 1};
        if (*behind != ':' || !parse_number(port, 65535, &url->port) || url->port == 0)
            return "the port is not a number from 1 to 65535";
    }
    url->host = memory_copy(host.start, host.size);
    snprintf(url->label, sizeof(url->label), strchr(url->host, ':') ? "[%s]:%d" : "%s:%d",
        url->host, url->port);
    return NULL;
}

static const char *parse_socket_path(struct part path, struct redis_url *url)
{
    url->socket_path = decode(path);
    if (!url->socket_path)
        return "a percent escape in the path is broken";
    if (url->socket_path[0] != '/' || url->socket_path[1] == '\0')
        return "the socket's path is missing: unix:///path/to/socket";
    if (strlen(url->socket_path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return "the socket's path is too long";
    snprintf(url->label, sizeof(url->label), "%s", url->socket_path);
    return NULL;
}

static const char *parse_database(struct part text, struct redis_url *url)
{
    if (!parse_number(text, REDIS_URL_DATABASE_MAX, &url->database))
        return "the database is not a number";
    return NULL;
}

static const char *parse_path(const char *text, bool unix_socket, struct redis_url *url)
{
    struct part path = {text, strcspn(text, "?")};
    const char *query = text + path.size;
    if (unix_socket) {
        const char *problem = parse_socket_path(path, url);
        if (problem || *query == '\0')
            return problem;
        if (!text_starts_with(query, "?db="))
            return "only ?db=n may follow the socket's path";
        return parse_database((struct part){query + 4, strlen(query + 4)}, url);
    }
    if (*query != '\0')
        return "options behind a '?' are not known";
    if (path.size <= 1)
        return NULL;
    return parse_database((struct part){path.start + 1, path.size - 1}, url);
}

static const char *check_characters(const char *text)
{
    if (strlen(text) > REDIS_URL_BYTES_MAX)
        return "it is too long";
    for (const char *character = text; *character; character++) {
        if (*character <= ' ' || *character > '~')
            return "blanks, control characters and characters outside ASCII must be "
                   "percent-encoded";
    }
    if (strchr(text, '#'))
        return "there is a '#'; in a password write %23";
    return NULL;
}

/* What is wrong, or NULL. */
static const char *parse(const char *text, struct redis_url *url)
{
    const char *problem = check_characters(text);
    if (problem)
        return problem;

    bool unix_socket = false;
    const char *rest = parse_scheme(text, url, &unix_socket);
    if (!rest)
        return "it begins with redis://, rediss:// or unix://";

    struct part authority = {rest, strcspn(rest, "/?")};
    const char *path = rest + authority.size;
    if (strchr(path, '@'))
        return "there is an '@' behind the host; in a password write '/' as %2F, '?' as %3F, '@' "
               "as %40";

    const char *at = memrchr(authority.start, '@', authority.size);
    if (at) {
        struct part userinfo = {authority.start, (size_t)(at - authority.start)};
        problem = parse_user(userinfo, url);
        if (problem)
            return problem;
        authority = (struct part){at + 1, authority.size - userinfo.size - 1};
    }
    if (!unix_socket)
        problem = parse_host(authority, url);
    else if (authority.size > 0)
        problem = "a socket's path begins with a slash: unix:///path/to/socket";
    return problem ? problem : parse_path(path, unix_socket, url);
}

enum result redis_url_parse(const char *text, struct redis_url *url, char *error, size_t error_size)
{
    *url = (struct redis_url){0};
    const char *problem = parse(text, url);
    if (!problem)
        return RESULT_OK;
    snprintf(error, error_size, "the Redis URL cannot be used: %s", problem);
    redis_url_release(url);
    return RESULT_REJECT;
}

void redis_url_release(struct redis_url *url)
{
    if (url->password)
        explicit_bzero(url->password, strlen(url->password));
    free(url->socket_path);
    free(url->host);
    free(url->user);
    free(url->password);
    *url = (struct redis_url){0};
}
