/*
 * terra-connect check: tries what a worker depends on and says what to fix.
 *
 *   settings ─▶ check_kafka, check_redis and check_terra, at the same time ─▶ one report
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/text.h"
#include "worker/check_kafka.h"
#include "worker/check_redis.h"
#include "worker/check_terra.h"
#include "worker/command.h"
#include "worker/command_line.h"
#include "worker/environments_load.h"
#include "worker/event_pointer.h"
#include "worker/redirect_rules.h"
#include "worker/reply_address.h"

#define MESSAGES_BYTES_MAX (64 * 1024)
#define OUTPUT_BYTES_MAX (4 * 1024 * 1024)
/* Clients take a moment to close. Whatever has not ended by then is hung. */
#define GRACE_US (3 * CLOCK_US_PER_SECOND)

static const char settings_area[] = "settings";

struct check {
    struct check_options options;
    struct config config;
    struct environments environments;
    struct check_needs needs;
    struct check_run run;
    struct check_report report; /* the whole of it, in the end */
    struct check_report kafka_found, redis_found, terra_found;
    struct check_kafka *kafka;
    struct check_redis *redis;
    struct check_terra *terra;
    uv_loop_t loop;
    uv_timer_t guard;
    bool hung;
};

/* ---- settings ---- */

static void add_lines(struct check *check, enum check_verdict verdict, const struct buf *lines)
{
    for (const char *line = buf_text(lines); *line;) {
        int size = (int)strcspn(line, "\n");
        check_report_add(&check->report, verdict, settings_area, "settings", "%.*s", size, line);
        line += size;
        line += *line == '\n';
    }
}

static void blame(struct check *check, const char *setting, const char *reason)
{
    check_report_add(&check->report, CHECK_FAIL, settings_area, setting, "%s", reason);
    check_report_advise(&check->report, "terra-connect config shows every setting");
}

/* The next three: what a worker refuses to start with, and config_load does not look into. */

static void check_reply_rules(struct check *check)
{
    const struct config *config = &check->config;
    char error[320];
    struct reply_address_rules *rules = reply_address_rules_new(
        config->connect_replies_topic, config->reply_topics_allowed, error, sizeof error);
    if (!rules)
        blame(check, "REPLY_TOPICS_ALLOWED", error);
    else if (reply_address_rules_allow(rules, config->connect_requests_topic))
        blame(check, "REPLY_TOPICS_ALLOWED",
            "it allows replies on CONNECT_REQUESTS_TOPIC, where they would be read as requests");
    reply_address_rules_free(rules);
}

static void check_terra_settings(struct check *check)
{
    char error[ENVIRONMENT_ERROR_SIZE];
    if (!environments_load(&check->environments, &check->config, false, error))
        blame(check, "environments", error);
    struct redirect_rules *redirects =
        redirect_rules_new(check->config.redirect_urls_allowed, error, sizeof error);
    if (!redirects)
        blame(check, "REDIRECT_URLS_ALLOWED", error);
    redirect_rules_free(redirects);
}

static void check_event_settings(struct check *check)
{
    char error[320];
    struct event_pointer_rules *rules =
        event_pointer_rules_new(check->config.event_payload_hosts_allowed,
            check->config.event_payload_allow_http, error, sizeof error);
    if (!rules)
        blame(check, "EVENT_PAYLOAD_HOSTS_ALLOWED", error);
    event_pointer_rules_free(rules);
}

static bool load_settings(struct check *check)
{
    bool with_terra = check->options.flows.connect && check->options.areas.terra;
    struct buf errors, warnings;
    buf_init(&errors, MESSAGES_BYTES_MAX);
    buf_init(&warnings, MESSAGES_BYTES_MAX);
    bool usable =
        config_load(&check->config, (const char *const *)environ,
            with_terra ? CONFIG_NEED_TERRA : CONFIG_NEED_KAFKA, &errors, &warnings) == RESULT_OK;
    add_lines(check, CHECK_FAIL, &errors);
    add_lines(check, CHECK_WARN, &warnings);
    buf_release(&errors);
    buf_release(&warnings);
    if (usable && with_terra)
        check_terra_settings(check);
    if (usable && check->options.flows.connect)
        check_reply_rules(check);
    if (usable && check->options.flows.events)
        check_event_settings(check);
    usable = check->report.verdicts[CHECK_FAIL] == 0;
    if (usable)
        check_report_add(&check->report, CHECK_OK, settings_area, "settings", "can be used");
    return usable;
}

/* ---- the areas ---- */

static void on_guard(uv_timer_t *timer)
{
    struct check *check = timer->data;
    check->hung = true;
    uv_stop(&check->loop);
}

static void run_areas(struct check *check)
{
    check->run = (struct check_run){
        .loop = &check->loop,
        .config = &check->config,
        .options = &check->options,
        .needs = &check->needs,
        .environments = &check->environments,
        .deadline_us = clock_monotonic_us() + check->options.timeout_us,
    };
    check_needs_init(&check->needs, &check->config, check->options.flows);
    uv_loop_init(&check->loop);
    uv_timer_init(&check->loop, &check->guard);
    check->guard.data = check;
    uv_timer_start(&check->guard, on_guard,
        (uint64_t)((check->options.timeout_us + GRACE_US) / CLOCK_US_PER_MS), 0);
    uv_unref((uv_handle_t *)&check->guard); /* does not keep the loop from running dry */

    if (check->options.areas.kafka)
        check->kafka = check_kafka_new(&check->run, &check->kafka_found);
    if (check->options.areas.redis)
        check->redis = check_redis_new(&check->run, &check->redis_found);
    if (check->options.areas.terra)
        check->terra = check_terra_new(&check->run, &check->terra_found);
    uv_run(&check->loop, UV_RUN_DEFAULT);

    check_report_take(&check->report, &check->kafka_found);
    check_report_take(&check->report, &check->redis_found);
    check_report_take(&check->report, &check->terra_found);
    if (check->hung) {
        check_report_add(&check->report, CHECK_FAIL, settings_area, "check",
            "not all answers came in time: what is not told of above hangs");
        check_report_advise(&check->report, "check name servers and network, or give it more time "
                                            "with --timeout");
    }
}

static void release_areas(struct check *check)
{
    uv_close((uv_handle_t *)&check->guard, NULL);
    uv_run(&check->loop, UV_RUN_DEFAULT);
    uv_loop_close(&check->loop);
    check_kafka_free(check->kafka);
    check_redis_free(check->redis);
    check_terra_free(check->terra);
}

/* ---- the report ---- */

static void print_report(const struct check *check, bool with_commands)
{
    struct buf output;
    struct check_commands commands = {0};
    buf_init(&output, OUTPUT_BYTES_MAX);
    if (with_commands)
        check_needs_list_commands(&check->needs, &check->config, &commands);
    const char *const *lines = with_commands ? (const char *const *)commands.items : NULL;
    if (check->options.json) {
        check_report_write_json(&check->report, lines, &output);
        buf_append_char(&output, '\n');
    } else {
        check_report_write_text(&check->report, lines, &output);
    }
    fputs(buf_text(&output), stdout);
    fflush(stdout);
    check_commands_release(&commands);
    buf_release(&output);
}

int command_check(int argc, char **argv)
{
    int exit_code;
    struct check check = {0};
    if (!check_options_read(&check.options, argc, argv, &exit_code))
        return exit_code;
    exit_code = EXIT_CONFIG;
    if (load_settings(&check)) {
        log_configure(
            (enum log_level)check.config.log_level, (enum log_format)check.config.log_format);
        command_quieten_log(&check.config);
        run_areas(&check);
        exit_code = check.report.verdicts[CHECK_FAIL] > 0 ? EXIT_FAILED : EXIT_OK;
        bool denied = !check.hung && check.kafka && check_kafka_was_denied(check.kafka);
        print_report(&check, check.options.acls || denied);
        if (check.hung)
            _exit(exit_code); /* threads of the libraries still run on what would be freed */
        release_areas(&check);
    } else {
        print_report(&check, false);
    }
    check_report_release(&check.report);
    environments_release(&check.environments);
    config_release(&check.config);
    return exit_code;
}
