/*
 * floor_echo: the floor under the worker's latency: takes each record from one topic and produces
 * it to another, with its key and headers, and does nothing else. Reads from the end until it is
 * ended.
 *
 *   floor_echo <brokers> <from topic> <to topic>
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "kafka_client.h"

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

static void echo(rd_kafka_t *producer, const char *topic, const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers = NULL;
    if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR)
        headers = rd_kafka_headers_copy(headers);
    rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic),
        RD_KAFKA_V_KEY(message->key, message->key_len),
        RD_KAFKA_V_VALUE(message->payload, message->len), RD_KAFKA_V_HEADERS(headers),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    rd_kafka_poll(producer, 0);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    signal(SIGTERM, on_signal);
    /* What the worker pins too, so that the two differ by what they do, not by how they wait. */
    rd_kafka_t *consumer = kafka_client_new(
        RD_KAFKA_CONSUMER, (const char *const[]){"bootstrap.servers", argv[1], "group.id",
                               "bench-echo", "fetch.wait.max.ms", "100", "socket.nagle.disable",
                               "true", "auto.offset.reset", "latest", NULL});
    const char *const producing[] = {"bootstrap.servers", argv[1], "linger.ms", "0", "acks", "all",
        "max.in.flight.requests.per.connection", "5", "socket.nagle.disable", "true", NULL};
    rd_kafka_t *producer = kafka_client_new(RD_KAFKA_PRODUCER, producing);
    rd_kafka_poll_set_consumer(consumer);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, argv[2], RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(consumer, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    while (!stop) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 100);
        if (!message)
            continue;
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            echo(producer, argv[3], message);
        rd_kafka_message_destroy(message);
    }
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    rd_kafka_flush(producer, 5000);
    rd_kafka_destroy(producer);
    return 0;
}
