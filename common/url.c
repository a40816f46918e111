/* url: see url.h. */
#include "common/url.h"

#include <arpa/inet.h>

#include "common/buf.h"

/* What a byte may be part of. A percent escape is no byte of a class; see skip(). */
enum {
    UNRESERVED = 1 << 0,
    SCHEME = 1 << 1,
    HOST = 1 << 2,
    USERINFO = 1 << 3,
    PATH = 1 << 4,
    QUERY = 1 << 5, /* and the fragment */
    LETTER = 1 << 6,
    DIGIT = 1 << 7,

    BEHIND_HOST = PATH | QUERY,
    ANYWHERE = UNRESERVED | SCHEME | HOST | USERINFO | BEHIND_HOST,
    SUB_DELIMITER = USERINFO | BEHIND_HOST,
};

static const unsigned char classes[256] = {
    ['a' ... 'z'] = ANYWHERE | LETTER,
    ['A' ... 'Z'] = ANYWHERE | LETTER,
    ['0' ... '9'] = ANYWHERE | DIGIT,
    ['-'] = ANYWHERE,
    ['.'] = ANYWHERE,
    ['_'] = UNRESERVED | HOST | USERINFO | BEHIND_HOST,
    ['~'] = UNRESERVED | USERINFO | BEHIND_HOST,
    ['+'] = SCHEME | SUB_DELIMITER,
    ['!'] = SUB_DELIMITER,
    ['$'] = SUB_DELIMITER,
    ['&'] = SUB_DELIMITER,
    ['\''] = SUB_DELIMITER,
    ['('] = SUB_DELIMITER,
    [')'] = SUB_DELIMITER,
    ['*'] = SUB_DELIMITER,
    [','] = SUB_DELIMITER,
    [';'] = SUB_DELIMITER,
    ['='] = SUB_DELIMITER,
    [':'] = USERINFO | BEHIND_HOST,
    ['@'] = BEHIND_HOST,
    ['/'] = BEHIND_HOST,
    ['?'] = QUERY,
};

static bool is(char character, int class)
{
    return classes[(unsigned char)character] & class;
}

static bool is_hex(char character)
{
    return is(character, DIGIT) || (character >= 'a' && character <= 'f') ||
           (character >= 'A' && character <= 'F');
}

/* The first byte that does not belong to the class. Percent escapes belong to what may hold them; a
 * broken one belongs to nothing, so that whoever looks next refuses it. */
static const char *skip(const char *at, int class)
{
    for (;;) {
        if (is(*at, class))
            at++;
        else if (*at == '%' && (class & (USERINFO | BEHIND_HOST)) && is_hex(at[1]) && is_hex(at[2]))
            at += 3;
        else
            return at;
    }
}

/* Copies in lower case; false when there is no room. */
static bool copy_lower(char *to, size_t to_size, const char *from, size_t size)
{
    if (size >= to_size)
        return false;
    for (size_t i = 0; i < size; i++)
        to[i] = (char)(from[i] >= 'A' && from[i] <= 'Z' ? from[i] + ('a' - 'A') : from[i]);
    to[size] = '\0';
    return true;
}

/* The readers below give what follows their part, or NULL when it is malformed. */

static const char *read_scheme(const char *at, struct url *url)
{
    const char *end = skip(at, SCHEME);
    if (!is(*at, LETTER) || *end != ':' ||
        !copy_lower(url->scheme, sizeof(url->scheme), at, (size_t)(end - at)))
        return NULL;
    return end + 1;
}

static const char *read_address_literal(const char *at, struct url *url)
{
    const char *end = strchr(at, ']');
    if (!end || !copy_lower(url->host, sizeof(url->host), at, (size_t)(end + 1 - at)))
        return NULL;
    char address[INET6_ADDRSTRLEN];
    struct in6_addr parsed;
    if (!copy_lower(address, sizeof(address), at + 1, (size_t)(end - at - 1)) ||
        inet_pton(AF_INET6, address, &parsed) != 1)
        return NULL;
    return end + 1;
}

static const char *read_host(const char *at, struct url *url)
{
    if (*at == '[')
        return read_address_literal(at, url);
    const char *end = skip(at, HOST);
    if (!copy_lower(url->host, sizeof(url->host), at, (size_t)(end - at)))
        return NULL;
    if (url->host[0] == '.' || strstr(url->host, ".."))
        return NULL;
    return end;
}

static const char *read_port(const char *at, struct url *url)
{
    long port = 0;
    const char *end = at;
    for (; is(*end, DIGIT) && end - at < 5; end++)
        port = port * 10 + (*end - '0');
    if (port < 1 || port > 65535)
        return NULL;
    url->port = (int)port;
    return end;
}

static const char *read_authority(const char *at, struct url *url)
{
    const char *end = at + strcspn(at, "/?#");
    const char *sign = memchr(at, '@', (size_t)(end - at));
    if (sign) {
        if (skip(at, USERINFO) != sign)
            return NULL;
        url->has_userinfo = true;
        at = sign + 1;
    }
    at = read_host(at, url);
    if (at && *at == ':')
        at = read_port(at + 1, url);
    if (at != end || (!url->host[0] && (url->has_userinfo || url->port >= 0)))
        return NULL;
    return at;
}

static bool complete_web_url(struct url *url)
{
    bool secure = strcmp(url->scheme, "https") == 0;
    if (!secure && strcmp(url->scheme, "http") != 0)
        return true;
    if (url->port < 0)
        url->port = secure ? 443 : 80;
    return url->host[0];
}

bool url_parse(const char *text, struct url *url)
{
    return url_parse_sized(text, URL_BYTES_MAX, url);
}

bool url_parse_sized(const char *text, size_t bytes_max, struct url *url)
{
    *url = (struct url){.port = -1};
    if (strnlen(text, bytes_max + 1) > bytes_max)
        return false;
    const char *at = read_scheme(text, url);
    if (at && at[0] == '/' && at[1] == '/')
        at = read_authority(at + 2, url);
    if (!at || !complete_web_url(url))
        return false;

    url->path = at;
    at = skip(at, PATH);
    url->path_size = (size_t)(at - url->path);
    if (*at == '?') {
        url->query = at + 1;
        at = skip(url->query, QUERY);
        url->query_size = (size_t)(at - url->query);
    }
    if (*at == '#') {
        url->has_fragment = true;
        at = skip(at + 1, QUERY);
    }
    return *at == '\0';
}

bool url_host_is_loopback(const struct url *url)
{
    struct in_addr address;
    if (inet_pton(AF_INET, url->host, &address) == 1)
        return ntohl(address.s_addr) >> 24 == 127;
    return strcmp(url->host, "localhost") == 0 || strcmp(url->host, "[::1]") == 0;
}

/* One byte of a path as a lenient server reads it: dots, slashes and backslashes count, also when
 * percent-encoded. */
static char next_decoded(const char **at, const char *end)
{
    static const struct {
        const char *escape;
        char decoded;
    } escapes[] = {{"%2e", '.'}, {"%2f", '/'}, {"%5c", '/'}};
    for (size_t i = 0; i < sizeof(escapes) / sizeof(escapes[0]) && **at == '%'; i++) {
        if (end - *at >= 3 && strncasecmp(*at, escapes[i].escape, 3) == 0) {
            *at += 3;
            return escapes[i].decoded;
        }
    }
    return *(*at)++;
}

/* "." or ".." as a whole segment leads out of the place that a path names. Some servers cut a
 * segment at ';' first, so "..;x" is one too. */
bool url_path_has_dot_segment(const char *path, size_t size)
{
    const char *at = path, *end = path + size;
    size_t dots = 0;
    bool only_dots = true; /* so far in this segment */
    while (at < end) {
        char character = next_decoded(&at, end);
        if (character == '/' || character == ';') {
            if (only_dots && (dots == 1 || dots == 2))
                return true;
            dots = 0;
            only_dots = character == '/';
        } else if (character == '.') {
            dots++;
        } else {
            only_dots = false;
        }
    }
    return only_dots && (dots == 1 || dots == 2);
}

void url_append_encoded(struct buf *buf, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    while (*text) {
        const char *end = skip(text, UNRESERVED);
        buf_append(buf, text, (size_t)(end - text));
        text = end;
        if (*text) {
            unsigned char byte = (unsigned char)*text++;
            const char escape[3] = {'%', digits[byte >> 4], digits[byte & 15]};
            buf_append(buf, escape, sizeof(escape));
        }
    }
}
