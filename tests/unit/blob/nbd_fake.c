/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nbd_fake.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONTEXT_ID 7

uint8_t fake_byte(uint64_t offset)
{
    return (uint8_t)(offset * 31 + offset / 4096);
}

static gboolean bytes_send(int fd, const void *data, size_t len)
{
    for (const char *at = data; len > 0;) {
        ssize_t sent = send(fd, at, len, MSG_NOSIGNAL);

        if (sent <= 0)
            return FALSE;
        at += sent;
        len -= (size_t)sent;
    }
    return TRUE;
}

static gboolean bytes_receive(int fd, void *data, size_t len)
{
    return len == 0 || recv(fd, data, len, MSG_WAITALL) == (ssize_t)len;
}

/* --- replies ---------------------------------------------------------------------------------- */

gboolean fake_chunk(const FakeClient *client, const FakeRequest *request, uint16_t flags,
                    uint16_t type, const void *payload, size_t len)
{
    uint8_t header[20], *at = header;

    at = nbd_put32(at, NBD_STRUCTURED_MAGIC);
    at = nbd_put16(at, flags);
    at = nbd_put16(at, type);
    at = nbd_put64(at, request->cookie);
    nbd_put32(at, (uint32_t)len);
    return bytes_send(client->fd, header, sizeof(header)) && bytes_send(client->fd, payload, len);
}

gboolean fake_data(const FakeClient *client, const FakeRequest *request, uint16_t flags,
                   uint64_t offset, uint32_t len)
{
    g_autofree uint8_t *payload = g_malloc(8 + len);

    nbd_put64(payload, offset);
    for (uint32_t i = 0; i < len; i++)
        payload[8 + i] = fake_byte(offset + i);
    return fake_chunk(client, request, flags, NBD_REPLY_OFFSET_DATA, payload, 8 + len);
}

gboolean fake_status(const FakeClient *client, const FakeRequest *request, uint16_t flags,
                     const uint32_t *pairs, size_t count)
{
    g_autofree uint8_t *payload = g_malloc(4 + count * 8);
    uint8_t *at = nbd_put32(payload, CONTEXT_ID);

    for (size_t i = 0; i < 2 * count; i++)
        at = nbd_put32(at, pairs[i]);
    return fake_chunk(client, request, flags, NBD_REPLY_BLOCK_STATUS, payload, 4 + count * 8);
}

gboolean fake_answer(const FakeClient *client, const FakeRequest *request)
{
    const uint32_t data[] = {request->length, 0};

    if (request->type == NBD_CMD_BLOCK_STATUS)
        return fake_status(client, request, NBD_REPLY_FLAG_DONE, data, 1);
    return fake_data(client, request, NBD_REPLY_FLAG_DONE, request->offset, request->length);
}

/* --- negotiation ------------------------------------------------------------------------------ */

static gboolean option_reply(int fd, uint32_t option, uint32_t type, const void *data, size_t len)
{
    uint8_t header[20], *at = header;

    at = nbd_put64(at, NBD_OPT_REPLY_MAGIC);
    at = nbd_put32(at, option);
    at = nbd_put32(at, type);
    nbd_put32(at, (uint32_t)len);
    return bytes_send(fd, header, sizeof(header)) && bytes_send(fd, data, len);
}

static gboolean export_reply(const FakeClient *client, uint32_t option)
{
    const FakeNbd *fake = client->fake;
    uint64_t size = client->number > 0 && fake->further_size ? fake->further_size : fake->size;
    uint8_t export[12], blocks[14];

    nbd_put16(nbd_put64(nbd_put16(export, NBD_INFO_EXPORT), size), fake->flags);
    nbd_put32(nbd_put32(nbd_put32(nbd_put16(blocks, NBD_INFO_BLOCK_SIZE), fake->minimum),
                        MAX(fake->minimum, 4096)),
              fake->maximum);
    return option_reply(client->fd, option, NBD_REP_INFO, export, sizeof(export)) &&
           (!fake->minimum ||
            option_reply(client->fd, option, NBD_REP_INFO, blocks, sizeof(blocks))) &&
           option_reply(client->fd, option, NBD_REP_ACK, NULL, 0);
}

static gboolean context_reply(const FakeClient *client, uint32_t option)
{
    const char *name = client->fake->bitmap ? client->fake->bitmap : "base:allocation";
    size_t len = strlen(name);
    g_autofree uint8_t *context = g_malloc(4 + len);

    memcpy(nbd_put32(context, CONTEXT_ID), name, len);
    return (client->fake->no_status ||
            option_reply(client->fd, option, NBD_REP_META_CONTEXT, context, 4 + len)) &&
           option_reply(client->fd, option, NBD_REP_ACK, NULL, 0);
}

/* Waits until the test or the client ends the connection. */
static gboolean client_hang(const FakeClient *client)
{
    char byte;

    while (recv(client->fd, &byte, 1, 0) > 0)
        continue;
    return FALSE;
}

/* Returns whether transmission begins. */
static gboolean client_negotiate(const FakeClient *client, FakeStage stage)
{
    uint8_t greeting[18], flags[4], header[16], data[8192];

    if (stage == FAKE_NO_GREETING || stage == FAKE_ENDS)
        return stage == FAKE_NO_GREETING && client_hang(client);
    nbd_put16(nbd_put64(nbd_put64(greeting, NBD_INIT_MAGIC), NBD_OPTION_MAGIC),
              NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);
    if (!bytes_send(client->fd, greeting, sizeof(greeting)) ||
        !bytes_receive(client->fd, flags, sizeof(flags)))
        return FALSE;
    if (stage == FAKE_NO_OPTION)
        return client_hang(client);
    while (bytes_receive(client->fd, header, sizeof(header))) {
        uint32_t option = nbd_get32(header + 8), len = nbd_get32(header + 12);
        gboolean sent;

        if (len > sizeof(data) || !bytes_receive(client->fd, data, len))
            return FALSE;
        if (option == NBD_OPT_GO && !client->fake->refusal)
            return export_reply(client, option) && stage == FAKE_SERVES;
        if (option == NBD_OPT_GO)
            sent = option_reply(client->fd, option, client->fake->refusal, NULL, 0);
        else if (option == NBD_OPT_SET_META_CONTEXT)
            sent = context_reply(client, option);
        else
            sent = option_reply(
                client->fd, option,
                option == NBD_OPT_STRUCTURED_REPLY ? NBD_REP_ACK : NBD_REP_ERR_UNSUP, NULL, 0);
        if (!sent)
            return FALSE;
    }
    return FALSE;
}

/* --- threads ---------------------------------------------------------------------------------- */

static gpointer client_serve(gpointer data)
{
    g_autofree FakeClient *client = data;
    FakeNbd *fake = client->fake;
    uint8_t header[NBD_REQUEST_LEN];
    gboolean more = client_negotiate(client, client->number ? fake->further : fake->stage);

    while (more && bytes_receive(client->fd, header, sizeof(header))) {
        FakeRequest request = {nbd_get16(header + 6), nbd_get64(header + 8), nbd_get64(header + 16),
                               nbd_get32(header + 24)};

        if (request.type == NBD_CMD_READ)
            g_atomic_int_inc(&fake->reads);
        else if (request.type == NBD_CMD_BLOCK_STATUS)
            g_atomic_int_inc(&fake->statuses);
        else
            break;
        more = fake->answer(client, &request);
    }
    shutdown(client->fd, SHUT_RDWR);
    g_atomic_int_inc(&fake->ended);
    return NULL;
}

static gpointer fake_listen(gpointer data)
{
    FakeNbd *fake = data;
    guint number = 0;
    int fd;

    while ((fd = accept(fake->listener, NULL, NULL)) >= 0) {
        FakeClient *client = g_new(FakeClient, 1);

        *client = (FakeClient){fake, fd, number++};
        g_mutex_lock(&fake->lock);
        g_array_append_val(fake->fds, fd);
        if (g_atomic_int_get(&fake->stopping))
            shutdown(fd, SHUT_RDWR);
        g_mutex_unlock(&fake->lock);
        g_atomic_int_inc(&fake->connections);
        g_ptr_array_add(fake->threads, g_thread_new("client", client_serve, client));
    }
    return NULL;
}

FakeNbd *fake_nbd_new(void)
{
    FakeNbd *fake = g_new0(FakeNbd, 1);

    fake->size = 1 << 20;
    fake->flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_READ_ONLY | NBD_FLAG_CAN_MULTI_CONN;
    fake->answer = fake_answer;
    fake->dir = g_dir_make_tmp("cst-nbd-XXXXXX", NULL);
    fake->socket = g_build_filename(fake->dir, "socket", NULL);
    fake->fds = g_array_new(FALSE, FALSE, sizeof(int));
    fake->threads = g_ptr_array_new();
    g_mutex_init(&fake->lock);
    return fake;
}

void fake_nbd_start(FakeNbd *fake)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    g_strlcpy(address.sun_path, fake->socket, sizeof(address.sun_path));
    fake->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(fake->listener, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    g_assert_cmpint(listen(fake->listener, 16), ==, 0);
    fake->thread = g_thread_new("fake-nbd", fake_listen, fake);
}

void fake_nbd_free(FakeNbd *fake)
{
    g_atomic_int_set(&fake->stopping, TRUE);
    shutdown(fake->listener, SHUT_RDWR);
    g_mutex_lock(&fake->lock);
    for (guint i = 0; i < fake->fds->len; i++)
        shutdown(g_array_index(fake->fds, int, i), SHUT_RDWR);
    g_mutex_unlock(&fake->lock);
    g_thread_join(fake->thread);
    for (guint i = 0; i < fake->threads->len; i++)
        g_thread_join(g_ptr_array_index(fake->threads, i));
    for (guint i = 0; i < fake->fds->len; i++)
        close(g_array_index(fake->fds, int, i));
    close(fake->listener);
    g_unlink(fake->socket);
    g_rmdir(fake->dir);
    g_array_unref(fake->fds);
    g_ptr_array_unref(fake->threads);
    g_mutex_clear(&fake->lock);
    g_free(fake->socket);
    g_free(fake->dir);
    g_free(fake);
}
