/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "points.h"

#include "probe.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "await.h"
#include "server.h"

#define PATIENCE_MS 60000

int bench_setup(void **state)
{
    Bench *bench = g_new0(Bench, 1);

    fake_reset();
    /* A reference or a table that is used after its end must not pass for a success. */
    g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
    cst_wire_options_init(&bench->options);
    bench->server = cst_wire_server_new(fake_service(), &bench->options, NULL);
    assert_non_null(bench->server);
    *state = bench;
    return 0;
}

int bench_teardown(void **state)
{
    Bench *bench = *state;

    fake_hold(&fake.hold_refresh, FALSE);
    fake_hold(&fake.hold_writes, FALSE);
    fake_hold(&fake.hold_reads, FALSE);
    fake_hold(&fake.hold_finish, FALSE);
    cst_wire_server_free(bench->server);
    g_free(bench);
    return 0;
}

void bench_restart(Bench *bench)
{
    cst_wire_server_free(bench->server);
    bench->server = cst_wire_server_new(fake_service(), &bench->options, NULL);
    assert_non_null(bench->server);
}

Probe probe_connect(Bench *bench, gboolean read_only)
{
    Probe probe = {.serial = 100};
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    probe.fd = fds[0];
    cst_wire_server_adopt(bench->server, fds[1], read_only);
    return probe;
}

static Probe connect_as(Bench *bench, uid_t uid, gid_t primary, const gid_t *others, size_t count,
                        gboolean read_only)
{
    Probe probe = {.serial = 100};
    int fds[2];

    if (geteuid() != 0)
        skip();
    assert_int_equal(setgroups(count, others), 0);
    assert_int_equal(setegid(primary), 0);
    assert_int_equal(seteuid(uid), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(setegid(0), 0);
    assert_int_equal(setgroups(0, NULL), 0);
    probe.fd = fds[0];
    cst_wire_server_adopt(bench->server, fds[1], read_only);
    return probe;
}

Probe probe_connect_as(Bench *bench, gid_t primary, const gid_t *others, size_t count,
                       gboolean read_only)
{
    return connect_as(bench, PROBE_STRANGER, primary, others, count, read_only);
}

static Probe opened(Probe probe)
{
    char text[] = "storage:///system", *name = text;
    wire_open_args args = {.name = &name};

    probe_call(&probe, WIRE_PROC_CONNECT_OPEN, XDR_OF(open_args), &args, NULL, NULL);
    return probe;
}

Probe probe_open(Bench *bench, gboolean read_only)
{
    return opened(probe_connect(bench, read_only));
}

Probe probe_open_stranger(Bench *bench, gboolean read_only)
{
    return opened(probe_connect_as(bench, PROBE_STRANGER, NULL, 0, read_only));
}

Probe probe_connect_uid(Bench *bench, uid_t uid)
{
    return connect_as(bench, uid, PROBE_STRANGER, NULL, 0, TRUE);
}

void probe_close(Probe *probe)
{
    close(probe->fd);
    probe->fd = -1;
}

void probe_write(Probe *probe, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;

    while (len > 0) {
        ssize_t n = send(probe->fd, p, len, MSG_NOSIGNAL);

        assert_true(n > 0);
        p += n;
        len -= (size_t)n;
    }
}

void probe_send(Probe *probe, uint32_t program, int procedure, xdrproc_t func, const void *args)
{
    g_autoptr(GByteArray) buf = g_byte_array_new();
    CstWireHeader header = {.program = program,
                            .version = WIRE_VERSION,
                            .procedure = procedure,
                            .type = WIRE_CALL,
                            .serial = ++probe->serial};

    assert_true(cst_wire_append(buf, &header, func, args, NULL));
    probe_write(probe, buf->data, buf->len);
}

void probe_stream(Probe *probe, int procedure, uint32_t serial, uint32_t type, uint32_t status,
                  const void *data, size_t len)
{
    g_autoptr(GByteArray) buf = g_byte_array_new();
    CstWireHeader header = {.program = WIRE_REMOTE_PROGRAM,
                            .version = WIRE_VERSION,
                            .procedure = procedure,
                            .type = type,
                            .serial = serial,
                            .status = status};

    cst_wire_append_raw(buf, &header, data, len);
    probe_write(probe, buf->data, buf->len);
}

static gboolean wait_readable(Probe *probe, int ms)
{
    struct pollfd p = {.fd = probe->fd, .events = POLLIN};

    return poll(&p, 1, ms) == 1;
}

static gboolean read_exactly(Probe *probe, uint8_t *buf, size_t len)
{
    while (len > 0) {
        ssize_t n;

        assert_true(wait_readable(probe, PATIENCE_MS));
        n = recv(probe->fd, buf, len, 0);
        if (n <= 0)
            return FALSE;
        buf += n;
        len -= (size_t)n;
    }
    return TRUE;
}

static gboolean read_packet(Probe *probe, Packet *ret)
{
    uint8_t word[4];

    if (!read_exactly(probe, word, 4))
        return FALSE;
    assert_true(cst_wire_packet_length(word, &ret->len, NULL));
    ret->bytes = g_malloc(ret->len);
    memcpy(ret->bytes, word, 4);
    assert_true(read_exactly(probe, ret->bytes + 4, ret->len - 4));
    cst_wire_header_read(ret->bytes, &ret->header);
    return TRUE;
}

Packet probe_read(Probe *probe)
{
    Packet packet = {0};

    assert_true(read_packet(probe, &packet));
    return packet;
}

Packet probe_reply(Probe *probe)
{
    Packet packet = probe_read(probe);

    while (packet.header.type == WIRE_MESSAGE) {
        packet_free(&packet);
        packet = probe_read(probe);
    }
    return packet;
}

typedef struct {
    Message message;
    gboolean stops_clock;
    GMutex lock;
    GCond cond;
    gboolean handled;
} Mark;

static void mark_handled(Loop *loop, Message *message)
{
    Mark *mark = (Mark *)message;

    /* The next tick is due a second after this. */
    if (mark->stops_clock)
        loop->ticked = G_MAXINT64 / 2;
    g_mutex_lock(&mark->lock);
    mark->handled = TRUE;
    g_cond_signal(&mark->cond);
    g_mutex_unlock(&mark->lock);
}

/* A message that is posted in one round of the loop is handled in the next one. */
static void await_round(Loop *loop, gboolean stops_clock)
{
    Mark mark = {.message.func = mark_handled, .stops_clock = stops_clock};

    g_mutex_init(&mark.lock);
    g_cond_init(&mark.cond);
    loop_post(loop, &mark.message);
    g_mutex_lock(&mark.lock);
    while (!mark.handled)
        g_cond_wait(&mark.cond, &mark.lock);
    g_mutex_unlock(&mark.lock);
    g_cond_clear(&mark.cond);
    g_mutex_clear(&mark.lock);
}

void bench_settle(Bench *bench)
{
    /* Accepting, adopting, reading and answering need a round each. */
    for (int round = 0; round < 6; round++)
        for (guint i = 0; i < bench->server->n_loops; i++)
            await_round(bench->server->loops[i], FALSE);
}

void bench_stop_clock(Bench *bench)
{
    for (guint i = 0; i < bench->server->n_loops; i++)
        await_round(bench->server->loops[i], TRUE);
}

void bench_await_clients(Bench *bench, guint clients)
{
    AWAIT_STATE(cst_wire_server_clients(bench->server) == clients, "%u clients instead of %u",
                cst_wire_server_clients(bench->server), clients);
}

gboolean bench_is_idle(Bench *bench)
{
    bench_settle(bench);
    for (guint i = 0; i < bench->server->n_loops; i++) {
        struct pollfd events = {.fd = bench->server->loops[i]->epoll_fd, .events = POLLIN};

        if (poll(&events, 1, 0) != 0)
            return FALSE;
    }
    return TRUE;
}

gboolean probe_is_silent(Bench *bench, Probe *probe)
{
    bench_settle(bench);
    return !wait_readable(probe, 0);
}

gboolean probe_is_silent_for(Bench *bench, Probe *probe, guint ticks)
{
    point_watch("clients.tick.done");
    point_await("clients.tick.done", ticks);
    points_clear();
    return probe_is_silent(bench, probe);
}

void probe_assert_dropped(Probe *probe)
{
    Packet packet = {0};

    while (read_packet(probe, &packet))
        packet_free(&packet);
}

void packet_free(Packet *packet)
{
    g_clear_pointer(&packet->bytes, g_free);
}

char *packet_error(const Packet *packet, int code)
{
    wire_error wire = {0};
    char *text;

    assert_int_equal(packet->header.status, WIRE_ERROR);
    assert_true(cst_wire_payload_decode(packet->bytes, packet->len, XDR_OF(error), &wire, NULL));
    text = g_strdup(*wire.message);
    if (wire.code != code)
        fail_msg("code %d instead of %d: %s", wire.code, code, text);
    xdr_free(XDR_OF(error), (char *)&wire);
    return text;
}

void probe_call(Probe *probe, int procedure, xdrproc_t func, const void *args, xdrproc_t ret_func,
                void *ret)
{
    Packet packet;

    probe_send(probe, WIRE_REMOTE_PROGRAM, procedure, func, args);
    packet = probe_reply(probe);
    assert_int_equal(packet.header.type, WIRE_REPLY);
    assert_int_equal(packet.header.serial, probe->serial);
    assert_int_equal(packet.header.procedure, procedure);
    if (packet.header.status != WIRE_OK) {
        g_autoptr(GError) error = NULL;

        cst_wire_error_decode(packet.bytes, packet.len, &error);
        fail_msg("procedure %d: %s", procedure, error->message);
    }
    if (ret_func)
        assert_true(cst_wire_payload_decode(packet.bytes, packet.len, ret_func, ret, NULL));
    packet_free(&packet);
}

char *probe_call_error(Probe *probe, int procedure, xdrproc_t func, const void *args, int code)
{
    Packet packet;
    char *text;

    probe_send(probe, WIRE_REMOTE_PROGRAM, procedure, func, args);
    packet = probe_reply(probe);
    assert_int_equal(packet.header.serial, probe->serial);
    text = packet_error(&packet, code);
    packet_free(&packet);
    return text;
}

wire_pool probe_pool(const char *name)
{
    wire_pool pool = {.name = (char *)name};

    memcpy(pool.uuid, fake_uuid(name)->bytes, sizeof(pool.uuid));
    return pool;
}

wire_vol probe_vol(const char *name)
{
    static char pool[] = "images", key[] = "";

    return (wire_vol){.pool = pool, .name = (char *)name, .key = key};
}
