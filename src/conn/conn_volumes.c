/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "conn_private.h"

GPtrArray *cst_conn_vol_list(CstConn *conn, const CstPoolRef *pool, gboolean details,
                             GError **error)
{
    GPtrArray *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, vol_list, CST_ACCESS_READ, "virStoragePoolListAllVolumes",
                          pool, details))
        return NULL;
    return result;
}

CstVolRef *cst_conn_vol_by_name(CstConn *conn, const CstPoolRef *pool, const char *name,
                                GError **error)
{
    CstVolRef *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, vol_by_name, CST_ACCESS_READ, "virStorageVolLookupByName",
                          pool, name))
        return NULL;
    return result;
}

CstVolRef *cst_conn_vol_by_key(CstConn *conn, const char *key, GError **error)
{
    CstVolRef *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, vol_by_key, CST_ACCESS_READ, "virStorageVolLookupByKey",
                          key))
        return NULL;
    return result;
}

CstVolRef *cst_conn_vol_by_path(CstConn *conn, const char *path, GError **error)
{
    CstVolRef *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, vol_by_path, CST_ACCESS_READ, "virStorageVolLookupByPath",
                          path))
        return NULL;
    return result;
}

CstPoolRef *cst_conn_pool_of_vol(CstConn *conn, const CstVolRef *vol, GError **error)
{
    CstPoolRef *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, pool_of_vol, CST_ACCESS_READ,
                          "virStoragePoolLookupByVolume", vol))
        return NULL;
    return result;
}

char *cst_conn_vol_path(CstConn *conn, const CstVolRef *vol, GError **error)
{
    char *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, vol_path, CST_ACCESS_READ, "virStorageVolGetPath", vol))
        return NULL;
    return result;
}

char *cst_conn_vol_xml(CstConn *conn, const CstVolRef *vol, unsigned flags, GError **error)
{
    char *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, vol_xml, CST_ACCESS_READ, "virStorageVolGetXMLDesc", vol,
                          flags))
        return NULL;
    return result;
}

gboolean cst_conn_vol_info(CstConn *conn, const CstVolRef *vol, gboolean physical,
                           CstConnVolInfo *ret, GError **error)
{
    return CST_DISPATCH(conn, vol_info, CST_ACCESS_READ, "virStorageVolGetInfo", vol, physical,
                        ret);
}

CstVolRef *cst_conn_vol_create(CstConn *conn, const CstPoolRef *pool, const char *xml,
                               unsigned flags, CstTask *task, GError **error)
{
    CstVolRef *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, vol_create, CST_ACCESS_WRITE, "virStorageVolCreateXML",
                          pool, xml, flags, task))
        return NULL;
    return result;
}

CstVolRef *cst_conn_vol_create_from(CstConn *conn, const CstPoolRef *pool, const char *xml,
                                    const CstVolRef *source, unsigned flags, CstTask *task,
                                    GError **error)
{
    CstVolRef *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, vol_create_from, CST_ACCESS_WRITE,
                          "virStorageVolCreateXMLFrom", pool, xml, source, flags, task))
        return NULL;
    return result;
}

gboolean cst_conn_vol_delete(CstConn *conn, const CstVolRef *vol, unsigned flags, CstTask *task,
                             GError **error)
{
    return CST_DISPATCH(conn, vol_delete, CST_ACCESS_WRITE, "virStorageVolDelete", vol, flags,
                        task);
}

gboolean cst_conn_vol_wipe(CstConn *conn, const CstVolRef *vol, unsigned algorithm, CstTask *task,
                           GError **error)
{
    return CST_DISPATCH(conn, vol_wipe, CST_ACCESS_WRITE, "virStorageVolWipePattern", vol,
                        algorithm, task);
}

gboolean cst_conn_vol_resize(CstConn *conn, const CstVolRef *vol, uint64_t capacity, unsigned flags,
                             CstTask *task, GError **error)
{
    return CST_DISPATCH(conn, vol_resize, CST_ACCESS_WRITE, "virStorageVolResize", vol, capacity,
                        flags, task);
}

gboolean cst_conn_vol_upload(CstConn *conn, const CstVolRef *vol, int fd, uint64_t offset,
                             uint64_t length, unsigned flags, CstTask *task, GError **error)
{
    return CST_DISPATCH(conn, vol_upload, CST_ACCESS_WRITE, "virStorageVolUpload", vol, fd, offset,
                        length, flags, task);
}

/** How much there is to come; a server that can't tell leaves the total unknown. */
static void expect_download(CstConn *conn, const CstVolRef *vol, uint64_t offset, uint64_t length,
                            CstTask *task)
{
    CstConnVolInfo info;

    if (!task || !cst_conn_vol_info(conn, vol, TRUE, &info, NULL) || info.allocation <= offset)
        return;
    info.allocation -= offset;
    cst_task_set_total(task, length ? MIN(length, info.allocation) : info.allocation);
}

gboolean cst_conn_vol_download(CstConn *conn, const CstVolRef *vol, int fd, uint64_t offset,
                               uint64_t length, unsigned flags, CstTask *task, GError **error)
{
    if (!conn->read_only)
        expect_download(conn, vol, offset, length, task);
    return CST_DISPATCH(conn, vol_download, CST_ACCESS_WRITE, "virStorageVolDownload", vol, fd,
                        offset, length, flags, task);
}
