/* check_redis: see check_redis.h. */
#include "worker/check_redis.h"

#include <stdio.h>
#include <stdlib.h>

#include "check_redis_script.h"
#include "common/clock.h"
#include "common/memory.h"
#include "common/redis_client.h"
#include "common/text.h"

#define VALUE_SIZE 64
#define VERSION_LEAST 6
#define RECONNECT_US (10 * CLOCK_US_PER_SECOND)

static const char area[] = "redis";

struct check_redis {
    const struct check_run *run;
    struct check_report *report;
    struct redis_client *client;
    struct redis_command command; /* one at a time */
    char key[160];
    int64_t asked_wall_us;
    char reason[300], advice[200]; /* of the first attempt that failed; "": none has */
};

static int64_t left_us(const struct check_redis *check)
{
    int64_t left = check->run->deadline_us - clock_monotonic_us();
    return left > CLOCK_US_PER_MS ? left : CLOCK_US_PER_MS;
}

/* ---- the end ---- */

static void finish(struct check_redis *check)
{
    redis_client_close(check->client);
}

static void add_fault(struct check_redis *check, const char *what)
{
    check_report_add(check->report, CHECK_FAIL, area, "server", "%s", what);
}

/* True when Redis answered, be it with an error. */
static bool was_answered(struct check_redis *check, const struct redis_answer *answer)
{
    if (answer->outcome == REDIS_ANSWERED || answer->outcome == REDIS_ERROR)
        return true;
    if (check->reason[0]) {
        add_fault(check, check->reason);
        check_report_advise(check->report, "%s", check->advice);
    } else {
        add_fault(check, "it did not answer in time");
        check_report_advise(check->report, "check REDIS_URL, the network between, and its load");
    }
    return false;
}

/* ---- the script ---- */

static void judge_clock(struct check_redis *check, const struct redis_answer *answer)
{
    struct redis_answer seconds = redis_answer_item(answer, 0);
    struct redis_answer microseconds = redis_answer_item(answer, 1);
    int64_t theirs_us = strtoll(seconds.text, NULL, 10) * CLOCK_US_PER_SECOND +
                        strtoll(microseconds.text, NULL, 10);
    int64_t skew_us = theirs_us - (check->asked_wall_us + clock_wall_us()) / 2;
    bool wrong = skew_us > CHECK_SKEW_MAX_US || skew_us < -CHECK_SKEW_MAX_US;
    check_report_add(check->report, wrong ? CHECK_WARN : CHECK_OK, area, "clock",
        "%lld ms from ours", (long long)(skew_us / CLOCK_US_PER_MS));
    if (wrong)
        check_report_advise(check->report, "set both clocks by the same time servers");
}

static void on_script(struct redis_command *command, const struct redis_answer *answer)
{
    struct check_redis *check = command->context;
    if (answer->outcome == REDIS_ERROR) {
        check_report_add(check->report, CHECK_FAIL, area, "script",
            "a script cannot be run, or not write under the prefix %s: %s",
            check->run->config->redis_key_prefix, answer->text);
        check_report_advise(check->report,
            "use the master, and permit this user EVALSHA, EVAL and all that scripts call on keys "
            "of this prefix");
    } else if (was_answered(check, answer)) {
        check_report_add(check->report, CHECK_OK, area, "script",
            "runs, and may write under the "
            "prefix %s",
            check->run->config->redis_key_prefix);
        judge_clock(check, answer);
    }
    finish(check);
}

static void run_script(struct check_redis *check)
{
    static const struct redis_script script = {check_redis_script_text, check_redis_script_sha1};
    const char *arguments[] = {check->key};
    check->command = (struct redis_command){.on_answer = on_script, .context = check};
    check->asked_wall_us = clock_wall_us();
    redis_client_run_script(
        check->client, &check->command, left_us(check), &script, 1, 1, arguments, NULL);
}

/* ---- what it says of itself ---- */

/* One line of INFO, "name:value"; "" when it is not told. */
static const char *value_of(const char *info, const char *name, char value[VALUE_SIZE])
{
    size_t size = strlen(name);
    value[0] = '\0';
    for (const char *line = info; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, size) != 0 || line[size] != ':')
            continue;
        line += size + 1;
        snprintf(value, VALUE_SIZE, "%.*s", (int)strcspn(line, "\r\n"), line);
        break;
    }
    return value;
}

static void judge_version(struct check_redis *check, const char *info)
{
    char version[VALUE_SIZE];
    if (text_empty(value_of(info, "redis_version", version))) {
        check_report_add(check->report, CHECK_WARN, area, "server", "its version cannot be told");
        return;
    }
    bool old = strtol(version, NULL, 10) < VERSION_LEAST;
    check_report_add(
        check->report, old ? CHECK_FAIL : CHECK_OK, area, "server", "reached, version %s", version);
    if (old)
        check_report_advise(check->report, "use version %d or newer", VERSION_LEAST);
}

static void judge_role(struct check_redis *check, const char *info)
{
    char role[VALUE_SIZE], mode[VALUE_SIZE];
    if (!text_empty(value_of(info, "role", role)) && !text_equal(role, "master")) {
        check_report_add(check->report, CHECK_FAIL, area, "role",
            "it is a replica (role %s) and takes no writes", role);
        check_report_advise(check->report, "let REDIS_URL lead to the master");
    } else if (!text_empty(role)) {
        check_report_add(check->report, CHECK_OK, area, "role", "%s", role);
    }
    if (text_equal(value_of(info, "redis_mode", mode), "cluster")) {
        check_report_add(check->report, CHECK_WARN, area, "role",
            "it is a node of a cluster: keys that live on other nodes are not found");
        check_report_advise(check->report, "use a Redis that is no cluster");
    }
}

static void judge_eviction(struct check_redis *check, const char *info)
{
    char policy[VALUE_SIZE], maximum[VALUE_SIZE];
    value_of(info, "maxmemory_policy", policy);
    bool limited = !text_equal(value_of(info, "maxmemory", maximum), "0");
    if (text_empty(policy)) {
        check_report_add(check->report, CHECK_WARN, area, "maxmemory-policy", "cannot be told");
        check_report_advise(check->report, "see to it that it is noeviction");
    } else if (text_equal(policy, "noeviction")) {
        check_report_add(check->report, CHECK_OK, area, "maxmemory-policy", "%s", policy);
    } else {
        check_report_add(check->report, CHECK_WARN, area, "maxmemory-policy",
            "%s: %s it throws keys away, the rate limit and links already given among them", policy,
            limited ? "when memory is short" : "should maxmemory be set one day,");
        check_report_advise(
            check->report, "redis-cli CONFIG SET maxmemory-policy noeviction, and in its file");
    }
}

static void on_info(struct redis_command *command, const struct redis_answer *answer)
{
    struct check_redis *check = command->context;
    if (!was_answered(check, answer)) {
        finish(check);
        return;
    }
    if (answer->outcome == REDIS_ERROR) {
        check_report_add(check->report, CHECK_WARN, area, "server",
            "reached; what it is cannot be told: %s", answer->text);
        check_report_advise(check->report, "permit this user INFO");
    } else {
        judge_version(check, answer->text);
        judge_role(check, answer->text);
        judge_eviction(check, answer->text);
    }
    run_script(check);
}

/* ---- the beginning ---- */

/* The first reason is the one; what comes after it are attempts to mend it. */
static void on_trouble(void *context, bool refused, const char *reason, const char *advice)
{
    (void)refused;
    struct check_redis *check = context;
    if (check->reason[0])
        return;
    snprintf(check->reason, sizeof check->reason, "%s", reason);
    snprintf(check->advice, sizeof check->advice, "%s", advice);
}

struct check_redis *check_redis_new(const struct check_run *run, struct check_report *report)
{
    static const char *const arguments[] = {"INFO"};
    char error[320];
    if (text_empty(run->config->redis_url)) {
        check_report_add(report, CHECK_WARN, area, "server",
            "none is set: each worker keeps links and the rate limit for itself");
        check_report_advise(report, "set REDIS_URL, or run one worker only");
        return NULL;
    }
    struct check_redis *check = memory_new(sizeof *check);
    check->run = run;
    check->report = report;
    snprintf(check->key, sizeof check->key, "%s:{check}", run->config->redis_key_prefix);
    const struct redis_client_options options = {
        .url = run->config->redis_url,
        .connect_timeout_us = left_us(check),
        .reconnect_max_us = RECONNECT_US,
        .ca_file = text_empty(run->config->redis_ca_file) ? NULL : run->config->redis_ca_file,
        .on_trouble = on_trouble,
        .context = check,
        .quiet = true,
    };
    if (redis_client_new(run->loop, &options, &check->client, error, sizeof error) != RESULT_OK) {
        check_report_add(report, CHECK_FAIL, area, "server", "REDIS_URL: %s", error);
        free(check);
        return NULL;
    }
    check->command = (struct redis_command){.on_answer = on_info, .context = check};
    redis_client_send(check->client, &check->command, left_us(check), 1, arguments, NULL);
    return check;
}

void check_redis_free(struct check_redis *check)
{
    free(check);
}
