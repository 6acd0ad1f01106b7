/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <server/server.h>
#include <wire/codec.h>

#include "fake_service.h"

/**
 * A raw client over a socket pair to a server of the fake service. It writes any bytes and reads
 * whole packets. Each error fails the test.
 */
typedef struct {
    CstWireServer *server;
    CstWireOptions options;
} Bench;

typedef struct {
    int fd;
    uint32_t serial; /**< of the last call */
} Probe;

typedef struct {
    CstWireHeader header;
    uint8_t *bytes; /**< the whole packet */
    size_t len;
} Packet;

/** Fake reset, server with the default options. */
int bench_setup(void **state);
int bench_teardown(void **state);
/** Restarts the server with bench->options. */
void bench_restart(Bench *bench);

Probe probe_connect(Bench *bench, gboolean read_only);
/**
 * Connects as user PROBE_STRANGER in the given groups. The kernel records the creator of a socket
 * pair, so a test that runs as root can connect as any user. Without root the test is skipped.
 */
#define PROBE_STRANGER 65534
Probe probe_connect_as(Bench *bench, gid_t primary, const gid_t *others, size_t count,
                       gboolean read_only);
/** The same as user @uid, for reading. */
Probe probe_connect_uid(Bench *bench, uid_t uid);
/** Connected, and CONNECT_OPEN done. */
Probe probe_open(Bench *bench, gboolean read_only);
/** The same, as an untrusted user with only its own group (PROBE_STRANGER). */
Probe probe_open_stranger(Bench *bench, gboolean read_only);
void probe_close(Probe *probe);

void probe_write(Probe *probe, const void *bytes, size_t len);
/** Sends one call; its serial is in probe->serial. */
void probe_send(Probe *probe, uint32_t program, int procedure, xdrproc_t func, const void *args);
void probe_stream(Probe *probe, int procedure, uint32_t serial, uint32_t type, uint32_t status,
                  const void *data, size_t len);
/** The next packet, within 10 s; free it. */
Packet probe_read(Probe *probe);
/** The next packet that is not a MESSAGE. */
Packet probe_reply(Probe *probe);
/**
 * Waits until the server's loops have processed all received data and have sent all replies. Calls
 * and stream pieces at the workers are not waited for.
 */
void bench_settle(Bench *bench);
/**
 * Stops the periodic check of clients. Waiting work must then be started by its own event.
 */
void bench_stop_clock(Bench *bench);
/** Waits until so many clients are connected. */
void bench_await_clients(Bench *bench, guint clients);
/**
 * Whether the loops have no event after bench_settle(): an event of a socket that is watched and
 * not read would wake them again and again.
 */
gboolean bench_is_idle(Bench *bench);
/** Whether no byte has come for @probe after bench_settle(). */
gboolean probe_is_silent(Bench *bench, Probe *probe);
/** The same after the server has checked its clients @ticks more times. */
gboolean probe_is_silent_for(Bench *bench, Probe *probe, guint ticks);
/** Asserts that the server has hung up, possibly after earlier data. */
void probe_assert_dropped(Probe *probe);
void packet_free(Packet *packet);

/** Call and reply; fails unless the status is OK. @ret zeroed, of @ret_func; both may be NULL. */
void probe_call(Probe *probe, int procedure, xdrproc_t func, const void *args, xdrproc_t ret_func,
                void *ret);
/** The reply must be an error with libvirt's @code; returns the sentence, free it. */
char *packet_error(const Packet *packet, int code);
char *probe_call_error(Probe *probe, int procedure, xdrproc_t func, const void *args, int code);

#define XDR_OF(name) ((xdrproc_t)xdr_wire_##name)

/** Name for the wire; the strings are static. */
wire_pool probe_pool(const char *name);
wire_vol probe_vol(const char *name);
