/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contract.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <service/images.h>

#include "await.h"

/*
 * Volumes by NBD: a client of the simplest kind, whose bytes must be the guest's, and of which the
 * guest must find what it has written.
 */

typedef struct {
    Site *site;
    const char *volume;
    CstVolServe how;
    CstTask *task;
    GThread *thread;
    GError *error;
    int fd; /* the client's */
    char *socket;
} Served;

static gpointer serve(gpointer data)
{
    Served *served = data;

    cst_vol_serve(served->site->pool, served->volume, &served->how, served->task, &served->error);
    return NULL;
}

static void get(const Served *served, void *data, size_t len)
{
    assert_int_equal(recv(served->fd, data, len, MSG_WAITALL), len);
}

static void put(const Served *served, const void *data, size_t len)
{
    assert_int_equal(send(served->fd, data, len, MSG_NOSIGNAL), len);
}

static gboolean connect_to(Served *served)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    g_strlcpy(address.sun_path, served->socket, sizeof(address.sun_path));
    served->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(served->fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return TRUE;
    close(served->fd);
    return FALSE;
}

/* The export's size. */
static uint64_t negotiate(const Served *served)
{
    static const char hello[] = "\0\0\0\3IHAVEOPT\0\0\0\1\0\0\0";
    uint8_t greeting[18], answer[10];
    uint64_t size;

    get(served, greeting, sizeof(greeting));
    put(served, hello, sizeof(hello));
    get(served, answer, sizeof(answer));
    memcpy(&size, answer, sizeof(size));
    return GUINT64_FROM_BE(size);
}

/* Reads (0), writes (1) or flushes (3). */
static void request(const Served *served, guint16 type, uint64_t offset, void *data, uint32_t len)
{
    uint32_t magic = GUINT32_TO_BE(0x25609513), count = GUINT32_TO_BE(len);
    uint64_t from = GUINT64_TO_BE(offset);
    uint8_t head[28] = {0}, reply[16];
    uint16_t kind = GUINT16_TO_BE(type);

    memcpy(head, &magic, 4);
    memcpy(head + 6, &kind, 2);
    memcpy(head + 16, &from, 8);
    memcpy(head + 24, &count, 4);
    put(served, head, sizeof(head));
    if (type == 1)
        put(served, data, len);
    get(served, reply, sizeof(reply));
    assert_memory_equal(reply, "\x67\x44\x66\x98\0\0\0\0", 8);
    if (type == 0)
        get(served, data, len);
}

static void begin(Served *served, Site *site, const char *volume, const char *snapshot)
{
    gboolean connected = FALSE;

    *served = (Served){.site = site, .volume = volume, .task = cst_task_new()};
    served->socket = g_build_filename(site->root, "nbd", NULL);
    served->how = (CstVolServe){
        .snapshot = snapshot, .read_only = snapshot != NULL, .socket = served->socket};
    served->thread = g_thread_new("serve", serve, served);
    AWAIT((connected = connect_to(served)) || g_atomic_pointer_get(&served->error));
    if (!connected) {
        g_thread_join(served->thread);
        fail_msg("%s", served->error->message);
    }
}

static void end(Served *served)
{
    close(served->fd);
    cst_task_cancel(served->task);
    g_thread_join(served->thread);
    assert_no_error(served->error);
    cst_task_unref(served->task);
    g_free(served->socket);
}

static void assert_block(const Served *served, guint block, uint32_t tag)
{
    g_autofree uint8_t *found = g_malloc(TAG_BLOCK);
    g_autofree uint8_t *wanted = g_malloc(TAG_BLOCK);

    request(served, 0, block * TAG_BLOCK, found, TAG_BLOCK);
    tag_fill(wanted, tag);
    assert_memory_equal(found, wanted, TAG_BLOCK);
}

static void a_volume_is_served(Site *site)
{
    g_autofree uint8_t *block = g_malloc(TAG_BLOCK);
    const guint last = VOLUME_SIZE / TAG_BLOCK - 1;
    uint32_t tags[VOLUME_SIZE / TAG_BLOCK];
    g_autoptr(GError) error = NULL;
    Served served;

    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, last + 1, 1);
    begin(&served, site, "v", NULL);
    assert_int_equal(negotiate(&served), VOLUME_SIZE);
    assert_block(&served, 0, 1);
    tag_fill(block, 2);
    request(&served, 1, TAG_BLOCK, block, TAG_BLOCK);
    request(&served, 1, last * TAG_BLOCK, block, TAG_BLOCK);
    request(&served, 3, 0, NULL, 0);
    assert_block(&served, 1, 2);
    /* Other requests are refused at once. */
    cst_vol_delete(site->pool, "v", site_delete_flags(site), NULL, &error);
    assert_error_says(&error, CST_ERROR_BUSY, "serve");
    end(&served);
    for (guint i = 0; i <= last; i++)
        tags[i] = i == 1 || i == last ? 2 : 1;
    content_assert(site, "v", tags, last + 1);
    cst_vol_delete(site->pool, "v", site_delete_flags(site), NULL, &error);
    assert_no_error(error);
}

static void a_snapshot_is_served(Site *site)
{
    g_autoptr(GError) error = NULL;
    Served served;

    volume_make(site, "v", VOLUME_SIZE);
    content_write(site, "v", 0, VOLUME_SIZE / TAG_BLOCK, 1);
    cst_vol_snapshot_create(site->pool, "v", "then", 0, NULL, &error);
    assert_no_error(error);
    content_write(site, "v", 0, VOLUME_SIZE / TAG_BLOCK, 2);
    begin(&served, site, "v", "then");
    assert_int_equal(negotiate(&served), VOLUME_SIZE);
    assert_block(&served, 0, 1);
    assert_block(&served, VOLUME_SIZE / TAG_BLOCK - 1, 1);
    end(&served);
    begin(&served, site, "v", NULL);
    negotiate(&served);
    assert_block(&served, 0, 2);
    end(&served);
}

const ContractTest served_tests[] = {
    {"a volume is served and written to", a_volume_is_served, 0, NULL},
    {"a snapshot is served", a_snapshot_is_served, GROUND_SNAPSHOTS, NULL},
    {0},
};
