/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Typed calls for pools. Each fills in the procedure's arguments with borrowed strings and converts
 * its reply. The calls have no task, because they report no progress.
 */
#include <string.h>

#include <base/i18n.h>

#include "conn_private.h"

/* Calls a procedure that returns a pool. */
static CstPoolRef *call_for_pool(CstConn *conn, int number, const void *args, GError **error)
{
    wire_pool_args ret = {0};

    if (!cst_conn_call(conn, number, args, &ret, NULL, error))
        return NULL;
    return cst_pool_ref_take(&ret.pool);
}

/* Calls a procedure on a pool, without a reply. */
static gboolean call_on_pool(CstConn *conn, int number, const CstPoolRef *pool, GError **error)
{
    wire_pool_args args = {cst_pool_arg(pool)};

    return cst_conn_call(conn, number, &args, NULL, NULL, error);
}

static gboolean call_on_pool_flags(CstConn *conn, int number, const CstPoolRef *pool,
                                   unsigned flags, GError **error)
{
    wire_pool_flags_args args = {cst_pool_arg(pool), flags};

    return cst_conn_call(conn, number, &args, NULL, NULL, error);
}

/* Calls a procedure on a pool that returns a number. */
static gboolean pool_query_number(CstConn *conn, int number, const CstPoolRef *pool, int *ret,
                                  GError **error)
{
    wire_pool_args args = {cst_pool_arg(pool)};
    wire_int answer = {0};

    if (!cst_conn_call(conn, number, &args, &answer, NULL, error))
        return FALSE;
    *ret = answer.value;
    return TRUE;
}

GPtrArray *cst_conn_pool_list(CstConn *conn, unsigned filter, GError **error)
{
    wire_list_all_args args = {1, filter};
    wire_pools_ret ret = {0};
    GPtrArray *refs;

    if (!cst_conn_call(conn, WIRE_PROC_CONNECT_LIST_ALL_STORAGE_POOLS, &args, &ret, NULL, error))
        return NULL;
    refs = g_ptr_array_new_full(ret.pools.pools_len, (GDestroyNotify)cst_pool_ref_free);
    for (u_int i = 0; i < ret.pools.pools_len; i++)
        g_ptr_array_add(refs, cst_pool_ref_take(&ret.pools.pools_val[i]));
    xdr_free((xdrproc_t)xdr_wire_pools_ret, (char *)&ret);
    return refs;
}

CstPoolRef *cst_conn_pool_by_name(CstConn *conn, const char *name, GError **error)
{
    wire_text args = {(char *)name};

    return call_for_pool(conn, WIRE_PROC_STORAGE_POOL_LOOKUP_BY_NAME, &args, error);
}

CstPoolRef *cst_conn_pool_by_uuid(CstConn *conn, const CstUuid *uuid, GError **error)
{
    wire_uuid_args args;

    memcpy(args.uuid, uuid->bytes, sizeof(args.uuid));
    return call_for_pool(conn, WIRE_PROC_STORAGE_POOL_LOOKUP_BY_UUID, &args, error);
}

CstPoolRef *cst_conn_pool_by_target(CstConn *conn, const char *path, GError **error)
{
    wire_text args = {(char *)path};

    return call_for_pool(conn, WIRE_PROC_STORAGE_POOL_LOOKUP_BY_TARGET_PATH, &args, error);
}

CstPoolRef *cst_conn_pool_define(CstConn *conn, const char *xml, unsigned flags, GError **error)
{
    wire_text_flags_args args = {(char *)xml, flags};

    return call_for_pool(conn, WIRE_PROC_STORAGE_POOL_DEFINE_XML, &args, error);
}

CstPoolRef *cst_conn_pool_create(CstConn *conn, const char *xml, unsigned flags, GError **error)
{
    wire_text_flags_args args = {(char *)xml, flags};

    return call_for_pool(conn, WIRE_PROC_STORAGE_POOL_CREATE_XML, &args, error);
}

gboolean cst_conn_pool_undefine(CstConn *conn, const CstPoolRef *pool, GError **error)
{
    return call_on_pool(conn, WIRE_PROC_STORAGE_POOL_UNDEFINE, pool, error);
}

gboolean cst_conn_pool_build(CstConn *conn, const CstPoolRef *pool, unsigned flags, GError **error)
{
    return call_on_pool_flags(conn, WIRE_PROC_STORAGE_POOL_BUILD, pool, flags, error);
}

gboolean cst_conn_pool_start(CstConn *conn, const CstPoolRef *pool, unsigned flags, GError **error)
{
    return call_on_pool_flags(conn, WIRE_PROC_STORAGE_POOL_CREATE, pool, flags, error);
}

gboolean cst_conn_pool_stop(CstConn *conn, const CstPoolRef *pool, GError **error)
{
    return call_on_pool(conn, WIRE_PROC_STORAGE_POOL_DESTROY, pool, error);
}

gboolean cst_conn_pool_delete(CstConn *conn, const CstPoolRef *pool, unsigned flags, GError **error)
{
    return call_on_pool_flags(conn, WIRE_PROC_STORAGE_POOL_DELETE, pool, flags, error);
}

gboolean cst_conn_pool_refresh(CstConn *conn, const CstPoolRef *pool, unsigned flags,
                               GError **error)
{
    return call_on_pool_flags(conn, WIRE_PROC_STORAGE_POOL_REFRESH, pool, flags, error);
}

gboolean cst_conn_pool_set_autostart(CstConn *conn, const CstPoolRef *pool, gboolean autostart,
                                     GError **error)
{
    wire_pool_autostart_args args = {cst_pool_arg(pool), autostart ? 1 : 0};

    return cst_conn_call(conn, WIRE_PROC_STORAGE_POOL_SET_AUTOSTART, &args, NULL, NULL, error);
}

gboolean cst_conn_pool_get_autostart(CstConn *conn, const CstPoolRef *pool, gboolean *ret,
                                     GError **error)
{
    return pool_query_number(conn, WIRE_PROC_STORAGE_POOL_GET_AUTOSTART, pool, ret, error);
}

gboolean cst_conn_pool_is_active(CstConn *conn, const CstPoolRef *pool, gboolean *ret,
                                 GError **error)
{
    return pool_query_number(conn, WIRE_PROC_STORAGE_POOL_IS_ACTIVE, pool, ret, error);
}

gboolean cst_conn_pool_is_persistent(CstConn *conn, const CstPoolRef *pool, gboolean *ret,
                                     GError **error)
{
    return pool_query_number(conn, WIRE_PROC_STORAGE_POOL_IS_PERSISTENT, pool, ret, error);
}

gboolean cst_conn_pool_info(CstConn *conn, const CstPoolRef *pool, CstPoolInfo *ret, GError **error)
{
    wire_pool_args args = {cst_pool_arg(pool)};
    wire_pool_info_ret info = {0};

    if (!cst_conn_call(conn, WIRE_PROC_STORAGE_POOL_GET_INFO, &args, &info, NULL, error))
        return FALSE;
    *ret = (CstPoolInfo){.state = info.state,
                         .capacity = info.capacity,
                         .allocation = info.allocation,
                         .available = info.available};
    return TRUE;
}

char *cst_conn_pool_problem(CstConn *conn, const CstPoolRef *pool)
{
    wire_pool_args args = {cst_pool_arg(pool)};
    wire_pool_status_ret status = {0};
    char *problem;

    /*
     * Failures are ignored, because a stock server has no such call and the reason is only
     * informative.
     */
    if (!cst_conn_own_call(conn, WIRE_CISTERN_POOL_STATUS, &args, &status, NULL, NULL))
        return NULL;
    problem = cst_opt_take(status.problem);
    xdr_free((xdrproc_t)xdr_wire_pool_status_ret, (char *)&status);
    return problem;
}

gboolean cst_conn_pool_health(CstConn *conn, const CstPoolRef *pool, CstPoolHealth *ret_health,
                              GError **error)
{
    wire_pool_args args = {cst_pool_arg(pool)};
    wire_pool_health_ret ret = {0};

    if (!cst_conn_own_call(conn, WIRE_CISTERN_POOL_HEALTH, &args, &ret, NULL, error))
        return FALSE;
    /* An unknown level of a later version counts as FAILED. */
    *ret_health = (CstPoolHealth){.level = MIN(ret.level, CST_HEALTH_FAILED),
                                  .state = cst_opt_take(ret.state)};
    for (guint i = 0; i < ret.notes.notes_len; i++)
        cst_pool_health_note(ret_health, ret.notes.notes_val[i]);
    xdr_free((xdrproc_t)xdr_wire_pool_health_ret, (char *)&ret);
    return TRUE;
}

GPtrArray *cst_conn_pool_thin(CstConn *conn, const CstPoolRef *pool, GError **error)
{
    wire_pool_args args = {cst_pool_arg(pool)};
    wire_pool_thin_ret ret = {0};
    GPtrArray *stores;

    if (!cst_conn_own_call(conn, WIRE_CISTERN_POOL_THIN, &args, &ret, NULL, error))
        return NULL;
    stores = g_ptr_array_new_with_free_func((GDestroyNotify)cst_thin_store_free);
    for (guint i = 0; i < ret.stores.stores_len; i++) {
        wire_thin_store *wire = &ret.stores.stores_val[i];
        CstThinStore *store = g_new0(CstThinStore, 1);

        *store = (CstThinStore){g_steal_pointer(&wire->name), wire->size,          wire->used,
                                wire->metadata_size,          wire->metadata_used, wire->volumes};
        g_ptr_array_add(stores, store);
    }
    xdr_free((xdrproc_t)xdr_wire_pool_thin_ret, (char *)&ret);
    return stores;
}

gboolean cst_conn_pool_room(CstConn *conn, const CstPoolRef *pool, CstRoom *ret_room,
                            GError **error)
{
    wire_pool_args args = {cst_pool_arg(pool)};
    wire_pool_room_ret ret = {0};
    gboolean can;

    *ret_room = (CstRoom){0};
    if (!cst_conn_supports(conn, WIRE_CISTERN_POOL_ROOM, &can, error))
        return FALSE;
    if (!can)
        return TRUE;
    if (!cst_conn_own_call(conn, WIRE_CISTERN_POOL_ROOM, &args, &ret, NULL, error))
        return FALSE;
    ret_room->known = ret.known != 0;
    ret_room->bytes = ret.bytes;
    ret_room->device = ret.device;
    return TRUE;
}

char *cst_conn_pool_xml(CstConn *conn, const CstPoolRef *pool, unsigned flags, GError **error)
{
    wire_pool_flags_args args = {cst_pool_arg(pool), flags};

    return cst_conn_text(conn, WIRE_PROC_STORAGE_POOL_GET_XML_DESC, &args, error);
}

gboolean cst_conn_pool_count_volumes(CstConn *conn, const CstPoolRef *pool, guint *ret,
                                     GError **error)
{
    int count = 0;

    if (!pool_query_number(conn, WIRE_PROC_STORAGE_POOL_NUM_OF_VOLUMES, pool, &count, error))
        return FALSE;
    *ret = MAX(count, 0);
    return TRUE;
}

char *cst_conn_find_sources(CstConn *conn, const char *type, const char *spec, GError **error)
{
    char *text = (char *)spec;
    wire_find_sources_args args = {(char *)type, spec ? &text : NULL, 0};

    return cst_conn_text(conn, WIRE_PROC_CONNECT_FIND_STORAGE_POOL_SOURCES, &args, error);
}

char *cst_conn_pool_capabilities(CstConn *conn, GError **error)
{
    wire_flags_args args = {0};

    return cst_conn_text(conn, WIRE_PROC_CONNECT_GET_STORAGE_POOL_CAPABILITIES, &args, error);
}
