/* The servers on libevent: buffered streams (`bufferevent`), which gather what a turn has to say
 * and write it in the next.
 *
 * `libevent WORKLOAD`, `libevent timers COUNT`. Libevent 2.1 asks how much there is and then reads
 * at most 4 KiB at a time into such a stream, whatever it is told. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define QUOTE "An apple a day keeps the doctor away\r\n"
#define BLOCK_LEN 65536
#define SINK_UNIT (1 << 20)
/* Unsent bytes above which one that does not read its own answers is not read either. */
#define UNSENT_MAX (512 * 1024)
#define WRITE_MAX (1 << 20)
#define RESET_S 60
#define ALL_DUE_MS 1100

enum work { WORK_ECHO, WORK_LINES, WORK_CHAT, WORK_QUOTE, WORK_SINK, WORK_BROADCAST };

struct connection {
    struct bufferevent *stream;
    size_t index;
    char *prefix;
    size_t prefix_length;
    uint64_t received;
};

static enum work work;
static struct event_base *base;
static struct connection **all;
static size_t all_length, all_capacity;
static char block[BLOCK_LEN];

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void *resized(void *memory, size_t size) {
    memory = realloc(memory, size);
    if (memory == NULL)
        die("realloc");
    return memory;
}

static void enrol(struct connection *connection) {
    if (all_length == all_capacity) {
        all_capacity = 2 * all_capacity + 64;
        all = resized(all, all_capacity * sizeof *all);
    }
    connection->index = all_length;
    all[all_length++] = connection;
}

static void leave(struct connection *connection) {
    struct connection *last = all[--all_length];
    all[connection->index] = last;
    last->index = connection->index;
    free(connection->prefix);
    free(connection);
}

static void on_last_sent(struct bufferevent *stream, void *unused) {
    (void)unused;
    bufferevent_free(stream);
}

static void on_failed(struct bufferevent *stream, short what, void *unused) {
    (void)what;
    (void)unused;
    bufferevent_free(stream);
}

/* Ends a stream when what was written has gone. */
static void finish(struct bufferevent *stream) {
    if (evbuffer_get_length(bufferevent_get_output(stream)) == 0) {
        bufferevent_free(stream);
        return;
    }
    bufferevent_disable(stream, EV_READ);
    bufferevent_setwatermark(stream, EV_WRITE, 0, 0);
    bufferevent_setcb(stream, NULL, on_last_sent, on_failed, NULL);
}

static void on_event(struct bufferevent *stream, short what, void *data) {
    leave(data);
    if (what & BEV_EVENT_EOF)
        finish(stream);
    else
        bufferevent_free(stream);
}

static void acknowledge(struct connection *connection, struct evbuffer *input) {
    uint64_t units = connection->received / SINK_UNIT;
    size_t length = evbuffer_get_length(input);
    evbuffer_drain(input, length);
    connection->received += length;
    for (; units < connection->received / SINK_UNIT; units++)
        bufferevent_write(connection->stream, ".", 1);
}

static void answer(struct connection *connection, const char *line, size_t length) {
    struct evbuffer *output = bufferevent_get_output(connection->stream);
    if (length == 12 && memcmp(line, "How are you?", 12) == 0)
        evbuffer_add(output, "Fine\r\n", 6);
    else
        evbuffer_add(output, "I don't know what you mean\r\n", 28);
}

static void join(struct connection *connection, const char *name, size_t length) {
    struct evbuffer *output = bufferevent_get_output(connection->stream);
    connection->prefix_length = length + 3;
    connection->prefix = resized(NULL, connection->prefix_length);
    connection->prefix[0] = '<';
    memcpy(connection->prefix + 1, name, length);
    memcpy(connection->prefix + 1 + length, "> ", 2);
    evbuffer_add(output, "Welcome, ", 9);
    evbuffer_add(output, name, length);
    evbuffer_add(output, "!\r\n", 3);
}

static void chat(struct connection *talker, const char *line, size_t length) {
    if (talker->prefix == NULL) {
        join(talker, line, length);
        return;
    }
    size_t message_length = talker->prefix_length + length + 2;
    char *message = resized(NULL, message_length);
    memcpy(message, talker->prefix, talker->prefix_length);
    memcpy(message + talker->prefix_length, line, length);
    memcpy(message + message_length - 2, "\r\n", 2);
    for (size_t at = 0; at < all_length; at++)
        if (all[at] != talker && all[at]->prefix != NULL)
            bufferevent_write(all[at]->stream, message, message_length);
    free(message);
}

/* Instead of `evbuffer_readln`, which allocates each line. */
static void each_line(struct connection *connection, struct evbuffer *input,
                      void (*call)(struct connection *, const char *, size_t)) {
    size_t have = evbuffer_get_length(input), used = 0;
    const char *data = (const char *)evbuffer_pullup(input, -1), *end;
    while ((end = memchr(data + used, '\n', have - used)) != NULL) {
        size_t length = (size_t)(end - data) - used;
        const char *line = data + used;
        used += length + 1;
        length -= length > 0 && line[length - 1] == '\r';
        call(connection, line, length);
    }
    evbuffer_drain(input, used);
}

static void broadcast(struct evbuffer *input) {
    size_t blocks = evbuffer_get_length(input);
    evbuffer_drain(input, blocks);
    for (; blocks > 0; blocks--)
        for (size_t at = 0; at < all_length; at++)
            evbuffer_add_reference(bufferevent_get_output(all[at]->stream), block, BLOCK_LEN, NULL,
                                   NULL);
}

static void on_read(struct bufferevent *stream, void *data);

static void on_drained(struct bufferevent *stream, void *data) {
    bufferevent_setwatermark(stream, EV_WRITE, 0, 0);
    bufferevent_setcb(stream, on_read, NULL, on_event, data);
    bufferevent_enable(stream, EV_READ);
}

static void on_read(struct bufferevent *stream, void *data) {
    struct connection *connection = data;
    struct evbuffer *input = bufferevent_get_input(stream);
    if (work == WORK_ECHO)
        bufferevent_write_buffer(stream, input);
    else if (work == WORK_LINES)
        each_line(connection, input, answer);
    else if (work == WORK_CHAT)
        each_line(connection, input, chat);
    else if (work == WORK_SINK)
        acknowledge(connection, input);
    else
        broadcast(input);
    /* What others say is kept. */
    if (work != WORK_CHAT && work != WORK_BROADCAST &&
        evbuffer_get_length(bufferevent_get_output(stream)) > UNSENT_MAX) {
        bufferevent_disable(stream, EV_READ);
        bufferevent_setwatermark(stream, EV_WRITE, UNSENT_MAX / 2, 0);
        bufferevent_setcb(stream, on_read, on_drained, on_event, data);
    }
}

static void on_connection(struct evconnlistener *port, evutil_socket_t fd,
                          struct sockaddr *address, int length, void *unused) {
    (void)port;
    (void)address;
    (void)length;
    (void)unused;
    struct bufferevent *stream = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (stream == NULL) {
        close(fd);
        return;
    }
    bufferevent_set_max_single_write(stream, WRITE_MAX);
    if (work == WORK_QUOTE) {
        bufferevent_write(stream, QUOTE, strlen(QUOTE));
        finish(stream);
        return;
    }
    struct connection *connection = resized(NULL, sizeof *connection);
    *connection = (struct connection){.stream = stream};
    enrol(connection);
    bufferevent_setcb(stream, on_read, NULL, on_event, connection);
    bufferevent_enable(stream, EV_READ);
    if (work == WORK_CHAT)
        bufferevent_write(stream, "What's your name?\r\n", 19);
}

static void resume(evutil_socket_t fd, short what, void *port) {
    (void)fd;
    (void)what;
    evconnlistener_enable(port);
}

/* Descriptors ran out: those who wait make the port readable all the time, so it rests. */
static void on_accept_failed(struct evconnlistener *port, void *unused) {
    struct timeval rest = {0, 100000};
    (void)unused;
    evconnlistener_disable(port);
    event_base_once(base, -1, EV_TIMEOUT, resume, port, &rest);
}

static void serve(void) {
    int yes = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    struct evconnlistener *port =
        evconnlistener_new_bind(base, on_connection, NULL, LEV_OPT_CLOSE_ON_FREE, 1024,
                                (struct sockaddr *)&address, sizeof address);
    if (port == NULL)
        die("listen");
    evconnlistener_set_error_cb(port, on_accept_failed);
    /* What is accepted inherits it. */
    if (setsockopt(evconnlistener_get_fd(port), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) < 0 ||
        getsockname(evconnlistener_get_fd(port), (struct sockaddr *)&address, &length) < 0)
        die("listen");
    printf("listening on 127.0.0.1:%u\n", ntohs(address.sin_port));
    fflush(stdout);
    event_base_dispatch(base);
}

static uint64_t random_state;

static uint64_t next_random(void) {
    random_state = random_state * 6364136223846793005 + 1442695040888963407;
    return random_state >> 33;
}

static double now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double resident(void) {
    char line[256];
    unsigned long kilobytes = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        sscanf(line, "VmRSS: %lu", &kilobytes);
    if (status != NULL)
        fclose(status);
    return (double)kilobytes * 1024;
}

static void on_timer(evutil_socket_t fd, short what, void *fired) {
    (void)fd;
    (void)what;
    ++*(uint64_t *)fired;
}

static void add_all(struct event **timers, uint64_t count, long base_s) {
    random_state = 1;
    for (uint64_t at = 0; at < count; at++) {
        long ms = (long)(next_random() % 60000);
        struct timeval due = {base_s + ms / 1000, ms % 1000 * 1000};
        event_add(timers[at], &due);
    }
}

/* A timer is the program's own memory: it counts among the bytes of a timer, and is still there
 * when all are deleted, as a deleted one can be added again. */
static void time_timers(uint64_t count) {
    struct event **timers = resized(NULL, count * sizeof *timers);
    uint64_t fired = 0;
    memset(timers, 1, count * sizeof *timers);
    double at_first = resident(), begin = now_ns();
    for (uint64_t at = 0; at < count; at++)
        timers[at] = evtimer_new(base, on_timer, &fired);
    add_all(timers, count, 10);
    double schedule = now_ns() - begin, scheduled = resident();
    begin = now_ns();
    add_all(timers, count, 10 + RESET_S);
    double reset = now_ns() - begin;
    begin = now_ns();
    for (uint64_t at = 0; at < count; at++)
        event_del(timers[at]);
    double cancel = now_ns() - begin, cancelled = resident();
    for (uint64_t at = 0; at < count; at++) {
        struct timeval due = {0, (long)(next_random() % 1000) * 1000};
        event_add(timers[at], &due);
    }
    usleep(ALL_DUE_MS * 1000);
    begin = now_ns();
    event_base_dispatch(base);
    double fire = now_ns() - begin, each = (double)count;
    if (fired != count)
        die("timers");
    printf("{\"count\":%llu,\"schedule\":%.1f,\"reset\":%.1f,\"cancel\":%.1f,\"fire\":%.1f,"
           "\"bytes_each\":%.1f,\"bytes_left\":%.1f}\n",
           (unsigned long long)count, schedule / each, reset / each, cancel / each, fire / each,
           (scheduled - at_first) / each, (cancelled - at_first) / each);
}

int main(int count, char **arguments) {
    static const char *const names[] = {"echo", "lines", "chat", "quote", "sink", "broadcast"};
    int known = sizeof names / sizeof *names, at = 0;
    struct event_config *config = event_config_new();
    signal(SIGPIPE, SIG_IGN);
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
    base = event_base_new_with_config(config);
    if (base == NULL)
        die("event_base_new_with_config");
    if (count > 2 && strcmp(arguments[1], "timers") == 0) {
        time_timers(strtoull(arguments[2], NULL, 10));
        return 0;
    }
    while (count > 1 && at < known && strcmp(arguments[1], names[at]) != 0)
        at++;
    if (count < 2 || at == known) {
        fprintf(stderr, "libevent serves echo, lines, chat, quote, sink and broadcast, no other\n");
        return 3;
    }
    work = (enum work)at;
    for (size_t byte = 0; byte < BLOCK_LEN; byte++)
        block[byte] = (char)((byte * 7 + byte / 256) % 256);
    serve();
}
