/*
 * latency_load: requests at a steady rate, and how long each takes to its reply, from produce to
 * consumed. Open loop: a slow answer does not hold back the next request, so a stall shows in every
 * request behind it.
 *
 *   latency_load <brokers> <request topic> <reply topic> <per second> <seconds>
 *
 * Each request carries its time of sending as correlation-id, which comes back in the reply.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/memory.h"
#include "kafka_client.h"

#define NS_PER_SECOND INT64_C(1000000000)

enum { LEFT_BEHIND_SECONDS = 20, WARM_UP_SECONDS = 2 };

struct load {
    rd_kafka_t *consumer;
    int64_t *latencies_ns;
    size_t expected;
    _Atomic size_t received;
    atomic_bool stop;
    int64_t measured_from_ns; /* earlier ones warm the path up */
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

/* Every partition from its end, with the positions known before the first request goes out. */
static void follow(rd_kafka_t *consumer, const char *topic)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(consumer, topic, NULL);
    if (rd_kafka_metadata(consumer, 0, handle, &metadata, 10000) != RD_KAFKA_RESP_ERR_NO_ERROR)
        exit(1);
    rd_kafka_topic_partition_list_t *partitions = rd_kafka_topic_partition_list_new(8);
    for (int i = 0; i < metadata->topics[0].partition_cnt; i++) {
        int64_t first, end;
        rd_kafka_query_watermark_offsets(consumer, topic, i, &first, &end, 10000);
        rd_kafka_topic_partition_list_add(partitions, topic, i)->offset = end;
    }
    rd_kafka_assign(consumer, partitions);
    rd_kafka_topic_partition_list_destroy(partitions);
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
}

static void *receive(void *context)
{
    struct load *load = context;
    while (!load->stop) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(load->consumer, 50);
        rd_kafka_headers_t *headers;
        const void *sent;
        size_t size;
        if (!message)
            continue;
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR &&
            rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR &&
            rd_kafka_header_get_last(headers, "correlation-id", &sent, &size) ==
                RD_KAFKA_RESP_ERR_NO_ERROR &&
            size == sizeof(int64_t)) {
            int64_t sent_ns, now = now_ns();
            memcpy(&sent_ns, sent, sizeof sent_ns);
            size_t received = load->received;
            if (sent_ns >= load->measured_from_ns && received < load->expected) {
                load->latencies_ns[received] = now - sent_ns;
                load->received = received + 1;
            }
        }
        rd_kafka_message_destroy(message);
    }
    return NULL;
}

static void send_one(rd_kafka_t *producer, const char *topic, size_t number)
{
    char key[40], value[96];
    int key_size = snprintf(key, sizeof key, "patient-%d-%zu", (int)getpid(), number);
    int value_size = snprintf(value, sizeof value, "{\"reference_id\":\"%s\"}", key);
    int64_t sent_ns = now_ns();
    rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_KEY(key, (size_t)key_size),
        RD_KAFKA_V_VALUE(value, (size_t)value_size), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_HEADER("correlation-id", &sent_ns, sizeof sent_ns), RD_KAFKA_V_END);
    rd_kafka_poll(producer, 0);
}

static int by_size(const void *a, const void *b)
{
    int64_t difference = *(const int64_t *)a - *(const int64_t *)b;
    return difference < 0 ? -1 : difference > 0;
}

static void print_figures(struct load *load)
{
    size_t count = load->received;
    qsort(load->latencies_ns, count, sizeof *load->latencies_ns, by_size);
    const double shares[] = {0.5, 0.9, 0.99, 0.999};
    const char *const names[] = {"p50", "p90", "p99", "p999"};
    printf("{\"expected\": %zu, \"received\": %zu", load->expected, count);
    for (size_t i = 0; count > 0 && i < sizeof shares / sizeof shares[0]; i++)
        printf(", \"%s_ms\": %.3f", names[i],
            (double)load->latencies_ns[(size_t)(shares[i] * (double)(count - 1))] / 1e6);
    printf("}\n");
}

int main(int argc, char **argv)
{
    if (argc != 6)
        return 2;
    size_t rate = strtoul(argv[4], NULL, 10), seconds = strtoul(argv[5], NULL, 10);
    size_t warm_up = rate * WARM_UP_SECONDS;
    struct load load = {.expected = rate * seconds, .measured_from_ns = INT64_MAX};
    load.latencies_ns = memory_new(load.expected * sizeof *load.latencies_ns);
    load.consumer = kafka_client_new(
        RD_KAFKA_CONSUMER, (const char *const[]){"bootstrap.servers", argv[1], "group.id", "bench",
                               "fetch.wait.max.ms", "100", "socket.nagle.disable", "true", NULL});
    rd_kafka_poll_set_consumer(load.consumer);
    follow(load.consumer, argv[3]);
    const char *const producing[] = {"bootstrap.servers", argv[1], "linger.ms", "0", "acks", "1",
        "max.in.flight.requests.per.connection", "5", "socket.nagle.disable", "true", NULL};
    rd_kafka_t *producer = kafka_client_new(RD_KAFKA_PRODUCER, producing);
    pthread_t receiver;
    pthread_create(&receiver, NULL, receive, &load);

    int64_t start_ns = now_ns();
    for (size_t i = 0; i < warm_up + load.expected; i++) {
        int64_t due_ns = start_ns + (int64_t)i * NS_PER_SECOND / (int64_t)rate;
        struct timespec due = {due_ns / NS_PER_SECOND, due_ns % NS_PER_SECOND};
        if (i == warm_up)
            load.measured_from_ns = now_ns();
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
        send_one(producer, argv[2], i);
    }
    rd_kafka_flush(producer, 10000);
    for (int i = 0; i < LEFT_BEHIND_SECONDS * 100 && load.received < load.expected; i++)
        usleep(10000);
    load.stop = true;
    pthread_join(receiver, NULL);
    print_figures(&load);
    rd_kafka_consumer_close(load.consumer);
    rd_kafka_destroy(load.consumer);
    rd_kafka_destroy(producer);
    free(load.latencies_ns);
    return 0;
}
