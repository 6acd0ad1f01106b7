/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Input of the NBD server from a client, from its first byte on. */
#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <connection.h>

#include "fuzz.h"

/* Takes whatever is answered, so that no answer waits for room. */
static gpointer drain(gpointer data)
{
    char bytes[65536];

    while (read(GPOINTER_TO_INT(data), bytes, sizeof(bytes)) > 0)
        ;
    return NULL;
}

static gpointer send_all(gpointer data)
{
    const GBytes *const *what = data;
    gsize len;
    const char *at = g_bytes_get_data((GBytes *)what[0], &len);
    int fd = GPOINTER_TO_INT((gpointer)what[1]);

    while (len > 0) {
        ssize_t sent = send(fd, at, len, MSG_NOSIGNAL);

        if (sent <= 0)
            break;
        at += sent;
        len -= (gsize)sent;
    }
    shutdown(fd, SHUT_WR);
    return NULL;
}

static CstNbdBitmap *bitmap_new(const char *name, uint64_t step)
{
    CstNbdBitmap *bitmap = g_new(CstNbdBitmap, 1);

    *bitmap = (CstNbdBitmap){g_strdup(name), g_array_new(FALSE, FALSE, sizeof(CstRange))};
    for (uint64_t at = 0; at < 1 << 20; at += 2 * step)
        g_array_append_val(bitmap->ranges, ((CstRange){at, step}));
    return bitmap;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(CstBlob) blob = cst_blob_memory_new(NULL, 1 << 20);
    g_autoptr(GPtrArray) bitmaps = g_ptr_array_new_with_free_func(cst_nbd_bitmap_free);
    const CstNbdExport export = {
        .name = "disk", .description = "d", .blob = blob, .writable = TRUE, .bitmaps = bitmaps};
    NbdBudget budget;
    NbdConnection connection = {.export = &export, .size = 1 << 20, .budget = &budget};
    g_autoptr(GBytes) bytes = g_bytes_new(data, size);
    gconstpointer what[2] = {bytes, NULL};
    GThread *reader, *writer;
    int ends[2];

    nbd_budget_init(&budget);
    g_ptr_array_add(bitmaps, bitmap_new("b", 512));
    g_ptr_array_add(bitmaps, bitmap_new("c", 1 << 20));
    assert(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    connection.fd = ends[0];
    what[1] = GINT_TO_POINTER(ends[1]);
    reader = g_thread_new("drain", drain, GINT_TO_POINTER(ends[1]));
    writer = g_thread_new("send", send_all, what);
    if (nbd_negotiate(&connection))
        nbd_transmit(&connection);
    shutdown(ends[0], SHUT_RDWR);
    g_thread_join(writer);
    g_thread_join(reader);
    close(ends[0]);
    close(ends[1]);
    nbd_budget_clear(&budget);
    return 0;
}
