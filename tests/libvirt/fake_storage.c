/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The part of the fake libvirt.so.0 that has storage pools. The state of fake.c has them:
 *
 *     [pool n]
 *     directory = DIR        each file in DIR is a volume
 *     path = FILE            path of all volumes; absent: that of the file
 */
#include <stdlib.h>
#include <string.h>

#include "fake.h"

/* The connection outlives both. */
struct _virStoragePool {
    char *group, *directory;
};

struct _virStorageVol {
    char *path;
};

virStoragePoolPtr virStoragePoolLookupByName(virConnectPtr conn, const char *name)
{
    g_autofree char *group = g_strconcat("pool ", name, NULL);
    g_autofree char *directory = g_key_file_get_string(fake_state(), group, "directory", NULL);
    virStoragePoolPtr pool;

    if (!fake_enter(__func__))
        return NULL;
    if (!directory) {
        fake_fail(VIR_ERR_NO_STORAGE_POOL, 0, "Storage pool not found");
        return NULL;
    }
    pool = g_new0(struct _virStoragePool, 1);
    pool->group = g_steal_pointer(&group);
    pool->directory = g_steal_pointer(&directory);
    return pool;
}

virStorageVolPtr virStorageVolLookupByName(virStoragePoolPtr pool, const char *name)
{
    g_autofree char *file = g_build_filename(pool->directory, name, NULL);
    g_autofree char *path = g_key_file_get_string(fake_state(), pool->group, "path", NULL);
    virStorageVolPtr volume;

    if (!fake_enter(__func__))
        return NULL;
    if (!g_file_test(file, G_FILE_TEST_EXISTS)) {
        fake_fail(VIR_ERR_NO_STORAGE_VOL, 0, "Storage volume not found");
        return NULL;
    }
    volume = g_new0(struct _virStorageVol, 1);
    volume->path = path ? g_steal_pointer(&path) : g_steal_pointer(&file);
    return volume;
}

char *virStorageVolGetPath(virStorageVolPtr volume)
{
    return fake_enter(__func__) ? strdup(volume->path) : NULL;
}

int virStorageVolFree(virStorageVolPtr volume)
{
    g_free(volume->path);
    g_free(volume);
    return 0;
}

int virStoragePoolFree(virStoragePoolPtr pool)
{
    g_free(pool->group);
    g_free(pool->directory);
    g_free(pool);
    return 0;
}
