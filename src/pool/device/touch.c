/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checks whether any device of a pool answers (CstBackend.touch). One device that hangs must not
 * make the calls on the other devices fail, so the first answer suffices, and each device is read
 * by a thread of its own.
 *
 * A hanging read keeps its thread until the kernel ends the read. Its device is not read again
 * until then, so a device has one thread at most.
 */
#include <pool/attached.h>

#include <base/test_point.h>
#include <pool/device.h>

static GMutex lock;
static GCond changed;       /* a read has ended */
static GHashTable *reading; /* set of the nodes whose read runs; NULL: no read has begun */

static void device_read_end(char *node)
{
    g_mutex_lock(&lock);
    g_hash_table_remove(reading, node);
    g_cond_broadcast(&changed);
    g_mutex_unlock(&lock);
    g_free(node);
}

/* A failed read is also an answer: a failed disk is a problem of its volume only. */
static gpointer device_read_thread(gpointer node)
{
    cst_device_touch(node, NULL);
    device_read_end(node);
    return NULL;
}

/* Starts a read of the device unless one runs. Without a thread, the device counts as answering. */
static void device_read_start(const char *node)
{
    g_autofree char *copy = g_strdup(node);
    gboolean runs;
    GThread *thread;

    g_mutex_lock(&lock);
    if (!reading)
        reading = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    runs = !g_hash_table_add(reading, g_strdup(node));
    g_mutex_unlock(&lock);
    if (runs)
        return;
    CST_TEST_POINT("device.touch.begin");
    thread = g_thread_try_new("device-touch", device_read_thread, copy, NULL);
    if (thread) {
        copy = NULL;
        g_thread_unref(thread);
    } else {
        device_read_end(g_steal_pointer(&copy));
    }
}

/* Called with the lock held. */
static gboolean all_are_reading(const GPtrArray *nodes)
{
    for (guint i = 0; i < nodes->len; i++)
        if (!g_hash_table_contains(reading, nodes->pdata[i]))
            return FALSE;
    return TRUE;
}

void cst_attached_touch(const GPtrArray *devices)
{
    g_autoptr(GPtrArray) nodes = g_ptr_array_new();

    for (guint i = 0; i < devices->len; i++) {
        const CstAttached *device = g_ptr_array_index(devices, i);

        if (!device->problem)
            g_ptr_array_add(nodes, device->node);
    }
    for (guint i = 0; i < nodes->len; i++)
        device_read_start(nodes->pdata[i]);
    g_mutex_lock(&lock);
    while (nodes->len > 0 && all_are_reading(nodes)) {
        CST_TEST_POINT("device.touch.wait");
        g_cond_wait(&changed, &lock);
    }
    g_mutex_unlock(&lock);
}
