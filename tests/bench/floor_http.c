/*
 * floor_http: the floor under the worker's throughput: a bare libcurl loop that does the same POSTs
 * and nothing else. Reused handles, kept connections, epoll through curl's socket interface.
 *
 *   floor_http <url> <calls> <in flight>     prints CPU microseconds per call and calls per second
 */
#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

#include "common/memory.h"

enum { EVENTS_PER_TURN = 256, ANSWER_BYTES_MAX = 4096 };

static const char body[] = "{\"reference_id\":\"patient-0042\"}";

struct transfer {
    CURL *easy;
    size_t size;
    char answer[ANSWER_BYTES_MAX];
};

static CURLM *multi;
static int epoll;
static long timeout_ms = -1;

static size_t on_body(char *data, size_t one, size_t size, void *context)
{
    struct transfer *transfer = context;
    (void)one;
    if (transfer->size + size > sizeof transfer->answer)
        return 0;
    memcpy(transfer->answer + transfer->size, data, size);
    transfer->size += size;
    return size;
}

static int on_socket(CURL *easy, curl_socket_t socket, int what, void *context, void *known)
{
    struct epoll_event event = {.data.fd = socket};
    (void)easy;
    (void)context;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(epoll, EPOLL_CTL_DEL, socket, NULL);
        curl_multi_assign(multi, socket, NULL);
        return 0;
    }
    event.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    epoll_ctl(epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, socket, &event);
    curl_multi_assign(multi, socket, &epoll);
    return 0;
}

static int on_timer(CURLM *handle, long ms, void *context)
{
    (void)handle;
    (void)context;
    timeout_ms = ms;
    return 0;
}

static void start(struct transfer *transfer)
{
    transfer->size = 0;
    curl_multi_add_handle(multi, transfer->easy);
}

static void set_up(struct transfer *transfer, const char *url, struct curl_slist *headers)
{
    transfer->easy = curl_easy_init();
    curl_easy_setopt(transfer->easy, CURLOPT_URL, url);
    curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDSIZE, (long)(sizeof body - 1));
    curl_easy_setopt(transfer->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(transfer->easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(transfer->easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(transfer->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(transfer->easy, CURLOPT_TIMEOUT_MS, 15000L);
    curl_easy_setopt(transfer->easy, CURLOPT_PROXY, "");
}

/* One turn: what fired, or the timer, then what has ended. Gives back how many ended. */
static unsigned long take_turn(unsigned long still_to_start, unsigned long *failed)
{
    struct epoll_event events[EVENTS_PER_TURN];
    int running, left;
    unsigned long ended = 0;
    int count = epoll_wait(epoll, events, EVENTS_PER_TURN, (int)timeout_ms);
    for (int i = 0; i < count; i++)
        curl_multi_socket_action(multi, events[i].data.fd,
            (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
                (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0),
            &running);
    if (count <= 0 || timeout_ms == 0)
        curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
    CURLMsg *message;
    while ((message = curl_multi_info_read(multi, &left))) {
        struct transfer *transfer;
        long status = 0;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
        *failed += message->data.result != CURLE_OK || status != 201;
        curl_multi_remove_handle(multi, transfer->easy);
        if (ended++ < still_to_start)
            start(transfer);
    }
    return ended;
}

static double seconds(struct timeval value)
{
    return (double)value.tv_sec + (double)value.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    unsigned long calls = strtoul(argv[2], NULL, 10), in_flight = strtoul(argv[3], NULL, 10);
    struct transfer *transfers = memory_new(in_flight * sizeof *transfers);
    struct curl_slist *headers = curl_slist_append(NULL, "dev-id: bench");
    headers = curl_slist_append(headers, "x-api-key: bench");
    headers = curl_slist_append(headers, "Content-Type: application/json");
    headers = curl_slist_append(headers, "Accept: application/json");
    curl_global_init(CURL_GLOBAL_DEFAULT);
    epoll = epoll_create1(0);
    multi = curl_multi_init();
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)in_flight + 1);

    struct timespec began, now;
    clock_gettime(CLOCK_MONOTONIC, &began);
    for (unsigned long i = 0; i < in_flight; i++) {
        set_up(&transfers[i], argv[1], headers);
        start(&transfers[i]);
    }
    unsigned long ended = 0, failed = 0;
    while (ended < calls)
        ended += take_turn(calls > ended + in_flight ? calls - ended - in_flight : 0, &failed);
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    double wall = (double)(now.tv_sec - began.tv_sec) + (double)(now.tv_nsec - began.tv_nsec) / 1e9;
    printf("{\"calls\": %lu, \"failed\": %lu, \"cpu_us_per_call\": %.2f, \"calls_per_second\": "
           "%.0f}\n",
        ended, failed, cpu * 1e6 / (double)ended, (double)ended / wall);
    for (unsigned long i = 0; i < in_flight; i++)
        curl_easy_cleanup(transfers[i].easy);
    curl_multi_cleanup(multi);
    curl_slist_free_all(headers);
    free(transfers);
    return failed > 0;
}
