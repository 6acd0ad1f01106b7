/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A server that runs a script in its own thread, over one end of a socket. Its failures end the
 * test by g_assert().
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <wire/codec.h>

typedef void (*FakeScript)(int fd, gpointer data);

typedef struct {
    GThread *thread;
    FakeScript script;
    gpointer data;
    int fd;
    int listener; /* -1: fd is connected already */
    char *dir, *path;
} FakeServer;

typedef struct {
    CstWireHeader header;
    uint8_t *bytes;
    size_t len;
} FakePacket;

static inline gboolean fake_read_full(int fd, void *buf, size_t len)
{
    uint8_t *p = buf;

    while (len > 0) {
        ssize_t n = read(fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return FALSE;
        p += n;
        len -= n;
    }
    return TRUE;
}

static inline void fake_write(int fd, const void *buf, size_t len)
{
    const uint8_t *p = buf;

    while (len > 0) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

        if (n < 0)
            return;
        p += n;
        len -= n;
    }
}

/* FALSE at the end of the connection. */
static inline gboolean fake_read(int fd, FakePacket *packet)
{
    uint8_t word[4];

    if (!fake_read_full(fd, word, sizeof(word)))
        return FALSE;
    g_assert_true(cst_wire_packet_length(word, &packet->len, NULL));
    packet->bytes = g_malloc(packet->len);
    memcpy(packet->bytes, word, sizeof(word));
    if (!fake_read_full(fd, packet->bytes + 4, packet->len - 4)) {
        g_free(packet->bytes);
        return FALSE;
    }
    cst_wire_header_read(packet->bytes, &packet->header);
    return TRUE;
}

static inline void fake_packet_clear(FakePacket *packet)
{
    g_free(packet->bytes);
    packet->bytes = NULL;
}

/* Reads one packet, which must be of @procedure. Returns its header, the base of an answer. */
static inline CstWireHeader fake_expect(int fd, int procedure)
{
    FakePacket packet;

    g_assert_true(fake_read(fd, &packet));
    g_assert_cmpint(packet.header.procedure, ==, procedure);
    fake_packet_clear(&packet);
    return packet.header;
}

static inline void fake_send(int fd, const CstWireHeader *header, gpointer func, const void *args)
{
    g_autoptr(GByteArray) buf = g_byte_array_new();

    g_assert_true(cst_wire_append(buf, header, (xdrproc_t)func, args, NULL));
    fake_write(fd, buf->data, buf->len);
}

static inline void fake_send_raw(int fd, CstWireHeader header, uint32_t type, uint32_t status,
                                 const void *payload, size_t len)
{
    g_autoptr(GByteArray) buf = g_byte_array_new();

    header.type = type;
    header.status = status;
    cst_wire_append_raw(buf, &header, payload, len);
    fake_write(fd, buf->data, buf->len);
}

static inline void fake_reply(int fd, CstWireHeader call, gpointer func, const void *ret)
{
    call.type = WIRE_REPLY;
    call.status = WIRE_OK;
    fake_send(fd, &call, func, ret);
}

static inline void fake_reply_error(int fd, CstWireHeader call, int code, const char *message)
{
    char *text = (char *)message;
    wire_error error = {.code = code, .message = &text, .level = 2, .int1 = -1, .int2 = -1};

    call.type = WIRE_REPLY;
    call.status = WIRE_ERROR;
    fake_send(fd, &call, xdr_wire_error, &error);
}

static inline gpointer fake_main(gpointer data)
{
    FakeServer *server = data;

    if (server->listener >= 0)
        server->fd = accept(server->listener, NULL, NULL);
    if (server->fd >= 0)
        server->script(server->fd, server->data);
    close(server->fd);
    return NULL;
}

/* Gives the client's end. */
static inline int fake_start(FakeServer *server, FakeScript script, gpointer data)
{
    int pair[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
    *server = (FakeServer){.script = script, .data = data, .fd = pair[1], .listener = -1};
    server->thread = g_thread_new("fake", fake_main, server);
    return pair[0];
}

/* Accepts one connection at server->path. */
static inline void fake_listen(FakeServer *server, FakeScript script, gpointer data)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    *server = (FakeServer){.script = script, .data = data, .fd = -1};
    server->dir = g_dir_make_tmp("cst-fake-XXXXXX", NULL);
    g_assert_nonnull(server->dir);
    server->path = g_build_filename(server->dir, "sock", NULL);
    g_strlcpy(address.sun_path, server->path, sizeof(address.sun_path));
    server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(server->listener, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    g_assert_cmpint(listen(server->listener, 1), ==, 0);
    server->thread = g_thread_new("fake", fake_main, server);
}

static inline void fake_stop(FakeServer *server)
{
    g_thread_join(server->thread);
    if (server->listener >= 0) {
        close(server->listener);
        unlink(server->path);
        rmdir(server->dir);
    }
    g_free(server->path);
    g_free(server->dir);
}
