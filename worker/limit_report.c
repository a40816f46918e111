/* limit_report: see limit_report.h. */
#include "worker/limit_report.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/json.h"
#include "worker/gcra.h"

#define TEXT_SIZE 64

/* "1.5 s", "12 min 5 s", "1 h 59 min", "6 d 23 h" */
static void print_span(int64_t us, char text[TEXT_SIZE])
{
    int64_t seconds = us / CLOCK_US_PER_SECOND;
    int64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;
    if (days > 0)
        snprintf(text, TEXT_SIZE, "%" PRId64 " d %" PRId64 " h", days, hours % 24);
    else if (hours > 0)
        snprintf(text, TEXT_SIZE, "%" PRId64 " h %" PRId64 " min", hours, minutes % 60);
    else if (minutes > 0)
        snprintf(text, TEXT_SIZE, "%" PRId64 " min %" PRId64 " s", minutes, seconds % 60);
    else
        snprintf(text, TEXT_SIZE, "%.1f s", (double)us / CLOCK_US_PER_SECOND);
}

static double seconds_of(int64_t us)
{
    int64_t milliseconds = us / CLOCK_US_PER_MS;
    return (double)milliseconds / 1000;
}

/* The limit in force is the setting as this program has it. */
static bool is_setting(const struct environment *environment, const struct admission_state *state)
{
    return !state->overridden && state->interval_us == gcra_interval_us(&environment->rate) &&
           state->burst == environment->burst;
}

/* What gcra_interval_us keeps back is none of the operator's business. */
static double calls_per_second(
    const struct environment *environment, const struct admission_state *state)
{
    const struct rate *rate = &state->override_rate;
    if (is_setting(environment, state))
        rate = &environment->rate;
    else if (!state->overridden)
        return (1 + GCRA_KEPT_BACK_PERMILLE / 1000.0) * CLOCK_US_PER_SECOND /
               (double)state->interval_us;
    return (double)rate->calls * CLOCK_US_PER_SECOND / (double)rate->period_us;
}

/* In the largest unit in which it is not below one. */
static void print_calls(double per_second, char text[TEXT_SIZE])
{
    if (per_second >= 1)
        snprintf(text, TEXT_SIZE, "%.4g/s", per_second);
    else if (per_second * 60 >= 1)
        snprintf(text, TEXT_SIZE, "%.4g/m", per_second * 60);
    else
        snprintf(text, TEXT_SIZE, "%.4g/h", per_second * 3600);
}

static void write_in_force(
    const struct environment *environment, const struct admission_state *state, struct buf *text)
{
    char rate[TEXT_SIZE], left[TEXT_SIZE];
    buf_append_text(text, "  limit in force   ");
    if (state->interval_us == 0) {
        buf_append_text(text, "not known, no worker has asked yet\n");
    } else if (!state->overridden) {
        print_calls(calls_per_second(environment, state), rate);
        buf_printf(text, "%s, burst %" PRId64 ", %s\n", rate, state->burst,
            is_setting(environment, state) ? "the setting"
                                           : "the setting of the worker that asked last");
    } else {
        rate_print(&state->override_rate, rate, sizeof rate);
        buf_printf(text, "%s, burst %" PRId64 ", set ", rate, state->override_burst);
        print_span(state->override_left_us, left);
        if (state->override_left_us < 0)
            buf_append_text(text, "until it is unset\n");
        else
            buf_printf(text, "for another %s\n", left);
    }
}

static void write_setting(const struct environment *environment, struct buf *text)
{
    char rate[TEXT_SIZE];
    rate_print(&environment->rate, rate, sizeof rate);
    if (environment->rate.calls == 0)
        buf_append_text(text,
            "  setting          no limit; workers with this setting do not look at a shared one\n");
    else
        buf_printf(text, "  setting          %s, burst %" PRId64 "\n", rate, environment->burst);
}

void limit_report_write(
    const struct environment *environment, const struct admission_state *state, struct buf *text)
{
    char reserved[TEXT_SIZE], cooldown[TEXT_SIZE];
    buf_printf(text, "%s\n", environment->name);
    write_in_force(environment, state, text);
    write_setting(environment, text);
    print_span(state->reserved_us, reserved);
    print_span(state->cooldown_left_us, cooldown);
    buf_printf(text,
        "  use              %" PRId64 " %% of the limit in the last full ten seconds\n"
        "  waiting          %" PRId64 " requests\n"
        "  workers          %" PRId64 " with requests to serve lately\n"
        "  reserved ahead   %s\n"
        "  cooldown         %s\n"
        "  paused           %s\n",
        state->use_permille / 10, state->waiting, state->workers,
        state->reserved_us > 0 ? reserved : "none", state->cooldown_left_us > 0 ? cooldown : "none",
        state->paused ? "yes" : "no");
}

static void put_limit(
    struct json_writer *writer, const char *name, const struct rate *rate, int64_t burst)
{
    char text[TEXT_SIZE];
    rate_print(rate, text, sizeof text);
    json_open_object(writer, name);
    json_put_text(writer, "rate", text);
    json_put_integer(writer, "burst", burst);
}

static void put_override(struct json_writer *writer, const struct admission_state *state)
{
    if (!state->overridden) {
        json_put_null(writer, "override");
        return;
    }
    put_limit(writer, "override", &state->override_rate, state->override_burst);
    if (state->override_left_us < 0)
        json_put_null(writer, "ends_in_seconds");
    else
        json_put_number(writer, "ends_in_seconds", seconds_of(state->override_left_us));
    json_close_object(writer);
}

static void put_in_force(struct json_writer *writer, const struct environment *environment,
    const struct admission_state *state)
{
    if (state->interval_us == 0) {
        json_put_null(writer, "in_force");
        return;
    }
    json_open_object(writer, "in_force");
    json_put_number(writer, "calls_per_second", calls_per_second(environment, state));
    json_put_integer(writer, "burst", state->burst);
    json_close_object(writer);
}

void limit_report_write_json(
    const struct environment *environment, const struct admission_state *state, struct buf *line)
{
    struct json_writer writer;
    json_writer_init(&writer, line);
    json_open_object(&writer, NULL);
    json_put_text(&writer, "environment", environment->name);
    put_limit(&writer, "setting", &environment->rate, environment->burst);
    json_close_object(&writer);
    put_override(&writer, state);
    put_in_force(&writer, environment, state);
    json_put_number(&writer, "use_percent", (double)state->use_permille / 10);
    json_put_integer(&writer, "waiting", state->waiting);
    json_put_integer(&writer, "workers", state->workers);
    json_put_number(&writer, "reserved_ahead_seconds", seconds_of(state->reserved_us));
    json_put_number(&writer, "cooldown_left_seconds", seconds_of(state->cooldown_left_us));
    json_put_boolean(&writer, "paused", state->paused);
    json_close_object(&writer);
    buf_append_char(line, '\n');
}
