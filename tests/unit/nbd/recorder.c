/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "recorder.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/error.h>

/* --- the blob --------------------------------------------------------------------------------- */

/* Records a call of @operation, holds it, and makes it fail. FALSE: it fails. */
static gboolean recorder_call(CstBlob *blob, const char *operation, GError **error)
{
    Recorder *recorder = (Recorder *)blob;
    gboolean fails;
    guint number;
    int code;

    g_mutex_lock(&recorder->lock);
    number = ++recorder->entered;
    g_string_append_printf(recorder->log, "%s ", operation);
    g_cond_broadcast(&recorder->changed);
    while (number > recorder->allowed)
        g_cond_wait(&recorder->changed, &recorder->lock);
    if (recorder->client >= 0)
        recorder->early |= nbd_client_has_bytes(recorder->client);
    fails = g_strcmp0(recorder->failing, operation) == 0;
    code = recorder->code;
    g_mutex_unlock(&recorder->lock);
    return !fails || cst_fail(error, code, "cannot %s", operation);
}

static void count_reading(Recorder *recorder, int64_t bytes)
{
    g_mutex_lock(&recorder->lock);
    recorder->reading += (uint64_t)bytes;
    recorder->most = MAX(recorder->most, recorder->reading);
    g_mutex_unlock(&recorder->lock);
}

static gboolean recorder_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset,
                               GError **error)
{
    gboolean ok;

    count_reading((Recorder *)blob, (int64_t)len);
    ok = recorder_call(blob, "read", error);
    if (ok)
        memset(buf, 'r', len);
    count_reading((Recorder *)blob, -(int64_t)len);
    return ok;
}

static gboolean recorder_get_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    *ret_size = RECORDER_SIZE;
    return TRUE;
}

static gboolean recorder_pwrite(CstBlob *blob, const void *buf, size_t len, uint64_t offset,
                                GError **error)
{
    return recorder_call(blob, "write", error);
}

static gboolean recorder_flush(CstBlob *blob, GError **error)
{
    return recorder_call(blob, "flush", error);
}

static gboolean recorder_zero(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                              GError **error)
{
    return recorder_call(blob, "zero", error);
}

static gboolean recorder_discard(CstBlob *blob, uint64_t offset, uint64_t length, GError **error)
{
    return recorder_call(blob, "discard", error);
}

static void recorder_close(CstBlob *blob)
{
    Recorder *recorder = (Recorder *)blob;

    g_string_free(recorder->log, TRUE);
    g_cond_clear(&recorder->changed);
    g_mutex_clear(&recorder->lock);
    g_free(recorder);
}

Recorder *recorder_new(void)
{
    static const CstBlobOps ops = {
        .kind = "recorder",
        .pread = recorder_pread,
        .get_size = recorder_get_size,
        .close = recorder_close,
        .pwrite = recorder_pwrite,
        .flush = recorder_flush,
        .zero = recorder_zero,
        .discard = recorder_discard,
    };
    Recorder *recorder = g_new0(Recorder, 1);

    cst_blob_init(&recorder->base, &ops, "recorder", TRUE);
    g_mutex_init(&recorder->lock);
    g_cond_init(&recorder->changed);
    recorder->log = g_string_new(NULL);
    recorder->allowed = G_MAXUINT;
    recorder->client = -1;
    return recorder;
}

void recorder_free(Recorder *recorder)
{
    assert_int_equal(recorder->base.refs, 1);
    cst_blob_unref(&recorder->base);
}

static void set_allowed(Recorder *recorder, guint allowed)
{
    recorder->allowed = allowed;
    g_cond_broadcast(&recorder->changed);
}

void recorder_hold(Recorder *recorder)
{
    g_mutex_lock(&recorder->lock);
    set_allowed(recorder, recorder->entered);
    g_mutex_unlock(&recorder->lock);
}

void recorder_let(Recorder *recorder, guint count)
{
    g_mutex_lock(&recorder->lock);
    set_allowed(recorder, recorder->allowed + count);
    g_mutex_unlock(&recorder->lock);
}

void recorder_let_all(Recorder *recorder)
{
    g_mutex_lock(&recorder->lock);
    set_allowed(recorder, G_MAXUINT);
    g_mutex_unlock(&recorder->lock);
}

void recorder_await(Recorder *recorder, guint count)
{
    gint64 end = g_get_monotonic_time() + NBD_LIMIT_S * G_TIME_SPAN_SECOND;

    g_mutex_lock(&recorder->lock);
    while (recorder->entered < count)
        if (!g_cond_wait_until(&recorder->changed, &recorder->lock, end))
            g_error("%u calls were awaited at the blob, %u have come: %s", count, recorder->entered,
                    recorder->log->str);
    g_mutex_unlock(&recorder->lock);
}

void recorder_expect(Recorder *recorder, const char *expected)
{
    g_autofree char *log = NULL;
    gboolean early;

    g_mutex_lock(&recorder->lock);
    log = g_strdup(recorder->log->str);
    early = recorder->early;
    g_string_set_size(recorder->log, 0);
    g_mutex_unlock(&recorder->lock);
    assert_string_equal(log, expected);
    assert_false(early);
}

uint64_t recorder_most_bytes(Recorder *recorder)
{
    uint64_t most;

    g_mutex_lock(&recorder->lock);
    most = recorder->most;
    g_mutex_unlock(&recorder->lock);
    return most;
}

void recorder_fail(Recorder *recorder, const char *operation, int code)
{
    g_mutex_lock(&recorder->lock);
    recorder->failing = operation;
    recorder->code = code;
    g_mutex_unlock(&recorder->lock);
}

/* --- the client ------------------------------------------------------------------------------- */

void nbd_client_init(int fd)
{
    const struct timeval limit = {.tv_sec = NBD_LIMIT_S};

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)), 0);
}

static void send_all(int fd, const void *data, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t sent = send(fd, (const uint8_t *)data + done, len - done, MSG_NOSIGNAL);

        assert_true(sent > 0);
        done += (size_t)sent;
    }
}

void nbd_client_ask(int fd, uint16_t type, uint16_t flags, uint64_t handle, uint64_t from,
                    uint32_t len, const void *data)
{
    uint8_t head[NBD_REQUEST_LEN], *at = nbd_put32(head, NBD_REQUEST_MAGIC);

    at = nbd_put16(nbd_put16(at, flags), type);
    nbd_put32(nbd_put64(nbd_put64(at, handle), from), len);
    send_all(fd, head, sizeof(head));
    if (data)
        send_all(fd, data, len);
}

void nbd_client_take(int fd, void *data, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t got = recv(fd, (uint8_t *)data + done, len - done, 0);

        if (got <= 0)
            fail_msg("%zu of %zu bytes came: %s", done, len,
                     got == 0 ? "the server has hung up" : g_strerror(errno));
        done += (size_t)got;
    }
}

uint32_t nbd_client_reply(int fd, size_t payload, uint64_t *ret_handle)
{
    g_autofree uint8_t *data = g_malloc(payload + 1);
    uint8_t head[16];

    nbd_client_take(fd, head, sizeof(head));
    assert_int_equal(nbd_get32(head), NBD_SIMPLE_MAGIC);
    if (ret_handle)
        *ret_handle = nbd_get64(head + 8);
    if (nbd_get32(head + 4) == 0)
        nbd_client_take(fd, data, payload);
    return nbd_get32(head + 4);
}

gboolean nbd_client_is_over(int fd)
{
    uint8_t byte;
    ssize_t got = recv(fd, &byte, 1, 0);

    return got == 0 || (got < 0 && errno == ECONNRESET);
}

gboolean nbd_client_has_bytes(int fd)
{
    uint8_t byte;

    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}
