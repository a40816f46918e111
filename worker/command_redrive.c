/* terra-connect redrive: puts dead letters back where they came from. */
#include "worker/command.h"
#include "worker/command_line.h"
#include "worker/redrive_options.h"
#include "worker/redrive_run.h"

struct redrive {
    struct redrive_run *run; /* NULL: ended */
    struct command_signals signals;
    enum exit_code exit_code;
};

static void on_ended(void *context, enum exit_code exit_code)
{
    struct redrive *redrive = context;
    redrive->run = NULL;
    redrive->exit_code = exit_code;
    command_signals_close(&redrive->signals);
}

static void on_signal(void *context)
{
    struct redrive *redrive = context;
    if (redrive->run)
        redrive_run_interrupt(redrive->run);
}

static enum exit_code run(const struct config *config, const struct redrive_options *options)
{
    uv_loop_t loop;
    char error[512] = "";
    struct redrive redrive = {.exit_code = EXIT_CONFIG};
    const struct redrive_run_options run_options = {
        .config = config, .options = options, .on_ended = on_ended, .context = &redrive};
    uv_loop_init(&loop);
    redrive.run = redrive_run_new(&loop, &run_options, error, sizeof error);
    if (redrive.run)
        command_signals_start(&redrive.signals, &loop, on_signal, &redrive);
    else
        command_say("redrive", "the settings cannot be used: %s", error);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return redrive.exit_code;
}

int command_redrive(int argc, char **argv)
{
    int exit_code;
    struct redrive_options options;
    struct config config = {0};
    if (!redrive_options_read(&options, argc, argv, &exit_code))
        return exit_code;
    if (command_load_config(&config, CONFIG_NEED_KAFKA)) {
        command_quieten_log(&config);
        exit_code = run(&config, &options);
    } else {
        exit_code = EXIT_CONFIG;
    }
    config_release(&config);
    return exit_code;
}
