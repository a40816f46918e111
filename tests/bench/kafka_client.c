/* kafka_client: see kafka_client.h. */
#include "kafka_client.h"

#include <stdio.h>
#include <stdlib.h>

rd_kafka_t *kafka_client_new(rd_kafka_type_t type, const char *const *properties)
{
    char error[256] = "";
    rd_kafka_conf_t *configuration = rd_kafka_conf_new();
    rd_kafka_conf_res_t result = RD_KAFKA_CONF_OK;
    for (; properties[0] && result == RD_KAFKA_CONF_OK; properties += 2)
        result =
            rd_kafka_conf_set(configuration, properties[0], properties[1], error, sizeof error);
    rd_kafka_t *client =
        result == RD_KAFKA_CONF_OK ? rd_kafka_new(type, configuration, error, sizeof error) : NULL;
    if (!client) {
        fprintf(stderr, "%s\n", error);
        exit(1);
    }
    return client;
}
