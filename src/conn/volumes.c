/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Typed calls for volumes. Each fills in the procedure's arguments with borrowed strings and
 * converts its reply. Calls that may take long have a task.
 */
#include <base/error.h>
#include <base/i18n.h>

#include "conn_private.h"

/* Calls a procedure that returns a volume. */
static CstVolRef *call_for_vol(CstConn *conn, int number, const void *args, CstTask *task,
                               GError **error)
{
    wire_vol_args ret = {0};

    if (!cst_conn_call(conn, number, args, &ret, task, error))
        return NULL;
    return cst_vol_ref_take(&ret.vol);
}

CstVolRef *cst_conn_vol_by_name(CstConn *conn, const CstPoolRef *pool, const char *name,
                                GError **error)
{
    wire_vol_by_name_args args = {cst_pool_arg(pool), (char *)name};

    return call_for_vol(conn, WIRE_PROC_STORAGE_VOL_LOOKUP_BY_NAME, &args, NULL, error);
}

CstVolRef *cst_conn_vol_by_key(CstConn *conn, const char *key, GError **error)
{
    wire_text args = {(char *)key};

    return call_for_vol(conn, WIRE_PROC_STORAGE_VOL_LOOKUP_BY_KEY, &args, NULL, error);
}

CstVolRef *cst_conn_vol_by_path(CstConn *conn, const char *path, GError **error)
{
    wire_text args = {(char *)path};

    return call_for_vol(conn, WIRE_PROC_STORAGE_VOL_LOOKUP_BY_PATH, &args, NULL, error);
}

CstPoolRef *cst_conn_pool_of_vol(CstConn *conn, const CstVolRef *vol, GError **error)
{
    wire_vol_args args = {cst_vol_arg(vol)};
    wire_pool_args ret = {0};

    if (!cst_conn_call(conn, WIRE_PROC_STORAGE_POOL_LOOKUP_BY_VOLUME, &args, &ret, NULL, error))
        return NULL;
    return cst_pool_ref_take(&ret.pool);
}

char *cst_conn_vol_path(CstConn *conn, const CstVolRef *vol, GError **error)
{
    wire_vol_args args = {cst_vol_arg(vol)};

    return cst_conn_text(conn, WIRE_PROC_STORAGE_VOL_GET_PATH, &args, error);
}

char *cst_conn_vol_xml(CstConn *conn, const CstVolRef *vol, unsigned flags, GError **error)
{
    wire_vol_flags_args args = {cst_vol_arg(vol), flags};

    return cst_conn_text(conn, WIRE_PROC_STORAGE_VOL_GET_XML_DESC, &args, error);
}

gboolean cst_conn_vol_info(CstConn *conn, const CstVolRef *vol, gboolean physical, CstVolInfo *ret,
                           GError **error)
{
    wire_vol_flags_args flags_args = {cst_vol_arg(vol), CST_VOL_INFO_PHYSICAL};
    wire_vol_args args = {flags_args.vol};
    wire_vol_info_ret info = {0};
    gboolean ok;

    /* Without the flag use the older call, which every server has. */
    if (physical)
        ok = cst_conn_call(conn, WIRE_PROC_STORAGE_VOL_GET_INFO_FLAGS, &flags_args, &info, NULL,
                           error);
    else
        ok = cst_conn_call(conn, WIRE_PROC_STORAGE_VOL_GET_INFO, &args, &info, NULL, error);
    if (ok)
        *ret = (CstVolInfo){info.type, info.capacity, info.allocation,
                            physical ? info.allocation : 0, FALSE};
    return ok;
}

/* --- changes --------------------------------------------------------------------------------- */

CstVolRef *cst_conn_vol_create(CstConn *conn, const CstPoolRef *pool, const char *xml,
                               unsigned flags, CstTask *task, GError **error)
{
    wire_vol_create_args args = {cst_pool_arg(pool), (char *)xml, flags};

    return call_for_vol(conn, WIRE_PROC_STORAGE_VOL_CREATE_XML, &args, task, error);
}

CstVolRef *cst_conn_vol_create_from(CstConn *conn, const CstPoolRef *pool, const char *xml,
                                    const CstVolRef *source, unsigned flags, CstTask *task,
                                    GError **error)
{
    wire_vol_create_from_args args = {cst_pool_arg(pool), (char *)xml, cst_vol_arg(source), flags};

    return call_for_vol(conn, WIRE_PROC_STORAGE_VOL_CREATE_XML_FROM, &args, task, error);
}

gboolean cst_conn_vol_delete(CstConn *conn, const CstVolRef *vol, unsigned flags, CstTask *task,
                             GError **error)
{
    wire_vol_flags_args args = {cst_vol_arg(vol), flags};
    gboolean has_trash;

    if (flags & CST_VOL_DELETE_AT_ONCE) {
        if (!cst_conn_supports(conn, WIRE_CISTERN_TRASH_LIST, &has_trash, error))
            return FALSE;
        if (!has_trash)
            args.flags &= ~(unsigned)CST_VOL_DELETE_AT_ONCE;
    }
    return cst_conn_call(conn, WIRE_PROC_STORAGE_VOL_DELETE, &args, NULL, task, error);
}

gboolean cst_conn_vol_protect(CstConn *conn, const CstVolRef *vol, gboolean on, CstTask *task,
                              GError **error)
{
    wire_vol_flags_args args = {cst_vol_arg(vol), on ? WIRE_PROTECT_ON : 0};

    return cst_conn_own_call(conn, WIRE_CISTERN_VOL_PROTECT, &args, NULL, task, error);
}

gboolean cst_conn_vol_move(CstConn *conn, const CstVolRef *vol, const CstPoolRef *pool,
                           const CstVolMove *how, CstTask *task, GError **error)
{
    char *name = (char *)how->name, *format = (char *)how->format;
    wire_vol_move_args args = {cst_vol_arg(vol), cst_pool_arg(pool), cst_opt_arg(&name),
                               cst_opt_arg(&format), how->flags};

    return cst_conn_own_call(conn, WIRE_CISTERN_VOL_MOVE, &args, NULL, task, error);
}

gboolean cst_conn_vol_rename(CstConn *conn, const CstVolRef *vol, const char *new_name,
                             CstTask *task, GError **error)
{
    wire_vol_rename_args args = {cst_vol_arg(vol), (char *)new_name};

    return cst_conn_own_call(conn, WIRE_CISTERN_VOL_RENAME, &args, NULL, task, error);
}

GHashTable *cst_conn_pool_protected(CstConn *conn, const CstPoolRef *pool, GError **error)
{
    wire_pool_args args = {cst_pool_arg(pool)};
    wire_names ret = {0};
    GHashTable *names;

    if (!cst_conn_own_call(conn, WIRE_CISTERN_POOL_PROTECTED, &args, &ret, NULL, error))
        return NULL;
    names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (u_int i = 0; i < ret.names.names_len; i++)
        g_hash_table_add(names, g_steal_pointer(&ret.names.names_val[i]));
    xdr_free((xdrproc_t)xdr_wire_names, (char *)&ret);
    return names;
}

gboolean cst_conn_vol_wipe(CstConn *conn, const CstVolRef *vol, unsigned algorithm, CstTask *task,
                           GError **error)
{
    wire_vol_wipe_args args = {cst_vol_arg(vol), algorithm, 0};

    return cst_conn_call(conn, WIRE_PROC_STORAGE_VOL_WIPE_PATTERN, &args, NULL, task, error);
}

gboolean cst_conn_vol_resize(CstConn *conn, const CstVolRef *vol, uint64_t capacity, unsigned flags,
                             CstTask *task, GError **error)
{
    wire_vol_resize_args args = {cst_vol_arg(vol), capacity, flags};

    return cst_conn_call(conn, WIRE_PROC_STORAGE_VOL_RESIZE, &args, NULL, task, error);
}

gboolean cst_conn_vol_resize_qmp(CstConn *conn, const CstVolRef *vol, uint64_t capacity,
                                 unsigned flags, const char *socket, CstTask *task, GError **error)
{
    wire_vol_resize_qmp_args args = {cst_vol_arg(vol), capacity, flags, (char *)socket};

    return cst_conn_own_call(conn, WIRE_CISTERN_VOL_RESIZE_QMP, &args, NULL, task, error);
}
