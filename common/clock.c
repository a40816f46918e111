#include "common/clock.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#define FIRST_SECOND INT64_C(-62167219200) /* 0000-01-01T00:00:00Z */
#define LAST_SECOND INT64_C(253402300799)  /* 9999-12-31T23:59:59Z */

static int64_t read_clock_us(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * CLOCK_US_PER_SECOND + now.tv_nsec / 1000;
}

static int64_t real_monotonic_us(void)
{
    return read_clock_us(CLOCK_MONOTONIC);
}

static int64_t real_wall_us(void)
{
    return read_clock_us(CLOCK_REALTIME);
}

static int64_t (*monotonic_source)(void) = real_monotonic_us;
static int64_t (*wall_source)(void) = real_wall_us;

int64_t clock_monotonic_us(void)
{
    return monotonic_source();
}

int64_t clock_wall_us(void)
{
    return wall_source();
}

void clock_set_source(int64_t (*monotonic_us)(void), int64_t (*wall_us)(void))
{
    monotonic_source = monotonic_us != NULL ? monotonic_us : real_monotonic_us;
    wall_source = wall_us != NULL ? wall_us : real_wall_us;
}

/* Writes `count` digits and gives back the place behind them. */
static char *put_digits(char *text, unsigned number, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        text[i] = (char)('0' + number % 10);
        number /= 10;
    }
    return text + count;
}

static char *put_separated(char *text, unsigned number, char separator)
{
    text = put_digits(text, number, 2);
    *text = separator;
    return text + 1;
}

void clock_format_rfc3339(int64_t wall_us, char text[CLOCK_RFC3339_SIZE])
{
    int64_t microseconds = wall_us % CLOCK_US_PER_SECOND;
    time_t seconds = wall_us / CLOCK_US_PER_SECOND;
    struct tm tm;

    if (microseconds < 0) { /* before 1970: C rounds towards 0 */
        microseconds += CLOCK_US_PER_SECOND;
        seconds--;
    }
    if (seconds < FIRST_SECOND) {
        seconds = FIRST_SECOND;
        microseconds = 0;
    } else if (seconds > LAST_SECOND) {
        seconds = LAST_SECOND;
        microseconds = CLOCK_US_PER_SECOND - 1;
    }
    gmtime_r(&seconds, &tm);
    text = put_digits(text, (unsigned)tm.tm_year + 1900, 4);
    *text++ = '-';
    text = put_separated(text, (unsigned)tm.tm_mon + 1, '-');
    text = put_separated(text, (unsigned)tm.tm_mday, 'T');
    text = put_separated(text, (unsigned)tm.tm_hour, ':');
    text = put_separated(text, (unsigned)tm.tm_min, ':');
    text = put_separated(text, (unsigned)tm.tm_sec, '.');
    text = put_digits(text, (unsigned)(microseconds / CLOCK_US_PER_MS), 3);
    *text++ = 'Z';
    *text = '\0';
}

/* Reading dates. A cursor goes through the text; each taker moves it on or fails for good. */

static const char *const day_names[] = {
    "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", NULL};
static const char *const short_day_names[] = {
    "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", NULL};
static const char *const month_names[] = {
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", NULL};

static bool take_text(const char **cursor, const char *expected)
{
    size_t size = strlen(expected);

    if (strncmp(*cursor, expected, size) != 0)
        return false;
    *cursor += size;
    return true;
}

static bool take_name(const char **cursor, const char *const *names, int *index)
{
    for (*index = 0; names[*index] != NULL; ++*index) {
        if (take_text(cursor, names[*index]))
            return true;
    }
    return false;
}

static bool take_number(const char **cursor, int digits, int *number)
{
    *number = 0;
    for (; digits > 0; digits--) {
        if (!isdigit((unsigned char)**cursor))
            return false;
        *number = *number * 10 + (*(*cursor)++ - '0');
    }
    return true;
}

/* asctime pads the day of the month with a blank. */
static bool take_padded_day(const char **cursor, int *day)
{
    return take_text(cursor, " ") ? take_number(cursor, 1, day) : take_number(cursor, 2, day);
}

static bool take_time(const char **cursor, struct tm *tm)
{
    return take_number(cursor, 2, &tm->tm_hour) && take_text(cursor, ":") &&
           take_number(cursor, 2, &tm->tm_min) && take_text(cursor, ":") &&
           take_number(cursor, 2, &tm->tm_sec) && tm->tm_hour <= 23 && tm->tm_min <= 59 &&
           tm->tm_sec <= 60; /* 60: a leap second, read as the next minute's first */
}

/* Sun, 06 Nov 1994 08:49:37 GMT */
static bool take_imf_fixdate(const char *cursor, struct tm *tm)
{
    return take_name(&cursor, short_day_names, &tm->tm_wday) && take_text(&cursor, ", ") &&
           take_number(&cursor, 2, &tm->tm_mday) && take_text(&cursor, " ") &&
           take_name(&cursor, month_names, &tm->tm_mon) && take_text(&cursor, " ") &&
           take_number(&cursor, 4, &tm->tm_year) && take_text(&cursor, " ") &&
           take_time(&cursor, tm) && take_text(&cursor, " GMT") && *cursor == '\0';
}

/* Sunday, 06-Nov-94 08:49:37 GMT; tm_year is left at two digits. */
static bool take_rfc850(const char *cursor, struct tm *tm)
{
    return take_name(&cursor, day_names, &tm->tm_wday) && take_text(&cursor, ", ") &&
           take_number(&cursor, 2, &tm->tm_mday) && take_text(&cursor, "-") &&
           take_name(&cursor, month_names, &tm->tm_mon) && take_text(&cursor, "-") &&
           take_number(&cursor, 2, &tm->tm_year) && take_text(&cursor, " ") &&
           take_time(&cursor, tm) && take_text(&cursor, " GMT") && *cursor == '\0';
}

/* Sun Nov  6 08:49:37 1994 */
static bool take_asctime(const char *cursor, struct tm *tm)
{
    return take_name(&cursor, short_day_names, &tm->tm_wday) && take_text(&cursor, " ") &&
           take_name(&cursor, month_names, &tm->tm_mon) && take_text(&cursor, " ") &&
           take_padded_day(&cursor, &tm->tm_mday) && take_text(&cursor, " ") &&
           take_time(&cursor, tm) && take_text(&cursor, " ") &&
           take_number(&cursor, 4, &tm->tm_year) && *cursor == '\0';
}

/* False when there is no such day, or it falls on another day of the week (tm_wday -1: any).
 * tm_year is the whole year. */
static bool to_wall_us(const struct tm *tm, int64_t *wall_us)
{
    struct tm day = {.tm_year = tm->tm_year - 1900, .tm_mon = tm->tm_mon, .tm_mday = tm->tm_mday};
    int64_t seconds =
        timegm(&day); /* moves what does not exist: 30 February becomes 1 or 2 March */

    if (day.tm_mday != tm->tm_mday || day.tm_mon != tm->tm_mon ||
        (tm->tm_wday >= 0 && day.tm_wday != tm->tm_wday))
        return false;
    seconds += tm->tm_hour * 3600 + tm->tm_min * 60 + tm->tm_sec;
    *wall_us = seconds * CLOCK_US_PER_SECOND;
    return true;
}

/*
 * A two-digit year is the latest one that is not more than 50 years ahead of now. In 2026: 94 is
 * 1994, since 2094 would be 68 years ahead; 75 is 2075.
 */
static int whole_year(const struct tm *tm)
{
    time_t now = (time_t)(clock_wall_us() / CLOCK_US_PER_SECOND);
    struct tm limit, guess = *tm;

    gmtime_r(&now, &limit);
    limit.tm_year += 50;
    guess.tm_year = limit.tm_year / 100 * 100 + tm->tm_year;
    if (timegm(&guess) > timegm(&limit))
        guess.tm_year -= 100;
    return guess.tm_year + 1900;
}

int clock_parse_http_date(const char *text, int64_t *wall_us)
{
    struct tm tm = {0};

    if (take_imf_fixdate(text, &tm) || take_asctime(text, &tm))
        return to_wall_us(&tm, wall_us);
    if (!take_rfc850(text, &tm))
        return 0;
    tm.tm_year = whole_year(&tm);
    return to_wall_us(&tm, wall_us);
}

/* Digits behind a dot, of which six count; nothing is a fraction too. */
static bool take_fraction(const char **cursor, int64_t *fraction_us)
{
    int64_t digit_us = CLOCK_US_PER_SECOND;

    *fraction_us = 0;
    if (!take_text(cursor, "."))
        return true;
    if (!isdigit((unsigned char)**cursor))
        return false;
    for (; isdigit((unsigned char)**cursor); ++*cursor) {
        digit_us /= 10;
        *fraction_us += (**cursor - '0') * digit_us;
    }
    return true;
}

/* Z, or how far the time of day is ahead of UTC. */
static bool take_offset(const char **cursor, int64_t *offset_us)
{
    int hours, minutes, sign = **cursor == '-' ? -1 : 1;

    *offset_us = 0;
    if (take_text(cursor, "Z") || take_text(cursor, "z"))
        return true;
    if (!(take_text(cursor, "+") || take_text(cursor, "-")) || !take_number(cursor, 2, &hours) ||
        !take_text(cursor, ":") || !take_number(cursor, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *offset_us = sign * (hours * 60 + minutes) * 60 * CLOCK_US_PER_SECOND;
    return true;
}

int clock_parse_rfc3339(const char *text, int64_t *wall_us)
{
    struct tm tm = {.tm_wday = -1};
    int64_t fraction_us, offset_us, day_time_us;

    if (!take_number(&text, 4, &tm.tm_year) || !take_text(&text, "-") ||
        !take_number(&text, 2, &tm.tm_mon) || !take_text(&text, "-") ||
        !take_number(&text, 2, &tm.tm_mday))
        return 0;
    tm.tm_mon--;
    if (!(take_text(&text, "T") || take_text(&text, "t") || take_text(&text, " ")) ||
        !take_time(&text, &tm) || !take_fraction(&text, &fraction_us) ||
        !take_offset(&text, &offset_us) || *text != '\0' || !to_wall_us(&tm, &day_time_us))
        return 0;
    *wall_us = day_time_us + fraction_us - offset_us;
    return 1;
}
