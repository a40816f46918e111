/* terra-connect limit: shows the limit that the workers share through Redis, and changes it while
 * they run. */
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "common/clock.h"
#include "common/text.h"
#include "worker/admission_control.h"
#include "worker/command.h"
#include "worker/command_line.h"
#include "worker/environments_load.h"
#include "worker/limit_options.h"
#include "worker/limit_report.h"

#define CONNECT_TIMEOUT_US (2 * CLOCK_US_PER_SECOND)
#define OUTPUT_BYTES_MAX ((size_t)256 * 1024)

#define say(...) command_say("limit", __VA_ARGS__)

/* One environment's question, and what came of it. */
struct limit_answer {
    struct limit_run *run;
    const struct environment *environment;
    struct admission_change change;
    bool known; /* state is */
    struct admission_state state;
    char problem[256];
};

struct limit_run {
    const struct limit_options *options;
    struct redis_client *redis;
    struct limit_answer answers[ENVIRONMENTS_MAX];
    size_t count, awaited;
};

/* ---- asking ---- */

static void on_done(
    struct admission_change *change, const struct admission_state *state, const char *problem)
{
    struct limit_answer *answer = change->context;
    struct limit_run *run = answer->run;
    answer->known = !problem;
    if (problem)
        snprintf(answer->problem, sizeof answer->problem, "%s", problem);
    else
        answer->state = *state;
    if (--run->awaited == 0)
        redis_client_close(run->redis);
}

/* A second's worth of the new limit at most: who lowers the limit does not want the old burst. */
static int64_t default_burst(const struct rate *rate, int64_t setting)
{
    int64_t second = rate->calls * CLOCK_US_PER_SECOND / rate->period_us;
    int64_t burst = setting < second ? setting : second;
    return burst > 1 ? burst : 1;
}

static void ask(const struct limit_options *options, struct limit_answer *answer)
{
    int64_t burst = options->burst;
    switch (options->action) {
    case LIMIT_SHOW:
        admission_control_show(&answer->change);
        return;
    case LIMIT_SET:
        if (burst == 0)
            burst = default_burst(&options->rate, answer->environment->burst);
        admission_control_set(&answer->change, &options->rate, burst, options->for_us);
        return;
    case LIMIT_UNSET:
        admission_control_unset(&answer->change);
        return;
    case LIMIT_PAUSE:
        admission_control_pause(&answer->change);
        return;
    case LIMIT_RESUME:
        admission_control_resume(&answer->change);
        return;
    }
}

static void ask_all(struct limit_run *run, const struct config *config)
{
    run->awaited = run->count;
    for (size_t i = 0; i < run->count; i++) {
        struct limit_answer *answer = &run->answers[i];
        answer->change = (struct admission_change){
            .redis = run->redis,
            .key_prefix = config->redis_key_prefix,
            .dev_id = answer->environment->dev_id,
            .on_done = on_done,
            .context = answer,
        };
        ask(run->options, answer);
    }
}

/* ---- telling ---- */

static enum exit_code tell(const struct limit_run *run)
{
    enum exit_code exit_code = EXIT_OK;
    struct buf text;
    buf_init(&text, OUTPUT_BYTES_MAX);
    for (size_t i = 0; i < run->count; i++) {
        const struct limit_answer *answer = &run->answers[i];
        if (!answer->known) {
            say("%s: %s%s", answer->environment->name, answer->problem,
                run->options->action == LIMIT_SHOW
                    ? ""
                    : "; whether the change was made is not known: look with show");
            exit_code = EXIT_FAILED;
        } else if (run->options->json) {
            limit_report_write_json(answer->environment, &answer->state, &text);
        } else {
            limit_report_write(answer->environment, &answer->state, &text);
        }
    }
    fwrite(buf_text(&text), 1, text.size, stdout);
    if (fflush(stdout) != 0)
        exit_code = EXIT_FAILED;
    buf_release(&text);
    return exit_code;
}

/* ---- what is asked about ---- */

static enum exit_code run_on_redis(struct limit_run *run, const struct config *config)
{
    uv_loop_t loop;
    char error[256] = "";
    const struct redis_client_options options = {
        .url = config->redis_url,
        .connect_timeout_us = CONNECT_TIMEOUT_US,
        .reconnect_max_us = CONNECT_TIMEOUT_US,
        .ca_file = text_empty(config->redis_ca_file) ? NULL : config->redis_ca_file,
    };
    uv_loop_init(&loop);
    bool made = redis_client_new(&loop, &options, &run->redis, error, sizeof error) == RESULT_OK;
    if (made)
        ask_all(run, config);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    if (made)
        return tell(run);
    say("REDIS_URL: %s", error);
    return EXIT_CONFIG;
}

/* One environment, or, to show them, all. */
static bool choose(struct limit_run *run, const struct environments *environments)
{
    const char *name = run->options->environment;
    const struct environment *chosen =
        environments_find(environments, name, name ? strlen(name) : 0);
    bool all = !name && run->options->action == LIMIT_SHOW;
    for (size_t i = 0; i < environments->count; i++) {
        const struct environment *environment = &environments->items[i];
        if (all || environment == chosen)
            run->answers[run->count++] =
                (struct limit_answer){.run = run, .environment = environment};
    }
    if (run->count > 0)
        return true;
    char names[512];
    environments_list_names(environments, names, sizeof names);
    say("there is no environment %s; there are: %s", name, names);
    return false;
}

static enum exit_code run_for(const struct limit_options *options, const struct config *config,
    const struct environments *environments)
{
    struct limit_run run = {.options = options};
    if (environments->count == 0) {
        say("TERRA_DEV_ID is required (or environments in TERRA_ENVIRONMENTS_FILE): the limit "
            "belongs to the dev id");
        return EXIT_CONFIG;
    }
    if (text_empty(config->redis_url)) {
        say("REDIS_URL is not set, so there is no shared limit: each worker keeps to its part of "
            "TERRA_RATE_LIMIT. Set REDIS_URL to what the workers have");
        return EXIT_CONFIG;
    }
    return choose(&run, environments) ? run_on_redis(&run, config) : EXIT_USAGE;
}

int command_limit(int argc, char **argv)
{
    int exit_code;
    struct limit_options options;
    struct config config = {0};
    if (!limit_options_read(&options, argc, argv, &exit_code))
        return exit_code;
    exit_code = EXIT_CONFIG;
    if (command_load_config(&config, CONFIG_NEED_NOTHING)) {
        struct environments environments;
        char error[ENVIRONMENT_ERROR_SIZE];
        /* The client's own word on why Redis cannot be reached is the best there is. */
        if (config.log_level == LOG_LEVEL_INFO)
            log_configure(LOG_LEVEL_WARN, (enum log_format)config.log_format);
        environments_init(&environments);
        if (environments_load(&environments, &config, true, error))
            exit_code = run_for(&options, &config, &environments);
        else
            say("%s", error);
        environments_release(&environments);
    }
    config_release(&config);
    return exit_code;
}
