/* The HTTP server, asked through plain sockets, so that a client can also misbehave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/http_server.h"

#define MS CLOCK_US_PER_MS
#define LIFE_US (200 * MS)
#define ANSWER_BYTES_MAX ((size_t)8 * 1024 * 1024)
#define BIG_PAGE_BYTES HTTP_SERVER_BODY_BYTES_MAX /* more than a socket takes at once */

static uv_loop_t loop;
static uv_timer_t guard;
static uv_check_t turns;
static unsigned turn_count;
static struct http_server *server;
static unsigned pages_written;

/* ---- pages ---- */

static void write_plain(void *context, struct http_server_answer *answer)
{
    pages_written++;
    buf_append_text(&answer->body, context);
}

static void write_unready(void *context, struct http_server_answer *answer)
{
    (void)context;
    answer->status = 503;
    answer->content_type = "application/json";
    buf_append_text(&answer->body, "{}");
}

static void write_bytes(struct http_server_answer *answer, size_t size)
{
    char *bytes = malloc(size);
    memset(bytes, 'b', size);
    buf_append(&answer->body, bytes, size);
    free(bytes);
}

static void write_big(void *context, struct http_server_answer *answer)
{
    (void)context;
    write_bytes(answer, BIG_PAGE_BYTES);
}

static void write_too_big(void *context, struct http_server_answer *answer)
{
    (void)context;
    write_bytes(answer, HTTP_SERVER_BODY_BYTES_MAX);
    write_bytes(answer, 1);
}

static const struct http_server_page pages[] = {
    {"/plain", write_plain, (void *)"a page\n"},
    {"/unready", write_unready, NULL},
    {"/big", write_big, NULL},
    {"/too-big", write_too_big, NULL},
    {"/empty", write_plain, (void *)""},
};

/* ---- the loop ---- */

static void on_guard(uv_timer_t *timer)
{
    (void)timer;
    fprintf(stderr, "the test hangs\n");
    abort();
}

static void on_turn(uv_check_t *check)
{
    (void)check;
    turn_count++;
}

static void on_time_over(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static enum result open_server(
    const char *listen_text, unsigned connections_max, int64_t life_us, char error[256])
{
    const struct http_server_options options = {
        .listen = listen_text,
        .pages = pages,
        .page_count = sizeof pages / sizeof pages[0],
        .connections_max = connections_max,
        .connection_life_us = life_us,
    };
    error[0] = '\0';
    return http_server_new(&loop, &options, &server, error, 256);
}

static void init_loop(void)
{
    uv_loop_init(&loop);
    uv_timer_init(&loop, &guard);
    uv_timer_start(&guard, on_guard, 60000, 0);
    uv_unref((uv_handle_t *)&guard);
    uv_check_init(&loop, &turns);
    uv_check_start(&turns, on_turn);
    uv_unref((uv_handle_t *)&turns);
}

static void release_loop(void)
{
    uv_run(&loop, UV_RUN_DEFAULT); /* dry: nothing but our own two is left */
    uv_close((uv_handle_t *)&guard, NULL);
    uv_close((uv_handle_t *)&turns, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void begin(unsigned connections_max, int64_t life_us)
{
    char error[256];
    init_loop();
    if (open_server("127.0.0.1:0", connections_max, life_us, error) != RESULT_OK)
        fail_msg("%s", error);
}

static void end(void)
{
    http_server_close(server);
    release_loop();
}

/* ---- clients ---- */

struct client {
    int descriptor;
    struct buf received;
    bool ended; /* the server closed */
};

static int port_of_server(void)
{
    return (int)strtol(strrchr(http_server_address(server), ':') + 1, NULL, 10);
}

/* The kernel accepts; so nothing here waits for the server. */
static void connect_client(struct client *client, int receive_bytes)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port_of_server()),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    *client = (struct client){.descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    buf_init(&client->received, ANSWER_BYTES_MAX);
    if (receive_bytes > 0)
        setsockopt(client->descriptor, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    assert_int_equal(
        connect(client->descriptor, (const struct sockaddr *)&address, sizeof address), 0);
}

static void say(const struct client *client, const char *text)
{
    assert_int_equal(
        send(client->descriptor, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* What is there now; a reset is an end like another. */
static void receive(struct client *client)
{
    char bytes[16384];
    ssize_t size;
    while ((size = recv(client->descriptor, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        buf_append(&client->received, bytes, (size_t)size);
    client->ended = client->ended || size == 0 || (errno != EAGAIN && errno != EINTR);
}

static void run_briefly(const struct client *client)
{
    struct pollfd waiting = {.fd = client->descriptor, .events = POLLIN};
    uv_run(&loop, UV_RUN_NOWAIT);
    poll(&waiting, 1, 1);
}

static void wait_for_end(struct client *client)
{
    while (!client->ended) {
        run_briefly(client);
        receive(client);
    }
}

static void release_client(struct client *client)
{
    close(client->descriptor);
    buf_release(&client->received);
}

static const char *received(const struct client *client)
{
    return buf_text(&client->received);
}

static void ask(struct client *client, const char *request)
{
    connect_client(client, 0);
    say(client, request);
    wait_for_end(client);
}

/* ---- answers ---- */

#define HEAD_END " HTTP/1.1\r\nHost: a\r\n\r\n"

static void test_answers(void **state)
{
    (void)state;
    static const struct {
        const char *request, *status, *header, *body;
    } rows[] = {
        {"GET /plain" HEAD_END, "200", "Content-Type: text/plain", "a page\n"},
        {"GET /plain?x=1&y" HEAD_END, "200", "Cache-Control: no-store", "a page\n"},
        {"GET /plain HTTP/1.0\r\n\r\n", "200", "", "a page\n"},
        {"HEAD /plain" HEAD_END, "200", "Content-Length: 7\r\n", ""},
        {"GET /empty" HEAD_END, "200", "Content-Length: 0\r\n", ""},
        {"GET /unready" HEAD_END, "503", "Content-Type: application/json\r\n", "{}"},
        {"GET /too-big" HEAD_END, "500", "", "this page is too large\n"},
        {"GET /" HEAD_END, "404", "", "there is no such page\n"},
        {"GET /plain/" HEAD_END, "404", "", "there is no such page\n"},
        {"GET /Plain" HEAD_END, "404", "", "there is no such page\n"},
        {"HEAD /none" HEAD_END, "404", "", ""},
        {"DELETE /none" HEAD_END, "404", "", "there is no such page\n"},
        {"OPTIONS /plain" HEAD_END, "405", "Allow: GET, HEAD\r\n", "only GET and HEAD\n"},
        {"get /plain" HEAD_END, "405", "", "only GET and HEAD\n"},
        {"POST /plain HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "405",
            "Connection: close", "only GET and HEAD\n"},
        /* Its body does not come, and need not. */
        {"PUT /plain HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999\r\n\r\n", "405", "",
            "only GET and HEAD\n"},
        /* One request per connection. */
        {"GET /plain" HEAD_END "GET /plain" HEAD_END, "200", "", "a page\n"},
    };
    begin(0, 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct client client;
        ask(&client, rows[i].request);
        const char *body = strstr(received(&client), "\r\n\r\n");
        assert_non_null(body);
        if (strncmp(received(&client) + strlen("HTTP/1.1 "), rows[i].status, 3) != 0)
            fail_msg("%s: %s", rows[i].request, received(&client));
        assert_non_null(strstr(received(&client), rows[i].header));
        assert_string_equal(body + 4, rows[i].body);
        release_client(&client);
    }
    end();
}

/* libmicrohttpd says what it thinks of it, or nothing; no page is written, and nothing breaks. */
static void test_what_is_no_request(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "\r\n\r\n", "garbage\r\n\r\n", "GET\r\n\r\n", "GET /plain\r\n\r\n", "\x16\x03\x01\x02"};
    char huge[40000];
    memset(huge, 'h', sizeof huge);
    memcpy(huge, "GET /plain HTTP/1.1\r\nHost: ", 27);
    huge[sizeof huge - 1] = '\0';
    begin(0, LIFE_US);
    pages_written = 0;
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        struct client client;
        ask(&client, requests[i]);
        assert_null(strstr(received(&client), "a page"));
        release_client(&client);
    }
    struct client client;
    ask(&client, huge);
    assert_non_null(strstr(received(&client), "HTTP/1.1 4"));
    release_client(&client);
    assert_int_equal(pages_written, 0);
    end();
}

/* ---- clients that dawdle ---- */

/* They take all places, and lose them when their time is over. */
static void test_dawdlers_are_cut_off(void **state)
{
    (void)state;
    struct client idle, dripping, third;
    begin(2, LIFE_US);
    int64_t begun_us = clock_monotonic_us();
    connect_client(&idle, 0);
    connect_client(&dripping, 0);
    say(&dripping, "GET /pl");
    run_briefly(&idle);
    connect_client(&third, 0);
    say(&third, "GET /plain" HEAD_END);
    wait_for_end(&third);
    assert_true(clock_monotonic_us() - begun_us >= LIFE_US);
    assert_non_null(strstr(received(&third), "a page"));
    wait_for_end(&idle);
    wait_for_end(&dripping);
    assert_int_equal(idle.received.size, 0);
    release_client(&idle);
    release_client(&dripping);
    release_client(&third);
    end();
}

/* Nobody waits for one who does not read, the loop sleeps meanwhile, and his place becomes free. */
static void test_slow_reader(void **state)
{
    (void)state;
    struct client slow, other;
    uv_timer_t timer;
    begin(2, LIFE_US);
    connect_client(&slow, 4096);
    say(&slow, "GET /big" HEAD_END);
    run_briefly(&slow);
    ask(&other, "GET /plain" HEAD_END);
    assert_non_null(strstr(received(&other), "a page"));
    release_client(&other);

    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, on_time_over, LIFE_US / 2 / MS, 0);
    turn_count = 0;
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&timer, NULL);
    assert_true(turn_count < 20);

    struct client slow_too;
    connect_client(&slow_too, 4096);
    say(&slow_too, "GET /big" HEAD_END);
    run_briefly(&slow_too);
    ask(&other, "GET /plain" HEAD_END);
    assert_non_null(strstr(received(&other), "a page"));
    release_client(&other);
    release_client(&slow);
    release_client(&slow_too);
    end();
}

/* A big page goes out whole to one who reads. */
static void test_big_page(void **state)
{
    (void)state;
    struct client client;
    begin(0, 0);
    ask(&client, "GET /big" HEAD_END);
    const char *body = strstr(received(&client), "\r\n\r\n");
    assert_non_null(body);
    assert_int_equal(strlen(body + 4), BIG_PAGE_BYTES);
    release_client(&client);
    end();
}

/* Also with half a request: libmicrohttpd 0.9.75 does not notice that it will not go on. */
static void test_clients_that_go(void **state)
{
    (void)state;
    static const char *const beginnings[] = {"", "GET /pl", ("GET /big" HEAD_END)};
    struct client client;
    begin(4, LIFE_US);
    for (size_t i = 0; i < 15; i++) {
        connect_client(&client, 4096);
        say(&client, beginnings[i % 3]);
        run_briefly(&client);
        release_client(&client);
    }
    ask(&client, "GET /plain" HEAD_END);
    assert_non_null(strstr(received(&client), "a page"));
    release_client(&client);
    end();
}

static void test_close_while_clients_are_there(void **state)
{
    (void)state;
    struct client idle, slow;
    begin(0, 0);
    connect_client(&idle, 0);
    connect_client(&slow, 4096);
    say(&slow, "GET /big" HEAD_END);
    run_briefly(&slow);
    end();
    release_client(&idle);
    release_client(&slow);
    begin(0, 0);
    end(); /* and without any */
}

/* ---- listening ---- */

static bool has_ipv6(void)
{
    const struct sockaddr_in6 address = {
        .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int descriptor = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool bound =
        descriptor >= 0 && bind(descriptor, (const struct sockaddr *)&address, sizeof address) == 0;
    if (descriptor >= 0)
        close(descriptor);
    return bound;
}

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *listen, *address; /* its beginning */
        bool ipv6, reached_by_ipv4;
    } rows[] = {
        {"127.0.0.1:0", "127.0.0.1:", false, true},
        {"0.0.0.0:0", "0.0.0.0:", false, true},
        {"[::1]:0", "[::1]:", true, false},
        {"[::]:0", "[::]:", true, true},
        {"localhost:0", "", false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char error[256];
        struct client client;
        if (rows[i].ipv6 && !has_ipv6())
            continue;
        init_loop();
        if (open_server(rows[i].listen, 0, 0, error) != RESULT_OK)
            fail_msg("%s", error);
        assert_ptr_equal(
            strstr(http_server_address(server), rows[i].address), http_server_address(server));
        assert_in_range(port_of_server(), 1, 65535);
        if (rows[i].reached_by_ipv4) {
            ask(&client, "GET /plain" HEAD_END);
            assert_non_null(strstr(received(&client), "a page"));
            release_client(&client);
        }
        end();
    }
}

static void test_addresses_that_cannot_be_had(void **state)
{
    (void)state;
    static const struct {
        const char *listen, *error;
    } rows[] = {
        {"", "write host:port"},
        {"9464", "write host:port"},
        {":9464", "write host:port"},
        {"127.0.0.1", "write host:port"},
        {"127.0.0.1:", "write host:port"},
        {"127.0.0.1:x", "write host:port"},
        {"127.0.0.1:-1", "write host:port"},
        {"127.0.0.1:65536", "write host:port"},
        {"127.0.0.1:000080", "write host:port"},
        {"::1:9464", "write host:port"},
        {"[]:9464", "write host:port"},
        {"[::1]", "write host:port"},
        {"http://127.0.0.1:9464", "write host:port"},
        {"[127.0.0.1.5]:0", "cannot listen on"},
        {"192.0.2.1:0", "cannot listen on 192.0.2.1:0: Cannot assign requested address"},
    };
    char error[256];
    init_loop();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(open_server(rows[i].listen, 0, 0, error), RESULT_REJECT);
        if (!strstr(error, rows[i].error))
            fail_msg("%s: %s", rows[i].listen, error);
    }
    release_loop();

    char taken[HTTP_SERVER_ADDRESS_SIZE];
    begin(0, 0);
    struct http_server *first = server;
    snprintf(taken, sizeof taken, "%s", http_server_address(first));
    assert_int_equal(open_server(taken, 0, 0, error), RESULT_REJECT);
    assert_non_null(strstr(error, "Address already in use"));
    server = first;
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_what_is_no_request),
        cmocka_unit_test(test_dawdlers_are_cut_off),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_big_page),
        cmocka_unit_test(test_clients_that_go),
        cmocka_unit_test(test_close_while_clients_are_there),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_addresses_that_cannot_be_had),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
