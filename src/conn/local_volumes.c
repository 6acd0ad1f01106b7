/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "local_private.h"

#include <service/volumes.h>

#include "fdio.h"

CstPool *cst_local_pool_of(CstLocal *local, const CstVolRef *vol, GError **error)
{
    return cst_service_pool_by_name(local->service, vol->pool, error);
}

CstVolRef *cst_local_vol_take(CstPool *pool, char *name, GError **error)
{
    g_autoptr(CstVolRef) ref = g_new0(CstVolRef, 1);

    ref->pool = g_strdup(cst_pool_name(pool));
    ref->name = name;
    ref->key = cst_vol_get_key(pool, name, error);
    return ref->key ? g_steal_pointer(&ref) : NULL;
}

/** Turns a row of the service into the connection's, taking over its strings. */
static CstConnVolRow *row_take(CstVolRow *row)
{
    CstConnVolRow *mine = g_new0(CstConnVolRow, 1);

    mine->name = g_steal_pointer(&row->name);
    mine->key = g_steal_pointer(&row->key);
    mine->path = g_steal_pointer(&row->path);
    mine->info = (CstConnVolInfo){row->info.type, row->info.capacity, row->info.allocation,
                                  row->info.physical, row->info.estimated};
    mine->format = g_strdup(row->format);
    mine->problem = g_steal_pointer(&row->problem);
    return mine;
}

GPtrArray *cst_local_vol_list(gpointer self, const CstPoolRef *ref, gboolean details,
                              GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool(self, ref, error);
    g_autoptr(GPtrArray) rows = NULL;
    GPtrArray *mine;

    if (!pool)
        return NULL;
    rows = cst_pool_list_volumes(pool, NULL, 0, details ? CST_VOL_ROWS_DETAILS : CST_VOL_ROWS_BRIEF,
                                 error);
    if (!rows)
        return NULL;
    mine = g_ptr_array_new_full(rows->len, (GDestroyNotify)cst_conn_vol_row_free);
    for (guint i = 0; i < rows->len; i++)
        g_ptr_array_add(mine, row_take(rows->pdata[i]));
    return mine;
}

CstVolRef *cst_local_vol_by_name(gpointer self, const CstPoolRef *ref, const char *name,
                                 GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool(self, ref, error);

    if (!pool || !cst_pool_has_volume(pool, name, error))
        return NULL;
    return cst_local_vol_take(pool, g_strdup(name), error);
}

CstVolRef *cst_local_vol_by_key(gpointer self, const char *key, GError **error)
{
    g_autoptr(CstPool) pool = NULL;
    char *name = NULL;

    if (!cst_service_volume_by_key(((CstLocal *)self)->service, key, &pool, &name, error))
        return NULL;
    return cst_local_vol_take(pool, name, error);
}

CstVolRef *cst_local_vol_by_path(gpointer self, const char *path, GError **error)
{
    g_autoptr(CstPool) pool = NULL;
    char *name = NULL;

    if (!cst_service_volume_by_path(((CstLocal *)self)->service, path, &pool, &name, error))
        return NULL;
    return cst_local_vol_take(pool, name, error);
}

CstPoolRef *cst_local_pool_of_vol(gpointer self, const CstVolRef *vol, GError **error)
{
    return cst_local_pool_by_name(self, vol->pool, error);
}

char *cst_local_vol_path(gpointer self, const CstVolRef *vol, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool_of(self, vol, error);

    return pool ? cst_vol_get_path(pool, vol->name, error) : NULL;
}

char *cst_local_vol_xml(gpointer self, const CstVolRef *vol, unsigned flags, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool_of(self, vol, error);

    return pool ? cst_vol_get_xml(pool, vol->name, flags, error) : NULL;
}

gboolean cst_local_vol_info(gpointer self, const CstVolRef *vol, gboolean physical,
                            CstConnVolInfo *ret, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool_of(self, vol, error);
    CstVolInfo info;

    if (!pool || !cst_vol_get_info(pool, vol->name, &info, error))
        return FALSE;
    *ret = (CstConnVolInfo){info.type, info.capacity, physical ? info.physical : info.allocation,
                            info.physical, info.estimated};
    return TRUE;
}

CstVolRef *cst_local_vol_create(gpointer self, const CstPoolRef *ref, const char *xml,
                                unsigned flags, CstTask *task, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool(self, ref, error);
    char *name = NULL;

    if (!pool || !cst_vol_create(pool, xml, flags, task, &name, error))
        return NULL;
    return cst_local_vol_take(pool, name, error);
}

CstVolRef *cst_local_vol_create_from(gpointer self, const CstPoolRef *ref, const char *xml,
                                     const CstVolRef *source, unsigned flags, CstTask *task,
                                     GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool(self, ref, error);
    g_autoptr(CstPool) source_pool = pool ? cst_local_pool_of(self, source, error) : NULL;
    char *name = NULL;

    if (!source_pool ||
        !cst_vol_create_from(pool, xml, source_pool, source->name, flags, task, &name, error))
        return NULL;
    return cst_local_vol_take(pool, name, error);
}

gboolean cst_local_vol_delete(gpointer self, const CstVolRef *vol, unsigned flags, CstTask *task,
                              GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool_of(self, vol, error);

    return pool && cst_vol_delete(pool, vol->name, flags, task, error);
}

gboolean cst_local_vol_wipe(gpointer self, const CstVolRef *vol, unsigned algorithm, CstTask *task,
                            GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool_of(self, vol, error);

    return pool && cst_vol_wipe(pool, vol->name, algorithm, 0, task, error);
}

gboolean cst_local_vol_resize(gpointer self, const CstVolRef *vol, uint64_t capacity,
                              unsigned flags, CstTask *task, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool_of(self, vol, error);

    return pool && cst_vol_resize(pool, vol->name, capacity, flags, task, error);
}

/* --- streams --------------------------------------------------------------------------------- */

static gboolean send_piece(const void *bytes, size_t len, uint64_t hole, gpointer data,
                           GError **error)
{
    return hole ? cst_upload_hole(data, hole, error) : cst_upload_write(data, bytes, len, error);
}

gboolean cst_local_vol_upload(gpointer self, const CstVolRef *vol, int fd, uint64_t offset,
                              uint64_t length, unsigned flags, CstTask *task, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool_of(self, vol, error);
    g_autoptr(CstUpload) upload = NULL;
    CstFdSource source;

    if (!pool || !cst_fd_source_init(&source, fd, flags & CST_VOL_STREAM_SPARSE, error))
        return FALSE;
    cst_task_set_total(task, source.size);
    upload = cst_vol_upload(pool, vol->name, offset, length, flags, task, error);
    /* The service advances the task and looks whether it is cancelled. */
    return upload && cst_fd_source_pump(&source, send_piece, upload, NULL, error) &&
           cst_upload_finish(upload, error);
}

static gboolean pump_download(CstDownload *download, CstFdSink *sink, CstTask *task, GError **error)
{
    g_autofree uint8_t *buf = g_malloc(CST_STREAM_CHUNK);
    size_t len;
    uint64_t hole;

    for (;;) {
        if (!cst_download_read(download, buf, CST_STREAM_CHUNK, &len, &hole, error))
            return FALSE;
        if (!len && !hole)
            return cst_fd_sink_finish(sink, error);
        if (!(len ? cst_fd_sink_write(sink, buf, len, error)
                  : cst_fd_sink_hole(sink, hole, task, error)))
            return FALSE;
    }
}

gboolean cst_local_vol_download(gpointer self, const CstVolRef *vol, int fd, uint64_t offset,
                                uint64_t length, unsigned flags, CstTask *task, GError **error)
{
    g_autoptr(CstPool) pool = cst_local_pool_of(self, vol, error);
    g_autoptr(CstDownload) download = NULL;
    CstFdSink sink;

    if (!pool || !cst_fd_sink_init(&sink, fd, error))
        return FALSE;
    download = cst_vol_download(pool, vol->name, offset, length, flags, task, error);
    return download && pump_download(download, &sink, task, error);
}
