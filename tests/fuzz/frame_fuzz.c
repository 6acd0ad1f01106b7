/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as what a client sends: framing, decoding, dispatch, streams and events, behind a
 * socket, with a service in memory, because calls that decode are carried out. The first byte says
 * which socket it is and whether the connection is opened first. */
#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fake_service.h>
#include <server/server.h>
#include <wire/codec.h>

#include "fuzz.h"

#define INPUT_MAX 65536

enum { READ_ONLY = 1, OPEN_FIRST = 2 };

static CstWireServer *server;

static void start(void)
{
    CstWireOptions options;

    fake_reset();
    cst_wire_options_init(&options);
    options.max_streams = 4;
    server = cst_wire_server_new(fake_service(), &options, NULL);
    if (!server)
        abort();
}

static void send_all(int fd, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR) /* libFuzzer's clock */
            continue;
        if (n <= 0)
            return; /* dropped: its right */
        data += n;
        size -= (size_t)n;
    }
}

static void send_open(int fd)
{
    static const CstWireHeader header = {.program = WIRE_REMOTE_PROGRAM,
                                         .version = WIRE_VERSION,
                                         .procedure = WIRE_PROC_CONNECT_OPEN,
                                         .serial = 0xffff};
    g_autoptr(GByteArray) buf = g_byte_array_new();
    wire_open_args args = {0};

    if (!cst_wire_append(buf, &header, (xdrproc_t)xdr_wire_open_args, &args, NULL))
        abort();
    send_all(fd, buf->data, buf->len);
}

/* Until the server hangs up, which it does once it has read to the end. */
static void read_all(int fd)
{
    static uint8_t buf[65536];
    struct pollfd p = {.fd = fd, .events = POLLIN};

    for (;;) {
        int ready = poll(&p, 1, 5000);

        if (ready < 0 && errno == EINTR)
            continue;
        if (ready != 1)
            abort(); /* it hangs */
        if (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) <= 0)
            return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fds[2];

    if (size == 0 || size > INPUT_MAX)
        return 0;
    if (!server)
        start();
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        abort();
    cst_wire_server_adopt(server, fds[1], data[0] & READ_ONLY);
    if (data[0] & OPEN_FIRST)
        send_open(fds[0]);
    send_all(fds[0], data + 1, size - 1);
    shutdown(fds[0], SHUT_WR);
    read_all(fds[0]);
    close(fds[0]);
    return 0;
}
