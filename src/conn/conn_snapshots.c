/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "conn_private.h"

GPtrArray *cst_conn_snapshot_list(CstConn *conn, const CstVolRef *vol, GError **error)
{
    GPtrArray *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, snapshot_list, CST_ACCESS_READ, "cisternVolSnapshotList",
                          vol))
        return NULL;
    return result;
}

gboolean cst_conn_snapshot_create(CstConn *conn, const CstVolRef *vol, const char *name,
                                  uint64_t limit, CstTask *task, GError **error)
{
    return CST_DISPATCH(conn, snapshot_create, CST_ACCESS_WRITE, "cisternVolSnapshotCreate", vol,
                        name, limit, task);
}

gboolean cst_conn_snapshot_revert(CstConn *conn, const CstVolRef *vol, const char *name,
                                  CstTask *task, GError **error)
{
    return CST_DISPATCH(conn, snapshot_revert, CST_ACCESS_WRITE, "cisternVolSnapshotRevert", vol,
                        name, task);
}

gboolean cst_conn_snapshot_delete(CstConn *conn, const CstVolRef *vol, const char *name,
                                  CstTask *task, GError **error)
{
    return CST_DISPATCH(conn, snapshot_delete, CST_ACCESS_WRITE, "cisternVolSnapshotDelete", vol,
                        name, task);
}

gboolean cst_conn_snapshot_rename(CstConn *conn, const CstVolRef *vol, const char *name,
                                  const char *new_name, GError **error)
{
    return CST_DISPATCH(conn, snapshot_rename, CST_ACCESS_WRITE, "cisternVolSnapshotRename", vol,
                        name, new_name);
}

gboolean cst_conn_snapshot_clone(CstConn *conn, const CstVolRef *vol, const char *name,
                                 const char *new_volume, CstTask *task, GError **error)
{
    return CST_DISPATCH(conn, snapshot_clone, CST_ACCESS_WRITE, "cisternVolSnapshotClone", vol,
                        name, new_volume, task);
}
