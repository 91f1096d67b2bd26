/* The servers on libuv: streams, `uv_try_write` first and `uv_write` for what it leaves.
 *
 * `libuv WORKLOAD`, `libuv timers COUNT`. All connections read into one buffer, as libuv calls back
 * before it reads the next; in chat each message is written by itself, as libuv's users do, and
 * nothing gathers what a turn has to say to a member. */

#define _GNU_SOURCE
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define QUOTE "An apple a day keeps the doctor away\r\n"
#define BLOCK_LEN 65536
#define SINK_UNIT (1 << 20)
#define RESET_MS 60000
#define ALL_DUE_MS 1100

enum work { WORK_ECHO, WORK_LINES, WORK_CHAT, WORK_QUOTE, WORK_SINK, WORK_BROADCAST };

struct bytes {
    char *data;
    size_t length, capacity;
};

struct connection {
    uv_tcp_t handle;
    uv_shutdown_t shutdown;
    bool enrolled, named, resting;
    size_t index;
    struct bytes partial, prefix;
    uint64_t received;
};

/* What the socket did not take at once; the data follows, unless it is the block. */
struct rest {
    uv_write_t request;
    char data[];
};

static enum work work;
static uv_loop_t *loop;
static struct connection **all;
static size_t all_length, all_capacity;
static struct bytes replies;
static char buffer[65536], block[BLOCK_LEN];

static void die(const char *what, int error) {
    fprintf(stderr, "%s: %s\n", what, uv_strerror(error));
    exit(1);
}

static void *resized(void *memory, size_t size) {
    memory = realloc(memory, size);
    if (memory == NULL)
        die("realloc", UV_ENOMEM);
    return memory;
}

static void append(struct bytes *bytes, const void *data, size_t length) {
    if (bytes->capacity - bytes->length < length) {
        bytes->capacity = 2 * (bytes->length + length);
        bytes->data = resized(bytes->data, bytes->capacity);
    }
    memcpy(bytes->data + bytes->length, data, length);
    bytes->length += length;
}

static void enrol(struct connection *connection) {
    if (all_length == all_capacity) {
        all_capacity = 2 * all_capacity + 64;
        all = resized(all, all_capacity * sizeof *all);
    }
    connection->enrolled = true;
    connection->index = all_length;
    all[all_length++] = connection;
}

static void leave(struct connection *connection) {
    if (!connection->enrolled)
        return;
    connection->enrolled = false;
    struct connection *last = all[--all_length];
    all[connection->index] = last;
    last->index = connection->index;
}

static void on_closed(uv_handle_t *handle) {
    struct connection *connection = (struct connection *)handle;
    free(connection->partial.data);
    free(connection->prefix.data);
    free(connection);
}

static void close_connection(struct connection *connection) {
    leave(connection);
    if (!uv_is_closing((uv_handle_t *)connection))
        uv_close((uv_handle_t *)connection, on_closed);
}

static void on_shutdown(uv_shutdown_t *request, int status) {
    (void)status;
    close_connection((struct connection *)request->handle);
}

/* Ends a connection when what was written has gone. */
static void finish(struct connection *connection) {
    leave(connection);
    uv_stream_t *stream = (uv_stream_t *)connection;
    if (stream->write_queue_size == 0 ||
        uv_shutdown(&connection->shutdown, stream, on_shutdown) < 0)
        close_connection(connection);
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *into) {
    (void)handle;
    (void)suggested;
    *into = uv_buf_init(buffer, sizeof buffer);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *from);

static void on_written(uv_write_t *request, int status) {
    uv_stream_t *stream = request->handle;
    struct connection *connection = (struct connection *)stream;
    free(request);
    if (status < 0) {
        close_connection(connection);
    } else if (connection->resting && stream->write_queue_size == 0) {
        connection->resting = false;
        uv_read_start(stream, allocate, on_read);
    }
}

static void write_rest(struct connection *connection, const char *data, size_t length) {
    bool copies = work != WORK_BROADCAST;
    struct rest *rest = resized(NULL, sizeof *rest + (copies ? length : 0));
    uv_stream_t *stream = (uv_stream_t *)connection;
    uv_buf_t left = uv_buf_init((char *)data, (unsigned)length);
    if (copies)
        left.base = memcpy(rest->data, data, length);
    if (uv_write(&rest->request, stream, &left, 1, on_written) < 0) {
        free(rest);
        return;
    }
    /* One that does not read its own answers is not read either. What others say is kept. */
    connection->resting = work != WORK_CHAT && work != WORK_BROADCAST;
    if (connection->resting)
        uv_read_stop(stream);
}

/* A connection that failed says so when it is read, so no one leaves in the midst of a fan-out. */
static void say(struct connection *connection, const char *data, size_t length) {
    uv_buf_t whole = uv_buf_init((char *)data, (unsigned)length);
    int sent = uv_try_write((uv_stream_t *)connection, &whole, 1);
    if (sent < 0 && sent != UV_EAGAIN)
        return;
    sent = sent < 0 ? 0 : sent;
    if ((size_t)sent < length)
        write_rest(connection, data + sent, length - (size_t)sent);
}

typedef void on_line(struct connection *, const char *line, size_t length);

static void each_line(struct connection *connection, const char *data, size_t length,
                      on_line *call) {
    struct bytes *partial = &connection->partial;
    const char *end, *limit = data + length;
    while ((end = memchr(data, '\n', (size_t)(limit - data))) != NULL) {
        const char *line = data;
        size_t line_length = (size_t)(end - data);
        if (partial->length > 0) {
            append(partial, data, line_length);
            line = partial->data;
            line_length = partial->length;
        }
        line_length -= line_length > 0 && line[line_length - 1] == '\r';
        call(connection, line, line_length);
        partial->length = 0;
        data = end + 1;
    }
    if (data < limit)
        append(partial, data, (size_t)(limit - data));
}

static void answer(struct connection *connection, const char *line, size_t length) {
    (void)connection;
    if (length == 12 && memcmp(line, "How are you?", 12) == 0)
        append(&replies, "Fine\r\n", 6);
    else
        append(&replies, "I don't know what you mean\r\n", 28);
}

static void chat(struct connection *talker, const char *line, size_t length) {
    replies.length = 0;
    if (!talker->named) {
        talker->named = true;
        append(&talker->prefix, "<", 1);
        append(&talker->prefix, line, length);
        append(&talker->prefix, "> ", 2);
        append(&replies, "Welcome, ", 9);
        append(&replies, line, length);
        append(&replies, "!\r\n", 3);
        say(talker, replies.data, replies.length);
        return;
    }
    append(&replies, talker->prefix.data, talker->prefix.length);
    append(&replies, line, length);
    append(&replies, "\r\n", 2);
    for (size_t at = 0; at < all_length; at++)
        if (all[at] != talker && all[at]->named)
            say(all[at], replies.data, replies.length);
}

static void receive(struct connection *connection, size_t length) {
    uint64_t units = connection->received / SINK_UNIT;
    connection->received += length;
    replies.length = 0;
    if (work == WORK_ECHO) {
        say(connection, buffer, length);
    } else if (work == WORK_CHAT) {
        each_line(connection, buffer, length, chat);
    } else if (work == WORK_BROADCAST) {
        for (; length > 0; length--)
            for (size_t at = 0; at < all_length; at++)
                say(all[at], block, BLOCK_LEN);
    } else {
        if (work == WORK_LINES)
            each_line(connection, buffer, length, answer);
        for (; work == WORK_SINK && units < connection->received / SINK_UNIT; units++)
            append(&replies, ".", 1);
        if (replies.length > 0)
            say(connection, replies.data, replies.length);
    }
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *from) {
    struct connection *connection = (struct connection *)stream;
    (void)from;
    if (count > 0) {
        receive(connection, (size_t)count);
    } else if (count < 0) {
        if (count == UV_EOF)
            finish(connection);
        else
            close_connection(connection);
    }
}

static void on_connection(uv_stream_t *port, int status) {
    if (status < 0)
        return;
    struct connection *connection = resized(NULL, sizeof *connection);
    *connection = (struct connection){.index = 0};
    uv_stream_t *stream = (uv_stream_t *)connection;
    uv_tcp_init(loop, &connection->handle);
    if (uv_accept(port, stream) < 0) {
        close_connection(connection);
    } else if (work == WORK_QUOTE) {
        say(connection, QUOTE, strlen(QUOTE));
        finish(connection);
    } else {
        enrol(connection);
        uv_read_start(stream, allocate, on_read);
        if (work == WORK_CHAT)
            say(connection, "What's your name?\r\n", 19);
    }
}

static void serve(void) {
    uv_tcp_t port;
    struct sockaddr_in address;
    int length = sizeof address, error;
    uv_ip4_addr("127.0.0.1", 0, &address);
    if ((error = uv_tcp_init(loop, &port)) < 0 ||
        (error = uv_tcp_bind(&port, (struct sockaddr *)&address, 0)) < 0 ||
        /* What is accepted inherits it. */
        (error = uv_tcp_nodelay(&port, 1)) < 0 ||
        (error = uv_listen((uv_stream_t *)&port, 1024, on_connection)) < 0 ||
        (error = uv_tcp_getsockname(&port, (struct sockaddr *)&address, &length)) < 0)
        die("listen", error);
    printf("listening on 127.0.0.1:%u\n", ntohs(address.sin_port));
    fflush(stdout);
    uv_run(loop, UV_RUN_DEFAULT);
}

static uint64_t random_state;

static uint64_t next_random(void) {
    random_state = random_state * 6364136223846793005 + 1442695040888963407;
    return random_state >> 33;
}

static double resident(void) {
    size_t bytes = 0;
    uv_resident_set_memory(&bytes);
    return (double)bytes;
}

static void on_timer(uv_timer_t *timer) {
    ++*(uint64_t *)timer->data;
}

/* Returns the nanoseconds that it took for each timer. */
static double start_all(uv_timer_t **timers, uint64_t count, uint64_t base_ms) {
    random_state = 1;
    uv_update_time(loop);
    uint64_t begin = uv_hrtime();
    for (uint64_t at = 0; at < count; at++)
        uv_timer_start(timers[at], on_timer, base_ms + next_random() % 60000, 0);
    return (double)(uv_hrtime() - begin) / (double)count;
}

/* A timer is the program's own memory: it counts among the bytes of a timer, and is still there
 * when all are stopped, as a stopped one can be started again. */
static void time_timers(uint64_t count) {
    uv_timer_t **timers = resized(NULL, count * sizeof *timers);
    uint64_t fired = 0;
    memset(timers, 1, count * sizeof *timers);
    double at_first = resident();
    uint64_t begin = uv_hrtime();
    for (uint64_t at = 0; at < count; at++) {
        timers[at] = resized(NULL, sizeof *timers[at]);
        uv_timer_init(loop, timers[at]);
        timers[at]->data = &fired;
    }
    double schedule = (double)(uv_hrtime() - begin) / (double)count;
    schedule += start_all(timers, count, 10000);
    double scheduled = resident();
    double reset = start_all(timers, count, 10000 + RESET_MS);
    begin = uv_hrtime();
    for (uint64_t at = 0; at < count; at++)
        uv_timer_stop(timers[at]);
    double cancel = (double)(uv_hrtime() - begin) / (double)count;
    double cancelled = resident();
    uv_update_time(loop);
    for (uint64_t at = 0; at < count; at++)
        uv_timer_start(timers[at], on_timer, next_random() % 1000, 0);
    uv_sleep(ALL_DUE_MS);
    begin = uv_hrtime();
    uv_run(loop, UV_RUN_DEFAULT);
    double fire = (double)(uv_hrtime() - begin) / (double)count;
    if (fired != count)
        die("timers", UV_EINVAL);
    printf("{\"count\":%llu,\"schedule\":%.1f,\"reset\":%.1f,\"cancel\":%.1f,\"fire\":%.1f,"
           "\"bytes_each\":%.1f,\"bytes_left\":%.1f}\n",
           (unsigned long long)count, schedule, reset, cancel, fire,
           (scheduled - at_first) / (double)count, (cancelled - at_first) / (double)count);
}

int main(int count, char **arguments) {
    static const char *const names[] = {"echo", "lines", "chat", "quote", "sink", "broadcast"};
    int known = sizeof names / sizeof *names, at = 0;
    signal(SIGPIPE, SIG_IGN);
    loop = uv_default_loop();
    if (count > 2 && strcmp(arguments[1], "timers") == 0) {
        time_timers(strtoull(arguments[2], NULL, 10));
        return 0;
    }
    while (count > 1 && at < known && strcmp(arguments[1], names[at]) != 0)
        at++;
    if (count < 2 || at == known) {
        fprintf(stderr, "libuv serves echo, lines, chat, quote, sink and broadcast, no other\n");
        return 3;
    }
    work = (enum work)at;
    for (size_t byte = 0; byte < BLOCK_LEN; byte++)
        block[byte] = (char)((byte * 7 + byte / 256) % 256);
    serve();
}
