/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "conn_private.h"

GPtrArray *cst_conn_pool_list(CstConn *conn, unsigned filter, GError **error)
{
    GPtrArray *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, pool_list, CST_ACCESS_READ, "virConnectListAllStoragePools",
                          filter))
        return NULL;
    return result;
}

CstPoolRef *cst_conn_pool_by_name(CstConn *conn, const char *name, GError **error)
{
    CstPoolRef *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, pool_by_name, CST_ACCESS_READ, "virStoragePoolLookupByName",
                          name))
        return NULL;
    return result;
}

CstPoolRef *cst_conn_pool_by_uuid(CstConn *conn, const CstUuid *uuid, GError **error)
{
    CstPoolRef *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, pool_by_uuid, CST_ACCESS_READ, "virStoragePoolLookupByUUID",
                          uuid))
        return NULL;
    return result;
}

CstPoolRef *cst_conn_pool_by_target(CstConn *conn, const char *path, GError **error)
{
    CstPoolRef *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, pool_by_target, CST_ACCESS_READ,
                          "virStoragePoolLookupByTargetPath", path))
        return NULL;
    return result;
}

CstPoolRef *cst_conn_pool_define(CstConn *conn, const char *xml, unsigned flags, GError **error)
{
    CstPoolRef *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, pool_define, CST_ACCESS_WRITE, "virStoragePoolDefineXML",
                          xml, flags))
        return NULL;
    return result;
}

CstPoolRef *cst_conn_pool_create(CstConn *conn, const char *xml, unsigned flags, GError **error)
{
    CstPoolRef *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, pool_create, CST_ACCESS_WRITE, "virStoragePoolCreateXML",
                          xml, flags))
        return NULL;
    return result;
}

gboolean cst_conn_pool_undefine(CstConn *conn, const CstPoolRef *pool, GError **error)
{
    return CST_DISPATCH(conn, pool_undefine, CST_ACCESS_WRITE, "virStoragePoolUndefine", pool);
}

gboolean cst_conn_pool_build(CstConn *conn, const CstPoolRef *pool, unsigned flags, GError **error)
{
    return CST_DISPATCH(conn, pool_build, CST_ACCESS_WRITE, "virStoragePoolBuild", pool, flags);
}

gboolean cst_conn_pool_start(CstConn *conn, const CstPoolRef *pool, unsigned flags, GError **error)
{
    return CST_DISPATCH(conn, pool_start, CST_ACCESS_WRITE, "virStoragePoolCreate", pool, flags);
}

gboolean cst_conn_pool_stop(CstConn *conn, const CstPoolRef *pool, GError **error)
{
    return CST_DISPATCH(conn, pool_stop, CST_ACCESS_WRITE, "virStoragePoolDestroy", pool);
}

gboolean cst_conn_pool_delete(CstConn *conn, const CstPoolRef *pool, unsigned flags, GError **error)
{
    return CST_DISPATCH(conn, pool_delete, CST_ACCESS_WRITE, "virStoragePoolDelete", pool, flags);
}

gboolean cst_conn_pool_refresh(CstConn *conn, const CstPoolRef *pool, unsigned flags,
                               GError **error)
{
    return CST_DISPATCH(conn, pool_refresh, CST_ACCESS_WRITE, "virStoragePoolRefresh", pool, flags);
}

gboolean cst_conn_pool_set_autostart(CstConn *conn, const CstPoolRef *pool, gboolean autostart,
                                     GError **error)
{
    return CST_DISPATCH(conn, pool_set_autostart, CST_ACCESS_WRITE, "virStoragePoolSetAutostart",
                        pool, autostart);
}

gboolean cst_conn_pool_get_autostart(CstConn *conn, const CstPoolRef *pool, gboolean *ret,
                                     GError **error)
{
    return CST_DISPATCH(conn, pool_get_autostart, CST_ACCESS_READ, "virStoragePoolGetAutostart",
                        pool, ret);
}

gboolean cst_conn_pool_is_active(CstConn *conn, const CstPoolRef *pool, gboolean *ret,
                                 GError **error)
{
    return CST_DISPATCH(conn, pool_is_active, CST_ACCESS_READ, "virStoragePoolIsActive", pool, ret);
}

gboolean cst_conn_pool_is_persistent(CstConn *conn, const CstPoolRef *pool, gboolean *ret,
                                     GError **error)
{
    return CST_DISPATCH(conn, pool_is_persistent, CST_ACCESS_READ, "virStoragePoolIsPersistent",
                        pool, ret);
}

gboolean cst_conn_pool_info(CstConn *conn, const CstPoolRef *pool, CstConnPoolInfo *ret,
                            GError **error)
{
    return CST_DISPATCH(conn, pool_info, CST_ACCESS_READ, "virStoragePoolGetInfo", pool, ret);
}

char *cst_conn_pool_problem(CstConn *conn, const CstPoolRef *pool)
{
    return conn->ops->pool_problem(conn->self, pool, NULL);
}

GPtrArray *cst_conn_pool_thin(CstConn *conn, const CstPoolRef *pool, GError **error)
{
    return conn->ops->pool_thin(conn->self, pool, error);
}

char *cst_conn_pool_xml(CstConn *conn, const CstPoolRef *pool, unsigned flags, GError **error)
{
    char *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, pool_xml, CST_ACCESS_READ, "virStoragePoolGetXMLDesc", pool,
                          flags))
        return NULL;
    return result;
}

gboolean cst_conn_pool_count_volumes(CstConn *conn, const CstPoolRef *pool, guint *ret,
                                     GError **error)
{
    return CST_DISPATCH(conn, pool_count_volumes, CST_ACCESS_READ, "virStoragePoolNumOfVolumes",
                        pool, ret);
}

char *cst_conn_find_sources(CstConn *conn, const char *type, const char *spec, GError **error)
{
    char *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, find_sources, CST_ACCESS_WRITE,
                          "virConnectFindStoragePoolSources", type, spec))
        return NULL;
    return result;
}

char *cst_conn_pool_capabilities(CstConn *conn, GError **error)
{
    char *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, pool_capabilities, CST_ACCESS_READ,
                          "virConnectGetStoragePoolCapabilities"))
        return NULL;
    return result;
}
