/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * usage: bench-calls SOCKET POOL CONNECTIONS SECONDS
 *
 * Keeps one "pool info" call in flight on each of CONNECTIONS connections and prints how many were
 * answered per second and the longest and the mean wait in microseconds. With one connection it is
 * the probe that tells how long others wait while the server is busy.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    PROGRAM = 0x20008086,
    PROC_OPEN = 1,
    PROC_AUTH_LIST = 66,
    PROC_POOL_BY_NAME = 84,
    PROC_POOL_INFO = 87,
    HEADER = 28,
    BUFFER = 4096,
};

typedef struct {
    int fd;
    uint64_t sent;
    size_t have;
    unsigned char in[BUFFER];
} Link;

typedef struct {
    unsigned char data[BUFFER];
    size_t len;
} Frame;

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "bench-calls: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void put_word(Frame *frame, uint32_t word)
{
    word = htonl(word);
    memcpy(frame->data + frame->len, &word, sizeof(word));
    frame->len += sizeof(word);
}

static void put_string(Frame *frame, const char *text)
{
    size_t len = strlen(text);

    put_word(frame, (uint32_t)len);
    memset(frame->data + frame->len, 0, (len + 3) & ~(size_t)3);
    memcpy(frame->data + frame->len, text, len);
    frame->len += (len + 3) & ~(size_t)3;
}

static void begin(Frame *frame, uint32_t proc)
{
    const uint32_t words[] = {0, PROGRAM, 1, proc, 0, 1, 0};

    frame->len = 0;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        put_word(frame, words[i]);
}

static void seal(Frame *frame)
{
    uint32_t word = htonl((uint32_t)frame->len);

    memcpy(frame->data, &word, sizeof(word));
}

static uint32_t word_at(const unsigned char *data)
{
    uint32_t word;

    memcpy(&word, data, sizeof(word));
    return ntohl(word);
}

static void send_frame(int fd, const Frame *frame)
{
    if (write(fd, frame->data, frame->len) != (ssize_t)frame->len)
        die("write");
}

/** Reads until one whole packet is there; an error reply ends the program. */
static void receive(Link *link)
{
    while (link->have < 4 || link->have < word_at(link->in)) {
        ssize_t got = read(link->fd, link->in + link->have, sizeof(link->in) - link->have);

        if (got <= 0)
            die("read");
        link->have += (size_t)got;
    }
    if (word_at(link->in + 24) != 0) {
        fprintf(stderr, "bench-calls: the server answered with an error\n");
        exit(1);
    }
}

static void ask(Link *link, const Frame *frame)
{
    link->have = 0;
    send_frame(link->fd, frame);
    receive(link);
}

static void open_link(Link *link, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    Frame frame;

    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        die(path);
    }
    memcpy(address.sun_path, path, strlen(path));
    link->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (link->fd < 0 || connect(link->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        die(path);
    begin(&frame, PROC_AUTH_LIST);
    seal(&frame);
    ask(link, &frame);
    begin(&frame, PROC_OPEN);
    put_word(&frame, 1);
    put_string(&frame, "storage:///system");
    put_word(&frame, 0);
    seal(&frame);
    ask(link, &frame);
}

/** Leaves the ready-made "pool info" call of pool @name in @ret_call. */
static void look_up(Link *link, const char *name, Frame *ret_call)
{
    begin(ret_call, PROC_POOL_BY_NAME);
    put_string(ret_call, name);
    seal(ret_call);
    ask(link, ret_call);
    begin(ret_call, PROC_POOL_INFO);
    memcpy(ret_call->data + HEADER, link->in + HEADER, link->have - HEADER);
    ret_call->len = link->have;
    seal(ret_call);
}

static void send_timed(Link *link, const Frame *call)
{
    link->have = 0;
    link->sent = now_ns();
    send_frame(link->fd, call);
}

static void run(Link *links, size_t count, const Frame *call, double seconds)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    uint64_t begun = now_ns(), end = begun + (uint64_t)(seconds * 1e9);
    uint64_t calls = 0, worst = 0, total = 0;
    struct epoll_event events[64];

    for (size_t i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &links[i]};

        if (epoll_ctl(epoll, EPOLL_CTL_ADD, links[i].fd, &event) < 0)
            die("epoll_ctl");
        send_timed(&links[i], call);
    }
    while (now_ns() < end) {
        int ready = epoll_wait(epoll, events, 64, 1000);

        for (int i = 0; i < ready; i++) {
            Link *link = events[i].data.ptr;
            uint64_t wait;

            receive(link);
            wait = now_ns() - link->sent;
            worst = wait > worst ? wait : worst;
            total += wait;
            calls++;
            send_timed(link, call);
        }
    }
    printf("%.0f %.1f %.1f\n", (double)calls / ((double)(now_ns() - begun) / 1e9),
           (double)worst / 1e3, calls ? (double)total / (double)calls / 1e3 : 0.0);
    close(epoll);
}

int main(int argc, char **argv)
{
    size_t count = argc == 5 ? strtoul(argv[3], NULL, 10) : 0;
    Link *links;
    Frame call;

    if (count < 1 || count > 10000) {
        fprintf(stderr, "usage: bench-calls SOCKET POOL CONNECTIONS SECONDS\n");
        return 2;
    }
    links = calloc(count, sizeof(*links));
    if (!links)
        die("calloc");
    for (size_t i = 0; i < count; i++)
        open_link(&links[i], argv[1]);
    look_up(&links[0], argv[2], &call);
    run(links, count, &call, strtod(argv[4], NULL));
    for (size_t i = 0; i < count; i++)
        close(links[i].fd);
    free(links);
    return 0;
}
