/* The yardstick in C: servers on bare epoll, as an expert would write them for one purpose each.
 *
 * `epoll [--hold] WORKLOAD`. One registration for both directions and edges for the connection's
 * life, one shared 64 KiB buffer, a short read ends the reading unless the peer has closed, one
 * write for all that a read or a turn has to say, no-delay inherited from the port. A connection
 * is read until it is empty: nothing is fair. With `--hold` a fan-out in chat waits for more. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define QUOTE "An apple a day keeps the doctor away\r\n"
#define BLOCK_LEN 65536
#define SINK_UNIT (1 << 20)
#define KEPT_MAX 16384 /* An empty out-buffer above this is given back. */
#define FAN_OUT 16
#define FAN_OUT_POLLS 4
#define FAN_OUT_WAIT_NS 1000000

enum work { WORK_ECHO, WORK_LINES, WORK_CHAT, WORK_QUOTE, WORK_SINK, WORK_BROADCAST };

struct bytes {
    char *data;
    size_t start, end, capacity;
};

struct connection {
    int fd;
    bool named, dirty, blocked, unread, ended, closed;
    size_t index;
    struct bytes unsent, partial, prefix;
    /* Of a sink: bytes received. Of a broadcast: bytes of blocks that are owed and sent. */
    uint64_t count, owed;
};

struct list {
    struct connection **items;
    size_t length, capacity;
};

static enum work work;
static bool holds;
static int epoll_fd, port_fd;
/* True if descriptors ran out: the port reports no edge for those who wait already. */
static bool starved;
static struct list all, dirty, closed;
static struct bytes replies;
static char buffer[65536], block[BLOCK_LEN];

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void *resized(void *memory, size_t size) {
    if ((memory = realloc(memory, size)) == NULL)
        die("realloc");
    return memory;
}

static void push(struct list *list, struct connection *connection) {
    if (list->length == list->capacity) {
        list->capacity = 2 * list->capacity + 64;
        list->items = resized(list->items, list->capacity * sizeof *list->items);
    }
    list->items[list->length++] = connection;
}

static void append(struct bytes *bytes, const void *data, size_t length) {
    if (bytes->capacity - bytes->end < length) {
        bytes->end -= bytes->start;
        if (bytes->start > 0)
            memmove(bytes->data, bytes->data + bytes->start, bytes->end);
        bytes->start = 0;
        if (bytes->capacity < 2 * (bytes->end + length)) {
            bytes->capacity = 2 * (bytes->end + length);
            bytes->data = resized(bytes->data, bytes->capacity);
        }
    }
    memcpy(bytes->data + bytes->end, data, length);
    bytes->end += length;
}

static void clear(struct bytes *bytes) {
    bytes->start = bytes->end = 0;
    if (bytes->capacity > KEPT_MAX) {
        free(bytes->data);
        bytes->data = NULL;
        bytes->capacity = 0;
    }
}

/* Frees at the end of the turn: a later event of the same wait may still point here. */
static void close_connection(struct connection *connection) {
    if (connection->closed)
        return;
    connection->closed = true;
    close(connection->fd);
    struct connection *last = all.items[--all.length];
    all.items[connection->index] = last;
    last->index = connection->index;
    push(&closed, connection);
}

static void touch(struct connection *connection) {
    if (!connection->dirty) {
        connection->dirty = true;
        push(&dirty, connection);
    }
}

/* Returns how much the socket took. A failure is no different from a full socket here: its event
 * is on the way. */
static size_t offer(struct connection *connection, const char *data, size_t length) {
    if (connection->blocked)
        return 0;
    ssize_t sent = send(connection->fd, data, length, MSG_NOSIGNAL);
    connection->blocked = sent < (ssize_t)length;
    return sent > 0 ? (size_t)sent : 0;
}

static void say(struct connection *connection, const char *data, size_t length) {
    bool first = connection->unsent.start == connection->unsent.end;
    size_t sent = first ? offer(connection, data, length) : 0;
    if (sent < length)
        append(&connection->unsent, data + sent, length - sent);
}

static void flush(struct connection *connection) {
    struct bytes *unsent = &connection->unsent;
    while (connection->count < connection->owed && !connection->blocked) {
        size_t at = connection->count % BLOCK_LEN;
        connection->count += offer(connection, block + at, BLOCK_LEN - at);
    }
    if (unsent->start < unsent->end) {
        size_t length = unsent->end - unsent->start;
        unsent->start += offer(connection, unsent->data + unsent->start, length);
        if (unsent->start == unsent->end)
            clear(unsent);
    }
    if (connection->ended && !connection->blocked)
        close_connection(connection);
}

typedef void on_line(struct connection *, const char *line, size_t length);

static void each_line(struct connection *connection, const char *data, size_t length,
                      on_line *call) {
    struct bytes *partial = &connection->partial;
    const char *end, *limit = data + length;
    while ((end = memchr(data, '\n', (size_t)(limit - data))) != NULL) {
        const char *line = data;
        size_t line_length = (size_t)(end - data);
        if (partial->end > 0) {
            append(partial, data, line_length);
            line = partial->data;
            line_length = partial->end;
        }
        line_length -= line_length > 0 && line[line_length - 1] == '\r';
        call(connection, line, line_length);
        clear(partial);
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

static void say_in_turn(struct connection *connection, const char *data, size_t length) {
    append(&connection->unsent, data, length);
    touch(connection);
}

static void chat(struct connection *talker, const char *line, size_t length) {
    if (!talker->named) {
        talker->named = true;
        append(&talker->prefix, "<", 1);
        append(&talker->prefix, line, length);
        append(&talker->prefix, "> ", 2);
        say_in_turn(talker, "Welcome, ", 9);
        say_in_turn(talker, line, length);
        say_in_turn(talker, "!\r\n", 3);
        return;
    }
    append(&replies, talker->prefix.data, talker->prefix.end);
    append(&replies, line, length);
    append(&replies, "\r\n", 2);
    for (size_t at = 0; at < all.length; at++) {
        struct connection *member = all.items[at];
        if (member != talker && member->named && !member->ended)
            say_in_turn(member, replies.data, replies.end);
    }
    replies.end = 0;
}

static void acknowledge(struct connection *connection, size_t length) {
    uint64_t before = connection->count / SINK_UNIT;
    connection->count += length;
    for (uint64_t dots = connection->count / SINK_UNIT - before; dots > 0; dots--)
        append(&replies, ".", 1);
}

static void owe_all(size_t blocks) {
    for (size_t at = 0; at < all.length; at++) {
        all.items[at]->owed += blocks * BLOCK_LEN;
        touch(all.items[at]);
    }
}

static void receive(struct connection *connection, size_t length) {
    if (work == WORK_ECHO)
        say(connection, buffer, length);
    else if (work == WORK_LINES)
        each_line(connection, buffer, length, answer);
    else if (work == WORK_CHAT)
        each_line(connection, buffer, length, chat);
    else if (work == WORK_SINK)
        acknowledge(connection, length);
    else
        owe_all(length);
    if (replies.end > 0)
        say(connection, replies.data, replies.end);
    replies.end = 0;
}

static void read_all(struct connection *connection, bool peer_closed) {
    while (!connection->ended && !connection->closed) {
        /* One that does not read its own answers is not read either. What others say is kept. */
        connection->unread = connection->blocked && work != WORK_CHAT && work != WORK_BROADCAST;
        if (connection->unread)
            return;
        ssize_t count = recv(connection->fd, buffer, sizeof buffer, 0);
        if (count > 0) {
            receive(connection, (size_t)count);
            if ((size_t)count < sizeof buffer && !peer_closed)
                return;
        } else if (count == 0) {
            /* Closed when what is unsent has gone. */
            connection->ended = true;
            touch(connection);
        } else {
            if (errno != EAGAIN)
                close_connection(connection);
            return;
        }
    }
}

static void watch(int fd, uint32_t events, void *connection) {
    struct epoll_event event = {events, {.ptr = connection}};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        die("epoll_ctl");
}

static void begin(int fd) {
    struct connection *connection = resized(NULL, sizeof *connection);
    *connection = (struct connection){.fd = fd, .index = all.length};
    push(&all, connection);
    watch(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, connection);
    if (work == WORK_CHAT)
        say(connection, "What's your name?\r\n", 19);
}

static void accept_all(void) {
    for (;;) {
        int fd = accept4(port_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0 && work == WORK_QUOTE) {
            (void)!send(fd, QUOTE, strlen(QUOTE), MSG_NOSIGNAL);
            close(fd);
        } else if (fd >= 0) {
            begin(fd);
        } else if (errno != ECONNABORTED) {
            starved = errno != EAGAIN;
            return;
        }
    }
}

static void serve(struct connection *connection, uint32_t events) {
    bool gone = events & (EPOLLERR | EPOLLHUP);
    if (events & (EPOLLIN | EPOLLRDHUP) || gone)
        read_all(connection, events & EPOLLRDHUP || gone);
    if (gone)
        close_connection(connection);
    if (events & EPOLLOUT && connection->blocked && !connection->closed) {
        connection->blocked = false;
        flush(connection);
        /* Whether the peer closed while nothing was read is unknown by now. */
        if (connection->unread)
            read_all(connection, true);
    }
}

/* True while a fan-out waits for more to say to the same members: for four polls that find
 * nothing, none of which sleeps, and a millisecond at most. */
static bool waits(int found) {
    static int empty;
    static int64_t since;
    if (!holds || dirty.length <= FAN_OUT) {
        since = 0;
        return false;
    }
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t at = now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
    empty = since == 0 ? 0 : empty + (found == 0);
    since = since == 0 ? at : since;
    if (empty < FAN_OUT_POLLS && at - since < FAN_OUT_WAIT_NS)
        return true;
    since = 0;
    return false;
}

static void end_turn(void) {
    for (size_t at = 0; at < dirty.length; at++) {
        dirty.items[at]->dirty = false;
        if (!dirty.items[at]->closed)
            flush(dirty.items[at]);
    }
    dirty.length = 0;
    if (starved && closed.length > 0)
        accept_all();
    for (size_t at = 0; at < closed.length; at++) {
        free(closed.items[at]->unsent.data);
        free(closed.items[at]->partial.data);
        free(closed.items[at]->prefix.data);
        free(closed.items[at]);
    }
    closed.length = 0;
}

static void run(void) {
    struct epoll_event events[1024];
    bool waiting = false;
    for (;;) {
        int found = epoll_wait(epoll_fd, events, 1024, waiting ? 0 : -1);
        for (int at = 0; at < found; at++) {
            if (events[at].data.ptr == NULL)
                accept_all();
            else
                serve(events[at].data.ptr, events[at].events);
        }
        waiting = waits(found);
        if (!waiting)
            end_turn();
    }
}

static void listen_and_announce(void) {
    int yes = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    port_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (port_fd < 0 || epoll_fd < 0 ||
        setsockopt(port_fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) < 0 ||
        bind(port_fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(port_fd, 1024) < 0 ||
        getsockname(port_fd, (struct sockaddr *)&address, &length) < 0)
        die("listen");
    watch(port_fd, EPOLLIN | EPOLLET, NULL);
    printf("listening on 127.0.0.1:%u\n", ntohs(address.sin_port));
    fflush(stdout);
}

int main(int count, char **arguments) {
    static const char *const names[] = {"echo", "lines", "chat", "quote", "sink", "broadcast"};
    int known = sizeof names / sizeof *names, at = 0;
    int hold_at = count > 2 && strcmp(arguments[1], "--hold") == 0 ? 1 : 2;
    const char *name = count > 1 ? arguments[3 - hold_at] : "";
    while (at < known && strcmp(name, names[at]) != 0)
        at++;
    if (at == known) {
        fprintf(stderr, "epoll serves echo, lines, chat, quote, sink and broadcast, no other\n");
        return 3;
    }
    work = (enum work)at;
    holds = work == WORK_CHAT && count > 2 && strcmp(arguments[hold_at], "--hold") == 0;
    for (size_t byte = 0; byte < BLOCK_LEN; byte++)
        block[byte] = (char)((byte * 7 + byte / 256) % 256);
    listen_and_announce();
    run();
}
