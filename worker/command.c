/* command: see command.h. */
#include "worker/command.h"

#include <stdio.h>
#include <unistd.h>

#include "common/log.h"

#define MESSAGES_BYTES_MAX (64 * 1024)

bool command_load_config(struct config *config, enum config_need need)
{
    struct buf errors, warnings;
    buf_init(&errors, MESSAGES_BYTES_MAX);
    buf_init(&warnings, MESSAGES_BYTES_MAX);
    enum result result =
        config_load(config, (const char *const *)environ, need, &errors, &warnings);
    if (warnings.size > 0)
        fprintf(stderr, "%s", buf_text(&warnings));
    if (result != RESULT_OK)
        fprintf(stderr,
            "The settings cannot be used:\n%s"
            "terra-connect config shows every setting and where it comes from.\n",
            buf_text(&errors));
    else
        log_configure((enum log_level)config->log_level, (enum log_format)config->log_format);
    buf_release(&errors);
    buf_release(&warnings);
    return result == RESULT_OK;
}

const struct kafka_property command_reading_much[] = {
    {"queued.max.messages.kbytes", "16384"}, {"queued.min.messages", "100000"}, {NULL, NULL}};

size_t command_kafka_properties(const struct config *config, const struct kafka_property *extra,
    struct kafka_property properties[COMMAND_PROPERTIES_MAX])
{
    size_t count = 0;
    properties[count++] =
        (struct kafka_property){"bootstrap.servers", config->kafka_bootstrap_servers};
    properties[count++] = (struct kafka_property){"client.id", "terra-connect"};
    for (; extra && extra->name; extra++)
        properties[count++] = *extra;
    /* Last, so that what the operator sets wins over what the command prefers. */
    for (size_t i = 0; i < config->kafka_property_count; i++)
        properties[count++] = config->kafka_properties[i];
    return count;
}
